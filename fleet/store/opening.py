"""Before the store is used: its directory, its lock against a second controller, and its schema."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleet.store.values import StoreOpenError

MIGRATIONS = Path(__file__).parent / "migrations"
REVISIONS = tuple(sorted(p.name.split("_", 1)[0] for p in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))
"""all that this Coldwing knows, oldest first; file names carry them so that opening needs no Alembic (0.4 s)"""


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """The file at `path` exists with the newest schema and is ours alone. Raises StoreOpenError with the fix."""
    _require_directory(path)
    with _locked(path):
        try:
            _migrate(path)
            _sync_directory(path.parent)
        except (sqlite3.Error, OSError) as error:
            raise StoreOpenError(_explain(path, error)) from error
        yield


def require_schema(path: Path, revision: str | None) -> None:
    """For a reader, which may not migrate: refuses any schema but the newest this Coldwing knows."""
    if revision is None:
        raise StoreOpenError(f"{path} is not a Coldwing store: it has no schema revision")
    _refuse_newer(path, revision)
    if revision != REVISIONS[-1]:
        raise StoreOpenError(
            f"{path} has the older schema {revision}: start the controller on it once, which makes it {REVISIONS[-1]}"
        )


def schema_revision(connection: sqlite3.Connection) -> str | None:
    """What Alembic noted in the file; None in a new one."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else None


def _require_directory(path: Path) -> None:
    directory = path.parent
    if path.is_dir():
        raise StoreOpenError(f"{path} is a directory: give `store.path` a file name in it")
    if not directory.exists():
        try:
            directory.mkdir()  # one level only: a longer missing path is more likely a typo or a missing mount
        except OSError as error:
            raise StoreOpenError(
                f"the store's directory {directory} does not exist and cannot be made ({error.strerror}): "
                f"run `mkdir -p {directory}` or change `store.path`"
            ) from error
    if not directory.is_dir():
        raise StoreOpenError(f"{directory} is a file, not a directory: change `store.path`")
    if not os.access(directory, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise StoreOpenError(f"{path} cannot be written by this user: change its owner or `store.path`")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """flock, not a pid file: the kernel frees it however the holder dies."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreOpenError(f"the lock file {lock_path} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise StoreOpenError(
                f"another controller (process {holder}) holds {path}: stop it, or give this one its own `store.path`"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _migrate(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        revision = schema_revision(connection)
        if revision is None and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise StoreOpenError(f"{path} is an SQLite file of something else: give `store.path` another name")
        connection.execute("PRAGMA journal_mode = WAL")
    if revision is not None:
        _refuse_newer(path, revision)
    if revision != REVISIONS[-1]:
        _upgrade(path)


def _refuse_newer(path: Path, revision: str) -> None:
    if revision not in REVISIONS:
        raise StoreOpenError(
            f"{path} was written by a newer Coldwing (schema {revision}, this one knows {REVISIONS[-1]}): "
            "install that version, or give this one its own `store.path`"
        )


def _upgrade(path: Path) -> None:
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)

    # Python's sqlite3 would commit before DDL; with our own BEGIN a killed migration leaves the old schema whole.
    @sa.event.listens_for(engine, "connect")
    def _manual_transactions(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.DBAPIError as error:
        raise StoreOpenError(_explain(path, error.orig or error)) from error
    finally:
        engine.dispose()


def _sync_directory(directory: Path) -> None:
    """The new file's name must survive a power cut as its rows do."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(path: Path, error: BaseException) -> str:
    if "not a database" in str(error):
        return f"{path} is not an SQLite file: give `store.path` another name"
    return f"the store {path} cannot be opened: {error}"
