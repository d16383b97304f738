"""What every page is made of: one HTML file with its style, its scripts and its figures inside. Knows no report.

A page forbids itself every network access, and runs no script but those that it names by their digests. Words and
texts are hostile: in HTML templates escape them, in JSON no character stands that HTML gives a meaning.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from storage.errors import UsageError

#: Suffixes by which browsers know a page.
SUFFIXES = (".html", ".htm")
#: In JSON inside HTML: what could end the script, begin a comment, or end a line of JavaScript.
_JSON_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def environment() -> Environment:
    """Return what fills in templates: every value is escaped, and one that is missing is a bug."""
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def check_path(path: Path) -> None:
    """Raise `UsageError` when a page cannot be written there, before anything is read for it."""
    try:
        fault = _fault_of(path)
    except OSError as error:
        fault = f"{path} cannot be written: {error.strerror or error}"
    if fault is not None:
        raise UsageError(fault)


def _fault_of(path: Path) -> str | None:
    if path.suffix.lower() not in SUFFIXES:
        return f"{path.name}: a page ends in .html"
    if not path.parent.is_dir():
        return f"{path} cannot be written: there is no directory {path.parent}; make it first"
    if path.is_dir():
        return f"{path} cannot be written: it is a directory; name a file in it"
    if path.exists() and not os.access(path, os.W_OK):
        return f"{path} cannot be written: it is there already, and you may not change it; name another file"
    return None


def write_page(path: Path, page: str) -> int:
    """Write a page, which appears under its name when it is whole; return its bytes. Raises `UsageError`."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    # No text of a database has half a surrogate pair; the name of a directory may.
    data = page.encode("utf-8", "replace")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise UsageError(message) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return len(data)


def asset(name: str) -> str:
    """Return a file that lies beside this module."""
    return files("workers.report").joinpath(name).read_text(encoding="utf-8")


def bokeh_script() -> str:
    """Return bokeh's own JavaScript, without its widgets."""
    return files("bokeh").joinpath("server/static/js/bokeh.min.js").read_text(encoding="utf-8").strip()


def plot_items(plots: Mapping[str, Any]) -> dict[str, Any]:
    """Return bokeh's plots as JSON, by the places on the page where they are drawn."""
    from bokeh.core.types import ID  # noqa: PLC0415 - bokeh takes a second to load
    from bokeh.embed import json_item  # noqa: PLC0415

    return {place: json_item(plot, ID(place)) for place, plot in plots.items()}


def policy_of(scripts: Sequence[str]) -> str:
    """Return the page's rules for itself: no network at all, no script but its own, no code made of text."""
    digests = " ".join(f"'sha256-{b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts)
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def json_in_html(value: Any) -> Markup:
    """Return a value as JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_JSON_ESCAPES))  # noqa: S704 - escaped just now
