"""Finds words that no dictionary has: n-grams that hold together and stand freely. A map by shard, then a merge.

The merge has two steps. Each partition sums its windows and keeps its frequent n-grams; whoever comes last chooses the
words among all of them, for the parts of an n-gram may be in another partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storage import new_words, partial_counts
from storage.documents import Document
from storage.engine import AnyRow, Connection, reading
from tasks.discover import lexicon
from tasks.discover.dictionary import load_dictionary
from tasks.discover.frequent import Partition, frequent_grams
from tasks.discover.grams import decode_grams, encode_grams, together
from tasks.discover.parameters import discovery_parameters, thresholds_for
from tasks.discover.partials import PARTIAL_FORMAT, encode_partials, join_runs, needed_partitions
from tasks.discover.windows import WindowCounts
from tasks.operation import Intake, KnownShard, Save, ShardWork, Workplace
from tasks.text.jieba_engine import engine_identity

#: Distinct windows that a shard holds at a time; more, as of a large compressed file, are encoded in several runs.
RUN_WINDOWS = 4_000_000


class DiscoverRun:
    """Counts the windows of one shard."""

    def __init__(self, work: ShardWork) -> None:
        self._work = work
        self._max_length = int(work.parameters["max_length"])
        self._windows = WindowCounts(self._max_length)
        self._runs: list[list[bytes]] = []
        self._encoded_ideographs = 0
        #: Documents counted so far.
        self.results = 0

    @property
    def tokens(self) -> int:
        """Ideographs counted so far: the tokens of n-grams."""
        return self._encoded_ideographs + self._windows.ideographs

    def take(self, documents: Sequence[Document]) -> Save | None:
        """Count a batch; nothing is written before the shard ends."""
        self._windows.add([document.text for document in documents])
        self.results += len(documents)
        if self._windows.distinct >= RUN_WINDOWS:
            self._encode_run()
        return None

    def _encode_run(self) -> None:
        """Lay what is counted aside in a tenth of the memory, and begin anew."""
        self._runs.append(encode_partials(self._windows.summed(), self._max_length, self._work.partitions))
        self._encoded_ideographs += self._windows.ideographs
        self._windows = WindowCounts(self._max_length)

    def finish(self, dead: int) -> Save | None:
        """Return the writing of the shard's partial counts."""
        work, digest = self._work, self._work.digest
        if digest is None:
            message = "a shard that is counted has a digest of its content"
            raise ValueError(message)
        self._encode_run()
        blobs = join_runs(self._runs)
        known = partial_counts.Known(partitions=work.partitions, documents=self.results, dead=dead, tokens=self.tokens)

        def save(connection: Connection) -> None:
            partial_counts.save(connection, digest, work.fingerprint, blobs, known)

        return save


class DiscoverOperation:
    """New words of a corpus."""

    name = "discover"
    version = 1
    queue = "hanmill.cpu"
    merges = True
    uses_model = False

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check the options; raises `UsageError`."""
        return discovery_parameters(options, intake.add_resource)

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG002 - its interface
        """Return the dictionary whose words are known, and the form in which partial counts are kept."""
        return {"dictionary": engine_identity()["dictionary"], "partial_format": PARTIAL_FORMAT}

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load nothing: the dictionary is wanted once, by who chooses the words."""

    def known(self, work: ShardWork, workplace: Workplace) -> KnownShard | None:
        """Return the figures of a content that was counted before under the same fingerprint."""
        if work.digest is None:
            return None
        with reading(workplace.engine) as connection:
            found = partial_counts.find(connection, work.digest, work.fingerprint)
        # With dead letters it is read again: they name places in this source, not in the one counted first.
        return KnownShard(found.partitions, found.documents, found.tokens) if found and not found.dead else None

    def start(self, work: ShardWork, workplace: Workplace) -> DiscoverRun:  # noqa: ARG002 - its interface
        """Begin a shard."""
        return DiscoverRun(work)

    def merge(self, work: ShardWork, generation_id: int, workplace: Workplace) -> Save:
        """Sum one partition over all shards of the job and return its writing, with the words if it is the last."""
        number = work.partition or 0
        with reading(workplace.engine) as connection:
            ideographs = new_words.ideographs_of(connection, work.job_id)
            shards = list(partial_counts.done_shards(connection, work.job_id))
        thresholds = thresholds_for(work.parameters, ideographs)
        blob = encode_grams(_sum_partition(work, number, shards, ideographs, workplace))

        def words_of(blobs: Mapping[int, bytes]) -> list[lexicon.NewWord]:
            return _choose(work, [decode_grams(blobs[partition]) for partition in sorted(blobs)], thresholds, workplace)

        with reading(workplace.engine) as connection:
            there = {**new_words.load_grams(connection, generation_id), number: blob}
        # Before the transaction, which is to be short. Two that end at the same moment both find the other missing;
        # then the words are chosen inside.
        chosen = words_of(there) if len(there) == work.partitions else None

        def save(connection: Connection) -> None:
            new_words.lock_generation(connection, generation_id)
            new_words.save_grams(connection, generation_id, number, blob)
            stored = new_words.load_grams(connection, generation_id)
            if len(stored) == work.partitions:
                words = words_of(stored) if chosen is None else chosen
                new_words.replace_words(connection, generation_id, (word.as_row() for word in words))

        return save


def words_of_job(work: ShardWork, shards: Sequence[AnyRow], workplace: Workplace) -> list[lexicon.NewWord]:
    """Return the words of a job from the partial counts of its shards, as its merge chooses them; writes nothing.

    Raises `LookupError` or `ValueError` where partial counts are missing or broken.
    """
    with reading(workplace.engine) as connection:
        ideographs = new_words.ideographs_of(connection, work.job_id)
    partitions = range(work.partitions)
    grams = [_sum_partition(work, number, shards, ideographs, workplace) for number in partitions]
    return _choose(work, grams, thresholds_for(work.parameters, ideographs), workplace)


def _choose(
    work: ShardWork, grams: Sequence[Any], thresholds: lexicon.Thresholds, workplace: Workplace
) -> list[lexicon.NewWord]:
    digest = work.parameters["user_dict"]
    known = load_dictionary(workplace.load_resource(digest) if digest else b"", workplace.cache_dir)
    return lexicon.new_words(together(grams), thresholds, known.has, known.cut)


def _sum_partition(
    work: ShardWork, number: int, shards: Sequence[AnyRow], ideographs: int, workplace: Workplace
) -> Any:
    def stored() -> Iterator[tuple[bytes, int]]:
        return _stored(work, number, shards, workplace)

    min_count = thresholds_for(work.parameters, ideographs).min_count
    partition = Partition(stored, int(work.parameters["max_length"]), work.partitions, number)
    return frequent_grams(partition, ideographs, min_count)


def _stored(
    work: ShardWork, number: int, shards: Sequence[AnyRow], workplace: Workplace
) -> Iterator[tuple[bytes, int]]:
    # Summed per shard, not per content: a file that stands in a corpus twice counts twice.
    for shard in shards:
        wanted = needed_partitions(shard.partitions, work.partitions, number)
        for blob in partial_counts.load(workplace.engine, work.fingerprint, shard.digest, shard.partitions, wanted):
            yield blob, shard.partitions


OPERATION = DiscoverOperation()
