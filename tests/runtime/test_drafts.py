"""Candidates are drafts: what is flown has been proven and checked, and what the checker refuses is not flown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleet.config import FleetConfig, Handling
from fleet.runtime import deciding
from fleet.runtime.cockpit import CANDIDATES_EVERY_S
from fleet.service import VehicleCommand
from fleet.virtual import run_virtual
from missions.decision.engine import decide
from missions.decision.types import Candidate, CandidateKind, Decision, Memory
from missions.delivery import Flight
from missions.options import Situation, proven
from missions.plan import Infeasible, Reason
from missions.sites import SiteKind
from tests.runtime.rig import Rig, demo_config, rig
from tests.runtime.stories import flying, warming_until, with_a_failing_box


def chosen(r: Rig, order_id: str) -> list[tuple[str, str]]:
    decided: list[Any] = [d["decision"]["candidate"] for d in r.events(order_id, "decision")]
    return [(c["kind"], c["site_id"]) for c in decided if c is not None]


def flight_of(r: Rig, order_id: str) -> Flight:
    return next(f for f in r.ledger.flights.values() if f.order_id == order_id)


def test_what_is_compared_is_a_draft_and_what_is_flown_is_proven(monkeypatch: pytest.MonkeyPatch):
    drafts: list[Candidate] = []

    def watched(s: Situation, draft: Candidate) -> Candidate | Infeasible:
        drafts.append(draft)
        return proven(s, draft)

    async def main() -> None:
        monkeypatch.setattr(deciding, "proven", watched)
        async with rig(demo_config(handling=Handling())) as r:
            order_id = await with_a_failing_box(r)
            assert not drafts, "nothing is proven that nobody wants to fly"
            await warming_until(r, order_id, lambda: bool(chosen(r, order_id)))
            (draft,) = drafts
            plan = flight_of(r, order_id).plan
            assert plan is not None
            assert (draft.plan.checked_by, plan.checked_by) == ("", "missions.routing.checker")
            assert plan.goal_site == draft.site_id == chosen(r, order_id)[-1][1]
            assert all(leg.alternates for leg in plan.legs)
            assert not any(leg.alternates for leg in draft.plan.legs)

    run_virtual(main())


def test_candidates_that_waited_for_their_turn_are_of_the_moment_it_came():
    """Where hundreds wait, ways from where a vehicle was would be old as soon as they are made."""

    async def main() -> None:
        async with rig(demo_config(handling=Handling())) as r:
            await with_a_failing_box(r)
            (session,) = r.supervisor.sessions.values()
            watch = session._cockpit.watch
            async with r.supervisor._around.plans.take(float("-inf")):  # somebody plans for long
                asked = watch.candidates_at_s
                await r.clock.sleep(20.0)
                assert watch.refreshing is not None
                assert watch.candidates_at_s == asked, "they wait"
                free_s = r.clock.now_s()
            await r.until(lambda: watch.candidates_at_s != asked, limit_s=2.0)
            assert watch.candidates_at_s is not None
            assert watch.candidates_at_s >= free_s
            assert watch.situation is not None
            assert watch.situation.state.position is not None
            assert watch.situation.state.position.at_s >= free_s - 1.0

    run_virtual(main())


def test_ways_about_to_be_stale_are_made_anew_before_those_of_who_has_just_turned():
    async def main() -> None:
        async with rig(demo_config(handling=Handling())) as r:
            await with_a_failing_box(r)
            (session,) = r.supervisor.sessions.values()
            watch, most_s = session._cockpit.watch, r.config.policy.max_candidate_age_s
            made_s = r.clock.now_s() - CANDIDATES_EVERY_S
            watch.candidates_at_s = made_s
            assert session._decider._due_s() == made_s + most_s, "then the policy does not believe in them any more"
            session._cockpit.forget_ways()
            assert session._decider._due_s() > made_s + most_s

    run_virtual(main())


def test_what_the_checker_refuses_is_no_candidate_and_the_next_best_is_flown(monkeypatch: pytest.MonkeyPatch):
    refused: list[tuple[str, str]] = []

    def strict(s: Situation, draft: Candidate) -> Candidate | Infeasible:
        refused.append((draft.kind.value, draft.site_id))
        return Infeasible((Reason("zone", "leg 1 enters FIRE (closed)"),))

    async def main() -> None:
        monkeypatch.setattr(deciding, "proven", strict)
        async with rig(demo_config(handling=Handling())) as r:
            order_id = await with_a_failing_box(r)
            await warming_until(r, order_id, lambda: bool(chosen(r, order_id)))
            told = r.events(order_id, "candidate_refused")
            assert (told[0]["candidate"], told[0]["why"]) == ("reice", "leg 1 enters FIRE (closed)")
            assert ("reice", told[0]["site_id"]) == refused[0]
            flown = chosen(r, order_id)[0]
            assert flown == ("return", flight_of(r, order_id).home_site), "the next best, which was ready"

    run_virtual(main())


def test_a_pad_that_another_flight_took_since_the_ways_were_compared_is_not_flown_to(monkeypatch: pytest.MonkeyPatch):
    taken: list[str] = []

    async def main() -> None:
        async with rig(demo_config(handling=Handling())) as r:

            def overtaken(*asked: Any) -> tuple[Memory, Decision]:
                memory, decision = decide(*asked)
                candidate = decision.candidate
                if candidate is not None and candidate.kind is CandidateKind.REICE and candidate.site_id not in taken:
                    taken.append(candidate.site_id)
                    own = next(iter(r.ledger.flights.values()))
                    other = next(v for v in r.vehicles if v != own.vehicle_id)
                    r.ledger.flights[f"other-{candidate.site_id}"] = replace(
                        own, flight_id="other", vehicle_id=other, goal_site=candidate.site_id
                    )
                return memory, decision

            monkeypatch.setattr(deciding, "decide", overtaken)
            order_id = await with_a_failing_box(r)
            await warming_until(r, order_id, lambda: bool(chosen(r, order_id)))
            refusals = [(e["site_id"], e["why"]) for e in r.events(order_id, "candidate_refused")]
            assert refusals == [(s, f"another flight has taken the pad at {s} meanwhile") for s in taken]
            assert taken
            assert chosen(r, order_id)[0][1] not in taken

    run_virtual(main())


def without_ice_houses() -> FleetConfig:
    config = demo_config(handling=Handling())
    sites = {name: site for name, site in config.sites.items() if site.kind is not SiteKind.REICING}
    return replace(config, sites=sites)


async def turned_away(r: Rig) -> str:
    """An order whose lid has opened on the way: it is brought back, and its box is warm but in range."""
    order_id = await flying(r, 6.0, 100.0)
    box_id = r.order(order_id).box_id
    assert box_id is not None
    await r.clock.sleep(20)
    r.lid_open = True
    for _ in range(60):
        if chosen(r, order_id):
            break
        temp = r.temps_c[box_id] or 0.0
        r.temps_c[box_id] = temp + (38.0 - temp) / (0.15 * 7000.0)
        await r.clock.sleep(1.0)
    assert r.order(order_id).phase == "inbound"
    assert flight_of(r, order_id).may_deliver
    return order_id


def test_a_flight_that_turned_away_for_an_open_lid_delivers_once_it_is_shut_again():
    async def main() -> None:
        async with rig(without_ice_houses()) as r:
            order_id = await turned_away(r)
            r.lid_open = False
            await r.until_state(order_id, "released")
            ways = chosen(r, order_id)
            assert ways[-1] == ("deliver", "koru")
            assert {kind for kind, _ in ways[:-1]} <= {"return", "alternate"}
            assert r.order(order_id).verdict == "in_range"
            assert not flight_of(r, order_id).may_deliver, "once"

    run_virtual(main())


def test_an_operator_who_calls_it_home_is_not_overruled_by_a_dose_that_would_arrive_in_range():
    async def main() -> None:
        async with rig(without_ice_houses()) as r:
            order_id = await turned_away(r)
            await r.service.command(flight_of(r, order_id).vehicle_id, VehicleCommand.RETURN, actor="op")
            r.lid_open = False
            await r.until_state(order_id, "returned")
            assert "deliver" not in {kind for kind, _ in chosen(r, order_id)}

    run_virtual(main())
