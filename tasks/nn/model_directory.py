"""A model is a directory: weights as safetensors, a configuration that names every other file by digest, a card.

Writes and checks such directories; builds no network. Pickled weights are never read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: The form of the directory that this code writes and reads.
FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
CARD = "README.md"
KINDS = ("classifier", "summarizer")
CHUNK_BYTES = 1 << 20


class ModelDirectoryError(ValueError):
    """A directory that is no usable model; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a model is: its kind, who can load it, and how its network is built."""

    kind: str
    #: Which code loads it, such as `text_cnn` or `span`.
    backend: str
    name: str
    version: str
    #: Whatever the backend needs to build the network and to decide: sizes, thresholds, the label set's name.
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A directory whose files were found to be those that its configuration names."""

    path: Path
    config: ModelConfig
    #: 64 hex digits over the configuration and the files it names: all that decides a result.
    digest: str

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, on the CPU."""
        from safetensors import SafetensorError  # noqa: PLC0415 - whoever only looks at a model needs no PyTorch
        from safetensors.torch import load_file  # noqa: PLC0415

        try:
            return load_file(self.path / WEIGHTS)
        except (SafetensorError, OSError) as error:
            message = f"{self.path / WEIGHTS}: not readable as safetensors ({error}); train or copy the model again"
            raise ModelDirectoryError(message) from error

    def read_text(self, file: str) -> str:
        """Return one of the model's text files, such as its vocabulary."""
        return (self.path / file).read_text(encoding="utf-8")

    def read_json(self, file: str) -> Any:
        """Return one of the model's JSON files."""
        return json.loads(self.read_text(file))

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The figures that were measured when the model was made; empty when there are none."""
        path = self.path / METRICS
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_model(
    directory: Path,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    files: Mapping[str, bytes],
    metrics: Mapping[str, Any] | None = None,
) -> ModelDirectory:
    """Write a model; the configuration comes last, so that a directory that has one is whole.

    `files` are those beside the weights that decide a result (labels, vocabulary), by name; a name may hold a folder.
    """
    from safetensors.torch import save  # noqa: PLC0415 - whoever only looks at a model needs no PyTorch

    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIG).unlink(missing_ok=True)
    contents = {WEIGHTS: save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}), **files}
    for name, data in contents.items():
        _write(directory / name, data)
    if metrics is not None:
        _write(directory / METRICS, _as_json(metrics))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    record = {
        "hanmill_model": FORMAT,
        "kind": config.kind,
        "backend": config.backend,
        "name": config.name,
        "version": config.version,
        "settings": dict(config.settings),
        "files": dict(sorted(digests.items())),
    }
    _write(directory / CONFIG, _as_json(record))
    return open_model(directory)


def _as_json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def is_model(directory: Path) -> bool:
    """Say whether a directory claims to be a model of ours; another program's checkpoint does not."""
    try:
        record = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and "hanmill_model" in record


def open_model(directory: Path) -> ModelDirectory:
    """Check a model's files against its configuration.

    Raises `ModelDirectoryError` for a missing or altered file and for a configuration that is none of ours.
    """
    record = _read_config(directory)
    try:
        files = {str(name): str(digest) for name, digest in record["files"].items()}
        config = ModelConfig(
            str(record["kind"]),
            str(record["backend"]),
            str(record["name"]),
            str(record["version"]),
            dict(record["settings"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"{directory / CONFIG}: no configuration of a hanmill model ({type(error).__name__}: {error})"
        raise ModelDirectoryError(message) from error
    if config.kind not in KINDS or WEIGHTS not in files:
        message = f"{directory / CONFIG}: kind must be one of {', '.join(KINDS)}, and `files` must name {WEIGHTS}"
        raise ModelDirectoryError(message)
    for name, digest in files.items():
        _check_file(directory, name, digest)
    return ModelDirectory(directory, config, _digest(record))


def _read_config(directory: Path) -> dict[str, Any]:
    if not directory.is_dir():
        message = f"{directory}: no such directory; a model is a directory with {CONFIG} and {WEIGHTS}"
        raise ModelDirectoryError(message)
    try:
        record = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{directory}: has no {CONFIG}; its training did not end, or it is no model"
        raise ModelDirectoryError(message) from error
    except (OSError, ValueError) as error:
        message = f"{directory / CONFIG}: cannot be read ({error})"
        raise ModelDirectoryError(message) from error
    if not isinstance(record, dict) or record.get("hanmill_model") != FORMAT:
        found = record.get("hanmill_model") if isinstance(record, dict) else None
        message = f"{directory / CONFIG}: `hanmill_model` is {found!r}; this version reads {FORMAT}"
        raise ModelDirectoryError(message)
    return record


def _check_file(directory: Path, name: str, digest: str) -> None:
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        message = f"{directory / CONFIG}: the file {name!r} lies outside the directory"
        raise ModelDirectoryError(message)
    if not path.is_file():
        message = f"{path}: missing, though {CONFIG} names it; copy or train the model again"
        raise ModelDirectoryError(message)
    if file_sha256(path) != digest:
        message = f"{path}: altered since the model was written (its SHA-256 differs from the one in {CONFIG})"
        raise ModelDirectoryError(message)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _digest(record: Mapping[str, Any]) -> str:
    # The name is no part of it: a renamed model gives the same results.
    decisive = {key: record[key] for key in ("hanmill_model", "kind", "backend", "settings", "files")}
    text = json.dumps(decisive, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
