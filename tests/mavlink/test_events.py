"""EVENT messages: sentences, each once, lost ones asked for, and why the vehicle would not arm."""

from __future__ import annotations

import math
import string
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink.codec import decode
from fleet.mavlink.event_checks import CHECKS
from fleet.mavlink.event_table import CHOICES, EVENTS
from fleet.mavlink.events import ASK_AGAIN, FLOWN, REPORT_S, WINDOW, ArmingReport, EventFeed, event_id, event_text
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import CurrentEventSequence, Event, Heartbeat, Message, RequestEvent
from fleet.mavlink.reduce import Track
from missions.snapshot import Mode
from tests.mavlink.recordings import recorded_files, recorded_frames

ALL_MODES = 0xFFFFFFFF
COMPASS, RC, NO_HOME = "check_mag_consistency", "check_modes_manual_control", "check_modes_home_position"


def event(name: str, number: int = 0, layout: str = "", *values: float, level: int = 6) -> Event:
    return Event(event_id(name), 1000 * number, number, 0, 0, level, struct.pack("<" + layout, *values))


def check(name: str, number: int, layout: str = "", *values: float, level: int = 3, modes: int = ALL_MODES) -> Event:
    return event(name, number, "IB" + layout, modes, 3, *values, level=level)


def report(number: int, *findings: Event, can_arm: int = 0) -> list[Event]:
    """As PX4 sends it: `findings` are numbered from `number` + 1 on."""
    begin = event("commander_arming_check_summary", number, "BIIII", 0, 0, 0, can_arm, can_arm, level=8)
    end = event("commander_health_summary", number + 1 + len(findings), "BIII", 0, 0, 0, 0, level=8)
    return [begin, *findings, end]


def fed(feed: EventFeed, *events: Event, at_s: float = 1.0) -> list[bool]:
    return [feed.receive(e, at_s) for e in events]


# -- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        # Ids and arguments as a real PX4 v1.17.0 sent them.
        (Event(0x01FE4222, 0, 0, 0, 0, 0x63, b""), "Mission rejected: take-off is not the first waypoint item"),
        (Event(0x016BD68A, 0, 0, 0, 0, 0x62, b""), "Mission start denied: no valid mission"),
        (event("vrtl_return_at", 0, "ii", 524, 35), "Return at 524 m AMSL, 35 m above the destination"),
        (event("commander_failsafe_enter_generic", 0, "IB", 0x60000, 6), "Failsafe activated: return"),
        (event("commander_failsafe_enter_hold", 0, "IBHB", 0, 7, 5, 2), None),
        (event("commander_armed_by", 0, "B", 5), "Armed by mission start"),
        (event("navigator_mis_geofence_violation", 0, "h", 2), "Mission rejected: geofence violation at waypoint 2"),
        (event("sensor_failover", 0, "BBH", 1, 0, 3), "gyro 0 failed: no data and stale data"),
        (event("commander_armed_by", 0, "B", 200), "Armed by number 200"),
    ],
)
def test_an_event_becomes_a_sentence_with_its_arguments(said: Event, sentence: str | None) -> None:
    holding = "Failsafe activated: holding, then land in 5 s (ground station lost)"
    assert event_text(said) == (sentence or holding)


@given(st.sampled_from(sorted(EVENTS)), st.binary(max_size=40))
def test_no_arguments_can_break_a_sentence(name: str, arguments: bytes) -> None:
    sentence = event_text(Event(event_id(name), 0, 0, 0, 0, 0x66, arguments))
    assert sentence
    assert "nan" not in sentence.split()


def test_a_number_that_is_none_is_not_shown_as_one() -> None:
    said = event_text(event("check_high_wind_warning", 0, "f", math.nan))
    assert said == "Strong wind of ? m/s: landing advised"


def test_an_unknown_event_is_shown_when_it_is_critical_only() -> None:
    assert event_text(Event(0x01123457, 0, 0, 0, 0, 0x61, b"")) == "event 0x01123457"
    assert event_text(Event(0x01123457, 0, 0, 0, 0, 0x66, b"")) is None


def test_the_tables_are_sound() -> None:
    rows = EVENTS | CHECKS
    assert len(rows) == len(EVENTS) + len(CHECKS)
    assert len({event_id(name) for name in rows}) == len(rows)
    for name, (types, sentence) in rows.items():
        layout = "<" + "".join(CHOICES[t].layout if t in CHOICES else t for t in types)
        assert struct.calcsize(layout) <= 40 - 5, name
        fields = [int(field) for _, field, _, _ in string.Formatter().parse(sentence) if field is not None]
        assert all(field < len(types) for field in fields), name


