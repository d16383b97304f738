"""Finds files on the local file system: named ones, trees, globs. Must stay fast over a million small files."""

# ruff: noqa: PTH100, PTH116, PTH119, PTH207 - a Path made for each of a million files would cost more than listing them

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from storage.sources.formats import KNOWN_SUFFIXES, format_of
from storage.sources.listing_options import ListedSource, ListingOptions, reader_options
from storage.sources.local_checks import LocalChecks
from storage.sources.record import ReaderOptions


@dataclass
class Seen:
    """What was listed already. Files of a tree are known by their directory, so that a million need no names here."""

    directories: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def has(self, path: str) -> bool:
        """Tell whether a file was listed, by itself or with the directory it stands in."""
        directory, name = os.path.split(path)
        of_tree = directory in self.directories and not name.startswith(".") and format_of(name) is not None
        return of_tree or path in self.files


class LocalListing:
    """Lists local inputs one after another, every file once.

    Faults go to `checks`, and then files of trees are looked at but not given out; without it nothing is checked.
    """

    def __init__(self, options: ListingOptions, seen: Seen, checks: LocalChecks | None) -> None:
        self._options = options
        self._seen = seen
        self._checks = checks
        self._known = 0
        self._by_suffix: dict[str, ReaderOptions] = {}

    def sources(self, argument: str) -> Iterator[ListedSource]:
        """Yield the sources of one argument of the user: a file, a directory, or a glob that the shell left alone."""
        origin = os.path.abspath(argument)
        # A file may be named like a pattern; then it is the file that is meant.
        if os.path.lexists(argument) or not glob.has_magic(argument):
            yield from self._path(argument, origin, is_named=True)
            return
        known_before = self._known
        for match in sorted(glob.iglob(argument, recursive=True)):
            yield from self._path(match, origin, is_named=False)
        if self._checks and self._known == known_before:
            self._checks.add(f"nothing that can be read matches {argument}; known suffixes are {KNOWN_SUFFIXES}")

    def _path(self, path: str, origin: str, *, is_named: bool) -> Iterator[ListedSource]:
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
        except OSError as error:
            self._tell(path, error)
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._tree(real, origin, is_named=is_named)
        elif source := self._file(path, real, origin, status, is_named=is_named):
            yield source

    def _file(
        self, path: str, real: str, origin: str, status: os.stat_result, *, is_named: bool
    ) -> ListedSource | None:
        # What a glob matched is named if a format was given for it; otherwise unknown suffixes are passed over.
        found = reader_options(os.path.basename(path), self._options, is_named=True)
        if found is None and not is_named:
            return None
        self._known += 1
        if self._seen.has(real):
            return None
        self._seen.files.add(real)
        if self._checks and not self._checks.named_file(real, found, status, is_named=is_named):
            return None
        return self._listed(real, origin, status, found) if found else None

    @staticmethod
    def _listed(real: str, origin: str, status: os.stat_result, found: ReaderOptions) -> ListedSource:
        return ListedSource(real, origin, status.st_size, str(status.st_mtime_ns), found)

    def _tree(self, top: str, origin: str, *, is_named: bool) -> Iterator[ListedSource]:
        known_before = self._known
        open_directories = [iter(self._entries(top))]
        while open_directories:
            entry = next(open_directories[-1], None)
            if entry is None:
                open_directories.pop()
            elif _is_directory(entry):
                path = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                open_directories.append(iter(self._entries(path)))
            elif source := self._entry(entry, origin):
                yield source
        if self._checks and is_named and self._known == known_before:
            self._checks.add(f"{top} holds no file that can be read; known suffixes are {KNOWN_SUFFIXES}")

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        """Return what stands in a directory in the order of paths, hidden names left out; nothing the second time."""
        if directory in self._seen.directories or (self._checks and not self._checks.directory(directory)):
            # Its files are listed already, or a fault is told: either way the tree is not empty.
            self._known += 1
            return []
        self._seen.directories.add(directory)
        try:
            with os.scandir(directory) as entries:
                return sorted((entry for entry in entries if not entry.name.startswith(".")), key=_path_order)
        except OSError as error:
            self._tell(directory, error)
            return []

    def _entry(self, entry: os.DirEntry[str], origin: str) -> ListedSource | None:
        found = self._tree_options(entry.name)
        if found is None:
            return None
        is_link = entry.is_symlink()
        if self._checks and not is_link:
            self._check_entry(entry, found, self._checks)
            return None
        status = self._status(entry)
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        self._known += 1
        real = os.path.realpath(entry.path) if is_link else entry.path
        if self._is_seen(real, is_link=is_link) or (
            self._checks and not self._checks.tree_file(real, found, is_link=True)
        ):
            return None
        return self._listed(real, origin, status, found)

    def _check_entry(self, entry: os.DirEntry[str], found: ReaderOptions, checks: LocalChecks) -> None:
        # While checking nothing is given out, so that size and time of a million files are asked for only once.
        if entry.is_file():
            self._known += 1
            if entry.path not in self._seen.files:
                checks.tree_file(entry.path, found, is_link=False)

    def _tree_options(self, name: str) -> ReaderOptions | None:
        stem, _, suffix = name.rpartition(".")
        found = self._by_suffix.get(suffix) if stem else None
        if found is None:
            found = reader_options(name, self._options, is_named=False)
            if found and not found.compression:
                self._by_suffix[suffix] = found
        return found

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        try:
            return entry.stat()
        except OSError as error:
            self._tell(entry.path, error)
            return None

    def _is_seen(self, real: str, *, is_link: bool) -> bool:
        if not is_link:
            # Its directory is being listed right now; only by itself can it have come earlier.
            return real in self._seen.files
        if self._seen.has(real):
            return True
        self._seen.files.add(real)
        return False

    def _tell(self, path: str, error: OSError) -> None:
        # One fault is enough: a tree that cannot be read is not told to be empty as well.
        self._known += 1
        if self._checks:
            self._checks.unreachable(path, error)


def _path_order(entry: os.DirEntry[str]) -> str:
    return entry.name + "/" if _is_directory(entry) else entry.name


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself.
        return False
