"""Finds sources by URL: one of a web server, and what fsspec opens: one, everything below it, or a glob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import Any
from urllib.parse import urlsplit

from storage.errors import SourceUnavailableError
from storage.sources.byte_stream import open_filesystem
from storage.sources.formats import KNOWN_SUFFIXES
from storage.sources.listing_options import (
    Faults,
    ListedSource,
    ListingOptions,
    reader_options,
    text_option_fault,
    unknown_suffix_fault,
)
from storage.sources.local_checks import allowed_fault, columns_checked, path_fault
from storage.sources.record import ReaderOptions
from storage.sources.source_stamp import remote_stamp, web_stamp
from storage.sources.web_request import is_web, without_password


class RemoteListing:
    """Lists URLs one after another, every source once. Faults go to `faults`; without it nothing is checked."""

    def __init__(self, options: ListingOptions, seen: set[str], faults: Faults | None) -> None:
        self._options = options
        self._seen = seen
        self._faults = faults

    def sources(self, url: str) -> Iterator[ListedSource]:
        """Yield the sources of one URL."""
        try:
            yield from self._sources(url)
        except FileNotFoundError:
            self._add(f"{url} does not exist; check the URL")
        except (ImportError, ValueError, OSError) as error:
            if self._faults is None and isinstance(error, OSError):
                # It was there a moment ago. Left out now, it would be taken for removed, with all that was made of it.
                message = f"{url} cannot be listed any more: {error}; try again"
                raise SourceUnavailableError(message) from error
            if isinstance(error, PermissionError):
                self._add(f"{url} may not be read: {error.strerror or error}; have it opened to this user")
                return
            # fsspec's ImportError names the library to install, its ValueError the protocol it does not know.
            self._add(f"{without_password(url)} cannot be listed: {error}")

    def _add(self, fault: str) -> None:
        if self._faults:
            self._faults.add(fault)

    def _sources(self, url: str) -> Iterator[ListedSource]:
        if is_web(url):
            yield from self._of_web(url)
            return
        if self._faults and (fault := allowed_fault(url, self._options)):
            self._add(fault)
            return
        filesystem, path = open_filesystem(url)
        filesystem.invalidate_cache()
        if any(mark in path for mark in "*?["):
            yield from self._many(url, filesystem, filesystem.glob(path, detail=True))
        elif filesystem.isdir(path):
            yield from self._many(url, filesystem, filesystem.find(path, detail=True), below=path)
        else:
            found = reader_options(basename(path), self._options, is_named=True)
            yield from self._named(url, found, remote_stamp(filesystem.info(path)))

    def _of_web(self, url: str) -> Iterator[ListedSource]:
        # Before the server is asked: what may not be read may not be asked for either.
        if self._faults and (fault := allowed_fault(url, self._options)):
            self._add(fault)
            return
        # A query is no part of the name, and no pattern.
        found = reader_options(basename(urlsplit(url).path), self._options, is_named=True)
        yield from self._named(url, found, web_stamp(url))

    def _named(self, url: str, found: ReaderOptions | None, stamp: tuple[int, str]) -> Iterator[ListedSource]:
        if source := self._one(url, url, stamp, found):
            if found and self._faults and (fault := text_option_fault(url, found, self._options)):
                self._add(fault)
            yield source
        elif found is None:
            self._add(unknown_suffix_fault(url))

    def _many(
        self, url: str, filesystem: Any, files: Mapping[str, Mapping[str, Any]], below: str | None = None
    ) -> Iterator[ListedSource]:
        known = 0
        for path in sorted(files):
            info = files[path]
            if info.get("type") != "file" or _is_hidden(path.removeprefix(below or path)):
                continue
            # What a glob matched is named if a format was given for it.
            found = reader_options(basename(path), self._options, is_named=below is None)
            known += found is not None
            if source := self._one(filesystem.unstrip_protocol(path), url, remote_stamp(info), found):
                yield source
        if not known:
            self._add(f"{url} holds nothing that can be read; known suffixes are {KNOWN_SUFFIXES}")

    def _one(self, uri: str, origin: str, stamp: tuple[int, str], found: ReaderOptions | None) -> ListedSource | None:
        if found is None or uri in self._seen:
            return None
        self._seen.add(uri)
        if self._faults and not self._is_sound(uri, found, self._faults):
            return None
        return ListedSource(uri, origin, *stamp, found)

    def _is_sound(self, uri: str, found: ReaderOptions, faults: Faults) -> bool:
        fault = path_fault(uri, self._options) or allowed_fault(uri, self._options)
        if fault:
            faults.add(fault)
            return False
        return columns_checked(uri, found, faults)


def _is_hidden(below: str) -> bool:
    return any(part.startswith(".") for part in below.split("/"))
