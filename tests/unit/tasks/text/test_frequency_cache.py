"""The cache of the parsed dictionary: right, or passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.text.frequency_cache import load_cached

CONTENT = b"what was parsed"


class Parser:
    """Counts how often the dictionary had to be parsed."""

    def __init__(self) -> None:
        """Begin with no call."""
        self.calls = 0

    def __call__(self) -> bytes:
        """Parse once more."""
        self.calls += 1
        return CONTENT


def test_the_second_process_reads_what_the_first_parsed(tmp_path: Path) -> None:
    parser = Parser()
    assert load_cached(tmp_path / "new" / "aa", parser) == CONTENT
    assert load_cached(tmp_path / "new" / "aa", parser) == CONTENT
    assert parser.calls == 1


def test_another_name_has_a_cache_of_its_own(tmp_path: Path) -> None:
    parser = Parser()
    load_cached(tmp_path / "aa", parser)
    load_cached(tmp_path / "bb", parser)
    assert parser.calls == 2


@pytest.mark.parametrize("kept_bytes", [0, 10, 31, 32, 33, -1])
def test_a_truncated_cache_is_replaced(tmp_path: Path, kept_bytes: int) -> None:
    parser = Parser()
    load_cached(tmp_path / "aa", parser)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:kept_bytes])
    assert load_cached(tmp_path / "aa", parser) == CONTENT
    assert parser.calls == 2
    assert path.read_bytes() == whole


def test_a_single_changed_byte_is_noticed(tmp_path: Path) -> None:
    parser = Parser()
    load_cached(tmp_path / "aa", parser)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    assert load_cached(tmp_path / "aa", parser) == CONTENT
    assert parser.calls == 2


def test_a_cache_folder_that_cannot_be_made_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert load_cached(tmp_path / "file" / "aa", Parser()) == CONTENT


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> Path:
        raise OSError

    monkeypatch.setattr(Path, "replace", refuse)
    assert load_cached(tmp_path / "aa", Parser()) == CONTENT
    assert list(tmp_path.iterdir()) == []
