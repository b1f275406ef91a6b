"""The drop, in virtual time: jammed grippers, bad radios, lost answers, doses that must not be given."""

from __future__ import annotations

import pytest

from fleet.service import Refused, VehicleCommand
from tests.runtime.rig import Rig, tell


def test_a_gripper_that_jams_is_tried_once_more_on_the_mounts_word_and_then_the_box_comes_home():
    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.gripper_works = False
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "returned")
        vehicle = next(v for v in r.vehicles.values() if v.releases)
        # An autopilot moves a gripper that it holds to be open only after it has closed it.
        assert (vehicle.releases, vehicle.grabs) == (2, 2)

    tell(story)


def test_releases_that_a_bad_radio_swallowed_are_repeated_while_the_box_is_seen_to_stay():
    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.gripper_works, vehicle.ack_release = False, False
        order_id = (await r.place()).order.order_id
        await r.until(lambda: sum(v.releases for v in r.vehicles.values()) == 3)
        vehicle = r.vehicle_of(order_id)
        vehicle.gripper_works, vehicle.ack_release = True, True
        await r.until_state(order_id, "released", 60.0)
        assert vehicle.releases == 4

    tell(story)


@pytest.mark.parametrize("command", [VehicleCommand.LAND, VehicleCommand.RETURN])
def test_a_box_that_was_let_go_as_its_vehicle_was_called_away_is_known_to_be_gone(command: VehicleCommand):
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until(lambda: sum(v.releases for v in r.vehicles.values()) == 1)
        vehicle = r.vehicle_of(order_id)
        assert not isinstance(await r.service.command(vehicle.vehicle_id, command, actor="op"), Refused)
        await r.until_state(order_id, "released")
        assert vehicle.releases == 1
        confirmed = [e["confirmed"] for e in r.events(order_id, "custody") if e["step"] == "release"]
        assert confirmed == ["confirmed"]

    tell(story)


def test_a_release_without_an_answer_is_confirmed_by_the_mount_and_not_repeated():
    async def story(r: Rig) -> None:
        for vehicle in r.vehicles.values():
            vehicle.ack_release = False
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "released")
        assert r.vehicle_of(order_id).releases == 1

    tell(story)


def test_a_spoiled_dose_is_not_released():
    async def story(r: Rig) -> None:
        order_id = (await r.place("salme", "vaccine_freeze_sensitive")).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.until(lambda: (eta := r.order(order_id).eta_s) is not None and eta - r.clock.now_s() < 30)
        box_id = r.order(order_id).box_id
        assert box_id is not None
        for temp in (6.0, 7.0, 8.0, 9.0):
            r.temps_c[box_id] = temp
            await r.clock.sleep(6.0)
        await r.until_phase(order_id, None)
        assert r.order(order_id).state == "quarantined"
        assert r.vehicle_of(order_id).releases == 0

    tell(story)
