"""`hanmill concordance CORPUS WORD`: every place where a word stands, with what stands around it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import Column, note, number, print_rows, printable

if TYPE_CHECKING:
    from storage.corpus_texts import Listener
    from storage.engine import Connection
    from storage.repeats import Places
    from workers.bootstrap import Parts
    from workers.concordance import Cutting, Line, Matcher, Tally

EXAMPLE = "Example: hanmill concordance novels 明月 -n 20 --sort right"
COLUMNS = (Column("key"), number("position"), Column("left"), Column("word"), Column("right"))
#: Characters of context on each side, unless the screen is too narrow for so many.
WIDTH = 20
#: Columns of a screen that are left for the key.
KEY_COLUMNS = 24
#: Sources that a sentence names.
NAMED_SOURCES = 3


class Order(StrEnum):
    """In which order places are shown."""

    DOCUMENT = "document"
    LEFT = "left"
    RIGHT = "right"
    RANDOM = "random"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(concordance)


def concordance(
    corpus: options.CorpusArgument,
    word: Annotated[str, typer.Argument(metavar="WORD", help="A word; with --string or --regex something else.")],
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, metavar="N", help="How many places.")] = 50,
    width: Annotated[
        int | None,
        typer.Option("--width", min=0, metavar="N", help=f"Characters of context on each side; else {WIDTH}."),
    ] = None,
    order: Annotated[
        Order,
        typer.Option("--sort", help="As they stand, by what stands to the left or right, or some drawn by chance."),
    ] = Order.DOCUMENT,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of --sort random; another draws others.")] = 0,
    string: Annotated[bool, typer.Option("--string", help="Find the characters, inside of other words too.")] = False,
    regex: Annotated[bool, typer.Option("--regex", help="Find what matches a regular expression.")] = False,
    fingerprint: options.Fingerprint = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show where a word stands in the texts of a corpus, with what stands around it (keyword in context).

    A word is found where it is a token of its own, by the options that the corpus was cut or counted with: as often as
    `hanmill top` counts it. Texts are read where they stand. The key after each line is that of `hanmill show`.
    """
    from storage.corpora import corpus_id_of
    from storage.corpus_texts import corpus_size_bytes, read_texts
    from storage.engine import reading
    from workers.cli.opening import open_parts
    from workers.concordance import Search, chosen

    _check(word, string=string, regex=regex, fingerprint=fingerprint)
    width = _fitting_width(word) if width is None else width
    streams = order is Order.DOCUMENT
    with open_parts() as parts:
        with reading(parts.engine) as connection:
            corpus_id = corpus_id_of(connection, corpus)
            size_bytes = corpus_size_bytes(connection, corpus_id)
            cutting = None if string or regex else _cutting(connection, corpus, corpus_id, fingerprint)
            left_out = _repeats(connection, corpus_id, cutting)
        search = Search(_matcher(parts, word, cutting, regex=regex), width)
        troubles = Troubles()
        # Lines that appear one by one show by themselves how far it is.
        with _bar(size_bytes, wanted=not (streams and sys.stdout.isatty())) as advance:
            listener = troubles.listener(advance)
            texts = read_texts(parts.engine, corpus_id, parts.settings.input_roots, listener, left_out)
            lines = chosen(search.lines(texts), str(order), limit, seed)
            if streams:
                _print(lines, width, output)
    if not streams:
        _print(lines, width, output)
    troubles.tell()
    _tell(search.tally, word, limit, ended=not streams or search.tally.lines < limit, is_token=cutting is not None)


def _check(word: str, *, string: bool, regex: bool, fingerprint: str | None) -> None:
    message = None
    if not word:
        message = "the word to look for is empty"
    elif string and regex:
        message = "--string takes the characters as they are, --regex as a pattern; leave one of them out"
    elif fingerprint is not None and (string or regex):
        message = "--fingerprint says how texts are cut into words; --string and --regex look at no words"
    if message is not None:
        raise UsageError(message)


def _cutting(connection: Connection, corpus: str, corpus_id: int, fingerprint: str | None) -> Cutting:
    """Return how texts are cut; raises `UsageError` when no results have the fingerprint that was named."""
    from workers.concordance import cutting_of, default_cutting

    found = cutting_of(connection, corpus_id, fingerprint)
    if found is None and fingerprint is not None:
        message = f"corpus {corpus} has no tokens and no counts of fingerprint {fingerprint}; see `hanmill jobs`"
        raise UsageError(message)
    return found or default_cutting()


