"""From the user's INPUT arguments to sources: files, directories, globs, URLs and standard input. Reads no documents.

Everything is looked at twice: first for faults, which are reported together before anything is given out, then to
give the sources out one by one. So a million files are never held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from storage.sources.byte_stream import is_url
from storage.sources.listing_options import (
    Faults,
    ListedSource,
    ListingOptions,
    check_options,
    stdin_options,
    text_option_fault,
)
from storage.sources.local_checks import LocalChecks, columns_checked
from storage.sources.local_listing import LocalListing, Seen
from storage.sources.remote_listing import RemoteListing
from storage.sources.source_stamp import source_stamp
from storage.sources.stdin_spool import spool_stdin

STDIN = "-"
_LOCAL_PROTOCOLS = ("file://", "local://")


def list_sources(inputs: Sequence[str], options: ListingOptions, *, stdin_dir: Path) -> Iterator[ListedSource]:
    """Return the sources of the inputs, every one once, in the order of the arguments and below them of their paths.

    Standard input is copied to `stdin_dir` first. Raises `UsageError` with all faults found, at once and not while
    iterated; a file that vanishes later is left out.
    """
    faults = Faults()
    check_options(options, faults)
    if not inputs:
        faults.add("no input was named; name a file, a directory, a glob in quotes, a URL, or - for standard input")
    faults.raise_any()
    spooled = _spooled(inputs, options, faults, stdin_dir)
    for _ in _listed(inputs, options, spooled, faults):
        pass
    faults.raise_any()
    return _listed(inputs, options, spooled, None)


def _spooled(inputs: Sequence[str], options: ListingOptions, faults: Faults, stdin_dir: Path) -> ListedSource | None:
    if STDIN not in inputs:
        return None
    found = stdin_options(options)
    if fault := text_option_fault("standard input", found, options):
        faults.add(fault)
        return None
    uri = str(spool_stdin(stdin_dir, found.format))
    if not columns_checked(uri, found, faults):
        return None
    # Each content is a source of its own: what came in earlier stays.
    return ListedSource(uri, uri, *source_stamp(uri), found)


def _listed(
    inputs: Sequence[str], options: ListingOptions, spooled: ListedSource | None, faults: Faults | None
) -> Iterator[ListedSource]:
    local = LocalListing(options, Seen(), LocalChecks(options, faults) if faults is not None else None)
    remote = RemoteListing(options, set(), faults)
    for argument in dict.fromkeys(inputs):
        if argument == STDIN:
            if spooled:
                yield spooled
        elif is_url(argument) and not argument.startswith(_LOCAL_PROTOCOLS):
            yield from remote.sources(argument)
        else:
            yield from local.sources(_local_path(argument))


def _local_path(argument: str) -> str:
    protocol = next((protocol for protocol in _LOCAL_PROTOCOLS if argument.startswith(protocol)), "")
    return argument.removeprefix(protocol)
