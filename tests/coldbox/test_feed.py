"""The feed over a real broker and without one."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress

import aiomqtt
import pytest
import structlog
from paho.mqtt.publish import multiple as publish_all

from fleet.coldbox import FIRST_RETRY_S, LAST_RETRY_S, ColdBoxFeed, Refusal, sign
from fleet.config import MqttConfig

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")
KEY = b"a key of box two"
IN_FLIGHT = 20
"""messages that mosquitto sends before it waits for an answer"""


class FakeClock:
    """Time passes only when somebody sleeps; `sleeping` lets a test end there."""

    def __init__(self) -> None:
        self.time_s = 1000.0
        self.slept: list[float] = []
        self.enough = asyncio.Event()

    def now_s(self) -> float:
        return self.time_s

    async def sleep(self, duration_s: float) -> None:
        self.time_s += duration_s
        self.slept.append(duration_s)
        if len(self.slept) >= 8:
            self.enough.set()
        await asyncio.sleep(0.01)  # let the broker's port be tried again soon

    def wall_s(self, duration_s: float) -> float:
        return duration_s


def message(seq, boot="b-1", **more):
    body = {
        "boot_id": boot,
        "seq": seq,
        "box_time": f"2026-11-21T08:{seq // 60:02}:{seq % 60:02}.000Z",
        "temp_c": [4.0],
    }
    return body | more


def make_feed(port=1, boxes=("box-1", "box-2"), on_sample: Callable | None = None, **more):
    got = []
    mqtt = MqttConfig("127.0.0.1", port, client_id="coldwing-test")
    feed = ColdBoxFeed(
        mqtt, boxes, {"box-2": KEY}, FakeClock(), on_sample or (lambda s, at: got.append((s.box_id, s.seq, at))), **more
    )
    return feed, got


def deliver(feed, seq, box="box-1", **more):
    feed.receive(f"coldwing/v1/boxes/{box}/samples", json.dumps(message(seq, **more)).encode())


async def test_a_sample_is_handed_on_with_its_receive_time():
    feed, got = make_feed()
    deliver(feed, 1)
    assert got == [("box-1", 1, 1000.0)]
    assert feed.accepted == 1


async def test_refused_messages_are_counted_by_reason_and_named_and_the_log_stays_short():
    feed, got = make_feed()
    with structlog.testing.capture_logs() as lines:
        for _ in range(1000):
            feed.receive("coldwing/v1/boxes/box-9/samples", b"{}")
        feed.receive("coldwing/v1/boxes/box-1/samples", b"{}", retained=True)
        feed.receive("coldwing/v1/boxes/box-1/samples", b"{}")
        feed.receive("coldwing/v1/boxes/box-1/more/samples", b"{}")
    assert got == []
    assert feed.refused == {Refusal.UNKNOWN_BOX: 1001, Refusal.RETAINED: 1, Refusal.INVALID: 1}
    assert len(feed.refusals) == 50
    assert feed.refusals[-2][2].text == "boot_id is missing"
    assert len(lines) == 12


async def test_a_box_cannot_speak_for_another():
    feed, got = make_feed()
    body = message(1)
    forged = body | {"hmac": sign(body, b"a key of box one")}
    for payload in (body, forged):
        feed.receive("coldwing/v1/boxes/box-2/samples", json.dumps(payload).encode())
    assert got == []
    assert feed.refused == {Refusal.UNSIGNED: 1, Refusal.FORGED: 1}


async def test_a_message_that_comes_twice_is_taken_once_also_across_a_restart():
    feed, got = make_feed()
    deliver(feed, 1)
    deliver(feed, 1)
    again, got_again = make_feed(replay_state=json.loads(json.dumps(feed.replay_state())))
    deliver(again, 1)
    deliver(again, 2)
    assert [seq for _, seq, _ in got] == [1]
    assert [seq for _, seq, _ in got_again] == [2]
    assert again.refused == {Refusal.REPEATED: 1}


async def test_a_forged_message_does_not_use_up_the_seq_of_the_real_one():
    feed, got = make_feed()
    body = message(7)
    deliver(feed, 7, box="box-2", hmac="00" * 32)
    deliver(feed, 7, box="box-2", hmac=sign(body, KEY))
    assert [seq for _, seq, _ in got] == [7]


async def test_a_consumer_that_fails_does_not_end_the_feed():
    def broken(sample, at_s):
        raise RuntimeError("boom")

    feed, _ = make_feed(on_sample=broken)
    with structlog.testing.capture_logs() as lines:
        deliver(feed, 1)
        deliver(feed, 2)
    assert feed.accepted == 2
    assert [line["seq"] for line in lines] == [1, 2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def running(feed):
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not feed.connected


@asynccontextmanager
async def broker(port, folder):
    """A real mosquitto on loopback."""
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = await asyncio.create_subprocess_exec(
        str(MOSQUITTO), "-c", str(config), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await until(lambda: reachable(port))
        yield
    finally:
        process.terminate()
        await process.wait()


def reachable(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(condition):
    """Polls an outside process; the bound is for a broken test only."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def publish(port, *bodies, box="box-1"):
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for body in bodies:
            await client.publish(f"coldwing/v1/boxes/{box}/samples", json.dumps(body), qos=1)


