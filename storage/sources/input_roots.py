"""Which places may be read from. Checked when inputs are listed, and again by the worker that opens them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from storage.errors import UsageError
from storage.sources.byte_stream import is_url


def check_allowed(uri: str, input_roots: Sequence[str]) -> None:
    """Raise `UsageError` for a source outside all roots; without roots everything is allowed.

    A root is a directory or the beginning of a URL. Symbolic links are followed on both sides, so that a link inside a
    root does not lead out of it.
    """
    if input_roots and not any(_is_below(uri, root) for root in input_roots):
        shown = ", ".join(input_roots)
        message = f"{uri} is outside the input roots ({shown}); move it there, or have its directory added to them"
        raise UsageError(message)


def _is_below(uri: str, root: str) -> bool:
    if is_url(uri) != is_url(root):
        return False
    if is_url(uri):
        # Some servers resolve dots, so a path with them may lead anywhere.
        return ".." not in uri.split("/") and f"{uri}/".startswith(root.rstrip("/") + "/")
    real_root = os.path.realpath(root)
    return os.path.commonpath([real_root, os.path.realpath(uri)]) == real_root
