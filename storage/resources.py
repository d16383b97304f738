"""Small files that decide results (user dictionaries, stop word lists), kept by the digest of their content."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, select

from storage.engine import insert_new
from storage.errors import PermanentError
from storage.schema import resources


def add(connection: Connection, data: bytes) -> str:
    """Store a content and return its digest in hex."""
    digest = hashlib.sha256(data).hexdigest()
    insert_new(connection, resources, [{"digest": digest, "data": data}])
    return digest


def load(connection: Connection, digest: str) -> bytes:
    """Return a content by its digest; raises `PermanentError` when it is not there."""
    data = connection.scalar(select(resources.c.data).where(resources.c.digest == digest))
    if data is None:
        message = f"the dictionary or word list {digest} is not in the database; submit the job again with its file"
        raise PermanentError(message)
    return bytes(data)
