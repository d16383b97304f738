"""A deployment whose workers can be poisoned by the words of `poison/sitecustomize.py`, until it is mended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from storage import dead_letters
from storage.engine import reading
from tests.support.deployment import Deployment

POISON = Path(__file__).with_name("poison")


class PoisonedDeployment(Deployment):
    """Its workers suffer from poison until it is mended; its shards are tried twice."""

    def __init__(self, home: Path, database_url: str, broker_url: str, **settings: Any) -> None:
        """Every setting can be given."""
        limits = {"lease_s": 60.0, "max_failures": 2, "max_losses": 2}
        super().__init__(home, database_url, broker_url, **{**limits, **settings})

    def environment(self) -> dict[str, str]:
        """Return the environment of a worker."""
        return poisoned(super().environment())

    def mend(self) -> None:
        """Let nothing be poison any more, in workers that run too."""
        (self.settings.home / "mended").touch()

    def letters(self, job_id: int) -> dict[str, dict[str, Any]]:
        """Return the standing dead letters of a job by their keys."""
        with reading(self.parts.engine) as connection:
            rows = dead_letters.list_letters(connection, job_id)
        letters = {str(row["key"]): row for row in rows}
        assert len(letters) == len(rows), "a document is set aside twice"
        return letters


def poisoned(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment whose Python processes suffer from poison."""
    return {**environment, "PYTHONPATH": os.pathsep.join([str(POISON), environment.get("PYTHONPATH", "")]).rstrip(":")}
