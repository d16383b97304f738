"""The units, looked at by systemd's own tools as they would be installed; started for real elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.availability import give_up
from tests.support.deploy_files import DEPLOY, setting_names, unit_values

UNITS = DEPLOY / "systemd"
SERVICES = ["hanmill-worker@cpu", "hanmill-worker@gpu", "hanmill-beat", "hanmill-flower", "hanmill-exporter"]
#: Tenths of systemd's measure of exposure, from 0 (none) to 100; it calls up to 40 "OK".
LARGEST_EXPOSURE = 25
SYSTEMD = Path("/usr/lib/systemd/system")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a file system as the runbook's installation leaves it, as far as units need one."""
    if shutil.which("systemd-analyze") is None or not SYSTEMD.is_dir():
        give_up("there is no systemd-analyze on the PATH")
    installed = tmp_path / "etc" / "systemd" / "system"
    installed.mkdir(parents=True)
    for path in [*UNITS.glob("*.service"), *UNITS.glob("*.target")]:
        shutil.copy(path, installed)
    shutil.copytree(UNITS / "hanmill-.service.d", installed / "hanmill-.service.d")
    shutil.copytree(SYSTEMD, tmp_path / "usr" / "lib" / "systemd" / "system", symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    program = tmp_path / "opt" / "hanmill" / "bin" / "hanmill"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    return tmp_path


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_finds_no_fault(root: Path) -> None:
    units = [f"{name}.service" for name in SERVICES]
    done = analyze("verify", f"--root={root}", "--man=no", "hanmill.target", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_a_fault(root: Path) -> None:
    unit = root / "etc" / "systemd" / "system" / "hanmill-beat.service"
    text = unit.read_text(encoding="utf-8")
    unit.write_text(text.replace("TimeoutStopSec=30s", "TimeoutStopSec=soon"), encoding="utf-8")
    assert "soon" in analyze("verify", f"--root={root}", "--man=no", "hanmill-beat.service").stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_little_exposed(root: Path, name: str) -> None:
    options = ["--offline=true", f"--root={root}", f"--threshold={LARGEST_EXPOSURE}"]
    done = analyze("security", *options, f"{name}.service")
    assert done.returncode == 0, done.stdout


def test_every_variable_of_the_environment_is_a_setting_or_options_of_a_command() -> None:
    units = [*UNITS.glob("*.service"), UNITS / "hanmill-.service.d" / "10-common.conf"]
    lines = [line for path in units for line in unit_values(path).get("Environment", ())]
    named = {word.partition("=")[0] for line in lines for word in line.split()}
    named |= set(unit_values(UNITS / "hanmill.env"))
    assert "HANMILL_SECRETS_DIR" in named
    assert named <= setting_names()


def test_every_home_is_the_state_directory_that_systemd_makes() -> None:
    for path in UNITS.glob("*.service"):
        values = unit_values(path)
        (state,) = values["StateDirectory"]
        assert f"HANMILL_HOME=/var/lib/{state}" in values["Environment"]


def test_a_worker_has_time_to_end_and_the_target_starts_everything() -> None:
    (stop,) = unit_values(UNITS / "hanmill-worker@.service")["TimeoutStopSec"]
    minutes = re.fullmatch(r"(\d+)min", stop)
    assert minutes is not None
    assert int(minutes[1]) >= 5
    assert all(unit_values(path)["WantedBy"] == ["hanmill.target"] for path in UNITS.glob("*.service"))