# -- each once, lost ones again --------------------------------------------------------------------------------------


def test_an_event_sent_again_for_another_station_is_no_news() -> None:
    feed = EventFeed()
    first, second = event("commander_rtl", 10), event("commander_gcs_lost", 11)
    assert fed(feed, first, second, first, second) == [True, True, False, False]


def test_lost_events_are_asked_for_until_they_come_and_three_times_at_most() -> None:
    feed = EventFeed()
    fed(feed, event("commander_rtl", 10), event("commander_rtl", 14), at_s=1.0)
    assert feed.tick(1.0, 0.5) == [RequestEvent(11, 13, 0, 0)]
    assert feed.tick(1.2, 0.5) == []
    assert fed(feed, event("commander_gcs_lost", 12)) == [True]
    assert feed.tick(1.6, 0.5) == [RequestEvent(11, 11, 0, 0)]
    asked = [tuple(m) for n in range(20) for m in feed.tick(2.5 + n, 0.5)]
    assert asked.count((11, 11, 0, 0)) == ASK_AGAIN - 2
    assert asked.count((13, 13, 0, 0)) == ASK_AGAIN - 1
    assert len(asked) == 2 * ASK_AGAIN - 3


def test_that_the_last_event_was_lost_shows_in_the_number_px4_tells() -> None:
    feed = EventFeed()
    feed.current(CurrentEventSequence(10, 0))
    assert feed.tick(1.0, 0.5) == [], "what was before us we do not ask for"
    fed(feed, event("commander_rtl", 10))
    feed.current(CurrentEventSequence(10, 0))
    assert feed.tick(1.0, 0.5) == []
    feed.current(CurrentEventSequence(12, 0))
    assert feed.tick(1.0, 0.5) == [RequestEvent(11, 12, 0, 0)]
    assert fed(feed, event("commander_rtl", 12), event("commander_rtl", 11)) == [True, True]
    assert feed.tick(9.0, 0.5) == []


def test_numbers_wrap_around() -> None:
    feed = EventFeed()
    fed(feed, event("commander_rtl", 0xFFFE), event("commander_rtl", 2))
    assert feed.tick(1.0, 0.5) == [RequestEvent(0xFFFF, 1, 0, 0)]
    assert fed(feed, event("commander_rtl", 0xFFFE)) == [False]


def test_numbers_that_begin_anew_ask_for_nothing() -> None:
    feed = EventFeed()
    fed(feed, event("commander_rtl", 1000))
    assert fed(feed, event("commander_gcs_lost", 65526), event("commander_rtl", 1000)) == [True, True]
    assert feed.tick(9.0, 0.5) == []


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40), st.booleans()), max_size=200))
def test_no_numbers_break_the_feed_or_make_it_grow(said: list[tuple[int, bytes, bool]]) -> None:
    feed = EventFeed()
    names = ("commander_arming_check_summary", COMPASS, "commander_health_summary", "commander_rtl")
    for at_s, (number, arguments, current) in enumerate(said):
        if current:
            feed.current(CurrentEventSequence(number, 0))
        else:
            feed.receive(Event(event_id(names[number % 4]), 0, number, 0, 0, 0x33, arguments), float(at_s))
        asked = feed.tick(float(at_s), 0.1)
        for request in asked:
            assert isinstance(request, RequestEvent)
            assert (request.last_sequence - request.first_sequence) & 0xFFFF <= WINDOW
        assert len(feed._seen) <= 2 * WINDOW + 2
        assert len(feed._lost) <= WINDOW + 1


# -- why it would not arm --------------------------------------------------------------------------------------------


def test_the_findings_of_a_report_are_the_reasons() -> None:
    feed = EventFeed()
    findings = [check(COMPASS, 11, "h", 40, level=3), check(NO_HOME, 12, modes=1 << 5, level=3), check(RC, 13, level=4)]
    fed(feed, *report(10, *findings))
    assert feed.report is not None
    assert feed.report.reasons(Mode.HOLD) == ("compasses inconsistent by 40°",)
    assert feed.report.reasons(Mode.RETURN) == ("compasses inconsistent by 40°", "home position not set")


def test_what_only_warns_is_no_reason_when_the_vehicle_can_arm() -> None:
    feed = EventFeed()
    fed(feed, *report(10, check(RC, 11, level=4), can_arm=FLOWN))
    assert feed.report is not None
    assert feed.report.reasons(Mode.HOLD) == ()


