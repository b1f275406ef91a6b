"""`fleet order` against the API over a real socket."""

import io
import sys
from collections.abc import AsyncIterator

import pytest

from fleet.cli.output import ExitCode
from fleet.service import RecordedEvent
from missions.orders import OrderEvent, OrderState
from tests.cli.conftest import Run
from tests.support.fake_service import CODE, FakeFleet
from tests.support.serving import Served, request, served

PLACE = (
    *("order", "place", "--product", "antibiotics", "--to", "ndeba", "--recipient", "req-1"),
    *("--mass-kg", "0.8", "--volume-l", "2", "--deadline", "2030-01-01T01:00:00Z"),
)


def test_an_order_is_placed_and_the_code_is_said_on_stderr_only(server: Served, fleet_command: Run) -> None:
    placed = fleet_command(*PLACE, url=server.url)
    assert (placed.code, placed.out) == (ExitCode.DONE, "ord-1  accepted\n")
    assert CODE in placed.err
    order = server.fleet.order_views["ord-1"].order
    assert (order.product_id, order.mass_kg, order.deadline_s) == ("antibiotics", 0.8, server.fleet.now_s + 3600)


def test_the_same_key_never_orders_twice(server: Served, fleet_command: Run) -> None:
    first = fleet_command(*PLACE, "--key", "k1", "--json", url=server.url)
    again = fleet_command(*PLACE, "--key", "k1", "--json", url=server.url)
    assert first.json == again.json
    assert len(server.fleet.order_views) == 1


def test_all_options_reach_the_order(server: Served, fleet_command: Run) -> None:
    budget = ("--budget", "8-15=120", "--budget", "15-25=30")
    more = ("--priority", "stat", "--from", "teral", "--lot", "L-7", *budget, "--single-patient")
    more += ("--expires", "2031-01-01T00:00:00Z")
    placed = fleet_command(*PLACE, *more, "--json", url=server.url)
    expected = {
        "priority": "stat",
        "origin_site": "teral",
        "lot": "L-7",
        "budget_min": {"8-15": 120.0, "15-25": 30.0},
        "single_patient": True,
        "expires": "2031-01-01T00:00:00.000Z",
        "confirmation_code": CODE,
    }
    assert expected.items() <= placed.json.items()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--deadline", "tomorrow"), "is not a time"),
        (("--deadline", "2030-01-01T01:00:00"), "has no offset"),
        (("--budget", "8-15"), "is not BAND=MINUTES"),
        (("--priority", "whenever"), "whenever"),
        (("--mass-kg", "heavy"), "--mass-kg"),
    ],
)
def test_a_wrong_option_is_a_usage_error_and_orders_nothing(
    server: Served, fleet_command: Run, change: tuple[str, ...], words: str
) -> None:
    ended = fleet_command(*PLACE, *change, url=server.url)
    assert ended.code == ExitCode.USAGE
    assert words in ended.err
    assert ended.out == ""
    assert not server.fleet.order_views


def test_a_deadline_may_be_given_from_now(server: Served, fleet_command: Run) -> None:
    server.fleet.now_s = 0.0
    assert fleet_command(*PLACE, "--deadline", "+2h", url=server.url).code == ExitCode.DONE


def test_a_refusal_gives_its_reasons_and_fixes_and_as_json_too(server: Served, fleet_command: Run) -> None:
    refused = fleet_command(*PLACE, "--mass-kg", "9", "--json", url=server.url)
    assert refused.code == ExitCode.REFUSED
    assert "9 kg is over the 3 kg" in refused.err
    assert "Split the order." in refused.err
    assert refused.json["error"]["reasons"][0]["code"] == "order_too_heavy"


def test_an_order_that_was_stored_and_refused_ends_with_3_too(server: Served, fleet_command: Run) -> None:
    refused = fleet_command(*PLACE, "--product", "unobtainium", url=server.url)
    assert refused.code == ExitCode.REFUSED
    assert "order ord-1 was refused" in refused.err
    assert "No box is qualified for unobtainium." in refused.err


def test_orders_are_listed_over_all_pages_as_a_table_or_json(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: [fleet.put_order(request()) for _ in range(205)])
    server.do(lambda fleet: fleet.set_order("ord-7", OrderEvent.CANCEL))
    everything = fleet_command("order", "list", "--limit", "1000", "--json", url=server.url)
    assert len(everything.json["orders"]) == everything.json["total"] == 205
    table = fleet_command("order", "list", "--state", "cancelled", url=server.url)
    assert [line.split()[:4] for line in table.out.splitlines()] == [
        ["order", "state", "product", "to"],
        ["ord-7", "cancelled", "antibiotics", "ndeba"],
    ]
    none = fleet_command("order", "list", "--state", "lost", url=server.url)
    assert (none.code, none.out, none.err) == (ExitCode.DONE, "", "No orders.\n")


