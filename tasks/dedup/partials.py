"""What the map of a shard leaves behind, in parts that the merge reads one by one: places, keys, bands of signatures.

Apart, because a merge of ten million documents holds one band of all of them at a time, and no key but those of
duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.dedup.banding import Layout
from tasks.dedup.signatures import DIGEST_BYTES

#: Format of the parts. Raise it with any change of their bytes, and let it be part of the fingerprint.
PARTIAL_FORMAT = "1"
#: The numbers of the parts.
PLACES, KEYS, FIRST_BAND = 0, 1, 2

#: Where a document stands, in the order of the columns: `position` is that of its source in the corpus.
PLACE_FIELDS = ("position", "offset", "document_id", "source_id", "source_version")
PLACE_SCHEMA = pa.schema([*((name, pa.int64()) for name in PLACE_FIELDS), ("text", pa.binary(DIGEST_BYTES))])
KEY_SCHEMA = pa.schema([("key", pa.large_string())])


@dataclass(frozen=True, slots=True)
class Place:
    """Where one document stands; of two that say the same the one of the smaller place stands for both."""

    position: int
    offset: int
    document_id: int
    source_id: int
    source_version: int


def encode_parts(
    places: Sequence[Place], texts: Sequence[bytes], keys: Sequence[str], numbers: Any, layout: Layout
) -> list[bytes]:
    """Return the parts of a shard: its documents' places and digests, their keys, and each band of their signatures."""
    columns = [[getattr(place, name) for place in places] for name in PLACE_FIELDS]
    bands = np.ascontiguousarray(numbers, "<u2").reshape(len(places), layout.bands, layout.rows)
    return [
        _encode(pa.table([*columns, texts], schema=PLACE_SCHEMA)),
        _encode(pa.table([keys], schema=KEY_SCHEMA)),
        *(bands[:, band].tobytes() for band in range(layout.bands)),
    ]


def decode_table(blob: bytes) -> Any:
    """Return the table of a part of places or keys; raises ValueError when it is none."""
    try:
        with pa.ipc.open_stream(blob, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            return reader.read_all()
    except (pa.ArrowInvalid, OSError) as fault:
        message = f"these bytes are no part of signatures: {fault}"
        raise ValueError(message) from fault


def decode_band(blob: bytes, rows: int) -> Any:
    """Return one band, (documents, rows) numbers of 16 bits."""
    return np.frombuffer(blob, "<u2").reshape(-1, rows)


def _encode(table: Any) -> bytes:
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded
