"""Seeded races of two beats, each a process of its own, for the same due time: how many runs come of each.

python tests/bench/schedule_races.py sqlite:///races.db --races 1000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from storage.engine import open_engine
from storage.migrate import upgrade
from tests.support.schedule_process import race


def main() -> int:
    """Run the races and print how often how many runs came of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database_url", help="of a database for this alone; brought to the schema")
    parser.add_argument("--races", type=int, default=1000)
    parser.add_argument("--beats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    engine = open_engine(given.database_url)
    upgrade(engine)
    engine.dispose()
    started_at = time.perf_counter()
    runs = race(given.database_url, given.races, given.beats, given.seed)
    elapsed_s = time.perf_counter() - started_at
    print(f"{given.races} races of {given.beats} beats, seed {given.seed}, in {elapsed_s:.0f} s")  # noqa: T201
    print("runs a race: " + ", ".join(f"{count} of {number}" for number, count in sorted(Counter(runs).items())))  # noqa: T201
    return 0 if set(runs) == {1} else 1


if __name__ == "__main__":
    sys.exit(main())
