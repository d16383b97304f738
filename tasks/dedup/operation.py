"""Groups documents that say the same, word for word or nearly so: signatures by shard, then one merge of all of them.

Every record counts as it stands, as in counting. What a signature is: `signatures`; which pairs are compared:
`banding`; what a group is: `grouping`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from storage import duplicates
from storage.documents import ENQUEUED_POSITION, Document
from storage.engine import Connection, reading
from storage.errors import UsageError
from tasks.dedup.banding import MOST_ROWS, SLOTS, layout_for
from tasks.dedup.partials import (
    PARTIAL_FORMAT,
    Place,
    encode_parts,
)
from tasks.dedup.signatures import identity, normalize, signatures, text_digest
from tasks.dedup.stored_signatures import StoredSignatures, group_rows, member_rows
from tasks.operation import Intake, KnownShard, Save, ShardWork, Workplace

DEFAULT_SIMILARITY = 0.8
#: Below, too much is compared; at 1 only equal texts would be alike, which need no signature.
LEAST_SIMILARITY, MOST_SIMILARITY = 0.5, 0.99


class DedupRun:
    """Makes the signatures of one shard."""

    def __init__(self, work: ShardWork) -> None:
        self._work = work
        self._layout = layout_for(work.parameters["similarity"])
        self._places: list[Place] = []
        self._texts: list[bytes] = []
        self._keys: list[str] = []
        self._numbers: list[Any] = []
        #: None are made.
        self.tokens = 0

    @property
    def results(self) -> int:
        """Documents that have a signature so far."""
        return len(self._places)

    def take(self, documents: Sequence[Document]) -> Save | None:
        """Sign a batch; nothing is written before the shard ends."""
        normalized = [normalize(document.text) for document in documents]
        self._numbers.append(signatures(normalized, self._layout.slots))
        self._texts += map(text_digest, normalized)
        self._places += map(place_of, documents)
        self._keys += (document.record.key for document in documents)
        return None

    def finish(self, dead: int) -> Save | None:
        """Return the writing of the shard's signatures."""
        digest = self._work.digest
        if digest is None:
            message = "a shard that is signed has a digest of its content"
            raise ValueError(message)
        numbers = np.concatenate([np.empty((0, self._layout.slots), np.uint16), *self._numbers])
        parts = encode_parts(self._places, self._texts, self._keys, numbers, self._layout)
        known = duplicates.Known(self.results, dead)

        def save(connection: Connection) -> None:
            duplicates.save(connection, digest, self._work.fingerprint, parts, known)

        return save


def place_of(document: Document) -> Place:
    """Return where a document stands; what producers gave comes after all sources, in the order in which it came."""
    if document.source is None:
        return Place(ENQUEUED_POSITION, 0, document.document_id, 0, 0)
    source = document.source
    return Place(source.position, document.record.offset, 0, source.id, source.version)


class DedupOperation:
    """The groups of a corpus's documents that say the same."""

    name = "dedup"
    version = 1
    queue = "hanmill.cpu"
    merges = True
    uses_model = False
    names_places = True

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:  # noqa: ARG002 - no file is named
        """Check the similarity; raises `UsageError`."""
        given = options.get("similarity")
        try:
            similarity = DEFAULT_SIMILARITY if given is None else float(given)
        except (TypeError, ValueError):
            similarity = 0.0
        if not LEAST_SIMILARITY <= similarity <= MOST_SIMILARITY:
            message = (
                f"--similarity is a number from {LEAST_SIMILARITY} to {MOST_SIMILARITY}, not {given!r}; "
                "texts that are equal are found at any"
            )
            raise UsageError(message)
        return {"similarity": similarity}

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what else decides the groups."""
        layout = layout_for(parameters["similarity"])
        bands = f"{layout.bands}x{layout.rows} of {SLOTS}, {MOST_ROWS}"
        return {**identity(), "bands": bands, "partial_format": PARTIAL_FORMAT}

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Do nothing: there is nothing to load."""

    def known(self, work: ShardWork, workplace: Workplace) -> KnownShard | None:
        """Return the figures of a shard that was signed before under the same fingerprint."""
        if work.digest is None:
            return None
        with reading(workplace.engine) as connection:
            found = duplicates.find(connection, work.digest, work.fingerprint)
        # With dead letters it is read again: those of the first reading may be another job's.
        return KnownShard(work.partitions, found.documents, 0) if found and not found.dead else None

    def start(self, work: ShardWork, workplace: Workplace) -> DedupRun:  # noqa: ARG002 - nothing is asked of it
        """Begin a shard."""
        return DedupRun(work)

    def merge(self, work: ShardWork, generation_id: int, workplace: Workplace) -> Save:
        """Group all documents of the job and return the writing of the groups."""
        stored = StoredSignatures(work, workplace.engine)
        members = stored.group()
        keys = stored.keys_of(members)

        def save(connection: Connection) -> None:
            rows = member_rows(members, stored.places, keys)
            duplicates.replace_groups(connection, generation_id, group_rows(members), rows)

        return save


OPERATION = DedupOperation()
