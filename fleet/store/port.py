"""What the controller asks of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Protocol

from fleet.service import RecordedEvent
from fleet.store.values import IdempotencyKey, NewEvent, Put


class StorePort(Protocol):
    """Kept by `fleet.store.Store` on disk and by `fleet.store.MemoryStore` for runs in virtual time."""

    def commit(
        self,
        *,
        events: Sequence[NewEvent] = (),
        puts: Sequence[Put] = (),
        idempotency: IdempotencyKey | None = None,
    ) -> Awaitable[list[RecordedEvent]]:
        """All of it or nothing, durably before the awaitable gives the events with their places and hashes."""
        ...

    def load(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table of current state, by key."""
        ...

    def get(self, table: str, key: str) -> dict[str, Any] | None: ...

    def events(self, stream: str, after_seq: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """The stream's events from `after_seq` + 1 on, in order."""
        ...

    def head(self, stream: str) -> tuple[int, str]:
        """Sequence number and hash of the stream's last event."""
        ...

    def streams(self) -> list[str]: ...

    def follow(self, stream: str, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        """The stream's stored events and then the new ones, each once."""
        ...