def test_a_finding_that_may_only_warn_is_told_when_there_is_no_better_reason() -> None:
    feed = EventFeed()
    fed(feed, *report(10, check(RC, 11, level=4)))
    assert feed.report is not None
    assert feed.report.reasons(Mode.MISSION) == ("no remote control",)


def test_a_finding_that_was_lost_is_said_to_be_lost_until_it_is_there() -> None:
    feed = EventFeed()
    begin, compass, home, end = report(10, check(COMPASS, 11, "h", 40), check(NO_HOME, 12))
    fed(feed, begin, compass, end, at_s=1.0)
    assert feed.report is not None
    assert feed.report.reasons(Mode.HOLD) == ("compasses inconsistent by 40°", "a reason that was not received")
    fed(feed, home, at_s=2.0)
    assert feed.report.reasons(Mode.HOLD) == ("compasses inconsistent by 40°", "home position not set")
    assert feed.reported_s == 2.0


def test_half_a_report_leaves_the_one_before_in_force() -> None:
    feed = EventFeed()
    fed(feed, *report(10, check(COMPASS, 11, "h", 40)), at_s=1.0)
    begin, home, end = report(13, check(NO_HOME, 14))
    fed(feed, begin, home, at_s=2.0)
    assert feed.report is not None
    assert (feed.report.reasons(Mode.HOLD), feed.reported_s) == (("compasses inconsistent by 40°",), 1.0)
    fed(feed, end, at_s=3.0)
    assert (feed.report.reasons(Mode.HOLD), feed.reported_s) == (("home position not set",), 3.0)


def test_an_event_of_another_module_in_the_midst_of_a_report_is_no_finding() -> None:
    feed = EventFeed()
    fed(feed, *report(10, event("commander_gcs_lost", 11, level=3), check(COMPASS, 12, "h", 40)))
    assert feed.report is not None
    assert feed.report.reasons(Mode.HOLD) == ("compasses inconsistent by 40°",)


def test_a_report_without_a_reason_says_so() -> None:
    assert ArmingReport(0, (), 0).reasons(Mode.HOLD) == ("a reason it does not tell",)


def test_a_report_is_asked_for_a_few_times_only_and_only_while_there_is_none() -> None:
    feed = EventFeed()
    asked = [second for second in range(100) if feed.wants_report(float(second))]
    assert len(asked) == ASK_AGAIN
    assert asked == sorted({0, REPORT_S, 2 * REPORT_S})
    told = EventFeed()
    fed(told, *report(10))
    assert not told.wants_report(1.0)


def test_the_track_says_once_why_the_vehicle_is_not_ready_and_in_flight_what_fails() -> None:
    track = Track("cw-1")

    def take(*messages: Message, at_s: float) -> list[str]:
        before = len(track.state().texts)
        for message in messages:
            track.reduce(message, at_s)
        return [line.value for line in track.state().texts[before:]]

    compass, still = check(COMPASS, 11, "h", 40), check(COMPASS, 14, "h", 40)
    take(Heartbeat(0x03040000, 2, 12, 29, 3), at_s=0.0)
    assert take(*report(10, compass), at_s=1.0) == ["Not ready to arm: compasses inconsistent by 40°"]
    assert take(*report(13, still), at_s=2.0) == []
    assert track.state().not_ready == ("compasses inconsistent by 40°",)
    assert take(*report(16, can_arm=FLOWN), at_s=3.0) == []
    assert track.state().not_ready == ()
    take(Heartbeat(0x04040000, 2, 12, 157, 4), at_s=4.0)
    spoofed = check("check_estimator_gps_spoofed", 19, level=2, modes=FLOWN)
    warned = check("check_battery_low", 20, level=4, modes=ALL_MODES)
    said = take(*report(18, spoofed, warned), at_s=5.0)
    assert said == ["Check failed in flight: satellite navigation spoofed"]


def test_recorded_reports_tell_why_a_real_px4_refused_to_arm_and_when_it_was_ready() -> None:
    reasons: dict[str, list[tuple[str, ...]]] = {}
    for file in recorded_files():
        feed, mode = EventFeed(), Mode.HOLD
        seen: list[tuple[str, ...]] = []
        for at_s, raw in recorded_frames(file):
            (frame,) = scan(raw).frames
            message = decode(frame)
            if isinstance(message, Event) and feed.receive(message, at_s) and feed.report is not None:
                told = feed.report.reasons(mode)
                if not seen or seen[-1] != told:
                    seen.append(told)
        reasons[file.name] = seen
    first = reasons["quad-mission-rtl-gcs.tlog.gz"]
    blind = {"no valid position estimate", "no valid global position estimate", "no connection to the ground station"}
    assert blind & set(first[0])
    assert first[-1] == ()
