"""What PX4 says: STATUSTEXT to whom it takes for a ground station, EVENT to everybody."""

from __future__ import annotations

from tests.fidelity.messages import event_id
from tests.fidelity.wire import ACCEPTED, GCS, RETURN, TEMPORARILY_REJECTED, Wire

SUMMARIES = [event_id("commander_arming_check_summary"), event_id("commander_health_summary")]


def reported(wire: Wire, since: int) -> list[int]:
    return [m["id"] for m in wire.of("EVENT", since)]


def test_texts_go_only_to_a_link_that_hears_a_ground_station_and_events_to_both(wire: Wire) -> None:
    other = wire.others[0]
    since, there = wire.mark(), other.mark()
    wire.tell(176, 1, 4, 99)
    wire.wait_text("Unsupported auto mode", 2.0, since)
    wire.run(1.0)
    assert other.texts(there) == []
    assert event_id("commander_unsupported_auto_mode") in reported(wire, since)
    assert event_id("commander_unsupported_auto_mode") in reported(other, there)


def test_a_companion_that_calls_itself_a_ground_station_is_sent_texts(wire: Wire) -> None:
    other = wire.others[0]
    other.beat(GCS)
    wire.run(1.0)
    there = other.mark()
    other.beat(GCS)
    wire.tell(176, 1, 4, 99)
    other.wait_text("Unsupported auto mode", 2.0, there)


def test_a_text_ends_in_a_tab_and_comes_in_chunks_of_fifty_characters(wire: Wire) -> None:
    wire.become(RETURN)
    since = wire.mark()
    assert wire.command(400, 1) == TEMPORARILY_REJECTED
    wire.wait_text("Arming denied", 2.0, since)
    wire.run(0.5)
    chunks = [(m["chunk_seq"], m["text"]) for m in wire.of("STATUSTEXT", since)]
    assert chunks[-2:] == [(0, "Arming denied: Resolve system health failures firs"), (1, "t\t")]
    assert len({m["id"] for m in wire.of("STATUSTEXT", since)[-2:]}) == 1


def test_a_refused_arming_is_told_as_an_event_too(wire: Wire) -> None:
    wire.become(RETURN)
    since = wire.mark()
    assert wire.command(400, 1) == TEMPORARILY_REJECTED
    wire.wait_event("commander_arm_denied_resolve_failures", 1.0, since)


def test_arming_and_disarming_are_told_as_events(wire: Wire) -> None:
    since = wire.mark()
    assert wire.command(400, 1) == ACCEPTED
    wire.wait_event("commander_armed_by", 1.0, since)
    assert wire.command(400, 0) == ACCEPTED
    wire.wait_event("commander_disarmed_by", 1.0, since)


def test_the_arming_checks_are_reported_on_request(wire: Wire) -> None:
    wire.run(3.0)
    since, began_s = wire.mark(), wire.now_s
    assert wire.command(401) == ACCEPTED
    last = wire.wait_event("commander_health_summary", 1.0, since)
    assert last.at_s - began_s < 0.3
    told = reported(wire, since)
    assert [told[0], told[-1]] == SUMMARIES


def test_a_failing_check_is_reported_between_the_summaries_when_it_begins_and_on_request(wire: Wire) -> None:
    since = wire.mark()
    wire.set_param("COM_ARMABLE", 0)
    wire.wait_event("check_armable_configuration", 5.0, since)
    wire.run(3.0)
    since = wire.mark()
    assert wire.command(401) == ACCEPTED
    wire.wait_event("commander_health_summary", 1.0, since)
    told = reported(wire, since)
    assert [told[0], told[-1]] == SUMMARIES
    assert event_id("check_armable_configuration") in told[1:-1]


def test_nothing_is_reported_while_nothing_changes(wire: Wire) -> None:
    wire.run(3.0)
    since = wire.mark()
    wire.run(6.0)
    assert not set(reported(wire, since)) & set(SUMMARIES)


def test_events_are_numbered_one_by_one_and_the_number_reached_is_told_now_and_then(wire: Wire) -> None:
    since = wire.mark()
    wire.tell(176, 1, 4, 99)
    wire.run(1.0)
    wire.tell(176, 1, 4, 99)
    told = wire.wait("CURRENT_EVENT_SEQUENCE", lambda m: True, 6.0)
    numbers = [m["sequence"] for m in wire.of("EVENT", since)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert told["sequence"] == numbers[-1]


def test_an_event_is_sent_again_on_request(wire: Wire) -> None:
    since = wire.mark()
    wire.tell(176, 1, 4, 99)
    first = wire.wait_event("commander_unsupported_auto_mode", 1.0, since)
    wire.run(0.5)
    since = wire.request_events(first["sequence"], first["sequence"])
    again = wire.wait_event("commander_unsupported_auto_mode", 1.0, since)
    assert (again["sequence"], again["boot_ms"]) == (first["sequence"], first["boot_ms"])


def test_an_event_that_is_not_kept_any_more_is_answered_by_an_error(wire: Wire) -> None:
    newest = wire.wait("CURRENT_EVENT_SEQUENCE", lambda m: True, 6.0)["sequence"]
    since = wire.request_events(newest + 100, newest + 100)
    assert wire.wait("RESPONSE_EVENT_ERROR", lambda m: True, 1.0, since)["sequence"] == newest + 100


def test_time_is_synchronised_on_request(wire: Wire) -> None:
    since = wire.mark()
    wire.send(wire.mav.timesync_encode(0, 123456789))
    answer = wire.wait("TIMESYNC", lambda m: m["ts1"] == 123456789, 1.0, since)
    assert answer["tc1"] > 0


def test_a_ping_to_all_is_answered_to_who_sent_it(wire: Wire) -> None:
    since = wire.mark()
    wire.send(wire.mav.ping_encode(1, 77, 0, 0))
    assert wire.wait("PING", lambda m: m["seq"] == 77, 1.0, since)["target_system"] == 245
