"""Which places may be read from. Checked when inputs are listed, and again by the worker that opens them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import unquote

from storage.errors import UsageError
from storage.sources.byte_stream import is_url, unavailable_is_transient
from storage.sources.web_request import file_state, is_web

#: The kinds of addresses that are read without being named among the roots: stores of files, and a process's memory.
#: Others lead into archives, caches, shells and repositories, or to this machine's own files by another name.
SCHEMES = frozenset(
    {
        "http",
        "https",
        "s3",
        "s3a",
        "gs",
        "gcs",
        "az",
        "abfs",
        "abfss",
        "oss",
        "hdfs",
        "webhdfs",
        "ftp",
        "sftp",
        "memory",
    }
)


def check_allowed(uri: str, input_roots: Sequence[str]) -> None:
    """Raise `UsageError` for a source outside all roots; without roots everything is allowed.

    A root is a directory or the beginning of a URL. Symbolic links are followed on both sides, so that a link inside a
    root does not lead out of it.
    """
    if is_url(uri) and (fault := _scheme_fault(uri, input_roots)):
        raise UsageError(fault)
    if input_roots and not any(_is_below(uri, root) for root in input_roots):
        shown = ", ".join(input_roots)
        message = f"{uri} is outside the input roots ({shown}); move it there, or have its directory added to them"
        raise UsageError(message)


def _scheme_fault(uri: str, input_roots: Sequence[str]) -> str:
    """Return why an address is of no kind that may be read from, empty when it is."""
    scheme = uri.partition("://")[0]
    # Of a chain such as `zip://a.txt::file:///etc/x.zip`, the beginning does not say what is opened in the end.
    if "::" in scheme or ("::" in uri and not is_web(uri)):
        return f"{uri} is a chain of addresses, which is not taken; name the file itself"
    if scheme.lower() in SCHEMES or any(root.startswith(f"{scheme}://") for root in input_roots):
        return ""
    known = ", ".join(sorted(SCHEMES))
    return (
        f"{uri}: addresses of the kind {scheme}:// are not taken ({known}); name its beginning in HANMILL_INPUT_ROOTS"
    )


def _is_below(uri: str, root: str) -> bool:
    if is_url(uri) != is_url(root):
        return False
    if is_url(uri):
        # A redirection leads out of a root as a link does.
        return _starts_with(uri, root) and (not is_web(uri) or _starts_with(_place_of(uri), root))
    real_root = os.path.realpath(root)
    return os.path.commonpath([real_root, os.path.realpath(uri)]) == real_root


def _starts_with(url: str, root: str) -> bool:
    # Some servers resolve dots, so a path with them may lead anywhere.
    return ".." not in unquote(url).split("/") and f"{url}/".startswith(root.rstrip("/") + "/")


def _place_of(url: str) -> str:
    with unavailable_is_transient(url):
        try:
            return file_state(url).place
        except FileNotFoundError:
            # Leads nowhere; whoever reads it says so.
            return url
