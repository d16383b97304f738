"""What can be wrong with a local input, with the remedy. Finds out before any work starts; lists nothing."""

from __future__ import annotations

import os
import stat

from storage.errors import SourceUnavailableError, UsageError
from storage.sources.columns import column_fault
from storage.sources.formats import COLUMN_FORMATS
from storage.sources.input_roots import check_allowed
from storage.sources.listing_options import Faults, ListingOptions, text_option_fault, unknown_suffix_fault
from storage.sources.record import MAX_KEY_CHARS, ReaderOptions

#: Longest path that still makes a key: `@` and an offset of 19 digits follow it.
MAX_PATH_CHARS = MAX_KEY_CHARS - 20


def path_fault(uri: str, options: ListingOptions) -> str:
    """Return why documents cannot be named after this path or URL, empty when they can."""
    try:
        uri.encode()
    except UnicodeEncodeError:
        return f"the name of {uri!a} is not valid UTF-8; rename it"
    if options.key_field is None and len(uri) > MAX_PATH_CHARS:
        return f"{uri} is longer than {MAX_PATH_CHARS} characters, too long for keys; shorten it or give --key-field"
    return ""


def allowed_fault(uri: str, options: ListingOptions) -> str:
    """Return why a place may not be read from, empty when it may."""
    try:
        check_allowed(uri, options.input_roots)
    except UsageError as error:
        return str(error)
    return ""


def columns_checked(uri: str, found: ReaderOptions, faults: Faults) -> bool:
    """Note missing columns; false when there are any, or when the source cannot be read."""
    if found.format not in COLUMN_FORMATS:
        return True
    try:
        fault = column_fault(uri, found)
    except SourceUnavailableError as error:
        fault = str(error)
    if fault:
        faults.add(fault)
    return not fault


class LocalChecks:
    """Notes faults of local inputs. Methods that answer say whether the input can be used."""

    def __init__(self, options: ListingOptions, faults: Faults) -> None:
        self._options = options
        self._faults = faults

    def add(self, fault: str) -> None:
        """Note a fault."""
        self._faults.add(fault)

    def unreachable(self, path: str, error: OSError) -> None:
        """Note a path that the system does not give."""
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            self.add(f"{path} does not exist; check the path")
        elif isinstance(error, PermissionError):
            self.add(f"{path} may not be read; give this user the permission")
        else:
            self.add(f"{path} cannot be read: {error}")

    def directory(self, path: str) -> bool:
        """Tell whether a directory lies inside the input roots."""
        return self._is_allowed(path)

    def named_file(self, path: str, found: ReaderOptions | None, status: os.stat_result, *, is_named: bool) -> bool:
        """Check a file that the user named, or matched by a glob."""
        if not stat.S_ISREG(status.st_mode):
            self.add(f"{path} is neither a file nor a directory; pipe its content in and name the input -")
            return False
        if found is None:
            self.add(unknown_suffix_fault(path))
            return False
        if is_named and (fault := text_option_fault(path, found, self._options)):
            self.add(fault)
            return False
        return self.tree_file(path, found, is_link=True)

    def tree_file(self, path: str, found: ReaderOptions, *, is_link: bool) -> bool:
        """Check a file that was found in a directory; only a link can lead out of that."""
        if fault := path_fault(path, self._options):
            self.add(fault)
            return False
        if not os.access(path, os.R_OK):
            self.add(f"{path} may not be read; give this user the permission")
            return False
        if is_link and not self._is_allowed(path):
            return False
        return columns_checked(path, found, self._faults)

    def _is_allowed(self, path: str) -> bool:
        fault = allowed_fault(path, self._options)
        if fault:
            self.add(fault)
        return not fault
