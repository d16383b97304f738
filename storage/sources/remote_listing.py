"""Finds sources that fsspec opens: one URL, everything below it, or a glob. Knows no local paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import Any
from urllib.parse import urlsplit

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
from storage.sources.source_stamp import remote_stamp

#: Protocols whose paths may hold a query: no part of the name, and no pattern.
_WEB_PROTOCOLS = ("http://", "https://")


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
            # fsspec's ImportError names the library to install, its ValueError the protocol it does not know.
            self._add(f"{url} cannot be listed: {error}")

    def _add(self, fault: str) -> None:
        if self._faults:
            self._faults.add(fault)

    def _sources(self, url: str) -> Iterator[ListedSource]:
        filesystem, path = open_filesystem(url)
        filesystem.invalidate_cache()
        if not url.startswith(_WEB_PROTOCOLS):
            if any(mark in path for mark in "*?["):
                yield from self._many(url, filesystem, filesystem.glob(path, detail=True))
                return
            if filesystem.isdir(path):
                yield from self._many(url, filesystem, filesystem.find(path, detail=True), below=path)
                return
        found = reader_options(_name_of(url), self._options, is_named=True)
        if source := self._one(url, url, filesystem.info(path), found):
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
            if source := self._one(filesystem.unstrip_protocol(path), url, info, found):
                yield source
        if not known:
            self._add(f"{url} holds nothing that can be read; known suffixes are {KNOWN_SUFFIXES}")

    def _one(self, uri: str, origin: str, info: Mapping[str, Any], found: ReaderOptions | None) -> ListedSource | None:
        if found is None or uri in self._seen:
            return None
        self._seen.add(uri)
        if self._faults and not self._is_sound(uri, found, self._faults):
            return None
        size, stamp = remote_stamp(info)
        return ListedSource(uri, origin, size, stamp, found)

    def _is_sound(self, uri: str, found: ReaderOptions, faults: Faults) -> bool:
        fault = path_fault(uri, self._options) or allowed_fault(uri, self._options)
        if fault:
            faults.add(fault)
            return False
        return columns_checked(uri, found, faults)


def _name_of(url: str) -> str:
    return basename(urlsplit(url).path if url.startswith(_WEB_PROTOCOLS) else url)


def _is_hidden(below: str) -> bool:
    return any(part.startswith(".") for part in below.split("/"))
