"""The world around real PX4s, in fake time: what one would say is fed to it, what it does to one is written down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sitl import geo
from sitl.mirror import MirrorWorld
from sitl.px4 import QUAD, VTOL
from sitl.px4_faults import Deed, Restart, Run, Wait, impossible, vehicles_of
from sitl.spec import SimSpec
from sitl.wire.dialect import Packer
from tests.sitl.helpers import GROUND_M, HOME, START_S, spec_dict

ARMED, DISARMED = 157, 29
ON_GROUND, IN_AIR = 1, 2
ACCEPTED, IN_PROGRESS, CANCELLED = 0, 5, 6
DO_GRIPPER = 211
BOX_S = 5.0
STATION = Packer(250, 190)


class Stage:
    """A mirror of one PX4 that says what it is told to say."""

    def __init__(self, **changes: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.done: list[Deed] = []
        self.now_s = START_S
        self.px4 = Packer(1)
        spec = SimSpec.from_dict(spec_dict(**changes))
        self.world = MirrorWorld(spec, START_S, self.events.append, do=lambda i, deeds: self.done.extend(deeds))
        self.to_px4: list[bytes] = []
        for link in self.world.links[0].values():
            link.transmit = self.to_px4.append

    def says(self, name: str, link: str = "onboard", **fields: Any) -> None:
        self.world.links[0][link].hear(self.px4.pack(name, fields), self.now_s)

    def flies(self, north_m: float, up_m: float, *, armed: bool = True, landed: int = IN_AIR, left: int = 80) -> None:
        lat, lon = geo.shifted(*HOME, north_m, 0.0)
        amsl_mm = round((GROUND_M + up_m) * 1e3)
        place = {"lat": round(lat * 1e7), "lon": round(lon * 1e7), "alt": amsl_mm, "relative_alt": round(up_m * 1e3)}
        self.says("GLOBAL_POSITION_INT", **place)
        self.says("ATTITUDE", roll=0.1, pitch=-0.2)
        self.says("HEARTBEAT", base_mode=ARMED if armed else DISARMED)
        self.says("EXTENDED_SYS_STATE", landed_state=landed)
        self.says("SYS_STATUS", battery_remaining=left)

    def wait(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 0.1)
            self.world.advance(self.now_s)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == event]

    def gripper(self, action: int, result: int = ACCEPTED, link: str = "gcs") -> None:
        command = {"command": DO_GRIPPER, "param2": float(action), "target_system": 1, "target_component": 1}
        self.world.links[0][link].receive(STATION.pack("COMMAND_LONG", command), self.now_s)
        self.says("COMMAND_ACK", link, command=DO_GRIPPER, result=result)


def test_the_box_goes_where_its_px4_goes_and_feels_what_it_feels() -> None:
    stage = Stage()
    stage.flies(100.0, 40.0)
    stage.wait(2 * BOX_S)
    sample = json.loads(stage.world.ground.boxes["box-1"].device.take()[-1])
    assert sample["docked"] is True
    assert sample["tilt_deg"] == pytest.approx((0.1 + 0.2) * 57.3, abs=0.1)
    fleet = stage.world.fleet
    assert fleet.height_m(0) == pytest.approx(40.0)
    assert geo.distance_m(*HOME, float(fleet.lat[0]), float(fleet.lon[0])) == pytest.approx(100.0, abs=0.02)
    assert fleet.charge(0) == pytest.approx(0.80)


def test_an_acknowledged_gripper_lets_the_box_go_where_the_vehicle_is() -> None:
    stage = Stage()
    stage.flies(100.0, 40.0)
    stage.wait(1.0)
    stage.flies(300.0, 8.0)  # newer than the last look at it
    stage.gripper(0, IN_PROGRESS)
    assert stage.told("released") == []
    stage.says("COMMAND_ACK", "gcs", command=DO_GRIPPER, result=ACCEPTED)
    (released,) = stage.told("released")
    assert (released["box"], released["vehicle"], released["agl_m"]) == ("box-1", "cw-1", 8.0)
    assert geo.distance_m(*HOME, released["lat_deg"], released["lon_deg"]) == pytest.approx(300.0, abs=0.1)
    stage.flies(0.0, 30.0)
    stage.wait(BOX_S + 1.0)
    sample = json.loads(stage.world.ground.boxes["box-1"].device.take()[-1])
    assert (sample["docked"], sample["tilt_deg"]) == (False, 0.0)


@pytest.mark.parametrize(("action", "result"), [(1, ACCEPTED), (0, IN_PROGRESS), (0, CANCELLED)])
def test_a_gripper_that_closed_or_did_not_finish_keeps_the_box(action: int, result: int) -> None:
    stage = Stage()
    stage.flies(0.0, 8.0)
    stage.gripper(action, result)
    stage.wait(1.0)
    assert stage.told("released") == []


def test_a_rivals_release_on_the_other_link_is_a_release_too_and_one_lost_on_the_radio_is_none() -> None:
    stage = Stage(faults=[{"kind": "link_loss", "on": "cw-1", "direction": "up"}])
    stage.flies(0.0, 8.0)
    stage.wait(1.0)
    command = {"command": DO_GRIPPER, "param2": 0.0, "target_system": 1, "target_component": 1}
    stage.world.links[0]["gcs"].receive(STATION.pack("COMMAND_LONG", command), stage.now_s)
    assert stage.to_px4 == []
    stage.gripper(0, link="onboard")
    assert len(stage.told("released")) == 1


def test_a_jammed_gripper_is_acknowledged_by_px4_and_holds_the_box_all_the_same() -> None:
    stage = Stage(faults=[{"kind": "gripper_jam", "on": "cw-1"}])
    stage.flies(0.0, 8.0)
    stage.wait(1.0)
    stage.gripper(0)
    assert stage.told("released") == []
    assert stage.done == [], "SIH's own gripper moves: it is the box that sticks"


def test_faults_begin_by_distance_flown_since_arming_and_by_place() -> None:
    lat, lon = geo.shifted(*HOME, 300.0, 0.0)
    near = {"vehicle": "cw-1", "within_m": 20.0, "lat_deg": lat, "lon_deg": lon}
    stage = Stage(
        faults=[
            {"kind": "gps_loss", "on": "cw-1", "when": {"vehicle": "cw-1", "flown_m": 150.0}},
            {"kind": "link_loss", "on": "cw-1", "when": near},
        ]
    )
    for north_m, armed in ((0.0, False), (500.0, False), (0.0, True), (100.0, True)):
        stage.flies(north_m, 30.0, armed=armed)
        stage.wait(0.5)
        assert stage.told("fault") == []
    stage.flies(200.0, 30.0)
    stage.wait(0.5)
    assert [e["kind"] for e in stage.told("fault")] == ["gps_loss"]
    assert stage.done == [Run(("param", "set", "SIM_GPS_USED", "0", "fail"))]
    stage.flies(290.0, 30.0)
    stage.wait(0.5)
    assert [e["kind"] for e in stage.told("fault")] == ["gps_loss", "link_loss"]


def test_a_landing_is_told_with_place_and_battery() -> None:
    stage = Stage()
    stage.flies(300.0, 8.0)
    stage.wait(0.5)
    stage.flies(300.0, 0.0, landed=ON_GROUND, left=57)
    stage.wait(1.0)
    (landed,) = stage.told("landed")
    assert landed["battery_pct"] == 57.0
    assert landed["vehicle"] == "cw-1"


def test_people_load_only_a_vehicle_that_stands_disarmed() -> None:
    stage = Stage(vehicle={"box": None})
    stage.flies(0.0, 0.0, armed=True, landed=ON_GROUND)
    stage.wait(0.5)
    load = {"do": "load", "box": "box-1", "vehicle": "cw-1", "payload_kg": 0.5, "payload_c": 5.0}
    stage.world.ground.command(load)
    assert "is armed" in stage.told("refused")[0]["reason"]
    stage.flies(0.0, 0.0, armed=False, landed=ON_GROUND)
    stage.wait(0.5)
    stage.world.ground.command(load)
    assert stage.told("loaded")[0]["vehicle"] == "cw-1"


# --- what is done to a PX4


def deeds_of(*, armed: bool = True, left: int = 80, **fault: Any) -> list[Deed]:
    stage = Stage(faults=[{"on": "cw-1", **fault}])
    stage.flies(0.0, 30.0 if armed else 0.0, armed=armed, landed=IN_AIR if armed else ON_GROUND, left=left)
    stage.wait(0.5)
    return stage.done


def param(name: str, value: str) -> Run:
    return Run(("param", "set", name, value, "fail"))


def test_a_sagging_battery_falls_to_a_floor_and_goes_on_from_there_as_before() -> None:
    before = "3651"  # 710 Wh at 700 W
    assert deeds_of(kind="battery_sag", share=0.3) == [
        param("SIM_BAT_MIN_PCT", "50"),
        param("SIM_BAT_DRAIN", "1"),
        Wait(3.0),
        param("SIM_BAT_DRAIN", before),
        param("SIM_BAT_MIN_PCT", "0"),
    ]
    assert deeds_of(kind="battery_sag", share=0.9, left=20)[0] == param("SIM_BAT_MIN_PCT", "0")


def test_what_is_over_is_put_right_again() -> None:
    faults = [
        ({"kind": "gps_loss"}, param("SIM_GPS_USED", "0"), param("SIM_GPS_USED", "10")),
        (
            {"kind": "compass_failure"},
            Run(("sensor_mag_sim", "stop")),
            Run(("sensor_mag_sim", "start")),
        ),
        ({"kind": "battery_drain", "factor": 10.0}, param("SIM_BAT_DRAIN", "365.1"), param("SIM_BAT_DRAIN", "3651")),
        ({"kind": "motor_failure", "share": 0.4}, param("SIH_T_MAX", "3"), param("SIH_T_MAX", "5")),
    ]
    for fault, begun, over in faults:
        stage = Stage(faults=[{"on": "cw-1", "duration_s": 5.0, **fault}])
        stage.wait(1.0)
        assert stage.done == [begun]
        stage.wait(6.0)
        assert stage.done == [begun, over]


def test_a_reboot_is_for_the_pad_and_a_sag_for_the_flight() -> None:
    assert deeds_of(kind="reboot", armed=False) == [Restart()]
    for fault, armed, why in (
        ({"kind": "reboot"}, True, "reboot: SIH starts on the ground"),
        ({"kind": "battery_sag", "share": 0.2}, False, "battery_sag: SIH's battery is full while it is disarmed"),
    ):
        stage = Stage(faults=[{"on": "cw-1", **fault}])
        stage.flies(0.0, 30.0, armed=armed, landed=IN_AIR if armed else ON_GROUND)
        stage.wait(0.5)
        assert stage.done == []
        assert stage.told("impossible")[0]["why"].startswith(why)


def test_a_world_that_sih_cannot_play_is_told_with_the_reasons() -> None:
    spec = SimSpec.from_dict(
        spec_dict(
            world={"wind_north_m_s": 3.0, "terrain": {"hills": [HILL]}},
            vehicle={"battery_pct": 60.0},
            faults=[
                {"kind": "gps_jump", "on": "cw-1", "north_m": 50.0, "name": "jump"},
                {"kind": "box_silent", "on": "box-1"},
            ],
        )
    )
    assert impossible(spec) == [
        "wind: SIH's air is still",
        "terrain: SIH's ground is level, at the height of each vehicle's home",
        "vehicle cw-1: SIH's battery is full at every arming",
        "fault jump: SIH's GPS has no offset: it reports where the vehicle is",
    ]
    assert impossible(SimSpec.from_dict(spec_dict())) == []


HILL = {"lat_deg": 7.52, "lon_deg": 38.22, "radius_m": 500.0, "height_m": 80.0}


def test_the_same_fleet_is_flown_by_px4s_of_the_same_kind_place_speed_and_endurance() -> None:
    (quad,) = vehicles_of(SimSpec.from_dict(spec_dict(vehicle={"params": {"RTL_RETURN_ALT": 80.0}})))
    assert (quad.home, quad.model, quad.index) == ((*HOME, GROUND_M), QUAD, 0)
    assert quad.params["SIM_BAT_DRAIN"] == 3651.0
    assert quad.params["MPC_XY_CRUISE"] == 20.0
    assert quad.params["RTL_RETURN_ALT"] == 80.0
    (vtol,) = vehicles_of(SimSpec.from_dict(spec_dict(vehicle={"model": "vtol", "system_id": 4})))
    assert (vtol.model, vtol.index) == (VTOL, 3)
    assert "SIH_KDV" not in vtol.params, "its drag is its wing's"
