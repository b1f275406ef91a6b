"""What goes into the store, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TABLES = ("orders", "flights", "vehicles", "zones", "boxes", "meta")
"""tables of current state: each maps a key to a JSON object"""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has its place in its stream; `at_s` is the controller's time, seconds since the Unix epoch."""

    stream: str
    at_s: float
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Put:
    """A row of current state; a `body` of None deletes it."""

    table: str
    key: str
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Binds a requester's key to the order it made. `fingerprint` stands for the request's body."""

    requester: str
    key: str
    fingerprint: str
    order_id: str


class IdempotencyConflictError(Exception):
    """The requester has used this key before; nothing of the commit was written. `stored` is the first use."""

    def __init__(self, stored: IdempotencyKey) -> None:
        super().__init__(f"{stored.requester} used the idempotency key {stored.key!r} for order {stored.order_id}")
        self.stored = stored


class StoreOpenError(Exception):
    """The store cannot be opened; the message says why and what to do."""


class StoreUnavailableError(Exception):
    """A commit could not be made durable (disk full, I/O error, closed): nothing is promised about it.

    Later commits may work again; the writer tries each anew.
    """