def test_an_order_is_shown_for_people_and_programs(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    assert "destination site  ndeba" in fleet_command("order", "show", "ord-1", url=server.url).out
    assert fleet_command("order", "show", "ord-1", "--json", url=server.url).json["state"] == "accepted"
    unknown = fleet_command("order", "show", "../healthz", url=server.url)
    assert unknown.code == ExitCode.REFUSED
    assert "There is no order" in unknown.err or "nothing at" in unknown.err


def test_cancelling_works_until_it_flies(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: [fleet.put_order(request()) for _ in range(2)])
    server.do(lambda fleet: fleet.deliver("ord-2", upto=OrderState.IN_FLIGHT))
    assert fleet_command("order", "cancel", "ord-1", url=server.url).out == "ord-1  cancelled\n"
    refused = fleet_command("order", "cancel", "ord-2", url=server.url)
    assert (refused.code, "cannot be cancelled" in refused.err) == (ExitCode.REFUSED, True)


class DeliversItself(FakeFleet):
    """Delivers ord-1 as soon as a follower has caught up; breaks the first stream if told to."""

    breaks = False

    async def follow(self, stream: str, *, after_seq: int = 0) -> AsyncIterator[RecordedEvent]:
        async for event in super().follow(stream, after_seq=after_seq):
            yield event
            if event.kind == "accept":
                self.deliver("ord-1")
                self.set_order("ord-1", OrderEvent.RECEIVE)
            if event.kind == "depart" and self.breaks:
                self.breaks = False
                raise ConnectionResetError("the line broke")


@pytest.mark.parametrize("breaks", [False, True])
def test_watching_tells_each_event_once_to_the_end_also_over_a_broken_line(fleet_command: Run, breaks: bool) -> None:
    fleet = DeliversItself()
    fleet.breaks = breaks
    fleet.put_order(request())
    with served(fleet) as server:
        watched = fleet_command("order", "watch", "ord-1", "--json", "--timeout", "30", url=server.url)
    assert watched.code == ExitCode.DONE
    kinds = [line.split('"kind": "')[1].split('"')[0] for line in watched.out.splitlines()]
    way = ["assign", "begin_loading", "sealed", "depart", "arrive", "release", "receive"]
    assert kinds == ["requested", "accept", *way]


def test_watching_an_order_that_ends_otherwise_fails(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.put_order(request(product_id="unobtainium")))
    watched = fleet_command("order", "watch", "ord-1", url=server.url)
    assert watched.code == ExitCode.FAILED
    assert "ended refused, not received" in watched.err
    assert "No box is qualified" in watched.err


def test_watching_ends_with_5_when_its_time_is_over(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    watched = fleet_command("order", "watch", "ord-1", "--timeout", "0.2", url=server.url)
    assert watched.code == ExitCode.UNREACHABLE
    assert "not final after 0.2 s" in watched.err


def test_receiving_shows_the_verdict_asks_and_confirms(
    server: Served, fleet_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDWING_TOKEN", "clinic-token")
    server.do(lambda fleet: fleet.put_order(request()))
    server.do(lambda fleet: fleet.deliver("ord-1", verdict="excursion_allowed"))
    receive = ("order", "receive", "ord-1", "--code", CODE)

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    declined = fleet_command(*receive, url=server.url)
    assert (declined.code, server.fleet.order_views["ord-1"].state) == (ExitCode.FAILED, OrderState.RELEASED)
    assert "Cold verdict: excursion allowed. 2.0 to 8.0 °C held since the seal" in declined.err

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    received = fleet_command(*receive, url=server.url)
    assert (received.code, received.out) == (ExitCode.DONE, "ord-1  received\n")


def test_a_script_that_expects_another_verdict_receives_nothing(
    server: Served, fleet_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDWING_TOKEN", "clinic-token")
    server.do(lambda fleet: fleet.put_order(request()))
    server.do(lambda fleet: fleet.deliver("ord-1", verdict="spoiled"))
    receive = ("order", "receive", "ord-1", "--code", CODE, "--verdict-seen", "in_range")
    refused = fleet_command(*receive, url=server.url)
    assert refused.code == ExitCode.REFUSED
    assert "shown to you was spoiled, not in_range" in refused.err
    assert server.fleet.order_views["ord-1"].state is OrderState.RELEASED
