"""A store in memory that keeps the real one's promises, for runs in which time is virtual and no thread may write."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fleet.records.chain import event_hash, genesis
from fleet.records.codec import canonical_json
from fleet.service import RecordedEvent
from fleet.store.values import IdempotencyConflictError, IdempotencyKey, NewEvent, Put, StoreUnavailableError


class MemoryStore:
    """`fail` makes each commit fail; `on_commit` is called before each one, to cut a run at that instant."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, dict[str, Any]]] = {}
        self.streams_: dict[str, list[RecordedEvent]] = {}
        self.keys: dict[tuple[str, str], IdempotencyKey] = {}
        self.count = 0
        self.fail = False
        self.on_commit: Callable[[Sequence[NewEvent]], None] = lambda events: None
        self._grown = asyncio.Event()

    def commit(
        self,
        *,
        events: Sequence[NewEvent] = (),
        puts: Sequence[Put] = (),
        idempotency: IdempotencyKey | None = None,
    ) -> Awaitable[list[RecordedEvent]]:
        done: asyncio.Future[list[RecordedEvent]] = asyncio.get_running_loop().create_future()
        self.on_commit(events)
        if self.fail:
            done.set_exception(StoreUnavailableError("the disk is full"))
            return done
        if idempotency is not None:
            stored = self.keys.setdefault((idempotency.requester, idempotency.key), idempotency)
            if stored is not idempotency:
                done.set_exception(IdempotencyConflictError(stored))
                return done
        written = []
        for event in events:
            body_json = canonical_json(event.body)
            stream = self.streams_.setdefault(event.stream, [])
            self.count += 1
            prev = stream[-1].hash if stream else genesis(event.stream)
            place: dict[str, Any] = {"stream": event.stream, "seq": len(stream) + 1, "global_seq": self.count}
            own = event_hash(prev, **place, at_s=event.at_s, kind=event.kind, body_json=body_json)
            recorded = RecordedEvent(
                **place, at_s=event.at_s, kind=event.kind, body=json.loads(body_json), prev_hash=prev, hash=own
            )
            stream.append(recorded)
            written.append(recorded)
        if written:
            self._grown.set()
        for put in puts:
            table = self.tables.setdefault(put.table, {})
            if put.body is None:
                table.pop(put.key, None)
            else:
                table[put.key] = copy.deepcopy(put.body)
        done.set_result(written)
        return done

    def load(self, table: str) -> dict[str, dict[str, Any]]:
        return copy.deepcopy(self.tables.get(table, {}))

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        return self.tables.get(table, {}).get(key)

    def events(self, stream: str, after_seq: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        return self.streams_.get(stream, [])[after_seq:][:limit]

    def head(self, stream: str) -> tuple[int, str]:
        events = self.streams_.get(stream, [])
        return (events[-1].seq, events[-1].hash) if events else (0, genesis(stream))

    def streams(self) -> list[str]:
        return list(self.streams_)

    async def follow(self, stream: str, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        """The stream's events and then the new ones, for as long as the reader reads."""
        while True:
            self._grown.clear()
            for event in self.events(stream, after_seq):
                after_seq = event.seq
                yield event
            await self._grown.wait()
