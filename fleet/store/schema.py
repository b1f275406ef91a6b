"""The tables, as SQLAlchemy metadata: what the migrations must add up to (a test compares them)."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, Table, Text

from fleet.store.values import TABLES

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("global_seq", Integer, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at_s", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("events_by_stream", "stream", "seq", unique=True),
)
"""append-only: triggers of the migration refuse UPDATE and DELETE"""

idempotency = Table(
    "idempotency",
    metadata,
    Column("requester", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("order_id", Text, nullable=False),
)

state_tables = {
    name: Table(name, metadata, Column("key", Text, primary_key=True), Column("body", Text, nullable=False))
    for name in TABLES
}
