"""`hanmill compare A B`: which words two corpora use differently, by how much, and how sure that is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import Column, note, number, print_json, print_rows, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from storage.engine import Connection
    from workers.comparison import Choice, Comparison, KeyWord, Side

EXAMPLE = "Example: hanmill compare news novels -n 30 --min-count 20"
#: Words shown where the user does not say how many.
WORDS_SHOWN = 50
#: Words that a page can show before it grows heavy; those of the highest log-likelihood.
WORDS_ON_A_PAGE = 2000


class Wanted(StrEnum):
    """Which words."""

    ALL = "all"
    SHARED = "shared"
    ONLY_A = "only-a"
    ONLY_B = "only-b"
    MORE_A = "more-a"
    MORE_B = "more-b"


class PageLanguage(StrEnum):
    """In which language the page speaks."""

    EN = "en"
    ZH = "zh"


class Order(StrEnum):
    """What words are sorted by."""

    LOG_LIKELIHOOD = "log_likelihood"
    LOG_RATIO = "log_ratio"
    COUNT_A = "count_a"
    COUNT_B = "count_b"
    WORD = "word"


def _rounded(field: str, digits: int, title: str = "") -> Column:
    return Column(field, title, lambda value: f"{value:,.{digits}f}", right=True)


COLUMNS = (
    Column("word"),
    number("count_a"),
    _rounded("per_million_a", 1),
    number("count_b"),
    _rounded("per_million_b", 1),
    _rounded("log_likelihood", 1),
    _rounded("log_ratio", 2),
)
SIDE_COLUMNS = (
    Column("side"),
    Column("corpus"),
    number("tokens"),
    number("words"),
    number("own_words", "of them own"),
    Column("shared_share", "tokens of shared words", lambda share: f"{share:.1%}", right=True),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(compare)


def compare(
    corpus_a: Annotated[str, typer.Argument(metavar="A", help="A corpus that was counted.")],
    corpus_b: Annotated[str, typer.Argument(metavar="B", help="The corpus that it is compared with.")],
    limit: Annotated[
        int | None,
        typer.Option("-n", "--limit", min=1, metavar="N", help=f"How many; else {WORDS_SHOWN}, with --to all."),
    ] = None,
    wanted: Annotated[
        Wanted,
        typer.Option("--words", help="Those of both, of one alone, or those that one has more of than the other."),
    ] = Wanted.ALL,
    order: Annotated[
        Order, typer.Option("--sort", help="The largest first, whatever its sign; words in code point order.")
    ] = Order.LOG_LIKELIHOOD,
    min_count: Annotated[
        int,
        typer.Option(
            "--min-count", min=1, metavar="N", help="Leave out words with fewer occurrences, of both together."
        ),
    ] = 1,
    min_documents: Annotated[
        int,
        typer.Option(
            "--min-documents", min=1, metavar="N", help="Leave out words in fewer documents, of both together."
        ),
    ] = 1,
    min_bic: Annotated[
        float | None,
        typer.Option("--min-bic", metavar="X", help="Leave out words with less evidence: 2 is some, 10 very strong."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Punctuation, signs and white space too.")] = False,
    fingerprint: Annotated[
        str | None,
        typer.Option("--fingerprint", metavar="HEX", help="Pick the counts of these options in both; else the newest."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare counts that were made with other options.")] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Write a file: .html (a plot), .csv, .jsonl or .parquet."),
    ] = None,
    language: Annotated[PageLanguage, typer.Option("--language", help="Of the page: en or zh.")] = PageLanguage.EN,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show the words that two corpora use differently, the surest difference first.

    log_likelihood says how sure a difference is, log_ratio how large: 1 means twice as frequent in A, -1 in B; it takes
    a count of 0 for half an occurrence. Columns ending in _a and _b are of the first and the second corpus. Tokens with
    no letter, digit or ideograph are left out of words and sums unless --all asks for them.
    """
    from storage.engine import reading
    from workers.cli.opening import open_parts
    from workers.comparison import Choice

    if to is not None:
        _require_form(to)
    choice = Choice(str(wanted), str(order), limit or _default_limit(to), min_count, min_documents, min_bic)
    with open_parts() as parts, reading(parts.engine, unhurried=True) as connection:
        comparison = _compared(connection, (corpus_a, corpus_b), fingerprint, everything=everything, force=force)
        if to is not None:
            _write(to, comparison, choice, language)
        else:
            _print(comparison, list(comparison.key_words(choice)), output)


