"""The disk says no, or the process dies: what was acknowledged stays, what was not says so."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet.records.chain import verify
from fleet.store import NewEvent, Put, Store, StoreUnavailableError

ROOT = Path(__file__).resolve().parents[2]


def note(n):
    return NewEvent("order/o-1", 1000.0, "note", {"n": n})


@contextmanager
def no_file_may_grow_beyond(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_the_commit_and_the_store_goes_on_when_there_is_room(tmp_path):
    async with Store.open(tmp_path / "fleet.sqlite3") as store:
        await store.commit(events=[note(1)])
        big = NewEvent("order/o-1", 1000.0, "note", {"n": 2, "fill": "x" * 4_000_000})
        with no_file_may_grow_beyond(1_000_000), pytest.raises(StoreUnavailableError, match="cannot be written"):
            await store.commit(events=[big], puts=[Put("meta", "k", {})])
        assert store.load("meta") == {}
        after = await store.commit(events=[note(3)])
        assert (after[0].seq, after[0].global_seq) == (2, 2)
        assert [e.body["n"] for e in store.events("order/o-1")] == [1, 3]
        assert verify(store.events("order/o-1"), stream="order/o-1").ok
        assert store.stats.failures == 1


async def test_every_commit_is_synced_to_the_disk_before_it_is_acknowledged(tmp_path, monkeypatch):
    levels = []

    class Probe(sqlite3.Connection):
        def execute(self, sql, *parameters):
            if sql == "COMMIT":
                levels.append(super().execute("PRAGMA synchronous").fetchone()[0])
            return super().execute(sql, *parameters)

    connect = sqlite3.connect
    monkeypatch.setattr("fleet.store.writer.sqlite3.connect", lambda *a, **k: connect(*a, **k, factory=Probe))
    async with Store.open(tmp_path / "fleet.sqlite3") as store:
        await store.commit(events=[note(1)])
        await store.commit(events=[note(2)])
    assert levels == [2, 2]  # FULL: in WAL mode, one fsync per transaction


async def test_everyone_who_waits_for_a_failed_transaction_hears_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("fleet.store.writer.BUSY_S", 0.0)
    async with Store.open(tmp_path / "fleet.sqlite3") as store:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        commits = [store.commit(events=[note(n)]) for n in range(5)]
        for commit in commits:
            with pytest.raises(StoreUnavailableError, match="locked"):
                await commit
        other.execute("ROLLBACK")
        other.close()
        assert [e.seq for e in await store.commit(events=[note(9)])] == [1]


async def test_a_store_file_that_was_taken_away_is_reported_and_not_replaced_by_an_empty_one(tmp_path, monkeypatch):
    path = tmp_path / "fleet.sqlite3"
    async with Store.open(path) as store:
        path.rename(tmp_path / "elsewhere.sqlite3")
        with pytest.raises(StoreUnavailableError, match="unable to open"):
            await store.commit(events=[note(1)])
        assert not path.exists()
        (tmp_path / "elsewhere.sqlite3").rename(path)
        assert len(await store.commit(events=[note(2)])) == 1


WRITER = """
import asyncio, sys
from fleet.store import NewEvent, Put, Store

async def work(store, worker, start):
    n = start
    while True:
        n += 1
        put = Put("meta", worker, {"n": n})
        await store.commit(events=[NewEvent(f"order/{worker}", 1.0, "note", {"n": n})], puts=[put])
        print(worker, n, flush=True)

async def main():
    async with Store.open(sys.argv[1]) as store:
        async with asyncio.TaskGroup() as group:
            for worker in "abcd":
                group.create_task(work(store, worker, (store.get("meta", worker) or {"n": 0})["n"]))

asyncio.run(main())
"""


def test_ten_times_killed_while_writing_no_acknowledged_event_is_lost_doubled_or_out_of_order(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    acknowledged = dict.fromkeys("abcd", 0)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for run in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            if line.endswith("\n"):  # the kill may cut the last one
                worker, n = line.split()
                acknowledged[worker] = int(n)
            if count == 5 + 7 * run:
                process.send_signal(signal.SIGKILL)  # the rest of the pipe was acknowledged too: read it out
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    with Store.open_readonly(path) as reader:
        for worker, last in acknowledged.items():
            events = reader.events(f"order/{worker}")
            numbers = [e.body["n"] for e in events]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= last > 0
            assert reader.get("meta", worker) == {"n": len(numbers)}
            assert verify(events, stream=f"order/{worker}").ok
        log = [e.global_seq for worker in "abcd" for e in reader.events(f"order/{worker}")]
        assert sorted(log) == list(range(1, len(log) + 1))
