"""Which idf a job's keywords are weighed by: of the corpus's own counts, of the file that comes with jieba, of another.

The corpus's document frequencies are taken once and then stay, whatever is counted later, so that a nightly run costs
the new documents only; `refresh_idf` takes them again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from storage import document_frequencies
from storage.corpora import corpus_id_of
from storage.document_frequencies import PublishedCounts, TakenTable
from storage.engine import reading, transact
from storage.errors import UsageError
from tasks.keywords.candidates import LEAST_CHARS
from tasks.keywords.description import CORPUS, JIEBA
from tasks.keywords.idf_table import pack_frequencies, parse_idf_file
from tasks.operation import Intake
from tasks.segmentation import add_file, segmentation_identity

#: Words that a table holds at most; where there are more, the rarest are taken for equally rare.
MAX_WORDS = 1_000_000
#: Words of a single document need no row: what a table does not hold is taken for as rare.
LEAST_DOCUMENTS = 2
#: The parameters that decide how words are cut and filtered.
SEGMENTATION = ("mode", "hmm", "user_dict", "stopwords", "min_length", "pattern")


def idf_parameters(options: Mapping[str, Any], parameters: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
    """Return what the options idf and refresh_idf amount to; `parameters` say how words are cut.

    Raises `UsageError` for a file that is none, and for the corpus's own counts when there are none.
    """
    idf, refresh = options.get("idf"), bool(options.get("refresh_idf"))
    if idf not in {None, CORPUS} and refresh:
        message = "--refresh-idf takes the corpus's counts anew; leave it out, or --idf"
        raise UsageError(message)
    if idf == JIEBA:
        return {"idf": JIEBA}
    if idf not in {None, CORPUS}:
        return {"idf": "file", "idf_table": _add_idf_file(idf, intake)}
    taken = _corpus_table(parameters, intake, refresh=refresh)
    if taken is not None:
        return {"idf": CORPUS, "idf_table": taken.digest, "idf_documents": taken.documents}
    if idf == CORPUS or refresh:
        raise UsageError(_no_counts(intake.corpus))
    return {"idf": JIEBA}


def takes_counts_now(options: Mapping[str, Any], parameters: Mapping[str, Any], intake: Intake) -> bool:
    """Say whether an order would take the corpus's counts as they stand now, so that counting should come first."""
    if options.get("idf") not in {None, CORPUS}:
        return False
    corpus_id = _find_corpus(intake)
    if corpus_id is None or options.get("refresh_idf"):
        return True
    with reading(intake.engine) as connection:
        return document_frequencies.find_taken(connection, corpus_id, _segmentation_key(parameters)) is None


def _add_idf_file(path: str, intake: Intake) -> str | None:
    try:
        return add_file(path, "--idf", _check_idf_file, intake.add_resource)
    except UsageError as error:
        message = f"{error}. --idf is corpus, jieba, or a file with `word idf` on each line"
        raise UsageError(message) from error


def _check_idf_file(data: bytes) -> None:
    parse_idf_file(data)


def _no_counts(corpus: str) -> str:
    return (
        f"corpus {corpus} has no counts that fit: count it first, with the same --mode, --hmm and --user-dict and "
        "without filters that keywords do not have, or say --idf jieba"
    )


def _corpus_table(parameters: Mapping[str, Any], intake: Intake, *, refresh: bool) -> TakenTable | None:
    corpus_id = _find_corpus(intake)
    if corpus_id is None:
        return None
    segmentation = _segmentation_key(parameters)
    with reading(intake.engine, unhurried=True) as connection:
        taken = document_frequencies.find_taken(connection, corpus_id, segmentation)
        if taken is not None and not refresh:
            return taken
        published = document_frequencies.published_counts(connection, corpus_id)
        counts = next((one for one in published if one.documents and _fits(one.parameters, parameters)), None)
    if counts is None:
        return None
    taken = _take(counts, intake)
    transact(
        intake.engine,
        partial(document_frequencies.take, corpus_id=corpus_id, segmentation=segmentation, taken=taken),
    )
    return taken


def _find_corpus(intake: Intake) -> int | None:
    try:
        with reading(intake.engine) as connection:
            return corpus_id_of(connection, intake.corpus)
    except UsageError:
        # It is about to be made, and has no counts.
        return None


def _segmentation_key(parameters: Mapping[str, Any]) -> str:
    decisive = {
        **segmentation_identity(parameters),
        **{name: parameters[name] for name in SEGMENTATION},
        # What stands in for jieba gives the same words.
        "fast_engine": "",
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


def _fits(counted: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether words were cut alike when they were counted, and none was left out that may be a keyword."""
    if any(counted.get(name) != wanted[name] for name in ("mode", "hmm", "user_dict")):
        return False
    if any(counted.get(name) not in {None, wanted[name]} for name in ("stopwords", "pattern")):
        return False
    return int(counted.get("min_length") or 0) <= max(LEAST_CHARS, int(wanted["min_length"]))


def _take(counts: PublishedCounts, intake: Intake) -> TakenTable:
    with reading(intake.engine, unhurried=True) as connection:
        sizes = document_frequencies.words_by_frequency(connection, counts.generation_id, LEAST_CHARS)
        least = least_documents(sizes)
        words = sum(number for documents, number in sizes if documents >= least)
        rows = document_frequencies.frequencies(connection, counts.generation_id, LEAST_CHARS, least)
        table = pack_frequencies(counts.documents, least - 1, rows)
    return TakenTable(intake.add_resource(table), counts.documents, words, counts.generation_id)


def least_documents(sizes: Sequence[tuple[int, int]], most_words: int = MAX_WORDS) -> int:
    """Return the lowest document frequency with which a word needs a row, so that there are not too many.

    `sizes` are (documents, words that stand in so many): [(1, 900), (2, 80), (3, 40)] and 100 words at most -> 3.
    """
    least = max((documents for documents, _ in sizes), default=LEAST_DOCUMENTS) + 1
    held = 0
    for documents, words in sorted(sizes, reverse=True):
        held += words
        if held > most_words or documents < LEAST_DOCUMENTS:
            break
        least = documents
    return max(least, LEAST_DOCUMENTS)
