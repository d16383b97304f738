"""A systemd of the test's own, the first process of fresh namespaces: starts our units, and nothing of the machine's.

Needs root and the right to make namespaces. What it mounts is seen by it alone and goes with it: /etc and /var/lib show
the machine's own below a layer that is thrown away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.support.availability import REPOSITORY

SYSTEMD = Path("/usr/lib/systemd/systemd")
#: The units of systemd's own that ours lean on; no other is started.
OWN_UNITS = "sysinit basic multi-user shutdown umount final exit network network-online sockets timers paths slices"
#: What it has for itself; not the network, in which the test's servers are.
NAMESPACES = ("--pid", "--mount", "--uts", "--ipc", "--cgroup")
#: Seconds within which it must be up, and an answer of it must come.
PATIENCE_S = 180.0
#: Seconds that its processes may take to be gone.
LEAVING_S = 5.0

#: Runs inside the new namespaces, as their first process.
SET_UP = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$LAYER"
for place in etc var/lib root; do
  mkdir -p "$LAYER/$place/upper" "$LAYER/$place/work"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$LAYER/$place/upper,workdir=$LAYER/$place/work" "/$place"
done
# The Python of whoever develops as root stands there; our services are other users.
chmod o+x /root
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mkdir -p /opt/hanmill/bin "$LAYER/units" /run/test
printf '#!/bin/sh\\nexec "%s" -m workers.cli.main "$@"\\n' "$PYTHON" >/opt/hanmill/bin/hanmill
chmod 0755 /opt/hanmill/bin/hanmill
for name in $OWN_UNITS; do
  [ ! -e "/usr/lib/systemd/system/$name.target" ] || cp "/usr/lib/systemd/system/$name.target" "$LAYER/units"
done
cp /usr/lib/systemd/system/systemd-exit.service "$LAYER/units"
# Without what they would pull in of the machine's.
sed -i -e '/^Wants=/d' -e '/^After=/d' "$LAYER/units/sysinit.target" "$LAYER/units/basic.target"
rm -rf /etc/systemd/system /etc/sysusers.d /etc/tmpfiles.d
mkdir -p /etc/systemd/system /etc/sysusers.d /etc/tmpfiles.d
mount --bind "$LAYER/units" /usr/lib/systemd/system
. "$INSTALL"
# The units see a /tmp of their own. A checkout that stands there is to be seen all the same.
case "$REPOSITORY" in
  /tmp/*|/var/tmp/*)
    more=/etc/systemd/system/hanmill-.service.d/99-checkout.conf
    mkdir -p "${more%/*}"
    printf '[Service]\\nBindReadOnlyPaths=%s\\n' "$REPOSITORY" >"$more" ;;
esac
# Shared among its own processes, as systemd expects to find it: that is how credentials reach a service.
mount --make-rshared /
export container=test
exec /usr/lib/systemd/systemd --system --unit=basic.target --show-status=0 --log-target=console --log-level=notice
"""


class NoNamespacesError(Exception):
    """This machine does not let the test make namespaces; the text says how it refused."""


def refusal() -> str | None:
    """Return why no systemd can be started here, None when it can."""
    if os.geteuid() != 0:
        return "starting a systemd of the test's own needs root"
    if not SYSTEMD.exists() or shutil.which("nsenter") is None:
        return "systemd and nsenter are not installed"
    return None


class SystemdMachine:
    """One systemd in namespaces of its own; `install` is the shell that puts the units into place."""

    def __init__(self, directory: Path, install: str) -> None:
        self._log = directory / "systemd.log"
        self._groups_before = _own_groups()
        layer = directory / "layer"
        layer.mkdir()
        script, installer = directory / "set-up", directory / "install"
        script.write_text(SET_UP, encoding="utf-8")
        installer.write_text(install, encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "LAYER": str(layer),
            "INSTALL": str(installer),
            "PYTHON": sys.executable,
            "REPOSITORY": str(REPOSITORY),
            "OWN_UNITS": OWN_UNITS,
        }
        command = [
            "unshare",
            "--pid",
            "--mount",
            "--uts",
            "--ipc",
            "--cgroup",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "sh", script], stdout=log, stderr=log, env=environment, cwd=REPOSITORY
            )
        self._first: int | None = None

    def wait_until_up(self) -> None:
        """Wait until it answers; raises `NoNamespacesError` when the machine does not allow it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            self._first = self._first or self._child()
            if self._first and self.run("systemctl", "is-active", "basic.target").stdout.strip() == "active":
                return
            time.sleep(0.1)
        raise NoNamespacesError(self.log()[-2000:])

    def _child(self) -> int | None:
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found = path.read_text(encoding="utf-8").split()
        return int(found[0]) if found else None

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        inside = ["nsenter", "--target", str(self._first), *NAMESPACES, *command]
        return subprocess.run(inside, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd="/")

    def log(self) -> str:
        """Return what systemd and the services wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end(self) -> None:
        """End it with everything that it started; its mounts go with it."""
        if self._first is not None:
            # The first process of a namespace takes all others with it.
            subprocess.run(["kill", "-KILL", str(self._first)], check=False)
        self._process.kill()
        self._process.wait(timeout=PATIENCE_S)
        # Its control groups are the one thing that outlives it; they can be removed when the last process is gone.
        deadline = time.monotonic() + LEAVING_S
        while (left := _own_groups() - self._groups_before) and time.monotonic() < deadline:
            for group in sorted(left, reverse=True):
                with suppress(OSError):
                    group.rmdir()
            time.sleep(0.05)


def _own_groups() -> set[Path]:
    """Return the control groups that are named as a systemd names those that it makes."""
    every = [Path(place) for place, _, _ in os.walk("/sys/fs/cgroup")]
    return {group for group in every if {"init.scope", "system.slice"} & set(group.parts)}
