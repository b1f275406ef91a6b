"""Whole deliveries in virtual time: what the order, the vehicle and the record go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fleet.config import Handling
from fleet.records.chain import verify
from fleet.service import CustodyStep, Refused, VehicleCommand
from geofences.geodesy import LatLon, distance_m
from geofences.volumes import Circle, Restriction, Volume, Zone
from missions.orders import OrderState
from missions.sites import SiteKind
from missions.snapshot import Landed, Mode, Timed, VehicleState, Wind
from tests.runtime.rig import Rig, demo_config, restarted, tell
from tests.runtime.stories import warming_until, with_a_failing_box


def test_an_order_is_flown_released_received_and_the_vehicle_comes_home():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "released")
        vehicle = r.vehicle_of(order_id)
        answer = await r.receive(order_id)
        assert not isinstance(answer, Refused)
        await r.until_phase(order_id, None)
        assert r.order(order_id).state == "received"
        assert r.order(order_id).verdict == "in_range"
        assert vehicle.commands == ["upload", "start", "release", "upload", "fly"]
        assert vehicle.releases == 1
        home = r.config.sites["teral"].position
        assert abs(vehicle.at.lat_deg - home.lat_deg) < 1e-5
        stream = f"order/{order_id}"
        assert verify(r.store.events(stream), stream=stream).ok

    tell(story)


def test_every_command_is_in_the_record_before_it_leaves():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        recorded_before_sending = []

        def check(name: str) -> None:
            steps = [e["step"] for e in r.events(order_id, "command")]
            recorded_before_sending.append(steps[-1:] == [name])

        await r.until(lambda: r.order(order_id).vehicle_id is not None)
        vehicle = r.vehicle_of(order_id)
        send = vehicle._command

        async def watched(name: str, *args: Any, **kwargs: Any) -> Any:
            check(name)
            return await send(name, *args, **kwargs)

        vehicle._command = watched  # type: ignore[method-assign]
        await r.until_state(order_id, "released")
        await r.until_phase(order_id, None)
        assert len(recorded_before_sending) == 5
        assert all(recorded_before_sending)

    tell(story)


def test_a_closure_across_the_route_is_flown_around():
    async def story(r: Rig) -> None:
        order_id = (await r.place("salme")).order.order_id
        await r.until(lambda: (eta := r.order(order_id).eta_s) is not None and eta - r.clock.now_s() < 270)
        vehicle = r.vehicle_of(order_id)
        goal = r.config.sites["salme"].position
        middle = LatLon((vehicle.at.lat_deg + goal.lat_deg) / 2, (vehicle.at.lon_deg + goal.lon_deg) / 2)
        closure = Zone("fire", "Grass fire", Restriction.PROHIBITED, (Volume(Circle(middle, 400.0)),))
        before = r.clock.now_s()
        await r.service.add_zone(closure, actor="authority")
        await r.until(lambda: any(e["step"] == "hold" for e in r.events(order_id, "command")), 10.0)
        assert r.clock.now_s() - before < 2.0, "a closure is acted on within two seconds"
        await r.until_state(order_id, "released")
        chosen = [d["decision"]["candidate"] for d in r.events(order_id, "decision")]
        assert [c["kind"] for c in chosen if c is not None] == ["reroute"]
        assert vehicle.commands == ["upload", "start", "hold", "upload", "fly", "release", "upload"]

    tell(story)


def test_a_failing_box_is_taken_to_the_ice_house_and_the_dose_still_arrives_in_range():
    async def story(r: Rig) -> None:
        order_id = await with_a_failing_box(r)
        await warming_until(r, order_id, lambda: r.order(order_id).phase == "reicing")
        kinds = [
            d["decision"]["candidate"]["kind"] for d in r.events(order_id, "decision") if d["decision"]["candidate"]
        ]
        assert kinds == ["reice"]
        box_id = r.order(order_id).box_id
        assert box_id is not None
        r.temps_c[box_id], r.seal_ok = 5.5, True
        await r.custody(order_id, CustodyStep.REICED, seal="mended")
        await r.until_state(order_id, "released")
        assert r.order(order_id).verdict == "in_range"

    tell(story, config=demo_config(handling=Handling()))


def test_a_pilot_who_takes_over_is_left_alone_until_an_operator_hands_back():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(30)
        vehicle = r.vehicle_of(order_id)
        vehicle.mode = Mode.MANUAL
        before = list(vehicle.commands)
        await r.until_phase(order_id, "stood_down", 10.0)
        await r.clock.sleep(120)
        assert vehicle.commands == before
        view = r.service.vehicle(vehicle.vehicle_id)
        assert view is not None
        assert not view.authority
        refused = await r.service.command(vehicle.vehicle_id, VehicleCommand.HOLD, actor="op")
        assert isinstance(refused, Refused)
        handed = await r.service.command(vehicle.vehicle_id, VehicleCommand.RESUME, actor="op")
        assert not isinstance(handed, Refused)
        await r.until_state(order_id, "released")
        assert vehicle.releases == 1

    tell(story)


def test_a_pilot_who_takes_over_during_the_launch_and_lands_again_leaves_the_order_to_people():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_phase(order_id, "launching")
        vehicle = r.vehicle_of(order_id)
        await r.until(lambda: vehicle.armed, 10.0)
        vehicle.mode = Mode.MANUAL
        await r.until_phase(order_id, "stood_down", 10.0)
        assert r.order(order_id).state is OrderState.READY
        vehicle.alt_amsl_m, vehicle.armed = vehicle.ground_amsl_m, False
        await r.until_state(order_id, "returned")
        starts = vehicle.commands.count("start")
        await r.clock.sleep(300)
        assert vehicle.commands.count("start") == starts

    tell(story)


def test_a_plan_that_was_overwritten_in_flight_is_made_anew_from_where_the_vehicle_is():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(90)
        vehicle = r.vehicle_of(order_id)
        assert vehicle.plan is not None
        hub = vehicle.plan.waypoints[0].position
        vehicle.plan = replace(vehicle.plan, plan_id="somebody else's")
        await r.until(lambda: vehicle.mode is Mode.HOLD, 10.0)
        held_at = vehicle.at
        assert distance_m(held_at, hub) > 1000.0
        await r.until(lambda: vehicle.mode is Mode.MISSION, 10.0)
        assert not vehicle.plan.take_off, "with the plan it took off with it would first fly back to the pad"
        assert distance_m(vehicle.plan.waypoints[0].position, held_at) < 15.0
        await r.until_state(order_id, "released")

    tell(story)


def test_an_operator_holds_resumes_and_returns():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(60)
        vehicle = r.vehicle_of(order_id)
        await r.service.command(vehicle.vehicle_id, VehicleCommand.HOLD, actor="op")
        await r.until(lambda: vehicle.mode is Mode.HOLD, 5.0)
        await r.clock.sleep(30)
        assert vehicle.mode is Mode.HOLD, "an operator's hold is not overruled by a plan that is well"
        await r.service.command(vehicle.vehicle_id, VehicleCommand.RESUME, actor="op")
        await r.until(lambda: vehicle.mode is Mode.MISSION, 5.0)
        await r.service.command(vehicle.vehicle_id, VehicleCommand.RETURN, actor="op")
        await r.until_phase(order_id, None)
        assert r.order(order_id).state == "returned"
        assert vehicle.releases == 0

    tell(story)


def test_a_vehicle_that_waits_for_its_start_on_the_ground_is_not_called_home():
    """A plan that lands where it stands would be flown up and down for as long as the battery lasts."""

    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        for vehicle in r.vehicles.values():
            vehicle.refuse["start"] = "not yet"
        await r.until_phase(order_id, "launching")
        vehicle = r.vehicle_of(order_id)
        for command in (VehicleCommand.RETURN, VehicleCommand.LAND):
            answer = await r.service.command(vehicle.vehicle_id, command, actor="op")
            assert isinstance(answer, Refused)
            assert "on the ground" in answer.reasons[0].text
        vehicle.refuse.clear()
        await r.until_state(order_id, "released")

    tell(story)


def test_a_vehicle_starts_only_once_its_gripper_has_closed_around_the_box():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        for vehicle in r.vehicles.values():
            vehicle.refuse["grab"] = "grab: no answer from the vehicle"
        await r.until_phase(order_id, "launching")
        await r.clock.sleep(10.0)
        vehicle = r.vehicle_of(order_id)
        assert vehicle.commands == ["upload"]
        assert "grab" in r.events(order_id, "outcome")[-1]["text"]
        vehicle.refuse.clear()
        await r.until_state(order_id, "released")
        assert vehicle.grabs > 1

    tell(story)


def test_an_order_whose_vehicle_is_landed_during_its_launch_goes_back_to_dispatch():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_phase(order_id, "launching")
        vehicle = r.vehicle_of(order_id)
        told = vehicle.state

        def taking_off() -> VehicleState:
            state = told()
            return replace(state, landed=Timed(Landed.TAKING_OFF, state.heard_s or 0.0)) if vehicle.armed else state

        vehicle.state = taking_off  # type: ignore[method-assign]
        await r.until(lambda: vehicle.armed and vehicle.alt_amsl_m > vehicle.ground_amsl_m)
        await r.service.command(vehicle.vehicle_id, VehicleCommand.LAND, actor="op")
        await r.until(lambda: not vehicle.armed, 60.0)
        await r.until(lambda: bool(r.events(order_id, "abandoned")), 5.0)
        states = [e["state"] for e in r.events(order_id, "order_state")]
        assert states.count("accepted") == 2, states

    tell(story)


def test_an_order_that_the_wind_forbids_waits_instead_of_being_loaded_again_and_again():
    async def story(r: Rig) -> None:
        def in_wind(told: Callable[[], VehicleState]) -> Callable[[], VehicleState]:
            return lambda: replace(told(), wind=Timed(Wind(0.0, 11.0), r.clock.now_s()))

        for vehicle in r.vehicles.values():
            vehicle.battery_pct, vehicle.drain_pct_s = 52.0, 0.0  # enough in still air
            vehicle.state = in_wind(vehicle.state)  # type: ignore[method-assign]
        order_id = (await r.place("orvane")).order.order_id
        await r.clock.sleep(60)
        view = r.order(order_id)
        assert view.state == "accepted"
        assert view.reasons
        assert r.events(order_id, "assigned") == []

    tell(story)


def test_after_a_restart_the_air_is_as_it_was_and_no_older_plan_passes_for_a_present_one():
    async def story(r: Rig) -> None:
        around = [LatLon(7.51, 38.15), LatLon(7.52, 38.15), LatLon(7.53, 38.15)]
        for i, at in enumerate(around):
            zone = Zone(f"TFR-{i}", "rescue", Restriction.PROHIBITED, (Volume(Circle(at, 100.0)),))
            await r.service.add_zone(zone, actor="authority")
        await r.service.withdraw_zone("TFR-1", actor="authority")
        await r.service.withdraw_zone("PARK", actor="authority")
        before, after = r.ledger.airspace, restarted(r).ledger.airspace
        assert {z.zone_id for z in after.zones} == {z.zone_id for z in before.zones}
        assert after.version == before.version

    tell(story)


def test_a_vehicle_whose_home_was_closed_meanwhile_lands_at_an_alternate_instead_of_returning_into_the_zone():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        hub = r.config.sites["teral"].position
        closed = Zone("TFR-9", "rescue", Restriction.PROHIBITED, (Volume(Circle(hub, 600.0)),))
        await r.until(lambda: distance_m(r.vehicle_of(order_id).at, hub) > 1500.0)
        await r.service.add_zone(closed, actor="authority")
        vehicle = r.vehicle_of(order_id)
        await r.until_state(order_id, "released")
        nearest = []
        while r.order(order_id).phase is not None:
            nearest.append(distance_m(vehicle.at, hub))
            await r.clock.sleep(2.0)
        assert min(nearest) > 600.0
        (landed,) = r.events(order_id, "landed")
        assert r.config.sites[landed["at"]].kind is SiteKind.ALTERNATE
        assert any("no way home" in a["text"] for a in r.events(order_id, "alarm"))

    tell(story)


def test_while_the_link_is_silent_nothing_is_commanded_and_then_it_goes_on():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_state(order_id, "in_flight")
        await r.clock.sleep(30)
        vehicle = r.vehicle_of(order_id)
        vehicle.go_silent()
        before = list(vehicle.commands)
        await r.until(lambda: r.service.vehicle(vehicle.vehicle_id).link == "stale", 6.0)  # type: ignore[union-attr]
        await r.clock.sleep(20)
        assert vehicle.commands == before
        assert any(d["decision"]["link_silent"] for d in r.events(order_id, "decision"))
        vehicle.be_heard()
        await r.until_state(order_id, "released")

    tell(story)


def test_a_command_under_way_is_broken_off_when_a_pilot_takes_the_sticks():
    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until(lambda: r.order(order_id).state == "released")
        vehicle = r.vehicle_of(order_id)
        vehicle.answer_s = 4.0  # the way home: what is sent is long under way
        await r.until(lambda: vehicle.commands[-1] == "fly")
        vehicle.mode = Mode.MANUAL
        await r.clock.sleep(10.0)
        assert vehicle.mode is Mode.MANUAL
        assert vehicle.commands[-1] == "fly"

    tell(story)


def test_who_is_given_no_plan_in_the_air_returns_by_px4s_own_rule():
    """As inside a keep-out of its own fence: PX4 refuses every mission from there, and holding leads nowhere."""

    async def story(r: Rig) -> None:
        order_id = (await r.place()).order.order_id
        await r.until_phase(order_id, "releasing")
        vehicle = r.vehicle_of(order_id)
        vehicle.refuse["upload"] = "Geofence violation for waypoint 2"
        await r.until(lambda: vehicle.mode is Mode.RETURN, 120.0)
        assert vehicle.commands[-4:] == ["upload", "upload", "upload", "return"]
        (why,) = [e["why"] for e in r.events(order_id, "return_by_px4")]
        assert "Geofence violation for waypoint 2" in why

    tell(story)
