"""What a contest's figures are said to mean."""

from __future__ import annotations

from pathlib import Path

from workers.bench.contest import Measured, entries
from workers.bench.plot import draw
from workers.bench.verdict import sentences, table


def one(name: str, seconds: float, processes: int = 1, digest: str = "same") -> Measured:
    return Measured(name, processes, seconds, peak_bytes=10, words=5, tokens=9, digest=digest)


def test_everything_is_compared_with_the_loop() -> None:
    rows = table([one("loop", 10.0), one("pool", 4.0, 4), one("rjieba", 1.0, digest="other")], 20_000_000)
    assert [row["mb_per_s"] for row in rows] == [2.0, 5.0, 20.0]
    assert [row["speed_up"] for row in rows] == [1.0, 2.5, 10.0]
    assert [row["efficiency"] for row in rows] == [1.0, 0.625, 10.0]
    assert [row["identical"] for row in rows] == [True, True, False]


def test_the_old_questions_are_answered_either_way() -> None:
    slow = sentences([one("loop", 10.0), one("small-dicts", 12.0), one("pool", 6.0, 2)])
    assert "Small dictionaries are slower" in slow[0]
    assert '"More than one per process" does not hold' in slow[1]
    fast = sentences([one("loop", 10.0), one("small-dicts", 4.0), one("pool", 2.0, 2)])
    assert "Small dictionaries are faster" in fast[0]
    assert '"More than one per process" does hold' in fast[1]
    assert "neither faster nor slower" in sentences([one("loop", 10.0), one("small-dicts", 10.2)])[0]
    assert sentences([one("hanmill", 4.0, 1), one("hanmill", 2.0, 2)]) == [
        "hanmill with 2 workers is 2.00 times as fast as with 1."
    ]


def test_only_what_takes_processes_is_given_several() -> None:
    found = {(entry.name, entry.processes) for entry in entries([1, 2, 4])}
    assert found >= {("loop", 1), ("engine", 1), ("pool", 4), ("hanmill", 1), ("hanmill", 2), ("hanmill", 4)}
    assert ("loop", 4) not in found


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    rows = table([one("loop", 10.0), one("hanmill", 4.0, 1), one("hanmill", 2.0, 2)], 10)
    draw(rows, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
