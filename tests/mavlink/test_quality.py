"""Link quality, our heartbeat, thinning of the vehicle's streams."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink.beacon import Beacon
from fleet.mavlink.messages import CommandLong, Ping, TimeSync
from fleet.mavlink.quality import LinkMeter
from fleet.mavlink.thinning import WANTED_HZ, Thinning
from fleet.mavlink.timing import RoundTrip


def test_loss_is_what_the_sequence_numbers_miss() -> None:
    meter, chance = LinkMeter(RoundTrip()), random.Random(1)
    for n in range(4000):
        if chance.random() >= 0.3:
            meter.count(n & 0xFF, n / 100)
    assert meter.loss_pct is not None
    assert 25 < meter.loss_pct < 35


def test_numbers_that_wrap_or_come_late_or_twice_are_no_loss() -> None:
    meter = LinkMeter(RoundTrip())
    for seq in (254, 255, 0, 1, 3, 2, 4, 4):
        meter.count(seq, 1.0)
    assert meter.loss_pct == 0.0


def test_loss_is_forgotten_after_two_windows() -> None:
    meter = LinkMeter(RoundTrip())
    for n in range(2000):
        if n < 400 and n % 2:
            continue
        meter.count(n & 0xFF, n / 100)
    assert meter.loss_pct == 0.0


def test_the_round_trip_comes_from_our_own_timesync_only() -> None:
    meter = LinkMeter(RoundTrip())
    (question,) = meter.tick(1000.0)
    assert isinstance(question, TimeSync)
    meter.receive(TimeSync(0, 5), 1000.1)
    assert meter.rtt.rtt_s is None
    meter.receive(TimeSync(42, question.ts1), 1000.25)
    assert meter.rtt.rtt_s is not None
    assert abs(meter.rtt.rtt_s - 0.25) < 1e-6
    assert not meter.tick(1000.3)


def test_an_answer_to_another_stations_question_or_a_second_one_to_ours_is_not_measured() -> None:
    meter = LinkMeter(RoundTrip())
    (question,) = meter.tick(1000.0)
    assert isinstance(question, TimeSync)
    meter.receive(TimeSync(42, question.ts1 - 3_000_000_000), 1000.1)
    assert meter.rtt.rtt_s is None
    meter.receive(TimeSync(42, question.ts1), 1000.2)
    meter.receive(TimeSync(42, question.ts1), 1005.2)
    assert meter.rtt.rtt_s is not None
    assert abs(meter.rtt.rtt_s - 0.2) < 1e-6


def test_ping_is_asked_too_where_timesync_goes_unanswered() -> None:
    meter = LinkMeter(RoundTrip())
    assert [type(q) for n in range(2) for q in meter.tick(1000.0 + n)] == [TimeSync, TimeSync]
    _, ping = meter.tick(1002.0)
    assert isinstance(ping, Ping)
    assert (ping.target_system, ping.target_component) == (0, 0), "a question; PX4's answer names who asked"
    meter.receive(ping, 1002.1)
    assert meter.rtt.rtt_s is None, "the vehicle's own question"
    meter.receive(ping._replace(target_system=245, target_component=190), 1002.3)
    assert meter.rtt.rtt_s is not None
    assert abs(meter.rtt.rtt_s - 0.3) < 1e-6
    assert [type(q) for q in meter.tick(1010.0)] == [TimeSync]


@given(st.lists(st.floats(0.001, 5.0), min_size=1, max_size=50))
def test_the_time_out_is_never_shorter_than_the_smoothed_round_trip(samples: list[float]) -> None:
    rtt = RoundTrip()
    for sample in samples:
        rtt.sample(sample)
    assert rtt.rtt_s is not None
    assert rtt.timeout_s >= max(0.3, rtt.rtt_s)
    waits = [rtt.backoff_s(n) for n in range(10)]
    assert waits == sorted(waits)


def test_heartbeats_stop_within_two_seconds_of_a_hung_control_loop_and_come_back() -> None:
    beacon, sent = Beacon(0.0), list[float]()
    for tenth in range(150):
        now_s = tenth / 10
        if now_s < 5 or now_s >= 12:
            beacon.beat(now_s)
        if beacon.due(now_s):
            sent.append(now_s)
    assert [round(t) for t in sent if t < 5] == [0, 1, 2, 3, 4]
    assert not [t for t in sent if 7.0 < t < 12]
    assert [t for t in sent if t >= 12]


def thinned(sends_hz: dict[int, float], obeys: set[int], seconds: float = 60.0) -> tuple[dict[int, float], int]:
    """Rates at the end, and how many commands it took. The vehicle obeys for the messages in `obeys`."""
    thinning, rates, debt, commands = Thinning(), dict(sends_hz), dict.fromkeys(sends_hz, 0.0), 0
    for quarter in range(int(seconds * 4)):
        for msg_id, hz in rates.items():
            debt[msg_id] += hz / 4
            while debt[msg_id] >= 1:
                debt[msg_id] -= 1
                thinning.counts[msg_id] += 1
        for message in thinning.tick(quarter / 4):
            assert isinstance(message, CommandLong)
            commands += 1
            msg_id = int(message.param1)
            if msg_id in obeys:
                rates[msg_id] = 0.0 if message.param2 < 0 else 1e6 / message.param2
                debt.setdefault(msg_id, 0.0)
    return rates, commands


DEFAULTS = {
    0: 1.0,
    30: 100.0,
    31: 50.0,
    33: 50.0,
    105: 50.0,
    1: 5.0,
    245: 5.0,
    74: 10.0,
    42: 1.0,
    147: 0.5,
    242: 0.5,
    2: 1.0,
}


def test_a_px4_at_its_defaults_is_thinned_to_what_a_controller_needs() -> None:
    rates, commands = thinned(DEFAULTS, set(range(1000)))
    assert {msg_id: hz for msg_id, hz in rates.items() if hz > 0} == {0: 1.0, 42: 1.0} | WANTED_HZ
    assert sum(rates.values()) < 15
    assert commands < 20


def test_a_stream_that_cannot_be_set_is_left_alone_for_a_while() -> None:
    _, commands = thinned(DEFAULTS, set(), seconds=300)
    assert commands < 5 * 4 * (len(DEFAULTS) + 2)


def test_a_rebooted_vehicle_is_thinned_again() -> None:
    thinning = Thinning()
    for second in range(20):
        for _ in range(50):
            thinning.counts[30] += 1
        thinning.tick(float(second))
    thinning.restart()
    thinning.tick(30.0)
    for _ in range(50):
        thinning.counts[30] += 1
    thinning.tick(31.0)
    assert any(isinstance(m, CommandLong) and m.param1 == 30 for m in thinning.tick(31.25))
