"""Mission transfer against the scripted vehicle: loss, delay, silence, refusals, rivals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.mavlink.checksum import opaque_id
from fleet.mavlink.exchange import Parties
from fleet.mavlink.messages import Message, MissionAck, MissionCount, MissionItemInt, MissionRequestInt
from fleet.mavlink.timing import RoundTrip
from fleet.mavlink.transfer import Clear, Download, ListType, Rejected, Silent, Stored, Upload, same_list
from tests.mavlink.converse import converse
from tests.mavlink.fake_px4 import FakePx4, crc_of

US = Parties(245, 190, 1)


def route(n: int) -> list[MissionItemInt]:
    return [
        MissionItemInt(0, 0, 0, float("nan"), 75000000 + 100 * k, 382000000, 500.0, k, 16, 1, 1, 5) for k in range(n)
    ]


def measured(rtt_s: float) -> RoundTrip:
    rtt = RoundTrip()
    rtt.sample(rtt_s)
    return rtt


def test_an_upload_ends_with_the_vehicles_own_id_of_what_it_stores() -> None:
    vehicle = FakePx4()
    result, took_s = converse(Upload(US, ListType.MISSION, route(30), RoundTrip()), vehicle)
    assert result == Stored(crc_of(vehicle.lists[0]))
    assert same_list(route(30), vehicle.lists[0])
    assert took_s < 1.0


def test_an_empty_list_is_a_count_of_zero_and_id_zero() -> None:
    vehicle = FakePx4()
    vehicle.lists[1], vehicle.ids[1] = route(3), 5
    result, _ = converse(Upload(US, ListType.FENCE, [], RoundTrip()), vehicle)
    assert result == Stored(0)
    assert vehicle.lists[1] == []


@pytest.mark.parametrize(("rtt_s", "loss"), [(0.2, 0.3), (2.0, 0.3), (2.0, 0.0), (0.05, 0.05)])
def test_loss_and_delay_only_cost_time(rtt_s: float, loss: float) -> None:
    for seed in range(5):
        vehicle = FakePx4()
        result, took_s = converse(
            Upload(US, ListType.MISSION, route(50), measured(rtt_s)), vehicle, rtt_s=rtt_s, loss=loss, seed=seed
        )
        assert isinstance(result, Stored)
        assert result.opaque_id == vehicle.ids[0]
        assert same_list(route(50), vehicle.lists[0])
        assert took_s < 600


def test_a_round_trip_nobody_has_measured_yet_may_be_two_seconds() -> None:
    vehicle = FakePx4()
    result, _ = converse(Upload(US, ListType.MISSION, route(50), RoundTrip()), vehicle, rtt_s=2.0)
    assert isinstance(result, Stored)


def test_a_lost_last_ack_is_asked_for_again() -> None:
    vehicle, lost = FakePx4(), []

    def first_ack(message: Message) -> bool:
        if isinstance(message, MissionAck) and not lost:
            lost.append(message)
            return True
        return False

    result, took_s = converse(Upload(US, ListType.MISSION, route(5), RoundTrip()), vehicle, drop=first_ack)
    assert lost
    assert result == Stored(vehicle.ids[0])
    assert took_s < 5.0
    assert sum(isinstance(m, MissionCount) for m in vehicle.log) == 1, "no second upload was needed"


def test_an_acceptance_before_the_last_item_was_sent_counts_for_nothing() -> None:
    """PX4 acknowledges a repeated item after it gave up: `accepted`, with the id of half a list."""
    upload = Upload(US, ListType.MISSION, route(5), RoundTrip())
    upload.start(0.0)
    upload.receive(MissionRequestInt(0, 245, 190, 0), 0.1)
    upload.receive(MissionAck(245, 190, 0, 0, 1234), 0.2)
    assert upload.result is None


def test_a_vehicle_that_gave_up_is_sent_the_list_anew() -> None:
    vehicle, gone = FakePx4(), [0]

    def middle(message: Message) -> bool:
        if isinstance(message, MissionItemInt) and message.seq == 2 and gone[0] < 40:
            gone[0] += 1
            return True
        return False

    upload = Upload(US, ListType.MISSION, route(5), RoundTrip())
    result, took_s = converse(upload, vehicle, drop=middle)
    assert result == Stored(vehicle.ids[0])
    assert took_s > 5.0


@pytest.mark.parametrize(("rtt_s", "at_once"), [(0.02, 1), (0.2, 2), (0.6, 3), (2.0, 8), (20.0, 9)])
def test_on_a_slow_link_items_are_sent_before_they_are_asked_for(rtt_s: float, at_once: int) -> None:
    upload = Upload(US, ListType.MISSION, route(20), measured(rtt_s))
    upload.start(0.0)
    assert upload.receive(MissionRequestInt(0, 245, 190, 0), 30.0) == upload._items[:at_once]


def test_the_last_item_waits_until_it_is_asked_for_so_that_an_ack_is_about_the_whole_list() -> None:
    upload = Upload(US, ListType.MISSION, route(3), measured(2.0))
    upload.start(0.0)
    assert upload.receive(MissionRequestInt(0, 245, 190, 0), 2.0) == upload._items[:2]
    upload.receive(MissionAck(245, 190, 0, 0, 1234), 4.0)
    assert upload.result is None
    assert upload.receive(MissionRequestInt(2, 245, 190, 0), 4.1) == upload._items[2:]
    upload.receive(MissionAck(245, 190, 0, 0, 42), 6.1)
    assert upload.result == Stored(42)


def test_sending_ahead_saves_four_fifths_of_the_time_on_a_link_of_two_seconds() -> None:
    _, took_s = converse(Upload(US, ListType.MISSION, route(50), measured(2.0)), FakePx4(), rtt_s=2.0)
    assert took_s < 20.0, "one item a round trip would take 102 s"


def test_a_request_that_was_overtaken_by_a_later_one_is_not_answered() -> None:
    """PX4 would acknowledge the old item as if it had been the last."""
    upload = Upload(US, ListType.MISSION, route(9), RoundTrip())
    upload.start(0.0)
    upload.receive(MissionRequestInt(5, 245, 190, 0), 0.1)
    assert not upload.receive(MissionRequestInt(4, 245, 190, 0), 0.2)
    assert upload.receive(MissionRequestInt(0, 245, 190, 0), 0.3), "but a transfer may begin anew"


def test_a_vehicle_that_boots_in_the_middle_is_sent_the_list_anew() -> None:
    vehicle, upload = FakePx4(), Upload(US, ListType.MISSION, route(20), RoundTrip())

    def boots(message: Message) -> bool:
        if isinstance(message, MissionItemInt) and message.seq == 10 and upload.restarts == 0:
            vehicle.__post_init__()
        return False

    result, took_s = converse(upload, vehicle, drop=boots)
    assert result == Stored(vehicle.ids[0])
    assert same_list(route(20), vehicle.lists[0])
    assert took_s < 8.0


def test_a_vehicle_still_busy_with_a_dead_stations_upload_is_left_to_fall_asleep() -> None:
    vehicle = FakePx4()
    vehicle.receive(MissionCount(50, 1, 1, 0), 0.0, source=(99, 190))
    result, took_s = converse(Upload(US, ListType.MISSION, route(3), RoundTrip()), vehicle)
    assert result == Stored(vehicle.ids[0])
    assert took_s < 10.0


@given(
    st.sampled_from(ListType),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(1, 12),
    st.sampled_from([0.02, 2.0]),
    st.sampled_from([0.0, 0.3]),
    st.integers(0, 1 << 30),
)
@settings(max_examples=80, deadline=None)
def test_an_upload_after_one_of_ours_that_was_broken_off_is_never_mixed_with_it(
    kind: ListType, told: int, held: int, count: int, rtt_s: float, loss: float, seed: int
) -> None:
    """The session gave the old one up after some items. PX4 still asks for the next, of the old number and kind."""
    old = [item._replace(z=900.0, mission_type=int(kind)) for item in route(min(held, told - 1))]
    vehicle = FakePx4()
    vehicle.receive(MissionCount(told, 1, 1, int(kind)), 0.0)
    for seq, item in enumerate(old):
        vehicle.receive(item._replace(seq=seq), 0.0)
    upload = Upload(US, ListType.MISSION, route(count), measured(rtt_s))
    result, took_s = converse(upload, vehicle, rtt_s=rtt_s, loss=loss, seed=seed)
    assert result == Stored(vehicle.ids[0]) == Stored(opaque_id(route(count)))
    assert same_list(route(count), vehicle.lists[0])
    assert took_s < 30.0 or loss, "one that took the old number of items is found out by its silence"


def test_another_stations_transfer_is_not_cancelled() -> None:
    vehicle = FakePx4()
    vehicle.receive(MissionCount(2, 1, 1, 0), 0.0, source=(99, 190))
    for item in Upload(US, ListType.MISSION, route(2), RoundTrip())._cancel():
        assert not any(isinstance(m, MissionAck) for m in vehicle.receive(item, 0.1))
    theirs = [m for item in route(2) for m in vehicle.receive(item, 0.2, source=(99, 190))]
    assert MissionAck(99, 190, 0, 0, crc_of(vehicle.lists[0])) in theirs


def test_an_upload_right_after_a_download_whose_last_word_was_lost_waits_for_the_vehicle() -> None:
    vehicle = FakePx4()
    converse(Upload(US, ListType.MISSION, route(3), RoundTrip()), vehicle)
    download = Download(US, ListType.MISSION, RoundTrip())
    converse(download, vehicle, drop=lambda m: isinstance(m, MissionAck))
    result, took_s = converse(Upload(US, ListType.FENCE, [], RoundTrip()), vehicle)
    assert result == Stored(0)
    assert took_s < 10.0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.floats(0.01, 3.0),
    st.floats(0.0, 0.5),
    st.sampled_from([0.0, 0.05, 0.6]),
    st.integers(0, 1 << 30),
)
def test_what_is_said_to_be_stored_is_stored_however_messages_are_lost_delayed_and_overtaken(
    size: int, rtt_s: float, loss: float, jitter_s: float, seed: int
) -> None:
    vehicle, wanted = FakePx4(), route(size)
    how: dict[str, Any] = {"rtt_s": rtt_s, "loss": loss, "jitter_s": jitter_s, "seed": seed}
    result, _ = converse(Upload(US, ListType.MISSION, wanted, measured(rtt_s)), vehicle, **how)
    if loss < 0.3:
        assert isinstance(result, Stored)
    if isinstance(result, Stored):
        assert result.opaque_id == vehicle.ids[0]
        assert same_list(wanted, vehicle.lists[0])
    held, _ = converse(Download(US, ListType.MISSION, measured(rtt_s)), vehicle, **how)
    assert not isinstance(held, Stored) or (same_list(wanted, held.items) and held.opaque_id == vehicle.ids[0])


def test_silence_is_an_answer_after_a_while() -> None:
    result, took_s = converse(Upload(US, ListType.MISSION, route(5), RoundTrip()), FakePx4(silent=True))
    assert isinstance(result, Silent)
    assert 10 < took_s < 60


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([route(1)[0]._replace(frame=7)], 2),
        (route(600), 4),
        ([route(1)[0]._replace(command=5001)], 1),
    ],
    ids=["a frame it does not know", "too many items", "a fence item in a mission"],
)
def test_a_refused_list_leaves_the_old_one(items: list[MissionItemInt], code: int) -> None:
    vehicle = FakePx4()
    converse(Upload(US, ListType.MISSION, route(3), RoundTrip()), vehicle)
    old = vehicle.ids[0]
    result, _ = converse(Upload(US, ListType.MISSION, items, RoundTrip()), vehicle)
    assert isinstance(result, Rejected)
    assert result.code == code
    assert vehicle.ids[0] == old


def test_an_error_while_the_vehicle_goes_on_asking_is_not_the_end() -> None:
    """A repeated COUNT is answered with ERROR, and the transfer goes on."""
    upload = Upload(US, ListType.MISSION, route(2), RoundTrip())
    upload.start(0.0)
    upload.receive(MissionRequestInt(0, 245, 190, 0), 0.1)
    upload.receive(MissionAck(245, 190, 1, 0, 0), 0.2)
    assert upload.receive(MissionRequestInt(1, 245, 190, 0), 0.3)
    upload.tick(1.4)
    upload.receive(MissionAck(245, 190, 0, 0, 42), 1.5)
    assert upload.result == Stored(42)


def test_a_rival_that_never_ends_is_reported() -> None:
    vehicle = FakePx4()
    vehicle.receive(MissionCount(50, 1, 1, 0), 0.0, source=(99, 190))
    vehicle.tick = lambda now_s: []  # type: ignore[method-assign]
    result, _ = converse(Upload(US, ListType.MISSION, route(3), RoundTrip()), vehicle)
    assert isinstance(result, Rejected)
    assert "busy with another transfer" in str(result)


def test_messages_for_another_station_or_list_are_not_ours() -> None:
    upload = Upload(US, ListType.MISSION, route(2), RoundTrip())
    upload.start(0.0)
    assert not upload.receive(MissionRequestInt(0, 99, 190, 0), 0.1)
    assert upload.receive(MissionRequestInt(0, 245, 190, 0), 0.1)
    assert not upload.receive(MissionRequestInt(0, 245, 190, 1), 0.1)


@pytest.mark.parametrize(("rtt_s", "loss"), [(0.02, 0.0), (0.2, 0.3), (2.0, 0.3)])
def test_a_download_gives_back_what_is_stored(rtt_s: float, loss: float) -> None:
    vehicle = FakePx4()
    converse(Upload(US, ListType.RALLY, route(20), RoundTrip()), vehicle)
    result, _ = converse(
        Download(US, ListType.RALLY, measured(rtt_s)), vehicle, rtt_s=rtt_s, loss=loss, seed=3, limit_s=1500
    )
    assert isinstance(result, Stored)
    assert result.opaque_id == vehicle.ids[2]
    assert same_list(route(20), result.items)


def test_a_download_of_nothing_is_an_empty_list() -> None:
    assert converse(Download(US, ListType.FENCE, RoundTrip()), FakePx4())[0] == Stored(0, ())


def test_clearing_empties_the_list_despite_loss() -> None:
    vehicle = FakePx4()
    vehicle.lists[2], vehicle.ids[2] = route(2), 9
    result, _ = converse(Clear(US, ListType.RALLY, RoundTrip()), vehicle, loss=0.5, seed=2)
    assert result == Stored(0)
    assert vehicle.lists[2] == []


def test_a_list_read_back_with_px4s_habits_is_the_same_and_a_moved_point_is_not() -> None:
    sent = [route(1)[0], route(1)[0]._replace(frame=3, command=5100)]
    held = [sent[0]._replace(param4=0.0), sent[1]._replace(frame=6)]
    assert same_list(sent, held)
    assert not same_list(sent, [held[0]._replace(x=sent[0].x + 2), held[1]])
    assert not same_list(sent, [held[0]._replace(z=500.1), held[1]])
    assert not same_list(sent, [held[0]._replace(param1=1.0), held[1]])
    assert not same_list(sent, held[:1])
