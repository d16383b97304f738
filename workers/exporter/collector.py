"""Turns what was read into metrics by Prometheus's rules: base units, `_total` on counters alone, bounded labels.

A label is an operation, a state, a queue, a reason, a device, a schedule, or a corpus with an open job; never a job's
number, a document's key or a worker's name. Reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from storage.errors import UsageError
from storage.metrics import Progress, fold
from storage.metrics_history import BUCKETS_S, Durations
from storage.states import RUN_STATES, UNFINISHED_SHARD_STATES, RunState
from tasks.operation import OPERATION_MODULES, get_operation
from workers.exporter.reading import Part
from workers.exporter.sources import Broker, History, Ledger

#: Pairs of corpus and operation whose open jobs are shown by name; the rest is shown as those of `OTHER_CORPORA`.
NAMED_CORPORA = 50
OTHER_CORPORA = "(other)"

#: What a run of a schedule can have come to.
_RUN_OUTCOMES = [state for state in RUN_STATES if state not in {RunState.WAITING, RunState.RUNNING}]
#: How an attempt can end.
ATTEMPT_OUTCOMES = ("done", "failed", "deferred", "split", "dead", "lost", "cancelled")
#: What the sums of the history of model runs are called: name, meaning.
_RUN_METRICS = {
    "runs": ("runs", "Runs of a model worker over one or many shards."),
    "documents": ("documents", "Documents that models computed."),
    "batches": ("batches", "Batches that models computed."),
    "text_positions": ("text_positions", "Positions of the batches that held text."),
    "computed_positions": ("computed_positions", "Positions of the batches, with those that only filled them up."),
    "budget_positions": ("budget_positions", "Positions that there would have been, had every batch been full."),
    "out_of_memory": ("out_of_memory", "Times that a device was too small for a batch."),
    "elapsed_s": ("elapsed_seconds", "Time that the runs took."),
    "forward_s": ("forward_seconds", "Time that devices computed."),
    "waiting_s": ("waiting_seconds", "Time that devices waited for data."),
    "writing_s": ("writing_seconds", "Time that results were made and written, beside the computing."),
}


#: What has not happened is 0 and not unknown: the rate of a series that begins at 5 misses the first five.
_NOTHING_DONE: dict[tuple[str, ...], float] = {(operation,): 0 for operation in OPERATION_MODULES}


Labels = TypeVar("Labels", bound=tuple[str, ...])


class Counters:
    """Keeps counters from falling when rows are pruned: what is gone from the ledger has been counted all the same."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], float] = {}
        self._gone: dict[tuple[str, ...], float] = {}

    def value(self, key: tuple[str, ...], found: float) -> float:
        """Return the counter's value when the ledger has `found`."""
        fallen = self._last.get(key, 0.0) - found
        if fallen > 0:
            self._gone[key] = self._gone.get(key, 0.0) + fallen
        self._last[key] = found
        return found + self._gone.get(key, 0.0)


