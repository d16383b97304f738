"""Reads what a report shows of a corpus: SQL, and the texts of a few sample summaries. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage import corpus_figures, report_rows, word_counts
from storage.asking import ConnectionAsker
from storage.documents_shown import find_document
from storage.engine import Connection
from storage.job_views import sums_of, views
from tasks.text.token_filter import has_letter_digit_or_ideograph
from workers.report import contents, shapes

#: Labels of the table of pairs.
PAIRED_LABELS = 14
#: Summaries shown, and characters of their texts.
SAMPLES = 6
SAMPLE_CHARACTERS = 3000
#: Dead letters shown with their place.
LETTERS = 50
#: Tokens without a letter that are shown besides, of those that are as frequent as the words.
LETTERLESS = 200
#: Longest stretch of time that is shown by month; a longer one is shown by year.
MONTHS = 180
#: Words whose change is shown, and how often one has to occur for that.
CHANGING_WORDS = 12
CHANGING_COUNT = 20
#: Fewer points of growth by month than this are less telling than those by shard.
GROWTH_MONTHS = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """Of which results a report is: the generation of the counts, and the fingerprints of the others."""

    corpus: str
    corpus_id: int
    generation_id: int | None
    summaries: str | None
    labels: str | None
    words: int
    input_roots: Sequence[str]


def gather(connection: Connection, chosen: Chosen) -> contents.Report:
    """Return what the database has of a corpus."""
    held = report_rows.source_totals(connection, chosen.corpus_id)
    generation_id = chosen.generation_id
    words = _words(connection, generation_id, chosen.words) if generation_id is not None else None
    totals = corpus_figures.totals(connection, generation_id) if generation_id is not None else None
    times = _times(connection, generation_id, words) if generation_id is not None and words else None
    return contents.Report(
        corpus=chosen.corpus,
        sources=held.sources,
        source_bytes=held.source_bytes,
        documents=totals.documents if totals else _documents(connection, chosen.corpus_id, words),
        words=words,
        growth=_growth(connection, generation_id) if generation_id is not None else None,
        lengths=_lengths(connection, generation_id, totals) if generation_id is not None and totals else None,
        times=times,
        labels=_labels(connection, chosen.corpus_id, chosen.labels) if chosen.labels else None,
        summaries=_summaries(connection, chosen, chosen.summaries) if chosen.summaries else None,
        letters=_letters(connection, chosen.corpus_id),
        runs=_runs(connection, chosen.corpus_id),
    )


def _documents(connection: Connection, corpus_id: int, words: contents.Words | None) -> int:
    """Return how many documents were counted by a version that kept no figures; without counts, how many have rows."""
    if words is None:
        return report_rows.count_documents(connection, corpus_id)
    return sums_of(ConnectionAsker(connection), [words.job_id])[words.job_id]["results"]


def _words(connection: Connection, generation_id: int, limit: int) -> contents.Words:
    job = report_rows.counting_job(connection, generation_id)
    spectrum = report_rows.frequency_spectrum(connection, generation_id)
    ranks = shapes.rank_points(spectrum)
    return contents.Words(
        job_id=job.job_id,
        fingerprint=job.fingerprint,
        parameters=job.parameters,
        tokens=sum(count * words for count, words in spectrum),
        distinct=sum(words for _, words in spectrum),
        rows=_rows(connection, generation_id, limit),
        ranks=ranks,
        zipf=shapes.fit_power_law(ranks),
        hapaxes=dict(spectrum).get(1, 0),
    )


def _rows(connection: Connection, generation_id: int, limit: int) -> list[contents.WordRow]:
    """Return the most frequent words, and the tokens without a letter that stand between them."""
    rows: list[contents.WordRow] = []
    words = letterless = 0
    for word, count, documents in word_counts.by_count(connection, generation_id):
        if has_letter_digit_or_ideograph(word):
            words += 1
            rows.append(contents.WordRow(words, word, count, documents))
            if words == limit:
                break
        elif letterless < LETTERLESS:
            letterless += 1
            rows.append(contents.WordRow(None, word, count, documents))
    return rows


def _growth(connection: Connection, generation_id: int) -> contents.Growth | None:
    by_month = report_rows.growth_by_month(connection, generation_id)
    is_by_month = len(by_month) >= GROWTH_MONTHS
    by_shard = [tuple(point) for point in corpus_figures.vocabulary_growth(connection, generation_id)]
    points: Sequence[Any] = by_month if is_by_month else by_shard
    return contents.Growth(points, shapes.fit_power_law(points), is_by_month) if len(points) > 1 else None


def _lengths(connection: Connection, generation_id: int, totals: corpus_figures.Totals) -> contents.Lengths | None:
    bins: list[shapes.Bin] = [*corpus_figures.length_histogram(connection, generation_id)]
    if not bins:
        return None
    coarse, longer = shapes.coarser_bins(bins)
    median_from, median_to, _ = shapes.quantile_bin(bins, 0.5)
    return contents.Lengths(coarse, longer, totals.documents, totals.characters, median_from, median_to)


def _times(connection: Connection, generation_id: int, words: contents.Words) -> contents.Times | None:
    found = {row.month: row for row in corpus_figures.by_month(connection, generation_id)}
    undated = found.pop(0, None)
    if not found:
        return None
    months = shapes.all_months(min(found), max(found))
    by_year = len(months) > MONTHS
    documents = {month: found[month].documents if month in found else 0 for month in months}
    tokens = {month: found[month].tokens if month in found else 0 for month in months}
    if by_year:
        documents, tokens = shapes.years_of(documents), shapes.years_of(tokens)
    series = _series(connection, generation_id, words, list(documents), by_year=by_year)
    all_tokens = sum(tokens.values())
    shares = [number / all_tokens for number in tokens.values()] if all_tokens else []
    return contents.Times(
        by_year=by_year,
        periods=[contents.PeriodFigures(period, documents[period], tokens[period]) for period in documents],
        undated=undated.documents if undated else 0,
        words=series,
        changing=_changing(series, shares) if shares else [],
    )


def _series(
    connection: Connection, generation_id: int, words: contents.Words, periods: Sequence[int], *, by_year: bool
) -> list[tuple[str, list[int]]]:
    wanted = [row.word for row in words.rows if row.rank is not None]
    by_month = corpus_figures.words_by_month(connection, generation_id, wanted)

    def counts(word: str) -> list[int]:
        found: Mapping[int, int] = by_month.get(word, {})
        found = shapes.years_of(found) if by_year else found
        return [found.get(period, 0) for period in periods]

    return [(word, counts(word)) for word in wanted]


def _changing(series: Sequence[tuple[str, Sequence[int]]], shares: Sequence[float]) -> list[str]:
    """Return the words whose share changes most, without numbers and single characters, which follow the calendar."""
    telling = [
        (word, counts)
        for word, counts in series
        if sum(counts) >= CHANGING_COUNT and len(word) > 1 and not word.isnumeric()
    ]
    scored = [(shapes.unevenness(counts, shares), word) for word, counts in telling]
    # Equal scores in the order of the counts, which a sort leaves as it is.
    return [word for score, word in sorted(scored, key=lambda one: -one[0])[:CHANGING_WORDS] if score > 0]


def _labels(connection: Connection, corpus_id: int, fingerprint: str) -> contents.Labels:
    counts = report_rows.label_counts(connection, corpus_id, fingerprint)
    paired = [name for name, _ in counts[:PAIRED_LABELS]]
    found = report_rows.label_pairs(connection, corpus_id, fingerprint, paired)
    pairs = {frozenset((one, other)): number for one, other, number in found}
    return contents.Labels(
        documents=report_rows.labelled_documents(connection, corpus_id, fingerprint),
        counts=counts,
        paired=paired,
        pairs={
            (one, other): pairs.get(frozenset((one, other)), 0) for one in paired for other in paired if one != other
        },
    )


def _summaries(connection: Connection, chosen: Chosen, fingerprint: str) -> contents.Summaries:
    made = report_rows.sample_summaries(connection, chosen.corpus_id, fingerprint, SAMPLES)
    return contents.Summaries(
        documents=report_rows.summarized_documents(connection, chosen.corpus_id, fingerprint),
        samples=[_sample(connection, chosen, one) for one in made],
    )


def _sample(connection: Connection, chosen: Chosen, made: report_rows.SampleSummary) -> contents.Sample:
    document = find_document(connection, chosen.corpus_id, made.key, chosen.input_roots) or {}
    text: str | None = document.get("text")
    fault = None if text is not None else str(document.get("text_fault") or "it is no longer there")
    shown = (text or "")[:SAMPLE_CHARACTERS]
    return contents.Sample(
        key=made.key,
        summary=made.summary,
        stretches=stretches(shown, made.spans),
        characters=len(text or ""),
        left_out=len(text or "") - len(shown),
        fault=fault,
    )


def stretches(text: str, spans: Sequence[Sequence[int]]) -> list[contents.Stretch]:
    """Cut a text where spans begin and end: `"春眠不觉晓", [[2, 4]]` -> 春眠, 不觉 marked, 晓.

    What of a span lies outside the text is left out.
    """
    found: list[contents.Stretch] = []
    at = 0
    for begin, end in sorted((int(span[0]), int(span[1])) for span in spans):
        begin, end = max(at, begin), min(len(text), end)  # noqa: PLW2901 - spans may touch or overlap
        if begin >= end:
            continue
        found += [contents.Stretch(text[at:begin], is_marked=False), contents.Stretch(text[begin:end], is_marked=True)]
        at = end
    found.append(contents.Stretch(text[at:], is_marked=False))
    return [one for one in found if one.text]


def _letters(connection: Connection, corpus_id: int) -> contents.Letters:
    reasons = report_rows.letters_by_reason(connection, corpus_id)
    return contents.Letters(
        standing=sum(number for _, number in reasons),
        reasons=reasons,
        first=report_rows.first_letters(connection, corpus_id, LETTERS),
    )


def _runs(connection: Connection, corpus_id: int) -> list[contents.JobRun]:
    job_ids = report_rows.newest_job_ids(connection, corpus_id)
    return [_run(connection, view) for view in views(ConnectionAsker(connection), job_ids)]


def _run(connection: Connection, view: Mapping[str, Any]) -> contents.JobRun:
    times = list(report_rows.shard_times(connection, view["id"]))
    return contents.JobRun(
        view=view,
        attempts=report_rows.attempts_by_outcome(connection, view["id"]),
        throughput=shapes.throughput(times),
        durations=shapes.duration_bins([time.finished_at - time.leased_at for time in times]),
    )
