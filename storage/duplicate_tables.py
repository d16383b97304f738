"""The tables of `dedup`: partial signatures, and the groups of documents that say the same. Holds no query."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, String, Table

from storage.schema import Blob, Id, Word, metadata

partial_signatures = Table(
    "partial_signatures",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True, comment="of a shard's content and of its places"),
    Column("fingerprint", String(32), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False, comment="0 places, 1 keys, from 2 bands"),
    Column("documents", BigInteger, nullable=False, comment="of the whole shard, in every part's row"),
    Column("dead", BigInteger, nullable=False, comment="records of the shard that are no documents, likewise"),
    Column("data", Blob, nullable=False, comment="places and keys: Arrow IPC; bands: 2-byte little-endian numbers"),
)

duplicate_groups = Table(
    "duplicate_groups",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="from 1, in order of the first members"),
    Column("kind", String(5), nullable=False, comment="exact or near"),
    Column("documents", Integer, nullable=False),
    Column("texts", Integer, nullable=False, comment="that differ once they are normalized; 1 where all are equal"),
)

duplicate_members = Table(
    "duplicate_members",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("group_number", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="from 1, which stands for the group"),
    Column("text_number", Integer, nullable=False, comment="from 1; members with one number are equal texts"),
    Column("similarity", Double, nullable=False, comment="to the first member, from 0 to 1"),
    Column("source_id", Id, nullable=False, comment="0 when a producer gave the text itself"),
    Column("source_version", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("document_id", Id, nullable=False, comment="0 when it stands in a source"),
    Column("key", Word, nullable=False),
    Index("ix_duplicate_members_generation_id_key", "generation_id", "key"),
)
