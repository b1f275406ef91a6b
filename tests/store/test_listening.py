import asyncio

import pytest

from fleet.store import NewEvent, Store


@pytest.fixture
async def store(tmp_path):
    async with Store.open(tmp_path / "fleet.sqlite3") as opened:
        yield opened


def note(n, stream="order/o-1"):
    return NewEvent(stream, 1000.0, "note", {"n": n})


async def test_listeners_hear_every_event_in_the_order_of_the_log_before_the_commit_returns(store):
    heard = []
    store.subscribe(lambda event: heard.append(event.global_seq))
    await asyncio.gather(*(store.commit(events=[note(n, f"order/{n % 3}"), note(n)]) for n in range(20)))
    assert heard == list(range(1, 41))


async def test_a_listener_that_fails_harms_neither_the_commit_nor_the_other_listeners(store, caplog):
    heard = []

    def broken(event):
        raise RuntimeError("boom")

    store.subscribe(broken)
    store.subscribe(lambda event: heard.append(event.seq))
    await store.commit(events=[note(1)])
    assert heard == [1]
    assert "a listener failed" in caplog.text


async def test_a_listener_that_left_hears_nothing_more(store):
    heard = []
    leave = store.subscribe(lambda event: heard.append(event.seq))
    await store.commit(events=[note(1)])
    leave()
    leave()
    await store.commit(events=[note(2)])
    assert heard == [1]


async def collect(store, count, after_seq=0, stream="order/o-1"):
    seen = []
    async for event in store.follow(stream, after_seq):
        seen.append(event.seq)
        if len(seen) == count:
            break
        await asyncio.sleep(0)  # a follower that is sometimes behind
    return seen


async def test_a_follower_gets_the_stored_events_and_then_the_new_ones_each_once(store):
    await store.commit(events=[note(n) for n in range(10)])
    early = asyncio.create_task(collect(store, 60))
    writes = [store.commit(events=[note(n), note(n, "order/other")]) for n in range(25)]
    late = asyncio.create_task(collect(store, 55, after_seq=5))
    await asyncio.gather(*writes)
    await asyncio.gather(*(store.commit(events=[note(n)]) for n in range(25)))
    assert await early == list(range(1, 61))
    assert await late == list(range(6, 61))


async def test_a_follower_far_behind_reads_page_by_page(store):
    await store.commit(events=[note(n) for n in range(1203)])
    assert await collect(store, 1203) == list(range(1, 1204))


async def test_followers_end_when_the_store_closes(tmp_path):
    seen, both = [], asyncio.Event()

    async def watch(store):
        async for event in store.follow("order/o-1"):
            seen.append(event.seq)
            if event.seq == 2:
                both.set()

    async with Store.open(tmp_path / "fleet.sqlite3") as store:
        await store.commit(events=[note(1)])
        follower = asyncio.create_task(watch(store))
        await store.commit(events=[note(2)])
        await both.wait()
    await follower
    assert seen == [1, 2]
