"""The units under a real systemd: installed by the runbook's commands, started, drained, killed and started again."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.availability import REPOSITORY, give_up
from tests.support.guarded_redis import GuardedRedis
from tests.support.systemd_machine import NoNamespacesError, SystemdMachine, refusal

RUNBOOK = (REPOSITORY / "deploy" / "README.md").read_text(encoding="utf-8")
SAMPLE = REPOSITORY / "tests" / "samples" / "corpus"
#: A SQLite file that every service may write stands in for PostgreSQL; logs go to files, since no journal is started.
TEST_DROP_IN = """
[Service]
ReadWritePaths=/var/lib/hanmill
StandardOutput=append:/run/test/%N.log
StandardError=inherit
WorkingDirectory=/
"""
SETTINGS = "HANMILL_INPUT_ROOTS=/\nHANMILL_RECONCILE_INTERVAL_S=1\nHANMILL_LEASE_S=10\n"
HANMILL = "HANMILL_SECRETS_DIR=/etc/credstore HANMILL_HOME=/var/lib/hanmill/command /opt/hanmill/bin/hanmill"


def block(name: str) -> str:
    (found,) = re.findall(rf"^<!-- run: {name} -->\n```sh\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    return str(found)


def installation(broker_url: str) -> str:
    """Return the runbook's commands, and after them what is particular to the test."""
    return f"""{block("systemd-files")}
printf '{SETTINGS.replace(chr(10), chr(92) + "n")}' >/etc/hanmill/hanmill.env
printf 'sqlite:////var/lib/hanmill/hanmill.db' >/etc/credstore/hanmill_database_url
printf '%s' '{broker_url}' >/etc/credstore/hanmill_broker_url
printf 'operator:secret' >/etc/credstore/hanmill_flower_users
echo 'WORKER_OPTIONS=--concurrency 1' >/etc/hanmill/hanmill-worker@cpu.env
cat >/etc/systemd/system/hanmill-.service.d/90-test.conf <<'DROP_IN'
{TEST_DROP_IN}
DROP_IN
"""


@pytest.fixture
def machine(guarded: GuardedRedis, until: Callable[[Callable[[], bool], str], None]) -> Iterator[SystemdMachine]:
    reason = refusal()
    if reason is not None:
        give_up(reason)
    guarded.start("letmein")
    until(lambda: guarded.answers("letmein"), "Redis answers")
    with tempfile.TemporaryDirectory(prefix="hm-systemd-") as directory:
        made = SystemdMachine(Path(directory), installation(guarded.url("letmein")))
        try:
            made.wait_until_up()
            yield made
        except NoNamespacesError as error:
            # No package gives that right, so that nothing is to fail for want of it.
            pytest.skip(f"no systemd can be started in namespaces here: {error}")
        finally:
            made.end()


def shell(machine: SystemdMachine, script: str) -> str:
    done = machine.run("sh", "-euc", script)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def log_of(machine: SystemdMachine, unit: str) -> str:
    return machine.run("cat", f"/run/test/{unit}.log").stdout


def property_of(machine: SystemdMachine, unit: str, name: str) -> str:
    return shell(machine, f"systemctl show --property={name} --value {unit}").strip()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_installed_starts_works_drains_and_comes_back_after_a_kill(
    machine: SystemdMachine, until: Callable[[Callable[[], bool], str], None]
) -> None:
    # The database is the services', whoever made it.
    start = block("systemd-start").replace(
        "hanmill db upgrade", "hanmill db upgrade; chown hanmill: /var/lib/hanmill/*.db*"
    )
    shell(machine, start)
    for unit in ("hanmill-worker@cpu", "hanmill-beat"):
        assert property_of(machine, unit, "ActiveState") == "active", log_of(machine, unit)
    user = property_of(machine, "hanmill-worker@cpu", "User")
    assert user == "hanmill"
    ready = "/opt/hanmill/bin/hanmill probe ready --name cpu --home /var/lib/hanmill/worker-cpu"
    until(lambda: machine.run("sh", "-c", ready).returncode == 0, "the worker is ready")

    shell(machine, f"{HANMILL} submit {SAMPLE} --corpus sample")
    until(lambda: " DONE" in shell(machine, f"{HANMILL} jobs"), "the job is done")

    before = property_of(machine, "hanmill-worker@cpu", "MainPID")
    shell(machine, f"kill -KILL {before}")
    until(
        lambda: property_of(machine, "hanmill-worker@cpu", "MainPID") not in {before, "0"},
        "systemd starts another worker",
    )
    shell(machine, "systemctl stop hanmill-worker@cpu")
    assert property_of(machine, "hanmill-worker@cpu", "Result") == "success"
    assert "letmein" not in log_of(machine, "hanmill-worker@cpu") + log_of(machine, "hanmill-beat")


@pytest.mark.slow
def test_flower_and_the_exporter_start_with_what_they_may_know(
    machine: SystemdMachine, until: Callable[[Callable[[], bool], str], None]
) -> None:
    shell(machine, f"{HANMILL} db upgrade; chown hanmill: /var/lib/hanmill/*.db*")
    shell(machine, "systemctl start hanmill-flower hanmill-exporter")
    for kind in ("flower", "exporter"):
        unit = f"hanmill-{kind}"
        until(
            lambda kind=kind: machine.run("sh", "-c", f"{HANMILL} probe live --kind {kind}").returncode == 0,  # type: ignore[misc]
            f"{unit} answers",
        )
        assert property_of(machine, unit, "ActiveState") == "active", log_of(machine, unit)
    credentials = shell(machine, "ls /run/credentials/hanmill-flower.service /run/credentials/hanmill-exporter.service")
    assert credentials.count("hanmill_flower_users") == 1
    assert credentials.count("hanmill_database_url") == 2
