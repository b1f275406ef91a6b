import asyncio
import sqlite3

import pytest

from fleet.records.chain import genesis, verify
from fleet.store import IdempotencyConflictError, IdempotencyKey, NewEvent, Put, Store, StoreUnavailableError


@pytest.fixture
async def store(tmp_path):
    async with Store.open(tmp_path / "fleet.sqlite3") as opened:
        yield opened


def note(stream="order/o-1", kind="note", **body):
    return NewEvent(stream, 1000.0, kind, body)


async def test_events_get_their_place_in_the_stream_and_in_the_log(store):
    first = await store.commit(events=[note(n=1), note("airspace", n=2)])
    second = await store.commit(events=[note(n=3)])
    assert [(e.stream, e.seq, e.global_seq) for e in first + second] == [
        ("order/o-1", 1, 1),
        ("airspace", 1, 2),
        ("order/o-1", 2, 3),
    ]
    assert first[0].prev_hash == genesis("order/o-1")
    assert second[0].prev_hash == first[0].hash
    assert store.events("order/o-1") == [first[0], second[0]]
    assert store.head("order/o-1") == (2, second[0].hash)
    assert store.streams() == ["airspace", "order/o-1"]


async def test_events_are_read_from_a_place_on_and_up_to_a_limit(store):
    await store.commit(events=[note(n=n) for n in range(1, 8)])
    assert [e.seq for e in store.events("order/o-1", after_seq=3, limit=2)] == [4, 5]
    assert store.events("order/unknown") == []
    assert store.head("order/unknown") == (0, genesis("order/unknown"))


async def test_current_state_is_replaced_deleted_and_kept_apart_by_table(store):
    await store.commit(puts=[Put("orders", "a", {"n": 1}), Put("orders", "b", {"n": 2}), Put("zones", "a", {"z": 1})])
    await store.commit(puts=[Put("orders", "a", {"n": 3}), Put("orders", "b", None), Put("orders", "never", None)])
    assert store.load("orders") == {"a": {"n": 3}}
    assert store.get("zones", "a") == {"z": 1}
    assert store.get("orders", "b") is None


async def test_what_was_committed_is_there_after_opening_again(tmp_path):
    path = tmp_path / "fleet.sqlite3"
    async with Store.open(path) as store:
        written = await store.commit(events=[note(n=1)], puts=[Put("meta", "k", {"v": "é"})])
    async with Store.open(path) as store:
        assert store.events("order/o-1") == written
        assert store.get("meta", "k") == {"v": "é"}
        more = await store.commit(events=[note(n=2)])
        assert (more[0].seq, more[0].global_seq, more[0].prev_hash) == (2, 2, written[0].hash)


async def test_an_idempotency_key_that_was_used_stops_the_whole_commit_and_gives_the_first_use(store):
    first = IdempotencyKey("ward", "key-1", "fp-1", "o-1")
    await store.commit(events=[note(n=1)], idempotency=first)
    with pytest.raises(IdempotencyConflictError) as conflict:
        await store.commit(
            events=[note("order/o-2")],
            puts=[Put("orders", "o-2", {})],
            idempotency=IdempotencyKey("ward", "key-1", "fp-2", "o-2"),
        )
    assert conflict.value.stored == first
    assert store.events("order/o-2") == []
    assert store.load("orders") == {}
    assert store.find_idempotency("ward", "key-1") == first
    assert store.find_idempotency("other", "key-1") is None
    await store.commit(idempotency=IdempotencyKey("other", "key-1", "fp-2", "o-3"))


async def test_a_hundred_concurrent_posts_with_one_key_make_one_order(store):
    async def place(n):
        try:
            await store.commit(
                events=[note(f"order/o-{n}")], idempotency=IdempotencyKey("ward", "same", "fp", f"o-{n}")
            )
        except IdempotencyConflictError as conflict:
            return conflict.stored.order_id
        return f"o-{n}"

    answers = await asyncio.gather(*(place(n) for n in range(100)))
    assert set(answers) == {"o-0"}
    assert store.streams() == ["order/o-0"]


async def test_commits_that_wait_for_the_disk_together_share_one_transaction(store):
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the disk is busy
    commits = [store.commit(events=[note(f"order/{n % 7}", n=n)]) for n in range(100)]
    other.execute("COMMIT")
    other.close()
    await asyncio.gather(*commits)
    assert store.stats.commits == 100
    assert store.stats.transactions <= 2  # the one that was under way, and all that came meanwhile


async def test_commits_are_written_in_the_order_of_their_calls_awaited_or_not(store):
    last = [store.commit(events=[note(n=n)], puts=[Put("meta", "k", {"n": n})]) for n in range(50)][-1]
    await last
    assert [e.body["n"] for e in store.events("order/o-1")] == list(range(50))
    assert store.get("meta", "k") == {"n": 49}


async def test_cancelling_the_wait_does_not_take_the_commit_back(store):
    waiting = asyncio.ensure_future(store.commit(events=[note(n=1)]))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.commit(events=[note(n=2)])
    assert [e.body["n"] for e in store.events("order/o-1")] == [1, 2]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ({"events": [note(x=float("nan"))]}, "JSON compliant"),
        ({"events": [NewEvent("order/o-1", float("inf"), "note", {})]}, "JSON compliant"),
        ({"events": [NewEvent("", 1.0, "note", {})]}, "stream"),
        ({"events": [NewEvent("order/o-1", 1.0, "a\nb", {})]}, "kind"),
        ({"puts": [Put("patients", "a", {})]}, "no table 'patients'"),
    ],
)
async def test_what_json_cannot_hold_is_refused_before_it_is_queued(store, bad, complaint):
    with pytest.raises(ValueError, match=complaint):
        store.commit(**bad)
    assert store.streams() == []


async def test_odd_but_honest_values_do_not_break_the_chain(store):
    for at_s in (-0.0, 1, 1e300, 1763712000.123456):
        await store.commit(events=[NewEvent("order/o-1", at_s, "note", {"text": "\x00 é \U0001f9ca", "n": [1, 1.0]})])
    assert verify(store.events("order/o-1"), stream="order/o-1").ok


async def test_the_log_cannot_be_edited_by_sql(store):
    await store.commit(events=[note(n=1)])
    other = sqlite3.connect(store.path)
    for statement in ("UPDATE events SET body = '{}'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(statement)
    other.close()


async def test_after_closing_a_commit_says_so(tmp_path):
    async with Store.open(tmp_path / "fleet.sqlite3") as store:
        queued = store.commit(events=[note(n=1)])
    assert len(await queued) == 1  # what was queued before is written
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.commit(events=[note(n=2)])
