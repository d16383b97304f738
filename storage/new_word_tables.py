"""The tables of new words, and of the n-grams they are chosen from. Holds no query; `new_words` does."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, Table

from storage.schema import Blob, Id, Word, metadata

frequent_grams = Table(
    "frequent_grams",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("data", Blob, nullable=False, comment="Arrow IPC, zstd; dropped when the last partition has come"),
)

new_words = Table(
    "new_words",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="by score, from 0"),
    Column("word", Word, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("pmi", Double, nullable=False, comment="nats, the least over all ways to cut it in two"),
    Column("left_entropy", Double, nullable=False, comment="of its neighbours, nats"),
    Column("right_entropy", Double, nullable=False, comment="likewise"),
    Column("score", Double, nullable=False, comment="pmi times the lesser entropy"),
)
