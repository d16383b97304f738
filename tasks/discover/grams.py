"""Frequent n-grams as bytes, from a partition's merge to the choice among all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tasks.discover.frequent import GRAM_SCHEMA


def encode_grams(grams: Any) -> bytes:
    """Return a table of n-grams as an Arrow stream, compressed."""
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, GRAM_SCHEMA, options=options) as writer:
        writer.write_table(grams)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def decode_grams(blob: bytes) -> Any:
    """Return the table of n-grams that `encode_grams` wrote."""
    with pa.ipc.open_stream(blob, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        return reader.read_all()


def together(tables: Iterable[Any]) -> Any:
    """Return the n-grams of all partitions as one table."""
    return pa.concat_tables([GRAM_SCHEMA.empty_table(), *tables])