class HanmillCollector(Collector):
    """All metrics of one deployment, made anew at every scrape."""

    def __init__(self, ledger: Part[Ledger], history: Part[History], broker: Part[Broker]) -> None:
        self._ledger = ledger
        self._history = history
        self._broker = broker
        self._counters = Counters()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read anything."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric whose part answers."""
        parts: tuple[Part[Any], ...] = (self._ledger, self._history, self._broker)
        for part in parts:
            part.begin()
        # Waited for in turn, while all of them are read.
        found = {part.name: part.figures() for part in parts}
        yield from _own(parts, found)
        ledger, history, broker = (found[part.name] for part in parts)
        if ledger is not None:
            yield from _standing(ledger)
            yield from self._totals(ledger)
            yield from _schedules(ledger)
        if history is not None:
            yield from self._attempts(history)
            yield from self._runs(history)
        if broker is not None:
            yield from _queues(broker)

    def _totals(self, ledger: Ledger) -> Iterator[Metric]:
        for name, field, meaning in (
            ("processed_shards", "shards", "Shards that ended; halves of a split one count, not the split one."),
            ("processed_documents", "documents", "Documents that were computed or became dead letters."),
            ("processed_tokens", "tokens", "Tokens of these documents, as far as the operation counts any."),
            ("processed_bytes", "bytes", "Bytes of input that were computed."),
            ("dead_documents", "dead", "Documents that became dead letters; a replay takes none back."),
            ("failures", "failures", "Attempts that failed by their shard's own fault."),
            ("lease_losses", "losses", "Leases that were taken from workers that were killed or fell silent."),
        ):
            rows = _NOTHING_DONE | {(one.operation,): getattr(one, field) for one in ledger.totals}
            yield self._counter(name, meaning, ["operation"], rows)

    def _attempts(self, history: History) -> Iterator[Metric]:
        meaning = f"Attempts at shards that ended, by outcome: {', '.join(ATTEMPT_OUTCOMES)}."
        none = {(operation, outcome): 0 for operation in OPERATION_MODULES for outcome in ATTEMPT_OUTCOMES}
        yield self._counter("attempts", meaning, ["operation", "outcome"], none | dict(history.outcomes))
        meaning = "Time from the lease of a shard to its end, of attempts that were done; shards that a model computes "
        histogram = HistogramMetricFamily(
            "hanmill_shard_seconds", meaning + "together all take as long as their run.", labels=["operation"]
        )
        nothing = dict.fromkeys(OPERATION_MODULES, Durations((0,) * len(BUCKETS_S), 0, 0.0))
        for operation, durations in (nothing | dict(history.durations)).items():
            buckets = self._buckets(operation, durations)
            sum_s = self._counters.value(("shard_seconds_sum", operation), durations.sum_s)
            histogram.add_metric([operation], buckets=buckets, sum_value=sum_s)
        yield histogram

    def _buckets(self, operation: str, durations: Durations) -> list[tuple[str, float]]:
        ends = [*(f"{end_s:g}" for end_s in BUCKETS_S), "+Inf"]
        counted = (*durations.at_most, durations.count)
        return [
            (end, self._counters.value(("shard_seconds", operation, end), number))
            for end, number in zip(ends, counted, strict=True)
        ]

    def _runs(self, history: History) -> Iterator[Metric]:
        for name, (metric, meaning) in _RUN_METRICS.items():
            rows = {key: sums[name] for key, sums in history.runs.items()}
            yield self._counter(f"model_{metric}", meaning, ["operation", "device"], rows)

    def _counter(self, name: str, meaning: str, labels: list[str], rows: Mapping[Labels, float]) -> CounterMetricFamily:
        family = CounterMetricFamily(f"hanmill_{name}", meaning, labels=labels)
        for key, found in sorted(rows.items()):
            family.add_metric(key, self._counters.value((name, *key), found))
        return family


@lru_cache(maxsize=64)
def _queue_of(operation: str) -> str:
    """Return the queue of an operation; none for one that a newer version of the program brought in."""
    try:
        return get_operation(operation).queue
    except UsageError:
        return ""


