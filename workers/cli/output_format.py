"""The formats in which listings are printed, apart from the options: who prints need not load those."""

from __future__ import annotations

from enum import StrEnum


class OutputFormat(StrEnum):
    """How a listing is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
