"""What the user means by a model: a name, a directory, the beginning of a digest, or what comes with the program.

What a directory holds is judged by `tasks.model_choice`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import UsageError

if TYPE_CHECKING:
    from storage.engine import Connection
    from storage.models import NewModel

#: The kinds of models there are.
KINDS = ("classifier", "summarizer")
#: What the models that come with the program are called.
BUILTIN_NAME = "default"
#: The file that every model has; it is written last.
CONFIG = "config.json"
#: Digits of a digest that name a model.
DIGEST_DIGITS = 8


def builtin_directories(kind: str) -> list[Path]:
    """Return the directories of the models of a kind that come with the program; all of them are called `default`."""
    from tasks.classify.operation import DEFAULT
    from tasks.summarize.operation import DEFAULT_EXTRACT, DEFAULT_TITLE

    directories = [DEFAULT] if kind == "classifier" else [DEFAULT_TITLE, DEFAULT_EXTRACT]
    return [directory for directory in directories if directory.is_dir()]


def read_model(directory: Path) -> NewModel:
    """Check a directory and return what it holds; raises `UsageError` with the reason when it is no usable model."""
    from tasks.model_choice import describe_directory

    if not (directory / CONFIG).is_file():
        state = f"has no {CONFIG}: its training did not end, or it is none" if directory.is_dir() else "is not there"
        message = f"{directory}: a model is a directory with {CONFIG} and model.safetensors; this one {state}"
        raise UsageError(message)
    try:
        return describe_directory(directory.absolute())
    except ModuleNotFoundError as error:
        message = f"{directory}: reading a model needs {error.name}: pip install 'hanmill[models]'"
        raise UsageError(message) from error


def digests_named(connection: Connection, kind: str, named: str) -> set[str]:
    """Return the digests of every model that the user may mean by a name or a directory."""
    from storage.models import digests_of

    if named == BUILTIN_NAME:
        return {read_model(directory).digest for directory in builtin_directories(kind)}
    directory = Path(named).absolute()
    found = digests_of(connection, kind, named) | digests_of(connection, kind, str(directory))
    if not found and directory.is_dir():
        found.add(read_model(directory).digest)
    return found


def is_digest_of(named: str, digest: str | None) -> bool:
    """Say whether what the user named is the beginning of a digest, or all of it."""
    return digest is not None and len(named) >= DIGEST_DIGITS and digest.startswith(named.lower())
