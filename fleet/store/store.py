"""The store as the controller uses it: durable commits from the event loop, quick reads, and who hears of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from fleet.records.codec import canonical_json
from fleet.service import RecordedEvent
from fleet.store.opening import opened
from fleet.store.reader import Reader, opened_readonly
from fleet.store.values import TABLES, IdempotencyKey, NewEvent, Put, StoreUnavailableError
from fleet.store.writer import Job, Result, Writer, WriterStats

Listener = Callable[[RecordedEvent], None]

_PAGE = 500
"""events a follower reads at a time: bounds its memory when it starts far behind"""
_log = logging.getLogger(__name__)


class Store:
    """One controller's store. Made by `Store.open`; belongs to the event loop it was opened on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(path)
        self._writer = Writer(path, self._deliver)
        self._listeners: list[Listener] = []
        self._followers: dict[asyncio.Event, str] = {}
        self._open = True

    @staticmethod
    @asynccontextmanager
    async def open(path: str | Path) -> AsyncIterator[Store]:
        """Takes the file for this process alone, migrates it and starts the writer. Raises StoreOpenError."""
        lock = opened(Path(path))
        await asyncio.to_thread(lock.__enter__)
        try:
            store = Store(Path(path))
            store._writer.start()
            try:
                yield store
            finally:
                await store._close()
        finally:
            lock.__exit__(None, None, None)

    @staticmethod
    def open_readonly(path: str | Path) -> AbstractContextManager[Reader]:
        """A reader, also while a controller runs on the file. Raises StoreOpenError."""
        return opened_readonly(Path(path))

    @property
    def stats(self) -> WriterStats:
        return self._writer.stats

    # writing

    def commit(
        self,
        *,
        events: Sequence[NewEvent] = (),
        puts: Sequence[Put] = (),
        idempotency: IdempotencyKey | None = None,
    ) -> Awaitable[list[RecordedEvent]]:
        """Writes all of it or nothing, durably before the awaitable gives the events with their places and hashes.

        The write is queued by the call itself, so calls are written in their order, awaited or not; cancelling the
        await does not take it back. Raises at once ValueError or TypeError for what JSON cannot hold; the awaitable
        raises IdempotencyConflictError or StoreUnavailableError.
        """
        done: asyncio.Future[list[RecordedEvent]] = self._loop.create_future()
        job = Job([(e, _encode_event(e)) for e in events], [_encode_put(p) for p in puts], idempotency, done)
        if self._open:
            self._writer.submit(job)
        else:
            done.set_exception(StoreUnavailableError(f"the store {self.path} is closed"))
        return done

    # reading: what was committed is seen at once

    def load(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table of current state, by key."""
        return self._reader.load(table)

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        return self._reader.get(table, key)

    def events(self, stream: str, after_seq: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """The stream's events from `after_seq` + 1 on, in order."""
        return self._reader.events(stream, after_seq, limit)

    def head(self, stream: str) -> tuple[int, str]:
        """Sequence number and hash of the stream's last event, the anchor to keep elsewhere."""
        return self._reader.head(stream)

    def streams(self) -> list[str]:
        return self._reader.streams()

    def find_idempotency(self, requester: str, key: str) -> IdempotencyKey | None:
        return self._reader.find_idempotency(requester, key)

    # listening

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` on the loop with each event after it is durable, in the log's order; returns the way out."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    async def follow(self, stream: str, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        """The stream's stored events and then the new ones, each once; ends when the store is closed.

        It reads the store, so a slow follower costs no memory and misses nothing.
        """
        with self._woken_by(stream) as wake:
            while self._open:
                wake.clear()
                page = self.events(stream, after_seq, _PAGE)
                for event in page:
                    after_seq = event.seq
                    yield event
                if not page:
                    await wake.wait()

    @contextmanager
    def _woken_by(self, stream: str) -> Iterator[asyncio.Event]:
        wake = asyncio.Event()
        self._followers[wake] = stream
        try:
            yield wake
        finally:
            del self._followers[wake]

    # the writer's answers

    def _deliver(self, results: list[tuple[Job, Result]]) -> None:
        """On the writer's thread."""
        with suppress(RuntimeError):  # the loop is gone, and with it everyone who could hear
            self._loop.call_soon_threadsafe(self._announce, results)

    def _announce(self, results: list[tuple[Job, Result]]) -> None:
        touched = set()
        for job, result in results:
            done: asyncio.Future[list[RecordedEvent]] = job.token
            if isinstance(result, Exception):
                if not done.done():
                    done.set_exception(result)
                continue
            if not done.done():
                done.set_result(result)
            for event in result:
                touched.add(event.stream)
                for listener in tuple(self._listeners):
                    try:
                        listener(event)
                    except Exception:
                        _log.exception("a listener failed on event %s of %s", event.seq, event.stream)
        for wake, stream in self._followers.items():
            if stream in touched:
                wake.set()

    async def _close(self) -> None:
        self._open = False
        self._writer.close()
        try:
            await asyncio.to_thread(self._writer.join)
        finally:
            self._writer.join()  # if the wait was cancelled: what is queued is written before the lock goes
            self._reader.close()
            for wake in self._followers:
                wake.set()


def _encode_event(event: NewEvent) -> bytes:
    for name, text in (("stream", event.stream), ("kind", event.kind)):
        if not text or not text.isprintable():
            raise ValueError(f"an event's {name} {text!r} must be a printable name")
    canonical_json(event.at_s)
    return canonical_json(event.body)


def _encode_put(put: Put) -> tuple[str, str, str | None]:
    if put.table not in TABLES:
        raise ValueError(f"no table {put.table!r}: one of {', '.join(TABLES)}")
    put.key.encode()
    return put.table, put.key, None if put.body is None else canonical_json(put.body).decode()
