"""Where documents come from: sources are found, cut into ranges, and read. This file only names what others use."""

from storage.limits import DEFAULT_MAX_RECORD_BYTES
from storage.sources.content_digest import content_digest
from storage.sources.cutting import cut
from storage.sources.formats import KNOWN_SUFFIXES
from storage.sources.input_roots import check_allowed
from storage.sources.line_numbers import line_number
from storage.sources.listing import list_sources
from storage.sources.listing_options import ListedSource, ListingOptions
from storage.sources.reading import read, record_offsets
from storage.sources.record import (
    MAX_KEY_CHARS,
    BadRecord,
    Compression,
    Format,
    ReaderOptions,
    Record,
)
from storage.sources.source_stamp import source_stamp

__all__ = [
    "DEFAULT_MAX_RECORD_BYTES",
    "KNOWN_SUFFIXES",
    "MAX_KEY_CHARS",
    "BadRecord",
    "Compression",
    "Format",
    "ListedSource",
    "ListingOptions",
    "ReaderOptions",
    "Record",
    "check_allowed",
    "content_digest",
    "cut",
    "line_number",
    "list_sources",
    "read",
    "record_offsets",
    "source_stamp",
]
