"""A flight with a failing box, recorded; and what comes out when its decisions are decided again from the record."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.config import Handling
from fleet.records.replay import Replayed, replay
from fleet.service import CustodyStep, Refused, VehicleCommand
from fleet.store import NewEvent, Store
from fleet.virtual import run_virtual
from missions.decision.types import Action, CandidateKind, Policy
from tests.cli.conftest import fleet_command
from tests.runtime.rig import demo_config, rig

__all__ = ["fleet_command"]

WAIT_S = 40.0


@pytest.fixture(scope="module")
def recorded() -> Sequence[Any]:
    """The seal fails under way; a new pack is proposed to the operator, who confirms it after ten seconds."""

    async def story() -> Sequence[Any]:
        config = demo_config(handling=Handling(auto_load=False, auto_reice=False))
        async with rig(replace(config, policy=replace(config.policy, operator_wait_s=WAIT_S))) as r:
            order_id = (await r.place("koru", "vaccine_freeze_sensitive")).order.order_id
            await r.until_state(order_id, "loading")
            box_id = r.order(order_id).box_id
            assert box_id is not None
            r.temps_c[box_id] = 5.0
            await r.custody(order_id, CustodyStep.SEAL, pack_left_kj=18.0)
            await r.until_state(order_id, "in_flight")
            vehicle = r.vehicle_of(order_id)
            refused = await r.service.command(vehicle.vehicle_id, VehicleCommand.CONFIRM, actor="op")
            assert isinstance(refused, Refused)
            assert "asks nothing" in refused.reasons[0].text
            await r.clock.sleep(130)
            r.seal_ok = False
            asked_s = None
            for second in range(200):
                r.service.operator_seen()
                view = r.service.vehicle(vehicle.vehicle_id)
                assert view is not None
                if view.awaits is not None and asked_s is None:
                    asked_s = second
                    assert view.awaits_until_s == pytest.approx(r.clock.now_s() + WAIT_S, abs=1.5)
                    assert vehicle.commands[-1] == "start", "nothing is done before the operator has answered"
                if asked_s is not None and second == asked_s + 10:
                    assert vehicle.commands[-1] == "start"
                    await r.service.command(vehicle.vehicle_id, VehicleCommand.CONFIRM, actor="op")
                if r.order(order_id).phase == "reicing":
                    break
                temp = r.temps_c[box_id] or 0.0
                r.temps_c[box_id] = temp + (0.0 if second < 68 else (38.0 - temp) / (0.15 * 7000.0))
                await r.clock.sleep(1.0)
            assert asked_s is not None
            await r.until(lambda: "hold" in vehicle.commands, 20.0)
            return tuple(r.store.events(f"order/{order_id}"))

    return run_virtual(story())


def told(decisions: Sequence[Replayed]) -> list[str]:
    return [d.recorded.sentence for d in decisions if d.recorded is not None]


def test_every_decision_of_a_record_comes_out_the_same(recorded: Sequence[Any]) -> None:
    decisions = list(replay(recorded))
    assert len(decisions) >= 3
    assert [d.problem or d.differs for d in decisions] == [()] * len(decisions)
    assert any("proposed to the operator" in sentence for sentence in told(decisions))
    assert any("an operator has confirmed it" in sentence for sentence in told(decisions))


def test_a_record_holds_each_plan_that_was_flown_once_and_no_other_route(recorded: Sequence[Any]) -> None:
    planned = [e.body["plan"]["plan_id"] for e in recorded if e.kind == "planned"]
    assert len(planned) == len(set(planned)) >= 2
    for event in recorded:
        if event.kind == "decision":
            assert len(event.body["snapshot"]["candidates"]) >= 4 or event.body["snapshot"]["candidates"] == []
            assert all(c["plan"]["legs"] == [] for c in event.body["snapshot"]["candidates"])
            assert len(json.dumps(event.body)) < 16_000
    assert next(e.kind for e in recorded if e.kind in ("policy", "decision")) == "policy"


def test_a_decision_that_was_changed_afterwards_does_not_come_out_the_same(recorded: Sequence[Any]) -> None:
    events = copy.deepcopy(list(recorded))
    last = next(e for e in reversed(events) if e.kind == "decision" and e.body["decision"]["considered"])
    last.body["decision"]["considered"][0]["p_reach"] -= 1e-6
    wrong = [d for d in replay(events) if not d.same]
    assert [d.seq for d in wrong] == [last.seq]
    assert wrong[0].differs[0].startswith("considered[0].p_reach: recorded")
    last.body["decision"]["considered"][0]["p_reach"] += 1e-6 + 1e-12
    assert all(d.same for d in replay(events))


def test_what_a_record_lacks_is_named_and_nothing_is_made_up(recorded: Sequence[Any]) -> None:
    assert all("does not hold its policy" in d.problem for d in replay([e for e in recorded if e.kind != "policy"]))
    assert all("the plan that was flown" in d.problem for d in replay([e for e in recorded if e.kind != "planned"]))
    events = copy.deepcopy(list(recorded))
    for event in events:
        if event.kind == "policy":
            event.body["policy"]["reserve_pct"] = 1.0  # no longer what its hash says
        event.body.pop("memory", None)
    assert all("does not hold its memory" in d.problem for d in replay(events))


def test_another_policy_is_asked_at_each_decision_and_differs_where_it_would_act_otherwise(
    recorded: Sequence[Any],
) -> None:
    at_once = list(replay(recorded, Policy(operator_wait_s=0.0)))
    first = next(d for d in at_once if d.otherwise)
    assert first.recorded is not None
    assert first.recorded.awaits is not None
    assert first.instead is not None
    assert first.instead.candidate is not None
    assert first.instead.candidate.kind is CandidateKind.REICE
    assert all(d.same for d in at_once), "the record's own policy is not touched by it"
    cautious = list(replay(recorded, Policy(operator_wait_s=WAIT_S, battery_critical_pct=100.0)))
    assert next(d for d in cautious if d.otherwise).instead.action is Action.DIVERT_AND_LAND  # type: ignore[union-attr]
    assert not any(d.otherwise for d in replay(recorded, Policy(operator_wait_s=WAIT_S)))


def test_the_command_says_it_from_a_store_and_ends_with_one_where_it_is_not_the_same(
    recorded: Sequence[Any], tmp_path: Path, fleet_command: Any
) -> None:
    path, order_id = tmp_path / "fleet.db", recorded[0].stream.removeprefix("order/")

    async def stored(wrong: bool) -> None:
        async with Store.open(path) as store:
            for e in recorded:
                body = copy.deepcopy(e.body)
                if wrong and e.kind == "decision":
                    body["decision"]["cause"] = "because"
                stream = "order/wrong" if wrong else e.stream
                await store.commit(events=[NewEvent(stream, e.at_s, e.kind, body)])

    asyncio.run(stored(wrong=False))
    asyncio.run(stored(wrong=True))
    same = fleet_command("record", "replay", order_id, "--store", str(path), "--json")
    assert same.code == 0
    assert same.json["not_the_same"] == 0
    assert same.json["same"] == len(same.json["decisions"])
    wrong = fleet_command("record", "replay", "wrong", "--store", str(path), "--json")
    assert wrong.code == 1
    assert "cause: recorded 'because'" in wrong.json["decisions"][0]["differs"][0]
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy:\n  operator_wait_s: 0\n")
    other = fleet_command("record", "replay", order_id, "--store", str(path), "--policy", str(policy), "--json")
    assert other.code == 0
    first = other.json["first_otherwise"]
    assert next(d for d in other.json["decisions"] if d["seq"] == first)["instead"]["candidate"]["kind"] == "reice"
    for_people = fleet_command("record", "replay", order_id, "--store", str(path), "--policy", str(policy))
    assert "→ instead:" in for_people.out
    assert "another one" in for_people.err
    policy.write_text("policy:\n  reserve_pct: 20\n  operator_wait: 5\n")
    bad = fleet_command("record", "replay", order_id, "--store", str(path), "--policy", str(policy))
    assert bad.code == 2
    assert "policy.yaml:3: policy.operator_wait is not a known key. Did you mean `operator_wait_s`?" in bad.err
    missing = fleet_command("record", "replay", order_id, "--store", str(path), "--policy", str(tmp_path / "none.yaml"))
    assert (missing.code, "does not exist" in missing.err) == (2, True)
