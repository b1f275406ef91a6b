"""Candidates are drafts: what is flown has been proven and checked, and what the checker refuses is not flown."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.runtime import deciding
from fleet.virtual import run_virtual
from missions.decision.types import Candidate
from missions.delivery import Flight
from missions.options import Situation, proven
from missions.plan import Infeasible, Plan, Reason
from missions.snapshot import Wind
from tests.runtime.rig import Rig, rig
from tests.runtime.test_wind import SPARE_PCT, in_wind


async def outbound_in_still_air(r: Rig) -> tuple[str, list[Wind]]:
    """An order on its way to Orvane, with battery for still air and little more."""
    blows = [Wind(0.0, 0.0)]
    in_wind(r, blows)
    order_id = (await r.place("orvane")).order.order_id
    plan, _ = r.supervisor.prospects.quote(r.ledger.orders[order_id].order, 0.0)
    assert isinstance(plan, Plan)
    needs = plan.energy.start_pct - plan.energy.end_pct
    for vehicle in r.vehicles.values():
        vehicle.battery_pct = r.config.policy.reserve_pct + needs + SPARE_PCT
        vehicle.drain_pct_s = needs / (2.0 * (plan.arrive_s - plan.depart_s))
    await r.until_phase(order_id, "outbound")
    await r.clock.sleep(60)
    return order_id, blows


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
        async with rig() as r:
            order_id, blows = await outbound_in_still_air(r)
            assert not drafts, "nothing is proven that nobody wants to fly"
            blows.append(Wind(10.9, -4.4))
            await r.until(lambda: bool(chosen(r, order_id)), 60.0)
            (draft,) = drafts
            plan = flight_of(r, order_id).plan
            assert plan is not None
            assert (draft.plan.checked_by, plan.checked_by) == ("", "missions.routing.checker")
            assert plan.goal_site == draft.site_id == chosen(r, order_id)[-1][1]
            assert all(leg.alternates for leg in plan.legs)
            assert not any(leg.alternates for leg in draft.plan.legs)

    run_virtual(main())


def test_what_the_checker_refuses_is_no_candidate_and_the_next_best_is_flown(monkeypatch: pytest.MonkeyPatch):
    refused: list[tuple[str, str]] = []

    def strict(s: Situation, draft: Candidate) -> Candidate | Infeasible:
        if not refused or (draft.kind.value, draft.site_id) == refused[0]:
            refused.append((draft.kind.value, draft.site_id))
            return Infeasible((Reason("zone", "leg 1 enters FIRE (closed)"),))
        return proven(s, draft)

    async def main() -> None:
        monkeypatch.setattr(deciding, "proven", strict)
        async with rig() as r:
            order_id, blows = await outbound_in_still_air(r)
            blows.append(Wind(10.9, -4.4))
            await r.until(lambda: bool(chosen(r, order_id)), 60.0)
            told = r.events(order_id, "candidate_refused")
            assert [(e["candidate"], e["site_id"]) for e in told][:1] == [refused[0]]
            assert told[0]["why"] == "leg 1 enters FIRE (closed)"
            flown = chosen(r, order_id)[0]
            assert flown not in refused, "the next best"
            assert flight_of(r, order_id).goal_site == flown[1]

    run_virtual(main())
