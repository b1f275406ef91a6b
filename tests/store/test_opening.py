import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from fleet.store import NewEvent, Store, StoreOpenError
from fleet.store.opening import MIGRATIONS, REVISIONS
from fleet.store.schema import metadata


async def open_and_close(path):
    async with Store.open(path):
        pass


async def test_a_new_store_makes_its_folder_but_not_a_longer_path(tmp_path):
    await open_and_close(tmp_path / "var" / "fleet.sqlite3")
    with pytest.raises(StoreOpenError, match=r"does not exist.*mkdir -p .*nowhere/at/all"):
        await open_and_close(tmp_path / "nowhere" / "at" / "all" / "fleet.sqlite3")


async def test_the_migrations_add_up_to_the_declared_tables(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    await open_and_close(path)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_file_names_of_the_migrations_are_alembic_s_revisions_in_order():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert [r.revision for r in reversed(list(script.walk_revisions()))] == list(REVISIONS)


async def test_a_second_controller_on_the_same_store_is_refused_and_told_who_holds_it(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    async with Store.open(path):
        with pytest.raises(StoreOpenError, match=f"another controller \\(process {os.getpid()}\\) holds"):
            await open_and_close(path)
    await open_and_close(path)


async def test_a_store_of_a_newer_version_is_refused_untouched(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    await open_and_close(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreOpenError, match=r"newer Coldwing \(schema 9999"):
        await open_and_close(path)
    with pytest.raises(StoreOpenError, match="newer Coldwing"), Store.open_readonly(path):
        pass


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p: p.mkdir(), "is a directory"),
        (lambda p: p.write_text("not a database, but long enough to have a header" * 30), "is not an SQLite file"),
        (lambda p: sqlite3.connect(p).execute("CREATE TABLE pets (name)").connection.close(), "of something else"),
    ],
    ids=["a directory", "a text file", "another program's database"],
)
async def test_what_is_no_store_is_refused_with_a_sentence(tmp_path, make, complaint):
    path = tmp_path / "fleet.sqlite3"
    make(path)
    with pytest.raises(StoreOpenError, match=complaint):
        await open_and_close(path)


async def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(StoreOpenError, match=r"cannot be (written by this user|opened)"):
        await open_and_close(Path("/proc/fleet.sqlite3"))  # not even by root


async def test_a_migration_that_is_cut_short_leaves_the_old_schema_whole(tmp_path, monkeypatch):
    broken = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, broken)
    initial = broken / "versions" / "0001_initial.py"
    initial.write_text(initial.read_text() + "\n_upgrade = upgrade\ndef upgrade():\n    _upgrade()\n    1 / 0\n")
    monkeypatch.setattr("fleet.store.opening.MIGRATIONS", broken)
    path = tmp_path / "fleet.sqlite3"
    with pytest.raises(ZeroDivisionError):
        await open_and_close(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    monkeypatch.undo()
    await open_and_close(path)


async def test_a_reader_works_beside_a_running_controller_and_on_a_store_at_rest(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    async with Store.open(path) as store:
        with Store.open_readonly(path) as reader:
            assert reader.streams() == []
            await store.commit(events=[NewEvent("order/o-1", 1.0, "note", {})])
            assert reader.streams() == ["order/o-1"]
    with Store.open_readonly(path) as reader:
        assert len(reader.events("order/o-1")) == 1


def test_a_reader_does_not_make_a_store_that_is_not_there(tmp_path):
    with pytest.raises(StoreOpenError, match="there is no store"), Store.open_readonly(tmp_path / "fleet.sqlite3"):
        pass
    assert list(tmp_path.iterdir()) == []


async def test_a_reader_refuses_a_file_that_no_controller_has_prepared(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    path.touch()
    with pytest.raises(StoreOpenError, match="not a Coldwing store"), Store.open_readonly(path):
        pass
