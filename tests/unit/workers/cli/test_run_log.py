from __future__ import annotations

import logging
from pathlib import Path

import pytest

from workers.cli.run_log import logging_to


def test_warnings_go_to_the_file_with_their_fields_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs" / "run.log"
    logger = logging.getLogger("workers.somewhere")
    with logging_to(path):
        logger.warning("leases.lapsed", extra={"shards": 3, "worker": "a b"})
        logger.info("not.wanted")
    logging.getLogger("workers").warning("too.late")
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert line.endswith(" leases.lapsed shards=3 worker=a b")
    assert "leases.lapsed" not in capsys.readouterr().err
