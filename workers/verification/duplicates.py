"""Compares duplicates: each chosen shard's signatures with plain Python's, and the groups with those of all shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from storage import duplicates
from storage.documents import Document
from storage.engine import AnyRow, reading
from tasks.dedup.banding import layout_for
from tasks.dedup.operation import place_of
from tasks.dedup.partials import FIRST_BAND, KEYS, PLACES, decode_band, decode_table
from tasks.dedup.reference import reference_digest, reference_signature
from tasks.dedup.stored_signatures import StoredSignatures, member_rows
from workers.bootstrap import Parts
from workers.run_shard import work_of
from workers.verification.report import Report
from workers.verification.shard_reading import Reread, read_again


class DuplicateComparison:
    """The comparison of one job's groups."""

    def __init__(self, parts: Parts, job: AnyRow, report: Report) -> None:
        self._parts = parts
        self._job = job
        self._work = work_of(job)
        self._layout = layout_for(self._work.parameters["similarity"])
        self._report = report

    def compare_shard(self, again: Reread) -> None:
        """Sign a shard's documents one by one, and compare their places, keys, digests and signatures."""
        right: list[tuple[Any, ...]] = []

        def take(documents: Sequence[Document]) -> None:
            right.extend(self._row_of(document) for document in documents)
            again.results += len(documents)

        read_again(again, take)
        self._report.compared["documents"] += again.results
        shard = again.shard
        content = again.source.digest(with_places=True).hex()
        self._report.compare("content", (shard.digest or b"").hex(), content, shard=shard.id)
        for number, (found, expected) in enumerate(zip_longest(self._stored(shard), right)):
            key = (expected or found)[1]
            self._report.compare("signatures", found, expected, shard=shard.id, document=key, word=f"{number}")

    def _row_of(self, document: Document) -> tuple[Any, ...]:
        place = place_of(document)
        stands = (place.position, place.offset, place.document_id, place.source_id, place.source_version)
        numbers = reference_signature(document.text, self._layout.slots)
        return stands, document.record.key, reference_digest(document.text), numbers

    def _stored(self, shard: AnyRow) -> Iterator[tuple[Any, ...]]:
        """Yield (place, key, digest, signature) of a shard's documents as they lie in the database."""
        digest, fingerprint = bytes(shard.digest or b""), self._job.fingerprint
        with reading(self._parts.engine) as connection:
            try:
                parts = [
                    next(duplicates.load_part(connection, fingerprint, [digest], part))
                    for part in range(FIRST_BAND + self._layout.bands)
                ]
                places = [tuple(row.values()) for row in decode_table(parts[PLACES]).to_pylist()]
                keys = decode_table(parts[KEYS])["key"].to_pylist()
                bands = [decode_band(part, self._layout.rows).tolist() for part in parts[FIRST_BAND:]]
            except (LookupError, ValueError) as fault:
                self._report.differs("signatures", str(fault), "signatures", shard=shard.id)
                return
        for number, (*place, digest) in enumerate(places):
            yield tuple(place), keys[number], digest, [value for band in bands for value in band[number]]

    def compare_sum(self) -> None:
        """Group all documents again by what their shards have stored, and compare with the groups that stand."""
        generation = self._job.generation_id
        try:
            stored = StoredSignatures(self._work, self._parts.engine)
            members = stored.group()
            keys = stored.keys_of(members)
        except (LookupError, ValueError) as fault:
            self._report.differs("groups", str(fault), "signatures")
            return
        right = member_rows(members, stored.places, keys)
        self._compare_members(generation, right)
        self._compare_equal_texts(generation, stored)

    def _compare_members(self, generation: int, right: Iterator[tuple[Any, ...]]) -> None:
        with reading(self._parts.engine) as connection:
            for found, expected in zip_longest(duplicates.member_rows(connection, generation), right):
                key = (expected or found)[-1]
                self._report.compare("groups", found, expected, document=key)

    def _compare_equal_texts(self, generation: int, stored: StoredSignatures) -> None:
        """Look at all digests in a plain loop: equal ones, and they alone, share a group and a text in it."""
        with reading(self._parts.engine) as connection:
            rows = duplicates.member_rows(connection, generation)
            group_of = {(row[4], row[6], row[7]): (row[0], row[2]) for row in rows}
        columns = (stored.places[name].tolist() for name in ("source_id", "offset", "document_id", "text"))
        digests: dict[tuple[int, ...], Any] = {}
        texts: dict[Any, tuple[int, ...]] = {}
        for source_id, offset, document_id, pair in zip(*columns, strict=True):
            digest, place = tuple(pair), (source_id, offset, document_id)
            # One that is in no group is alone with its text.
            text = group_of.get(place, place)
            alike = digests.setdefault(digest, text) == text and texts.setdefault(text, digest) == digest
            self._report.compare("equal texts", alike, True, document=f"source {source_id} at {offset}")  # noqa: FBT003 - what is compared
