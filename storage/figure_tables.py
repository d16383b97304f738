"""The tables of what a corpus looks like besides its words: months, lengths, the growth of its vocabulary.

Declared like all others, see `schema`. Their rows belong to a generation, as those of `word_counts` do. A month is
202407 for July 2024, and 0 for documents without a date.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table

from storage.schema import Id, metadata

corpus_months = Table(
    "corpus_months",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("month", Integer, primary_key=True, autoincrement=False, comment="202407, or 0: undated"),
    Column("documents", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
)

document_lengths = Table(
    "document_lengths",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("month", Integer, primary_key=True, autoincrement=False),
    Column("from_chars", BigInteger, primary_key=True, autoincrement=False),
    Column("to_chars", BigInteger, nullable=False, comment="the longest that is counted here"),
    Column("documents", BigInteger, nullable=False),
)

# A merge writes the rows of its own partition; added up over the partitions they are exact.
vocabulary_growth = Table(
    "vocabulary_growth",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False, comment="some shards, in their order, from 0"),
    Column("tokens", BigInteger, nullable=False, comment="of the step, in every partition's row"),
    Column("words", BigInteger, nullable=False, comment="of the partition that stand in no earlier step"),
)

# The word itself stands in `word_counts` alone: there are many times as many rows here.
word_counts_by_month = Table(
    "word_counts_by_month",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="of the word, as in word_counts"),
    Column("month", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
