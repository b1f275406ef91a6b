"""Durable commits: the store's group commit against one commit per row of plain sqlite3, both synchronous FULL."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks.report import report, say
from fleet.store import NewEvent, Store

RUN_S = 5.0
BODY = {"step": "upload", "plan_id": "flight-1-out-1773133200.0", "vehicle_id": "cw-1", "n": 0}


async def ours_per_s(folder: Path, waiters: int) -> float:
    """Each waiter writes one event, awaits its durability and writes the next."""
    count = 0
    async with Store.open(folder / f"ours-{waiters}.sqlite3") as store:
        end_s = time.perf_counter() + RUN_S

        async def write(n: int) -> None:
            nonlocal count
            while time.perf_counter() < end_s:
                await store.commit(events=[NewEvent(f"order/{n}", time.time(), "command", BODY)])
                count += 1

        start_s = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for n in range(waiters):
                tasks.create_task(write(n), name=f"waiter {n}")
        return count / (time.perf_counter() - start_s)


def naive_per_s(folder: Path) -> float:
    """The same rows, without a hash chain, each in a transaction of its own. More waiters only queue."""
    db = sqlite3.connect(folder / "naive.sqlite3")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, stream TEXT, at_s REAL, kind TEXT, body TEXT)")
    db.commit()
    count, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < RUN_S:
        db.execute(
            "INSERT INTO events (stream, at_s, kind, body) VALUES (?, ?, ?, ?)",
            ("order/1", time.time(), "command", str(BODY)),
        )
        db.commit()
        count += 1
    took_s = time.perf_counter() - start_s
    db.close()
    return count / took_s


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        say("plain sqlite3")
        naive = naive_per_s(folder)
        rates = {}
        for waiters in (1, 50):
            say(f"{waiters} waiters")
            rates[waiters] = asyncio.run(ours_per_s(folder, waiters))
    figures: dict[str, object] = {"naive_sqlite3_commits_per_s": round(naive)}
    for waiters, rate in rates.items():
        figures[f"ours_{waiters}_waiters_commits_per_s"] = round(rate)
        figures[f"ratio_{waiters}_waiters"] = round(rate / naive, 2)
    how = (
        f"{RUN_S:g} s each on the disk of the working folder; ours with hash chain and one writer thread; "
        f"naive: sqlite3, WAL, synchronous FULL, one commit per row"
    )
    report("store", figures, how)


if __name__ == "__main__":
    main()
