"""`compose.yaml`: well-formed, no password in it, nothing open that need not be; what it mounts and names is there."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest

from tests.support.deploy_files import DEPLOY, SECRETS, compose

SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
SERVICES: dict[str, Any] = compose()["services"]
#: Ends by itself.
ONCE = {"migrate"}


def long_ones() -> list[str]:
    return [name for name in SERVICES if name not in ONCE]


def seconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "m" else 1)


def test_the_file_follows_the_specification() -> None:
    jsonschema.validate(compose(), json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize("missing", [*SECRETS, "INPUTS_DIRECTORY"])
def test_nothing_starts_without_every_secret(missing: str) -> None:
    given = {name: "x" for name in [*SECRETS, "INPUTS_DIRECTORY"] if name != missing}
    with pytest.raises(KeyError, match=missing):
        compose(given)


def test_no_secret_stands_in_the_file() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    defaults = re.findall(r"\$\{(\w*(?:PASSWORD|USERS|KEY)\w*):-([^}]*)\}", text)
    assert [name for name, default in defaults if default] == []
    values = re.findall(r"^\s+(?!GF_USERS_)\w*(?:PASSWORD|USERS|_KEY)\w*: (.+)$", text, re.MULTILINE)
    assert len(values) >= len(SECRETS)
    assert [value for value in values if not value.startswith("${")] == []


def test_the_script_makes_every_secret_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"

    def run() -> dict[str, str]:
        subprocess.run([DEPLOY / "make-secrets", file], check=True, capture_output=True, timeout=30)
        return dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())

    made = run()
    assert set(made) == set(SECRETS)
    assert len({value.rpartition(":")[2] for value in made.values()}) == len(SECRETS)
    assert all(len(value.rpartition(":")[2]) == 48 for value in made.values())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run() == made
    compose({**made, "INPUTS_DIRECTORY": "/srv/inputs"})


def test_every_image_has_a_version() -> None:
    for name, service in SERVICES.items():
        tag = str(service["image"]).partition(":")[2]
        assert re.match(r"v?\d+\.\d+", tag), f"{name}: {service['image']}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_gives_up_what_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["init"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory"}
    if name != "postgres":
        assert "cap_add" not in service
    if not str(service["image"]).startswith(("hanmill:", "postgres:")):
        assert not str(service["user"]).startswith(("0", "root"))


@pytest.mark.parametrize("name", long_ones())
def test_every_service_that_stays_says_whether_it_is_well_and_has_time_to_end(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    least = 300 if name.startswith("worker") else 10
    assert seconds(service["stop_grace_period"]) >= least


def test_ports_are_published_on_this_machine_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_everything_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            ends = how["condition"] == "service_completed_successfully"
            assert ends == (needed in ONCE), f"{name} waits for {needed}"
        if str(service["image"]).startswith("hanmill:") and name not in ONCE:
            assert service["depends_on"].keys() == {"migrate", "redis"}


def test_every_network_and_volume_that_is_used_is_declared_and_the_other_way_round() -> None:
    whole = compose()
    networks = {name for service in SERVICES.values() for name in service["networks"]}
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())]
    volumes = {mount for mount in mounts if not mount.startswith((".", "/"))}
    assert networks == whole["networks"].keys()
    assert volumes == whole["volumes"].keys()


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = {mount for mount in mounts if mount.startswith("./")} - {"./models"}
    assert len(files) >= 3
    assert [name for name in sorted(files) if not (DEPLOY / name).exists()] == []


def test_what_is_started_as_a_program_can_be_executed() -> None:
    for script in ("make-secrets", "redis/start-redis", "postgres/10-make-database.sh", "docker/install-hanmill"):
        assert os.access(DEPLOY / script, os.X_OK), script
        subprocess.run(["sh", "-n", DEPLOY / script], check=True, timeout=30)


def test_whoever_can_read_the_repository_reads_no_password() -> None:
    ignored = (DEPLOY / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