def _gauge(name: str, meaning: str, labels: list[str], rows: Mapping[Labels, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"hanmill_{name}", meaning, labels=labels)
    for key, value in sorted(rows.items()):
        family.add_metric(key, value)
    return family


def _own(parts: Iterable[Part[Any]], found: Mapping[str, object]) -> Iterator[Metric]:
    yield _gauge("build_info", "Which hanmill exports this.", ["version"], {(version("hanmill"),): 1})
    meaning = "1 when this part answered: ledger and history (the database), broker. What it says is missing otherwise."
    yield _gauge("up", meaning, ["part"], {(name,): figures is not None for name, figures in found.items()})
    took_s = {(part.name,): part.took_s for part in parts}
    yield _gauge("reading_seconds", "Time that the last reading of this part took.", ["part"], took_s)


def _standing(ledger: Ledger) -> Iterator[Metric]:
    jobs = {(operation, state.lower()): number for (operation, state), number in ledger.jobs.items()}
    yield _gauge("jobs", "Jobs, ended ones too.", ["operation", "state"], jobs)
    meaning = "Finished jobs whose documents in are not results + identical + replaced + dead letters."
    yield _gauge("jobs_not_adding_up", meaning, [], {(): ledger.wrong_jobs})
    none = {(operation, str(state)): 0 for operation in OPERATION_MODULES for state in UNFINISHED_SHARD_STATES}
    shards = {
        (operation, _queue_of(operation), state.lower()): number
        for (operation, state), number in (none | dict(ledger.shards)).items()
    }
    meaning = "Shards of the jobs that go on; those of paused and ended jobs are not among them."
    yield _gauge("shards", meaning, ["operation", "queue", "state"], shards)
    for name, field, meaning in (
        ("oldest_queued_shard_seconds", "queued_s", "Age of the oldest shard whose message should stand in the queue."),
        ("oldest_due_shard_seconds", "due_s", "Age of the oldest shard that could be put into the queue at once."),
        ("oldest_leased_shard_seconds", "leased_s", "Age of the oldest lease: how long the slowest shard has run."),
    ):
        # Nothing waits: that is an age of 0, and not unknown.
        ages_s = _NOTHING_DONE | {(one.operation,): getattr(one, field) or 0.0 for one in ledger.waiting}
        by_queue = {(operation, _queue_of(operation)): age_s for (operation,), age_s in ages_s.items()}
        yield _gauge(name, meaning, ["operation", "queue"], by_queue)
    busy = _NOTHING_DONE | {(operation,): number for operation, number in ledger.busy.items()}
    yield _gauge("busy_processes", "Worker processes that hold a shard.", ["operation"], busy)
    meaning = "Dead letters that wait for replay or discard."
    yield _gauge("dead_letters", meaning, ["reason"], {(reason,): number for reason, number in ledger.letters.items()})
    yield from _progress(fold(ledger.progress, NAMED_CORPORA, OTHER_CORPORA))


def _progress(progress: Iterable[Progress]) -> Iterator[Metric]:
    of_jobs = "open jobs, paused ones too; corpora beyond the largest are summed as (other)."
    named = {(one.corpus, one.operation): one for one in progress}
    labels = ["corpus", "operation"]
    yield _gauge("job_shards", f"Shards of {of_jobs}", labels, {key: one.shards for key, one in named.items()})
    ended = {key: one.ended_shards for key, one in named.items()}
    yield _gauge("job_ended_shards", f"Shards that have ended, of {of_jobs}", labels, ended)
    ratio = {key: one.ratio for key, one in named.items()}
    yield _gauge("job_progress_ratio", f"How much is done, from 0 to 1, by bytes, of {of_jobs}", labels, ratio)


def _schedules(ledger: Ledger) -> Iterator[Metric]:
    known = ledger.schedules
    late_s = {(one.name,): one.late_s for one in known}
    meaning = "How long ago a run of this schedule was due that has not begun; 0 when none is."
    yield _gauge("schedule_lateness_seconds", meaning, ["schedule"], late_s)
    paused = {(one.name,): float(one.paused) for one in known}
    yield _gauge("schedule_paused", "1 when this schedule fires nothing.", ["schedule"], paused)
    finished = {(one.name,): one.finished_at for one in known if one.finished_at is not None}
    meaning = "When the last run of this schedule that ended did so, in seconds since 1970."
    yield _gauge("schedule_last_finished_timestamp_seconds", meaning, ["schedule"], finished)
    outcomes = {
        (one.name, str(outcome).lower()): float(one.outcome == outcome)
        for one in known
        if one.outcome is not None
        for outcome in _RUN_OUTCOMES
    }
    yield _gauge("schedule_last_outcome", "1 for what its last run came to.", ["schedule", "outcome"], outcomes)


def _queues(broker: Broker) -> Iterator[Metric]:
    by_queue = {
        "queue_waiting": (broker.waiting, "Messages that stand in the queue."),
        "queue_in_flight": (broker.in_flight, "Messages that were fetched and are not acknowledged."),
        "workers": (broker.workers, "Workers that are up and consume this queue."),
    }
    for name, (numbers, meaning) in by_queue.items():
        if numbers is not None:
            yield _gauge(name, meaning, ["queue"], {(queue,): number for queue, number in numbers.items()})
    if broker.redis is None:
        return
    health = broker.redis
    for name, value, meaning in (
        ("memory_used_bytes", health.used_memory_bytes, "Memory that Redis uses."),
        ("memory_max_bytes", health.maxmemory_bytes, "Memory that Redis may use; 0 when it has no limit."),
        ("evicts", health.eviction_policy != "noeviction", "1 when a full Redis would throw messages away."),
        ("persistent", health.persistent, "1 when Redis keeps what it holds over a restart."),
    ):
        yield _gauge(f"redis_{name}", meaning, [], {(): float(value)})
