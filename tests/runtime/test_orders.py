"""Orders between people, pads and launches, in virtual time."""

from __future__ import annotations

import pytest

from fleet.config import Handling
from fleet.service import CustodyStep, OrderRequest, Refused
from tests.runtime.rig import START_S, Rig, demo_config, tell


def test_without_people_loading_nothing_flies_and_a_cancelled_order_frees_the_vehicle():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.clock.sleep(120)
        assert r.order(order_id).state == "loading"
        await r.service.cancel_order(order_id, actor="ward")
        await r.until_phase(order_id, None, 10.0)
        assert r.order(order_id).state == "cancelled"
        assert all(not v.commands for v in r.vehicles.values())
        second = (await r.place()).order.order_id
        await r.until_state(second, "loading")
        await r.custody(second, CustodyStep.SEAL, seal="s-1")
        await r.until_state(second, "in_flight", 60.0)

    tell(story, config=demo_config(handling=Handling()))


def test_two_orders_to_one_pad_do_not_meet_there():
    async def story(r: Rig) -> None:
        ids = [(await r.place("salme")).order.order_id for _ in range(2)]

        def flying() -> list[str]:
            return [i for i in ids if r.order(i).state == "in_flight"]

        await r.until(lambda: bool(flying()))
        first = flying()[0]
        second = next(i for i in ids if i != first)
        await r.clock.sleep(60)
        assert r.order(second).state == "ready", "the pad is taken"
        await r.until_state(second, "in_flight")
        assert r.order(first).state in ("released", "received")

    tell(story)


def test_launches_from_one_hub_are_spaced():
    async def story(r: Rig) -> None:
        ids = [(await r.place(to)).order.order_id for to in ("salme", "koru")]
        for order_id in ids:
            await r.until_state(order_id, "in_flight")
        times = sorted(e.at_s for i in ids for e in r.store.events(f"order/{i}") if e.body.get("event") == "launch")
        assert times[1] - times[0] >= r.config.planning.launch_spacing_s

    tell(story)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mass_kg": 9.0}, "too_heavy"),
        ({"volume_l": 50.0}, "box_too_small"),
        ({"deadline_s": 1_773_133_260.0}, "too_late"),
    ],
)
def test_an_order_that_cannot_be_met_is_refused_with_its_reason(changes, code):
    async def story(r: Rig) -> None:
        view = await r.place(**changes)
        assert view.state == "refused"
        assert [x.code for x in view.reasons] == [code]

    tell(story)


def test_a_wrong_code_is_refused_and_five_of_them_lock_the_receipt():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "released")
        right = r.order(order_id).confirmation_code or ""
        wrong = f"{(int(right) + 1) % 1_000_000:06d}"
        verdict = r.order(order_id).verdict or ""
        unseen = await r.service.confirm_receipt(order_id, code=right, verdict_seen="spoiled", actor="x")
        assert isinstance(unseen, Refused)
        assert unseen.reasons[0].code == "verdict_not_seen"
        for _ in range(5):
            answer = await r.service.confirm_receipt(order_id, code=wrong, verdict_seen=verdict, actor="x")
            assert isinstance(answer, Refused)
            assert answer.reasons[0].code == "wrong_code"
        locked = await r.service.confirm_receipt(order_id, code=right, verdict_seen=verdict, actor="x")
        assert isinstance(locked, Refused)
        assert r.order(order_id).state == "released"

    tell(story)


def test_a_budget_for_an_excursion_that_the_product_has_not_is_refused_at_once_and_keeps_nobody_waiting():
    async def story(r: Rig) -> None:
        bad = OrderRequest("insulin", "salme", "ward-7", 0.8, 1.5, START_S + 3600.0, budget_min=(("cool", 3.0),))
        refused = await r.service.place_order(bad, requester="ward", idempotency_key="bad", fingerprint="bad")
        assert isinstance(refused, Refused)
        assert (refused.status, refused.reasons[0].code) == (422, "budget_unknown")
        assert refused.reasons[0].text == "budget_min.cool: insulin has no such excursion."
        assert refused.reasons[0].fix == "Use room."
        good = await r.place(product="insulin", budget_min=(("room", 3.0),))
        await r.until_state(good.order.order_id, "in_flight")

    tell(story)
