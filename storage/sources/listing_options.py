"""What the user asked for about inputs, and the reader options that follow for one file's name. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from posixpath import basename, splitext
from typing import Literal

from storage.errors import UsageError
from storage.limits import DEFAULT_MAX_RECORD_BYTES
from storage.sources.encodings import AUTO, ENCODINGS, encoding_name
from storage.sources.formats import FIELD_FORMATS, KNOWN_SUFFIXES, compression_of, format_of
from storage.sources.record import Compression, Format, ReaderOptions

#: Faults that one error shows at most.
_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class ListingOptions:
    """How inputs are to be read. `input_format` is the format of what is named: standard input, files, URLs, globs.

    In directories every file has the format of its suffix. `lines` and `layout` say how `.txt` is read.
    """

    lines: bool = False
    layout: Literal["thucnews"] | None = None
    input_format: Format | None = None
    encoding: str = "utf-8"
    text_field: str = "text"
    key_field: str | None = None
    date_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    input_roots: tuple[str, ...] = ()

    def txt_format(self) -> Format:
        """Return how a `.txt` is read."""
        if self.lines:
            return "lines"
        return self.layout or "txt"


@dataclass(frozen=True, slots=True)
class ListedSource:
    """A source that was found. `input` is the user's argument made absolute: what is refreshed together."""

    uri: str
    input: str
    size: int
    stamp: str
    options: ReaderOptions


@dataclass
class Faults:
    """What is wrong with the inputs, gathered so that the user sees all of it at once."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, fault: str) -> None:
        """Note a fault: what, where, and what to do."""
        self.count += 1
        if len(self.shown) < _FAULTS_SHOWN:
            self.shown.append(fault)

    def raise_any(self) -> None:
        """Raise `UsageError` with all faults that were noted, nothing when there are none."""
        if self.count == 1:
            raise UsageError(self.shown[0])
        if self.count:
            hidden = self.count - len(self.shown)
            lines = [*self.shown, f"and {hidden} more"] if hidden else self.shown
            raise UsageError(f"{self.count} inputs are wrong:\n" + "\n".join(f"  {line}" for line in lines))


def check_options(options: ListingOptions, faults: Faults) -> None:
    """Note what is wrong with the options alone."""
    if encoding_name(options.encoding) is None:
        known = ", ".join([*ENCODINGS, AUTO])
        faults.add(f"the encoding {options.encoding!r} is not known; there are: {known}")
    if options.lines and options.layout:
        faults.add(f"a document a line and the layout {options.layout} exclude each other; leave one of them out")
    if options.lines and options.input_format not in {None, "txt", "lines"}:
        faults.add(f"--lines is for .txt, not for the format {options.input_format}; leave one of them out")


def stdin_options(options: ListingOptions) -> ReaderOptions:
    """Return how standard input is read: one document a line, unless a format is given."""
    return _reader_options(options.input_format or "lines", "", options)


def reader_options(name: str, options: ListingOptions, *, is_named: bool) -> ReaderOptions | None:
    """Return how a file of this name is read; None when its suffix is not known.

    `is_named` tells that the user named it, so that `input_format` holds for it.
    """
    found = format_of(name)
    if is_named and options.input_format:
        found = options.input_format, compression_of(name)
    if found is None:
        return None
    return _reader_options(*found, options)


@lru_cache(maxsize=256)
def _reader_options(of_suffix: Format, compression: Compression, options: ListingOptions) -> ReaderOptions:
    read_as = options.txt_format() if of_suffix == "txt" else of_suffix
    return ReaderOptions(
        format=read_as,
        compression=compression,
        encoding=encoding_name(options.encoding) or options.encoding,
        text_field=options.text_field,
        key_field=options.key_field,
        date_field=options.date_field if read_as in FIELD_FORMATS else None,
        max_record_bytes=options.max_record_bytes,
    )


def unknown_suffix_fault(uri: str) -> str:
    """Return the fault of a named file whose suffix says nothing."""
    suffix = splitext(basename(uri))[1] or "none"
    return f"{uri} has no known suffix ({suffix}); known are {KNOWN_SUFFIXES}; name its format with --input-format"


def text_option_fault(uri: str, found: ReaderOptions, options: ListingOptions) -> str:
    """Return the fault of a named file that is not `.txt` where `.txt` was asked to be read in a special way."""
    if found.format == options.txt_format() or not (options.lines or options.layout):
        return ""
    asked = "--lines" if options.lines else f"--layout {options.layout}"
    return f"{asked} is for .txt, but {uri} is {found.format}; leave the option out"
