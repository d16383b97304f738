"""The partial counts of `discover`: a shard's windows as bytes, divided by the first two ideographs of each.

All windows that begin with one n-gram of two ideographs or more are in one partition. Sums nothing; `frequent` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.discover.windows import POINT_BITS, Packed, pack, point, points_of

#: Format of these partial counts. Raise it with any change of their bytes, and let it be part of the fingerprint.
PARTIAL_FORMAT = "1"
#: Where a partial count carries its format, in the metadata of its Arrow schema.
PARTIAL_FORMAT_KEY = b"hanmill.windows"
#: How every whole Arrow stream ends.
STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
#: 2 to the 64th, divided by the golden ratio: multiplied by it, neighbouring numbers come far apart (Knuth, The Art of
#: Computer Programming 3, 6.4).
_SCATTER = np.uint64(0x9E3779B97F4A7C15)


def encode_partials(packed: Packed, max_length: int, partitions: int) -> list[bytes]:
    """Return a run of windows as one Arrow stream a partition, empty ones too; equal windows give equal bytes.

    Raises ValueError unless `partitions` is a power of two.
    """
    require_power_of_two(partitions)
    if partitions == 1:
        return [_encode(packed, max_length)]
    scattered = scatter(packed[0], partitions)
    return [_encode(chosen(packed, scattered == number), max_length) for number in range(partitions)]


def join_runs(runs: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Return the partial counts of a shard that was encoded in several runs: one blob a partition."""
    return [b"".join(blobs) for blobs in zip(*runs, strict=True)]


def decode_runs(blob: bytes, max_length: int) -> Iterator[Packed]:
    """Yield the windows of a partial count, run by run, each in order.

    Raises ValueError for bytes that are no windows, or of another form.
    """
    if not blob.endswith(STREAM_END):
        message = "these bytes are no windows, or not all of them"
        raise ValueError(message)
    source = pa.BufferReader(blob)
    while source.tell() < len(blob):
        try:
            with pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
                table = reader.read_all()
        except (pa.ArrowInvalid, OSError) as fault:
            message = f"these bytes are no windows: {fault}"
            raise ValueError(message) from fault
        _require_form(table.schema, max_length)
        points = [table[f"point{place}"].to_numpy() for place in range(points_of(max_length))]
        yield pack(points), table["count"].to_numpy().astype(np.int64)


def needed_partitions(stored: int, partitions: int, partition: int) -> list[int]:
    """Return which partitions a merge must read where windows were stored in `stored` partitions.

    `(1, 4, 3) -> [0]` (and most rows are left out), `(8, 2, 1) -> [1, 3, 5, 7]`, `(4, 4, 2) -> [2]`.
    """
    for number in (stored, partitions):
        require_power_of_two(number)
    return list(range(partition % stored, stored, partitions))


def require_power_of_two(partitions: int) -> None:
    """Raise ValueError unless the number of partitions is 1, 2, 4, 8 and so on."""
    if partitions < 1 or partitions & (partitions - 1):
        message = f"the number of partitions must be a power of two, and is {partitions}"
        raise ValueError(message)


def scatter(columns: list[Any], partitions: int) -> Any:
    """Return the partition that each window belongs to, by its first two ideographs.

    Where it goes under 2 partitions follows from where it goes under 8.
    """
    # 2 of the 3 points that the first column holds.
    mixed = (columns[0] >> np.uint64(POINT_BITS)) * _SCATTER >> np.uint64(32)
    return (mixed % np.uint64(partitions)).astype(np.int64)


def chosen(packed: Packed, is_chosen: Any) -> Packed:
    """Return some of the windows."""
    columns, counts = packed
    return [column[is_chosen] for column in columns], counts[is_chosen]


def _encode(packed: Packed, max_length: int) -> bytes:
    columns, counts = packed
    points = [point(columns, place) for place in range(points_of(max_length))]
    # A column for each place: what is the same over many rows then takes next to nothing.
    is_basic = all(not len(column) or int(column.max()) < 1 << 16 for column in points)
    width = np.uint16 if is_basic else np.uint32
    arrays = {f"point{place}": pa.array(column.astype(width)) for place, column in enumerate(points)}
    batch = pa.record_batch({**arrays, "count": pa.array(_narrow(counts))}).replace_schema_metadata(_form(max_length))
    # The third level takes a twentieth less room than the first, for 3 ms a MB of text.
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=3), use_threads=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def _narrow(counts: Any) -> Any:
    fits = not len(counts) or int(counts.max()) < 1 << 16
    return counts.astype(np.uint16) if fits else counts


def _form(max_length: int) -> dict[bytes, bytes]:
    return {PARTIAL_FORMAT_KEY: f"{PARTIAL_FORMAT}, {max_length}".encode()}


def _require_form(schema: Any, max_length: int) -> None:
    found = (schema.metadata or {}).get(PARTIAL_FORMAT_KEY, b"none").decode()
    expected = _form(max_length)[PARTIAL_FORMAT_KEY].decode()
    if found != expected:
        message = f"these windows have the form {found!r}; what is read here is {expected!r}"
        raise ValueError(message)
