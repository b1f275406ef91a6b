"""The store: an append-only, hash-chained event log and the current state, in one SQLite file."""

from fleet.store.memory import MemoryStore
from fleet.store.port import StorePort
from fleet.store.reader import Reader
from fleet.store.store import Store
from fleet.store.values import (
    TABLES,
    IdempotencyConflictError,
    IdempotencyKey,
    NewEvent,
    Put,
    StoreOpenError,
    StoreUnavailableError,
)

__all__ = [
    "TABLES",
    "IdempotencyConflictError",
    "IdempotencyKey",
    "MemoryStore",
    "NewEvent",
    "Put",
    "Reader",
    "Store",
    "StoreOpenError",
    "StorePort",
    "StoreUnavailableError",
]
