"""`--skip-duplicates`: whether an order may leave out what other documents stand for. Leaves out nothing itself.

A count without duplicates is exact: every document of the corpus must have been compared before it is counted. So an
order is refused where `dedup` has not seen the corpus as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storage import duplicates, repeats
from storage.engine import Connection
from storage.errors import UsageError

#: Operations that can leave documents out: those whose result belongs to the corpus and not to single documents.
OPERATIONS = ("count",)
_SAME_TEXT = "near (one document for each group) or exact (one for each text)"


def check_skipping(names: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a way of skipping that there is not, or that no operation of an order knows."""
    mode = options.get(repeats.PARAMETER)
    if mode is None:
        return
    if mode not in repeats.MODES:
        message = f"--skip-duplicates is {_SAME_TEXT}, not {mode!r}"
        raise UsageError(message)
    if not set(names) & set(OPERATIONS):
        message = f"--skip-duplicates is for {', '.join(OPERATIONS)}; --do names no such operation"
        raise UsageError(message)


def skipping_parameters(name: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Return what skipping adds to the parameters of an operation; nothing where all is read."""
    mode = options.get(repeats.PARAMETER)
    return {repeats.PARAMETER: mode} if mode is not None and name in OPERATIONS else {}


def refuse_skipping(options: Mapping[str, Any] | None) -> None:
    """Raise `UsageError` where documents are enqueued: nothing is known yet of what they repeat."""
    if options and options.get(repeats.PARAMETER) is not None:
        message = (
            "skip_duplicates: documents that are enqueued have been compared with nothing yet; enqueue them with the "
            "operation dedup, and count the corpus with --skip-duplicates when that is done"
        )
        raise UsageError(message)


def require_groups(
    connection: Connection, corpus_id: int, corpus: str, parameters: Iterable[Mapping[str, Any]], *, listed: bool
) -> None:
    """Raise `UsageError` where some parameters want to skip and the duplicates of a corpus are not known.

    `listed`: the corpus stands as its inputs do now, so that nothing in it may be new to the groups.
    """
    if not any(repeats.PARAMETER in one for one in parameters):
        return
    generation_id = duplicates.current_groups(connection, corpus_id)
    if generation_id is None:
        message = (
            f"--skip-duplicates: the duplicates of corpus {corpus} are not known; run the same inputs with "
            "--do dedup first"
        )
        raise UsageError(message)
    changes = repeats.changes_since(connection, corpus_id, generation_id) if listed else ""
    if changes:
        message = (
            f"--skip-duplicates: corpus {corpus} has changed since its duplicates were grouped ({changes}); "
            "run the same inputs with --do dedup first"
        )
        raise UsageError(message)