async def test_without_a_broker_the_status_says_so_and_the_waits_grow_up_to_a_limit():
    feed, _ = make_feed(free_port())
    async with running(feed):
        await feed._clock.enough.wait()
        assert not feed.connected
        assert feed.status.startswith("no cold-box samples from mqtt://127.0.0.1:")
        assert "refused" in feed.status
    assert feed._clock.slept[:7] == [FIRST_RETRY_S, 2.0, 4.0, 8.0, 16.0, LAST_RETRY_S, LAST_RETRY_S]


@needs_broker
async def test_a_broker_that_comes_late_goes_away_and_comes_back_is_found_each_time(tmp_path):
    port = free_port()
    feed, got = make_feed(port)
    async with running(feed):
        await until(lambda: feed._clock.slept)
        async with broker(port, tmp_path):
            await until(lambda: feed.connected)
            assert feed.status == "ok"
            await publish(port, message(1))
            await until(lambda: len(got) == 1)
        await until(lambda: not feed.connected and feed.status != "ok")
        async with broker(port, tmp_path):
            await until(lambda: feed.connected)
            await publish(port, message(1), message(2))
            await until(lambda: len(got) == 2)
    assert [seq for _, seq, _ in got] == [1, 2]


@needs_broker
async def test_what_many_boxes_send_at_once_is_taken_in_few_turns_of_the_loop(tmp_path):
    """A turn in which a route is planned lasts milliseconds: with a sample each the last of 200 would wait a second."""
    port, turns = free_port(), 0
    async with broker(port, tmp_path):
        feed, got = make_feed(port)
        async with running(feed):
            await until(lambda: feed.connected)
            sent = [("coldwing/v1/boxes/box-1/samples", json.dumps(message(seq)), 1, False) for seq in range(IN_FLIGHT)]
            publish_all(sent, "127.0.0.1", port)  # the loop stands still meanwhile
            time.sleep(0.2)  # noqa: ASYNC251
            while len(got) < IN_FLIGHT and turns < 1000:
                turns += 1
                await asyncio.sleep(0.0)
    assert [seq for _, seq, _ in got] == list(range(IN_FLIGHT))
    assert turns <= IN_FLIGHT / 4


@needs_broker
async def test_samples_sent_while_the_controller_was_away_arrive_afterwards_once(tmp_path):
    port = free_port()
    async with broker(port, tmp_path):
        feed, got = make_feed(port)
        async with running(feed):
            await until(lambda: feed.connected)
            await publish(port, message(1))
            await until(lambda: got)
        await publish(port, message(2), message(3))
        again, got_again = make_feed(port, replay_state=feed.replay_state())
        async with running(again):
            await publish(port, message(4))
            await until(lambda: len(got_again) == 3)
    assert [seq for _, seq, _ in got_again] == [2, 3, 4]


@needs_broker
async def test_retained_and_foreign_topics_are_refused_at_a_real_broker_too(tmp_path):
    port = free_port()
    async with broker(port, tmp_path):
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.publish("coldwing/v1/boxes/box-1/samples", json.dumps(message(1)), qos=1, retain=True)
        feed, got = make_feed(port)
        async with running(feed):
            await until(lambda: feed.connected)
            await publish(port, message(2), box="box-7")
            await publish(port, message(3))
            await until(lambda: got)
    assert [seq for _, seq, _ in got] == [3]
    assert feed.refused == {Refusal.RETAINED: 1, Refusal.UNKNOWN_BOX: 1}