def _repeats(connection: Connection, corpus_id: int, cutting: Cutting | None) -> Places | None:
    """Return the places of documents that were not counted because they repeat another; None where all were."""
    from storage.repeats import repeated_places

    if cutting is None or cutting.skips is None:
        return None
    note("documents that repeat another one are left out, as in the counts; --string shows them")
    return repeated_places(connection, corpus_id, cutting.skips)


def _matcher(parts: Parts, word: str, cutting: Cutting | None, *, regex: bool) -> Matcher:
    from workers.concordance import PatternMatcher, TokenMatcher

    if cutting is None:
        return PatternMatcher(word, is_regex=regex)
    matcher = TokenMatcher(word, cutting, parts.workplace)
    if matcher.is_left_out:
        note(f"{word} is left out of counts and tokens here, by stop words, --min-length or --pattern")
    return matcher


def _fitting_width(word: str) -> int:
    """Return how many characters of context fit on the screen on each side; a Chinese one takes two columns."""
    from shutil import get_terminal_size

    from rich.cells import cell_len

    if not sys.stdout.isatty():
        return WIDTH
    left_columns = get_terminal_size().columns - cell_len(word) - KEY_COLUMNS
    return min(WIDTH, max(4, left_columns // 4))


@dataclass(slots=True)
class Troubles:
    """Sources that were not read as they were listed."""

    changed: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def listener(self, advance: Callable[[int], None]) -> Listener:
        """Return what a reading of the corpus tells."""
        from storage.corpus_texts import Listener

        return Listener(advance, self.changed.append, lambda _, why: self.unread.append(why))

    def tell(self) -> None:
        """Say on stderr what went wrong."""
        if self.changed:
            note(
                f"{_counted(self.changed)} changed since the corpus was last run; shown is what stands there now: "
                f"{_named(self.changed)}"
            )
        if self.unread:
            note(f"{_counted(self.unread)} could not be read: {_named(self.unread)}")


def _counted(sources: list[str]) -> str:
    return "1 source" if len(sources) == 1 else f"{len(sources):,} sources"


def _named(sources: list[str]) -> str:
    more = len(sources) - NAMED_SOURCES
    return ", ".join(sources[:NAMED_SOURCES]) + (f", and {more:,} more" if more > 0 else "")


def _tell(tally: Tally, word: str, limit: int, *, ended: bool, is_token: bool) -> None:
    if not ended:
        note(f"the first {limit:,} places; -n shows more, if there are any")
    elif tally.lines or not is_token or not tally.looked_at:
        note(f"{tally.lines:,} places in {tally.texts:,} texts")
    else:
        note(
            f"{word} is nowhere a token of its own; {tally.looked_at:,} texts hold its characters inside of other "
            "tokens or across them: --string shows them"
        )


@contextmanager
def _bar(size_bytes: int, *, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Give what moves a bar on stderr, if that is a terminal."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    # What goes to stdout must not be taken for lines above the bar.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:
        task = bars.add_task("reading", total=size_bytes)
        yield lambda read_bytes: bars.advance(task, read_bytes)


def _print(lines: Iterable[Line], width: int, output: options.OutputFormat) -> None:
    if output is options.OutputFormat.TABLE:
        _print_aligned(lines, width)
    else:
        print_rows([line._asdict() for line in lines], COLUMNS, output)


def _print_aligned(lines: Iterable[Line], width: int) -> None:
    """Print lines as they come, the word below the word, each character as wide as a terminal shows it."""
    from rich.cells import cell_len

    columns = 2 * width
    for line in lines:
        # Line ends and other white space would be escapes, wider than what they stand for.
        left, right = (printable(" ".join(part.split())) for part in (line.left, line.right))
        blanks = " " * max(0, columns - cell_len(left)), " " * max(0, columns - cell_len(right))
        word = printable(line.word)
        shown = typer.style(word, bold=True) if sys.stdout.isatty() else word
        typer.echo(f"{blanks[0]}{left}  {shown}  {right}{blanks[1]}  {printable(line.key)}")