def _is_page(to: Path) -> bool:
    return to.suffix.lower() == ".html"


def _require_form(to: Path) -> None:
    from storage.exports import format_of

    if _is_page(to):
        from workers.report.frame import check_path

        check_path(to)
    else:
        try:
            format_of(to)
        except UsageError as error:
            message = f"{error}; a page with a plot ends in .html"
            raise UsageError(message) from error


def _default_limit(to: Path | None) -> int | None:
    if to is None:
        return WORDS_SHOWN
    return WORDS_ON_A_PAGE if _is_page(to) else None


def _compared(
    connection: Connection, corpora: tuple[str, str], fingerprint: str | None, *, everything: bool, force: bool
) -> Comparison:
    """Return the comparison of two corpora; raises `UsageError` when it would say nothing about the texts."""
    from storage.compared_counts import counted_corpus
    from workers.cli.results_of import counts_generation
    from workers.comparison import Comparison, require_same_tokens, token_difference

    of_a, of_b = (counted_corpus(connection, counts_generation(connection, name, fingerprint)) for name in corpora)
    if not force:
        require_same_tokens(connection, of_a, of_b)
    elif difference := token_difference(of_a, of_b):
        note(f"hanmill: {difference}; compared all the same, as --force asks for")
    return Comparison(connection, of_a, of_b, everything=everything)


def _write(to: Path, comparison: Comparison, choice: Choice, language: PageLanguage) -> None:
    from storage.exports import write_export

    if _is_page(to):
        from workers.report.comparison_page import write_comparison

        written = write_comparison(to, comparison, list(comparison.key_words(choice)), language.value)
    else:
        written = write_export(to, "comparison", _as_rows(comparison.key_words(choice)))
    note(f"{to}: {written:,} words")


def _as_rows(words: Iterable[KeyWord]) -> Iterator[dict[str, Any]]:
    return (word._asdict() for word in words)


def _print(comparison: Comparison, words: Sequence[KeyWord], output: options.OutputFormat) -> None:
    rows = list(_as_rows(words))
    if output is options.OutputFormat.JSON:
        print_json({**summary_of(comparison), "words": rows})
    elif output is options.OutputFormat.CSV:
        print_rows(rows, COLUMNS, output)
    else:
        summary = summary_of(comparison)
        print_table([{"side": side, **summary[side]} for side in ("a", "b")], SIDE_COLUMNS)
        typer.echo(
            f"divergence {summary['divergence']:.4f} (Jensen-Shannon; 0: the same words as often, 1: none in common)\n"
            f"{summary['shared_words']:,} words in both, {summary['jaccard']:.1%} of all"
        )
        print_table(rows, COLUMNS, title="words")


def summary_of(comparison: Comparison) -> dict[str, Any]:
    """Return what two corpora have in common, as JSON shows it; known when all words were read."""
    sides = {name: _side(side) for name, side in (("a", comparison.a), ("b", comparison.b))}
    common = {name: getattr(comparison, name) for name in ("shared_words", "jaccard", "divergence")}
    return {**sides, **common}


def _side(side: Side) -> dict[str, Any]:
    return {
        "corpus": side.corpus,
        "fingerprint": side.fingerprint,
        "tokens": side.tokens,
        "words": side.words,
        "own_words": side.own_words,
        "shared_share": side.shared_tokens / side.tokens,
    }
