"""Everything that deploy/ starts, asks and sets exists in the program: commands, options, settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.deploy_files import DEPLOY, check_command, command_lines, unknown_settings

TEXTS = sorted(
    path
    for path in DEPLOY.rglob("*")
    if path.is_file() and path.suffix in {"", ".yaml", ".yml", ".md", ".service", ".conf", ".env", ".sh"}
)


@pytest.mark.parametrize(("place", "words"), [pytest.param(*one, id=one[0]) for one in command_lines()])
def test_every_command_line_is_one_that_the_program_takes(place: str, words: list[str]) -> None:
    check_command(words)


@pytest.mark.parametrize("line", ["worker tpu", "worker cpu --fast", "db upgrad", "probe live x"])
def test_a_command_line_that_the_program_does_not_take_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)is not one of|no such|unexpected"):
        check_command(line.split())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert unknown_settings(path.read_text(encoding="utf-8")) == set()


def runbook_commands() -> list[str]:
    """Return every command line of hanmill in the runbook's blocks of shell."""
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [re.search(r"(?:^|\s|/)hanmill (?P<words>[a-z].*)$", line.split("#")[0].rstrip()) for line in lines]
    return [one["words"] for one in found if one]


@pytest.mark.parametrize("line", runbook_commands())
def test_every_command_of_the_runbook_is_one_that_the_program_takes(line: str) -> None:
    words = shlex.split(line.replace("JOB", "1"))
    ends = [place for place, word in enumerate(words) if word in {"&&", "|", ";", ">"}]
    check_command(words[: ends[0]] if ends else words)


def test_every_alert_has_its_place_in_the_runbook_and_the_other_way_round() -> None:
    runbook = (DEPLOY / "README.md").read_text(encoding="utf-8")
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    wanted = re.findall(r"alert: (\w+)\n(?:.*\n)*?\s+runbook: deploy/README\.md#(\S+)", rules)
    assert len(wanted) == rules.count("alert: ") > 0
    assert re.findall(r'^### <a id="(alert-[a-z-]+)"></a>(\w+)$', runbook, re.MULTILINE) == [
        (anchor, name) for name, anchor in wanted
    ]


def test_every_file_that_the_runbook_names_is_there() -> None:
    runbook = (DEPLOY / "README.md").read_text(encoding="utf-8")
    named = {name.split("*")[0].rstrip("/") for name in re.findall(r"\bdeploy/([\w./@*-]+[\w*])", runbook)}
    assert len(named) > 5
    # Made by deploy/make-secrets.
    assert [name for name in sorted(named - {".env"}) if not (DEPLOY / name).exists()] == []
