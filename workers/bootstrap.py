"""The only place that builds real parts (engine, workplace) from the settings; tests come by the same door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from storage import fault_points, resources
from storage.engine import Engine, open_engine, reading
from storage.errors import UsageError
from tasks.operation import Workplace
from workers.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process of hanmill works with."""

    settings: Settings
    engine: Engine
    workplace: Workplace


def build_parts(settings: Settings, *, keeps_connections: bool = False) -> Parts:
    """Open the database that the settings name; for `keeps_connections` see `open_engine`.

    Raises `UsageError` when the home cannot be written.
    """
    make_home(settings.home)
    fault_points.arm(settings.fault_plan)
    engine = open_engine(settings.sql_url, keeps_connections=keeps_connections)
    settings.cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load_resource(digest: str) -> bytes:
        with reading(engine) as connection:
            return resources.load(connection, digest)

    workplace = Workplace(engine, settings.cache_dir, load_resource, endpoint=settings.endpoint_access)
    return Parts(settings, engine, workplace)


def make_home(home: Path) -> None:
    """Make the home directory, for its owner alone; raises `UsageError` when that is not possible."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"the home {home} cannot be written ({error.strerror}); set HANMILL_HOME to a directory that can"
        raise UsageError(message) from error


@lru_cache(maxsize=1)
def parts() -> Parts:
    """Return the parts of this process, built at the first call; never called before a fork."""
    return build_parts(load_settings(), keeps_connections=True)
