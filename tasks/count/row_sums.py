"""Adds up the rows of many partial counts: by word, or by word and month. Decodes nothing and decides no order.

A step says where a row comes from, as a number; of a word in several steps the lowest is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.count.document_figures import UNDATED
from tasks.count.shard_counts import COUNT_SCHEMA

#: Rows on their way, undated and dated.
UNDATED_ROWS = COUNT_SCHEMA.append(pa.field("step", pa.int32()))
DATED_ROWS = UNDATED_ROWS.append(pa.field("month", pa.int32()))
#: A key is the number of a word, and below it a month.
_MONTH_BITS = 20


def with_step(rows: Any, step: int) -> Any:
    """Return the rows of a partial count with the step that they come from."""
    steps = pa.array(np.full(rows.num_rows, step, np.int32))
    return rows.replace_schema_metadata().append_column("step", steps)


def is_dated(rows: Any) -> bool:
    """Say whether rows are kept by month."""
    return "month" in rows.column_names


def sum_rows(tables: Sequence[Any]) -> Any:
    """Return one row for each word of the tables, in no order; for each word and month if any table has months.

    Words are numbered first and the numbers grouped: grouping by the strings themselves ends the whole process
    (pyarrow 26, std::length_error) when the distinct ones exceed 2 GB.
    """
    schema = DATED_ROWS if any(map(is_dated, tables)) else UNDATED_ROWS
    rows = pa.concat_tables([schema.empty_table(), *(_fitted(table, schema) for table in tables)])
    if rows.num_rows == 0:
        return rows
    numbers, words = _numbered(rows["word"])
    firsts = _first_steps(numbers, rows["step"], len(words))
    keys = numbers << _MONTH_BITS | rows["month"].to_numpy() if is_dated(rows) else numbers
    keyed = pa.table({"key": keys, "count": rows["count"], "documents": rows["documents"]})
    sums = keyed.group_by("key", use_threads=False).aggregate([("count", "sum"), ("documents", "sum")])
    keys = sums["key"].to_numpy()
    numbers = keys >> _MONTH_BITS if is_dated(rows) else keys
    columns = [words.take(pa.array(numbers)), sums["count_sum"], sums["documents_sum"], firsts[numbers]]
    if is_dated(rows):
        columns.append((keys & (1 << _MONTH_BITS) - 1).astype(np.int32))
    return pa.table(columns, schema=schema)


def sum_months(rows: Any) -> tuple[Any, Any]:
    """Return one row for each word of dated rows, in no order, and for each given row the place of its word there."""
    numbers, words = _numbered(rows["word"])
    columns = [words]
    for name in ("count", "documents"):
        sums = np.zeros(len(words), np.int64)
        np.add.at(sums, numbers, rows[name].to_numpy())
        columns.append(sums)
    columns.append(_first_steps(numbers, rows["step"], len(words)))
    return pa.table(columns, schema=UNDATED_ROWS), numbers


def _fitted(table: Any, schema: Any) -> Any:
    if "month" in schema.names and not is_dated(table):
        table = table.append_column("month", pa.array(np.full(table.num_rows, UNDATED, np.int32)))
    return table.select(schema.names)


def _numbered(column: Any) -> tuple[Any, Any]:
    """Return the numbers of a column's words, and the words by their numbers."""
    encoded = column.dictionary_encode().unify_dictionaries()
    numbers = [chunk.indices.to_numpy() for chunk in encoded.chunks]
    words = encoded.chunk(0).dictionary if numbers else pa.array([], column.type)
    return np.concatenate([np.zeros(0, np.int64), *numbers]), words


def _first_steps(numbers: Any, steps: Any, words: int) -> Any:
    firsts = np.full(words, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(firsts, numbers, steps.to_numpy())
    return firsts
