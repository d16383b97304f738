"""From the user's words for a model to its digest, and from the digest back to its directory. Loads no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from storage import models
from storage.engine import Connection, Engine, reading, transact
from storage.errors import UsageError
from storage.models import NewModel
from tasks.nn.model_directory import CONFIG, ModelDirectoryError, is_model, open_model
from tasks.operation import Intake

#: The name of a model that comes with the program.
BUILT_IN = "default"


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model that a job is to use."""

    digest: str
    kind: str
    backend: str
    path: Path


def choose_model(intake: Intake, kind: str, named: Sequence[str], built_in: Path) -> ChosenModel:
    """Return the model of a kind that the user named, else the user's default, else the one that comes along.

    A name is one that `hanmill models` lists, a directory, or the beginning of a digest; those of another kind are
    passed over. Raises `UsageError` for a name that stands for nothing.
    """
    for name in named:
        chosen = built_in_model(built_in) if name == BUILT_IN else _find(intake.engine, name)
        if chosen.kind == kind:
            return chosen
    with reading(intake.engine) as connection:
        row = models.default_of(connection, kind)
    if row is not None:
        return ChosenModel(row.digest, kind, row.backend, Path(row.path))
    return built_in_model(built_in)


def _find(engine: Engine, name: str) -> ChosenModel:
    directory = Path(name)
    if directory.is_dir():
        return _from_directory(engine, directory.absolute())
    with reading(engine) as connection:
        for kind in ("classifier", "summarizer"):
            row = models.find(connection, kind, name)
            if row is not None:
                return ChosenModel(row.digest, kind, row.backend, Path(row.path))
    message = f"--model {name}: no directory, and no model of that name or digest; `hanmill models` lists them"
    raise UsageError(message)


def _from_directory(engine: Engine, directory: Path) -> ChosenModel:
    """Check a directory that the user names, and write down where it is: a worker finds it by its digest."""
    model = describe_directory(directory)

    def work(connection: Connection) -> None:
        models.register(connection, model)

    transact(engine, work)
    return ChosenModel(model.digest, model.kind, model.backend, directory)


def describe_directory(directory: Path) -> NewModel:
    """Return what a directory with a model, ours or another program's checkpoint, is; raises `UsageError`."""
    name = str(directory)[-200:]
    try:
        if is_model(directory) or not (directory / CONFIG).is_file():
            ours = open_model(directory)
            config = ours.config
            return NewModel(
                ours.digest, name, config.version, config.kind, config.backend, str(directory), metrics=ours.metrics
            )
        from tasks.nn.checkpoints import open_checkpoint  # noqa: PLC0415 - loads transformers

        checkpoint = open_checkpoint(directory)
        return NewModel(checkpoint.digest, name, "1", checkpoint.kind, checkpoint.backend, str(directory))
    except ModelDirectoryError as error:
        raise UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        message = f"{directory}: loading it needs {error.name}, which is not installed: pip install 'hanmill[models]'"
        raise UsageError(message) from error


@lru_cache
def built_in_model(directory: Path) -> ChosenModel:
    """Return the model that comes with the program in a directory."""
    model = describe_directory(directory)
    return ChosenModel(model.digest, model.kind, model.backend, directory)


def find_directory(engine: Engine, digest: str, built_in: Sequence[Path]) -> Path:
    """Return where the model of a digest lies on this machine; raises `UsageError` when it is not there any more."""
    with reading(engine) as connection:
        row = models.find_by_digest(connection, digest)
    candidates = [Path(row.path)] if row is not None else []
    found: Mapping[str, Any] = {}
    for directory in [*candidates, *built_in]:
        if directory.is_dir():
            found = {**found, describe_directory(directory).digest: directory}
            if digest in found:
                return directory
    place = f"at {row.path}, where it was added," if row is not None else "among those that come with this version"
    message = f"the model {digest[:12]} is not {place} any more, or was altered; put it back, or order the job anew"
    raise UsageError(message)
