"""Alembic's migrations of the store. A new one is a new file in `versions/`, named NNNN_what.py after its revision."""
