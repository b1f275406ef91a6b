"""Events, idempotency keys and the tables of current state."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATE_TABLES = ("orders", "flights", "vehicles", "zones", "boxes", "meta")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("global_seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at_s", sa.Float, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_index("events_by_stream", "events", ["stream", "seq"], unique=True)
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events "
            "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
        )
    op.create_table(
        "idempotency",
        sa.Column("requester", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
    )
    for name in _STATE_TABLES:
        op.create_table(name, sa.Column("key", sa.Text, primary_key=True), sa.Column("body", sa.Text, nullable=False))


def downgrade() -> None:
    raise RuntimeError("a record is never thrown away: restore a backup instead")
