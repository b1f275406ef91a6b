"""A configured VTOL's delivery: planned and uploaded by the controller's own code, flown by the simulator."""

from dataclasses import replace
from typing import Any

import pytest

from fleet.config import FleetConfig, data_dir, load_config
from fleet.mavlink.checksum import opaque_id
from fleet.mavlink.items import plan_items
from geofences.geodesy import LatLon, distance_m
from missions.plan import Ending, Plan
from missions.planning import PlanRequest, make_plan
from missions.snapshot import Wind
from sitl.simulation import World
from sitl.spec import SimSpec
from tests.routing.valley import SITES, planned, request
from tests.sitl.helpers import START_S, Station, spec_dict

PAYLOAD_KG = 2.0


@pytest.fixture(scope="module")
def config() -> FleetConfig:
    return load_config(data_dir() / "fleet-vtol.yaml")


class Courier:
    """`courier-vtol` on the pad of Teral, with the parameters of its contract."""

    def __init__(self, config: FleetConfig, wind: Wind) -> None:
        vehicle = config.vehicles["wing-1"]
        self.type, self.wind = vehicle.type, wind
        demands = config.contracts["wing-1"].parameters
        values = ("hover_power_w", "cruise_power_w", "empty_mass_kg", "max_payload_kg", "battery_wh")
        speeds = ("cruise_m_s", "climb_m_s", "descent_m_s")
        spec = spec_dict(
            vehicle={
                "model": "vtol",
                "performance": {name: getattr(self.type, name) for name in (*values, *speeds)},
                "params": {name: d.low for name, d in demands.items() if d.low is not None},
            },
            world={"wind_north_m_s": wind.north_m_s, "wind_east_m_s": wind.east_m_s},
            box={"payload_kg": PAYLOAD_KG - 1.2},
        )
        self.gcs = Station(World(SimSpec.from_dict(spec), START_S)).ready(thin=True)

    def plan(self, **changes: Any) -> Plan:
        asked: PlanRequest = request("orvane", vehicle=self.type, wind=self.wind, payload_kg=PAYLOAD_KG, margin_m=30.0)
        return planned(make_plan(replace(asked, **changes)))

    def upload(self, plan: Plan) -> None:
        items = plan_items(plan, cruise_m_s=self.type.cruise_m_s, airframe=self.type.airframe).mission
        ack = self.gcs.upload([item._asdict() for item in items])
        assert ack["type"] == 0
        assert ack["opaque_id"] == opaque_id(items)
        self.gcs.run(0.5)
        assert self.gcs.mission_state() == 2, "judged feasible"

    def off_m(self, to: LatLon) -> float:
        fleet = self.gcs.world.fleet
        return distance_m(LatLon(float(fleet.lat[0]), float(fleet.lon[0])), to)

    def used_wh(self) -> float:
        return float(self.gcs.world.fleet.used_wh[0])


@pytest.mark.parametrize("wind", [Wind(0.0, 0.0), Wind(10.0, 0.0)], ids=["still air", "10 m/s ahead"])
def test_a_vtol_drops_from_the_hover_and_flies_home_on_its_wing(config: FleetConfig, wind: Wind) -> None:
    courier = Courier(config, wind)
    gcs, drop = courier.gcs, SITES["orvane"].position
    out = courier.plan(then_home=True)
    courier.upload(out)
    assert gcs.command(300) == [0]
    vtol = gcs.world.vehicles[0].pilot.navigator.vtol
    gcs.until(lambda: vtol.on_wing)
    gcs.until(lambda: vtol.on_rotors)
    assert courier.off_m(drop) < 60.0, "the transition begins where braking ends near the pad"
    gcs.until(lambda: gcs.mission_state() == 5)
    gcs.run(1.0)
    assert courier.off_m(drop) < 2.0
    assert gcs.height() == pytest.approx(8.0, abs=1.0)
    assert vtol.on_rotors
    assert gcs.world.now_s - START_S == pytest.approx(6.0 + out.arrive_s - out.depart_s, rel=0.1)

    gcs.command(211, 1, 0)
    gcs.run(2.0)
    assert gcs.world.ground.boxes["box-1"].on is None
    here = {"start": drop, "start_amsl_m": 428.0, "take_off": False, "payload_kg": 0.0, "then_home": False}
    courier.upload(courier.plan(goal=SITES["teral"], ending=Ending.LAND, **here))
    gcs.set_mode(4, 4)
    gcs.until(lambda: not gcs.armed())
    assert courier.off_m(SITES["teral"].position) < 2.0
    assert courier.used_wh() < out.energy.use_wh < 1.4 * courier.used_wh(), "planned with something in hand"
