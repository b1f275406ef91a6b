"""A finished mission where MISSION_CURRENT does not say so: PX4's own word counts, for that mission alone."""

from __future__ import annotations

from fleet.mavlink.messages import GlobalPositionInt, Heartbeat, Message, MissionCurrent, MissionItemReached, StatusText
from fleet.mavlink.reduce import Track
from missions.snapshot import MissionState

HOLD, MISSION = (Heartbeat(custom_mode, 2, 12, 157, 4) for custom_mode in (0x03040000, 0x04040000))
FINISHED = StatusText(6, b"Mission finished, loitering\t".ljust(50, b"\0"))


def current(seq: int, *, plan: int = 11, total: int = 4, state: int = 0) -> MissionCurrent:
    return MissionCurrent(seq, total, state, 0, plan, 22, 33)


def told(track: Track, *messages: Message, at_s: float = 100.0) -> MissionState:
    for message in messages:
        track.reduce(message, at_s)
    mission = track.state().mission
    assert mission is not None
    return mission.value.state


def at_the_last_item() -> Track:
    track = Track("cw-1")
    assert told(track, MISSION, current(2), MissionItemReached(2), current(3)) is MissionState.UNKNOWN
    return track


def test_the_last_item_reached_completes_the_mission_and_it_stays_so_in_hold() -> None:
    track = at_the_last_item()
    assert told(track, MissionItemReached(3)) is MissionState.COMPLETE
    assert told(track, HOLD, current(3), at_s=101.0) is MissionState.COMPLETE


def test_the_words_do_where_the_message_was_lost() -> None:
    assert told(at_the_last_item(), FINISHED) is MissionState.COMPLETE


def test_holding_at_the_last_item_or_over_its_place_is_no_completion() -> None:
    track = at_the_last_item()
    over_it = GlobalPositionInt(1000, 75000000, 382000000, 428000, 8000, 0, 0, 0, 0)
    assert told(track, HOLD, over_it, current(3), at_s=101.0) is MissionState.UNKNOWN


def test_an_item_on_the_way_completes_nothing() -> None:
    track = Track("cw-1")
    assert told(track, MISSION, current(2), MissionItemReached(2), FINISHED) is MissionState.UNKNOWN


def test_the_next_mission_is_not_complete_by_the_last_ones_word() -> None:
    track = at_the_last_item()
    told(track, MissionItemReached(3), HOLD, current(3))
    assert told(track, current(0, plan=12), at_s=103.0) is MissionState.UNKNOWN
    # The old item is still repeated once a second when the new mission comes to its own last item.
    for at_s in (104.0, 105.0, 106.0):
        told(track, MissionItemReached(3), MISSION, current(3, plan=12), at_s=at_s)
    assert told(track, current(3, plan=12), at_s=107.0) is MissionState.UNKNOWN
    assert told(track, FINISHED, at_s=140.0) is MissionState.COMPLETE


def test_flying_the_mission_again_is_not_complete_until_it_ends_again() -> None:
    track = at_the_last_item()
    told(track, MissionItemReached(3), HOLD, current(3))
    assert told(track, MISSION, current(3), at_s=160.0) is MissionState.UNKNOWN
    assert told(track, MissionItemReached(3), at_s=165.0) is MissionState.COMPLETE


def test_the_word_comes_before_the_reported_state_and_hold_may_come_between_them() -> None:
    track = at_the_last_item()
    assert told(track, current(3, state=3)) is MissionState.ACTIVE
    assert told(track, MissionItemReached(3), HOLD) is MissionState.COMPLETE
    assert told(track, current(3, state=5)) is MissionState.COMPLETE


def test_what_the_firmware_reports_then_stands() -> None:
    track = at_the_last_item()
    told(track, current(3, state=3), MissionItemReached(3))
    assert told(track, current(3, state=4)) is MissionState.PAUSED
    assert told(track, current(0, state=2)) is MissionState.NOT_STARTED


def test_a_reboot_forgets_it() -> None:
    track = at_the_last_item()
    told(track, MissionItemReached(3))
    track.reboot()
    assert told(track, current(3)) is MissionState.UNKNOWN
