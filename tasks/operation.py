"""What an operation is, and the registry of all of them. Knows no queue; each operation lives in its own folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from storage.engine import Connection, Engine
from storage.errors import UsageError

if TYPE_CHECKING:
    # Brings every reader of sources with it; who only asks what an operation is called reads none.
    from storage.documents import Document
    from tasks.nn.backend import AnyBackend

#: Every operation and the module that defines its `OPERATION`; imported when it is first asked for, so that
#: counting never loads what labelling needs.
OPERATION_MODULES = {
    "count": "tasks.count.operation",
    "tokenize": "tasks.tokenize.operation",
    "summarize": "tasks.summarize.operation",
    "classify": "tasks.classify.operation",
    "dedup": "tasks.dedup.operation",
    "keywords": "tasks.keywords.operation",
    "discover": "tasks.discover.operation",
}

#: Writes a result inside the transaction in which its shard's lease is checked.
Save = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class EndpointAccess:
    """How this deployment asks a server for the answers of a model; decides no result."""

    #: Never logged, never written into the database.
    key: str = field(default="", repr=False)
    #: Requests under way at a time.
    concurrency: int = 8
    #: Of one request, to the last byte of its answer.
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Workplace:
    """What an operation finds in the process that runs it."""

    engine: Engine
    #: A private directory for what is expensive to make twice, such as jieba's compiled dictionary.
    cache_dir: Path
    #: Returns a user dictionary or a stop word list by its digest.
    load_resource: Callable[[str], bytes]
    #: Where models compute: `cpu`, `cuda:0`, …
    device: str = "cpu"
    #: For a model that a server runs.
    endpoint: EndpointAccess = EndpointAccess()


@dataclass(frozen=True, slots=True)
class Intake:
    """What an operation finds where a job is ordered."""

    engine: Engine
    #: Stores a user dictionary or a stop word list and returns its digest.
    add_resource: Callable[[bytes], str]
    #: Its name; it may be made by the order itself.
    corpus: str = ""


@dataclass(frozen=True, slots=True)
class ShardWork:
    """One shard on its way: whose it is, under which fingerprint, and how its counts are to be divided."""

    job_id: int
    corpus_id: int
    fingerprint: str
    parameters: Mapping[str, Any]
    partitions: int
    #: Of the content, for operations that merge; None otherwise.
    digest: bytes | None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class KnownShard:
    """The figures of a shard whose content was computed before."""

    partitions: int
    documents: int
    tokens: int


class Run(Protocol):
    """One attempt at one shard, fed with its documents in order."""

    #: Documents that have a result, and tokens that were made, so far.
    results: int
    tokens: int

    def take(self, documents: Sequence[Document]) -> Save | None:
        """Compute a batch of documents; return what is to be written at once, if anything."""
        ...

    def finish(self, dead: int) -> Save | None:
        """Return what is to be written together with the shard's end, if anything.

        `dead` is how many records of the shard were no documents.
        """
        ...


class Operation(Protocol):
    """What can be done to the documents of a corpus."""

    name: str
    #: Part of the fingerprint; raised when the same input gives another result.
    version: int
    queue: str
    #: True when results belong to the corpus and come by a merge; false when each document has its own.
    merges: bool
    #: True when a model computes texts in batches that reach across shards.
    uses_model: bool

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check a user's options and return them as JSON; raises `UsageError`."""
        ...

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what else decides the result, such as the engine and its dictionary."""
        ...

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load once what every run needs; called before a worker forks its processes too."""
        ...


class ShardOperation(Operation, Protocol):
    """An operation that computes one shard at a time."""

    def start(self, work: ShardWork, workplace: Workplace) -> Run:
        """Begin a shard."""
        ...


class ModelOperation(Operation, Protocol):
    """An operation whose texts a model computes; results are kept by text, so that no text is computed twice."""

    def open_backend(self, parameters: Mapping[str, Any], workplace: Workplace) -> AnyBackend:
        """Load the model onto the workplace's device; raises `UsageError` saying why it cannot be."""
        ...

    def known(self, connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> AbstractSet[bytes]:
        """Return those of some texts, by digest, that have a result."""
        ...

    def save(self, connection: Connection, fingerprint: str, backend: AnyBackend, results: Mapping[bytes, Any]) -> None:
        """Write what a backend made of texts; what is there already is the same."""
        ...


class MergingOperation(ShardOperation, Protocol):
    """An operation whose shards leave partial results, which a merge sums."""

    def known(self, work: ShardWork, workplace: Workplace) -> KnownShard | None:
        """Return the figures of a shard whose content need not be computed again."""
        ...

    def merge(self, work: ShardWork, generation_id: int, workplace: Workplace) -> Save:
        """Sum one partition of a job's partial results."""
        ...


def get_operation(name: str) -> Operation:
    """Return an operation by its name; raises `UsageError` naming those there are."""
    module = OPERATION_MODULES.get(name)
    if module is None:
        message = f"there is no operation {name!r}; there are: {', '.join(OPERATION_MODULES)}"
        raise UsageError(message)
    return cast(Operation, import_module(module).OPERATION)


def as_merging(operation: Operation) -> MergingOperation | None:
    """Return an operation as one that merges, or None when its results belong to documents."""
    return cast(MergingOperation, operation) if operation.merges else None


def names_places(operation: Operation) -> bool:
    """Say whether partial results tell where documents stand, so that they do not fit equal content elsewhere."""
    return bool(getattr(operation, "names_places", False))


def as_model(operation: Operation) -> ModelOperation | None:
    """Return an operation as one whose texts a model computes, or None when it computes by shard."""
    return cast(ModelOperation, operation) if operation.uses_model else None


def as_per_shard(operation: Operation) -> ShardOperation:
    """Return an operation as one that computes a shard at a time; raises `TypeError` when it does not."""
    if operation.uses_model:
        message = f"{operation.name} computes in batches, not by shard"
        raise TypeError(message)
    return cast(ShardOperation, operation)


def fingerprint_of(operation: Operation, parameters: Mapping[str, Any]) -> str:
    """Return the 32 hex digits that stand for everything but the bytes that decides an operation's result."""
    decisive = {
        "operation": operation.name,
        "version": operation.version,
        "parameters": dict(parameters),
        "identity": dict(operation.identity(parameters)),
    }
    text = json.dumps(decisive, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
