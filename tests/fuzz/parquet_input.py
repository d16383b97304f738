"""Makes Parquet files of texts, in the types and layouts that writers use. Damages nothing; `mutations` does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

if TYPE_CHECKING:
    from tests.fuzz.bad_input import Choices

TYPES: Sequence[Any] = (
    *(pa.string(), pa.string(), pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())),
    *(pa.int64(), pa.list_(pa.string()), pa.struct([("text", pa.string())]), pa.null(), pa.float64(), pa.bool_()),
)
CODECS = ("none", "snappy", "gzip", "zstd", "lz4", "brotli")


def parquet_bytes(choices: Choices, rows: Sequence[tuple[str, int]], text_field: str, key_field: str) -> bytes:
    """Return a file with a row for each text and number."""
    texts = _column([text for text, _ in rows], choices.choose(TYPES))
    kind = choices.choose((pa.int64(), pa.string(), pa.int8(), pa.float64(), pa.timestamp("s")))
    columns = {text_field: texts, key_field: pa.array([number for _, number in rows], pa.int64()).cast(kind)}
    if choices.integer(0, 20) == 0:
        columns.pop(text_field)
    table = pa.table(columns)
    out = io.BytesIO()
    parquet.write_table(
        table,
        out,
        row_group_size=choices.choose((1, 2, 5, 1000)),
        compression=choices.choose(CODECS),
        use_dictionary=bool(choices.integer(0, 1)),
        data_page_size=choices.choose((1, 1024, None)),
        version=choices.choose(("1.0", "2.6")),
        data_page_version=choices.choose(("1.0", "2.0")),
        write_page_checksum=bool(choices.integer(0, 1)),
    )
    return out.getvalue()


def _column(texts: Sequence[str], kind: Any) -> Any:
    values: list[Any] = [text.encode("utf-8", "replace").decode() for text in texts]
    # Not every text is there.
    values = [None if number % 7 == 3 else value for number, value in enumerate(values)]
    if pa.types.is_list(kind):
        values = [[value] for value in values]
    elif pa.types.is_struct(kind):
        values = [{"text": value} for value in values]
    elif pa.types.is_null(kind):
        values = [None] * len(values)
    elif not any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)):
        if pa.types.is_binary(kind):
            values = [None if value is None else value.encode()[: len(value)] for value in values]
        else:
            values = [len(value or "") % 2 for value in values]
            return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, pa.string()).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(values, kind)
