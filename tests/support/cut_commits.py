"""A proxy before PostgreSQL that drops connections at COMMIT: before the server has it, or before its answer is heard.

The second is the commit whose outcome nobody knows: it stands, and whoever asked for it hears of a broken connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import make_url

#: Where PostgreSQL listens inside the directory that its address names.
SOCKET = ".s.PGSQL.5432"
#: PostgreSQL's message of one statement that takes no values, as a driver sends COMMIT.
QUERY = b"Q"


class CommitCutter:
    """The proxy; `every` n-th commit is cut while it is not 0, by turns before and after the server has it."""

    def __init__(self, server_url: str) -> None:
        url = make_url(server_url)
        self._socket_path = str(Path(str(url.query["host"])) / SOCKET)
        self._url = url
        self._seen = 0
        self.every = 0
        self.port = 0
        #: Commits that the server never had.
        self.cut_before = 0
        #: Commits that stand, and whose answer was lost.
        self.cut_after = 0

    @property
    def url(self) -> str:
        """Return the database's address by way of this proxy."""
        query = {"sslmode": "disable", "gssencmode": "disable"}
        through = self._url.set(host="127.0.0.1", port=self.port, query=query)
        return through.render_as_string(hide_password=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until one of its ends is closed, or it is cut."""
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._socket_path)
        except OSError:
            writer.close()
            return
        answer_is_lost = asyncio.Event()
        await asyncio.gather(
            self._requests(reader, inner_writer, writer, answer_is_lost),
            self._answers(inner_reader, writer, inner_writer, answer_is_lost),
        )

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        inner: asyncio.StreamWriter,
        outer: asyncio.StreamWriter,
        answer_is_lost: asyncio.Event,
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            size = await reader.readexactly(4)
            inner.write(size + await reader.readexactly(int.from_bytes(size) - 4))
            while True:
                kind, size = await reader.readexactly(1), await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(size) - 4)
                if kind == QUERY and body.startswith(b"COMMIT") and self._is_due():
                    if self.cut_before <= self.cut_after:
                        self.cut_before += 1
                        break
                    self.cut_after += 1
                    answer_is_lost.set()
                inner.write(kind + size + body)
                await inner.drain()
        inner.close()
        if not answer_is_lost.is_set():
            outer.close()

    def _is_due(self) -> bool:
        self._seen += 1
        return bool(self.every) and self._seen % self.every == 0

    async def _answers(
        self,
        reader: asyncio.StreamReader,
        outer: asyncio.StreamWriter,
        inner: asyncio.StreamWriter,
        answer_is_lost: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            # What comes after the request whose answer is to be lost is that answer: the server has done it.
            while (data := await reader.read(65_536)) and not answer_is_lost.is_set():
                outer.write(data)
                await outer.drain()
        outer.close()
        inner.close()


@contextmanager
def commit_cutter(server_url: str) -> Iterator[CommitCutter]:
    """Have such a proxy listen on the loopback for the time of the context; it cuts nothing yet."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    cutter = CommitCutter(server_url)
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(cutter.serve, "127.0.0.1", 0), loop).result()
    cutter.port = server.sockets[0].getsockname()[1]
    try:
        yield cutter
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
