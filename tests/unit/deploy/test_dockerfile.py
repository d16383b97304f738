"""The Dockerfile: without a fault that a linter knows, made of files that are there, for a user who is not root."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.availability import REPOSITORY, give_up
from tests.support.deploy_files import DEPLOY, compose

TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
#: DL3013 wants versions pinned in the command; ours stand in pyproject.toml.
IGNORED = ("DL3013",)


def final_stage() -> str:
    return TEXT[TEXT.rindex("\nFROM ") :]


def test_the_linter_finds_nothing() -> None:
    found = Path(sys.executable).with_name("hadolint")
    hadolint = str(found) if found.exists() else shutil.which("hadolint")
    if hadolint is None:
        give_up("hadolint is not installed")
    ignored = [word for rule in IGNORED for word in ("--ignore", rule)]
    command: list[str] = [hadolint, "--no-color", *ignored, str(DEPLOY / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_everything_that_is_copied_is_there_and_let_through_to_the_builder() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.+)$", TEXT, re.MULTILINE)]
    names = {name for line in copied for name in line}
    assert names == let_through
    assert [name for name in sorted(names) if not (REPOSITORY / name).exists()] == []


def test_every_stage_that_is_copied_from_is_there() -> None:
    stages = set(re.findall(r"^FROM .+ AS (\w+)$", TEXT, re.MULTILINE))
    assert set(re.findall(r"--from=(\w+)", TEXT)) <= stages


def test_the_image_runs_as_a_user_with_a_number_and_brings_no_build() -> None:
    final = final_stage()
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "pip" not in final
    assert "apt" not in final
    assert "COPY --from=install /opt/hanmill /opt/hanmill" in final


def test_the_version_of_torch_is_the_one_that_the_project_names() -> None:
    script = (DEPLOY / "docker" / "install-hanmill").read_text(encoding="utf-8")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (named,) = re.findall(r'"(torch==[^"]+)"', script)
    assert named in project["optional-dependencies"]["models"]
    extras = {extra for line in re.findall(r"\[([a-z,]+)\]", script) for extra in line.split(",")}
    assert extras <= project["optional-dependencies"].keys()


def test_the_tags_that_are_built_are_those_that_are_started() -> None:
    built = set(re.findall(r"--tag (hanmill:\S+)", TEXT))
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert built == {f"hanmill:{version}{variant}" for variant in ("", "-models", "-cuda")}
    images = {str(service["image"]) for service in compose()["services"].values()}
    assert {image for image in images if image.startswith("hanmill:")} == built


def test_the_installer_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    script = DEPLOY / "docker" / "install-hanmill"
    done = subprocess.run([script, tmp_path / "venv", tmp_path, "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "exactly one hanmill-*.whl" in done.stderr
