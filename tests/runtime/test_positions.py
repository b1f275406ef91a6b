"""A flight whose position cannot be believed, over a fake vehicle: what is commanded meanwhile, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from fleet.service import Refused, VehicleCommand
from fleet.virtual import run_virtual
from geofences.geodesy import destination, distance_m
from missions.snapshot import Gps, Mode, Timed, VehicleState
from tests.runtime.rig import Rig, alive, restarted, rig
from tests.support.fake_vehicle import FakeVehicle

NORTH_DEG = 500.0 / 111_000.0


@dataclass
class Receiver:
    """What the vehicle adds to its telemetry: a clock, and a receiver that loses its fix or leads it astray."""

    vehicle: FakeVehicle
    fixed: bool = True
    jumped: bool = False

    def __post_init__(self) -> None:
        self._state = self.vehicle.state
        self.vehicle.state = self.state  # type: ignore[method-assign]

    def state(self) -> VehicleState:
        told = self._state()
        assert told.position is not None
        here, clock_s = told.position.value, float(self.jumped)  # nothing but the jump takes time: it alone is judged
        point = replace(here.point, lat_deg=here.point.lat_deg + NORTH_DEG * self.jumped)
        return replace(
            told,
            position=Timed(replace(here, point=point, clock_s=clock_s), told.position.at_s),
            gps=Timed(Gps(point if self.fixed else None, clock_s), told.position.at_s),
        )


Story = Callable[[Rig], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    async def main() -> None:
        async with rig() as r:
            await story(r)

    run_virtual(main())


async def on_its_way(r: Rig) -> tuple[str, Receiver]:
    order_id = (await r.place("salme")).order.order_id
    await r.until_phase(order_id, "outbound")
    return order_id, Receiver(r.vehicle_of(order_id))


def faults(r: Rig, vehicle_id: str) -> str:
    return " ".join(next(v for v in r.service.vehicles() if v.vehicle_id == vehicle_id).faults)


def test_a_vehicle_that_has_lost_its_fix_holds_releases_nothing_and_goes_on_when_it_has_found_it():
    async def story(r: Rig) -> None:
        order_id, receiver = await on_its_way(r)
        vehicle, salme = receiver.vehicle, r.config.sites["salme"].position
        await r.until(lambda: distance_m(vehicle.at, salme) < 300.0)
        receiver.fixed = False
        await r.until(lambda: vehicle.mode is Mode.HOLD, 1.5)
        assert "Its position cannot be believed" in faults(r, vehicle.vehicle_id)
        vehicle.at, vehicle.alt_amsl_m, vehicle.complete = salme, vehicle.plan.legs[-1].end.alt_amsl_m, True
        await r.clock.sleep(60.0)
        assert vehicle.releases == 0
        assert r.order(order_id).state == "in_flight"
        assert vehicle.commands == ["upload", "start", "hold"]
        receiver.fixed = True
        await r.until_state(order_id, "released", 20.0)
        assert vehicle.releases == 1

    tell(story)


def test_a_release_already_ordered_is_not_sent_and_a_vehicle_that_was_carried_off_flies_to_the_pad_once_more():
    async def story(r: Rig) -> None:
        order_id, receiver = await on_its_way(r)
        vehicle, salme = receiver.vehicle, r.config.sites["salme"].position
        heard = receiver.state

        def state() -> VehicleState:
            ordered = [e for e in r.events(order_id, "command") if e["step"] == "release"]
            receiver.fixed = receiver.fixed and len(ordered) != 1
            return heard()

        vehicle.state = state  # type: ignore[method-assign]
        await r.until_phase(order_id, "releasing")
        await r.clock.sleep(20.0)
        assert vehicle.releases == 0
        outcomes = [e["text"] for e in r.events(order_id, "outcome") if e["step"] == "release"]
        assert outcomes == ["not sent: no GPS fix"]
        vehicle.at = destination(salme, 0.0, 150.0)
        vehicle.state = heard  # type: ignore[method-assign]
        receiver.fixed = True
        await r.until_phase(order_id, "outbound", 20.0)
        assert r.order(order_id).state == "in_flight"
        await r.until_state(order_id, "released", 60.0)
        assert vehicle.releases == 1
        assert distance_m(vehicle.at, salme) < 1.0

    tell(story)


def test_a_fix_lost_while_the_gripper_opens_lets_it_be_known_that_the_box_is_away_and_the_way_home_wait():
    async def story(r: Rig) -> None:
        order_id, receiver = await on_its_way(r)
        vehicle = receiver.vehicle
        await r.until(lambda: vehicle.releases == 1)
        receiver.fixed = False
        await r.until_state(order_id, "released", 20.0)
        await r.clock.sleep(30.0)
        assert vehicle.commands == ["upload", "start", "release"]
        assert [e["why"] for e in r.events(order_id, "way_home_waits")] == ["no GPS fix"]
        receiver.fixed = True
        await r.until_phase(order_id, None)
        assert vehicle.commands == ["upload", "start", "release", "upload", "fly"]
        assert distance_m(vehicle.at, r.config.sites["teral"].position) < 1.0

    tell(story)


def test_a_jump_that_stays_is_not_forgotten_by_a_restart_and_an_operators_resume_vouches_for_the_place():
    async def main() -> None:
        async with rig() as r:
            _, receiver = await on_its_way(r)
            vehicle = receiver.vehicle
            await r.clock.sleep(30.0)
            receiver.jumped = True
            await r.until(lambda: vehicle.mode is Mode.HOLD, 1.5)
            refused = await r.service.command(vehicle.vehicle_id, VehicleCommand.RETURN, actor="operator")
            assert isinstance(refused, Refused)
            assert "its position cannot be believed" in refused.reasons[0].text
        again = restarted(r)
        async with alive(again):
            await again.clock.sleep(30.0)
            assert vehicle.mode is Mode.HOLD
            assert "north of where its own velocity leads" in faults(again, vehicle.vehicle_id)
            told = await again.service.command(vehicle.vehicle_id, VehicleCommand.RESUME, actor="operator")
            assert not isinstance(told, Refused)
            await again.until(lambda: vehicle.mode is Mode.MISSION, 5.0)
            await again.clock.sleep(10.0)
            assert "cannot be believed" not in faults(again, vehicle.vehicle_id)

    run_virtual(main())
