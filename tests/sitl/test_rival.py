"""Another ground station and a pilot, on the bundled simulator in fake time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from sitl import geo
from sitl.rival import Rival, RivalItem, Told, Transfer
from sitl.simulation import Simulation
from sitl.spec import SimSpec
from sitl.wire.dialect import Message, frames
from tests.sitl.helpers import HOLD, HOME, MISSION, RETURN, START_S, Station, item, spec_dict, takeoff_and

POSITION = 0x00030000
FAR = geo.shifted(*HOME, -300.0, 0.0)
FOREIGN = (
    RivalItem(22, *HOME, 30.0, current=True),
    RivalItem(16, *FAR, 30.0, params=(3.0, 0.0, 0.0, math.nan)),
    RivalItem(20, frame=2, params=(0.0, 0.0, 0.0, 0.0)),
)


class Clock:
    def __init__(self) -> None:
        self.present_s = START_S

    def now_s(self) -> float:
        return self.present_s

    async def sleep(self, duration_s: float) -> None:
        raise AssertionError("nobody sleeps here")


class Scene:
    """A vehicle with its own station on the ground-station link, and a rival on the onboard link."""

    def __init__(self, *, quiet: bool = False, **changes: Any) -> None:
        onboard = {"onboard": {"local_port": 0}} | changes.pop("vehicle", {})
        spec = SimSpec.from_dict(spec_dict(vehicle=onboard, **changes))
        self.simulation = Simulation(spec, clock=Clock(), sockets=False)
        self.world = self.simulation.world
        self.gcs = Station(self.world)
        self.rival = Rival(246, 1, self.simulation.connect("cw-1", self._hear, "onboard"))
        self.gcs.ready(thin=True)
        self.gcs.quiet = quiet

    def _hear(self, data: bytes) -> None:
        self.rival.hear(data, self.world.now_s)

    def run(self, seconds: float) -> None:
        """Rival and station have their turn ten times a second."""
        for _ in range(round(seconds * 10)):
            self.rival.tick(self.world.now_s)
            self.gcs.run(0.1)

    def until(self, condition: Callable[[], object], limit_s: float = 120.0) -> None:
        start_s = self.world.now_s
        while not condition():
            assert self.world.now_s - start_s < limit_s, f"not within {limit_s} s"
            self.run(0.1)

    def stored(self) -> int:
        return self.world.vehicles[0].pilot.plans[0].opaque_id

    def flying(self) -> None:
        self.gcs.start(takeoff_and(item(16, 1000.0)))
        self.until(lambda: self.gcs.away() > 50.0)


def test_a_rivals_upload_replaces_the_plan_and_the_vehicles_id_of_it_changes() -> None:
    scene = Scene()
    ours = scene.gcs.upload(takeoff_and(item(16, 500.0)))["opaque_id"]
    scene.rival.upload(FOREIGN)
    scene.run(2.0)
    assert scene.rival.transfer is Transfer.ACCEPTED
    assert [(t.what, t.result) for t in scene.rival.told] == [("MISSION_ACK", 0)]
    assert [x.command for x in scene.world.vehicles[0].pilot.plans[0].items] == [22, 16, 20]
    shown = scene.gcs.of("MISSION_CURRENT")[-1]["mission_id"]
    assert shown == scene.stored() != ours


def test_a_rival_who_clears_the_mission_in_flight_stops_the_vehicle() -> None:
    scene = Scene()
    scene.flying()
    scene.rival.clear()
    scene.run(2.0)
    assert scene.rival.transfer is Transfer.ACCEPTED
    assert (scene.stored(), scene.gcs.mode()) == (0, HOLD)


def test_a_rival_is_refused_while_our_upload_is_under_way() -> None:
    scene = Scene()
    scene.gcs.count(2)
    scene.rival.upload(FOREIGN)
    scene.run(0.5)
    assert scene.rival.transfer is Transfer.REFUSED
    assert scene.rival.told[0].result == 1


def test_a_rivals_upload_gets_through_a_bad_radio_unaltered() -> None:
    bad = {"on": "cw-1", "link": "onboard"}
    faults = [{"kind": "link_loss", "rate": 0.3} | bad, {"kind": "link_duplicate", "rate": 0.5} | bad]
    clear, scene = Scene(), Scene(faults=[*faults, {"kind": "link_delay", "delay_s": 0.1, "jitter_s": 0.3} | bad])
    for s in (clear, scene):
        s.rival.upload(FOREIGN)
        s.until(lambda s=s: s.rival.transfer is not Transfer.RUNNING)
    assert scene.rival.transfer is Transfer.ACCEPTED
    assert scene.stored() == clear.stored() != 0
    link = scene.world.vehicles[0].link("onboard")
    assert min(link.down.counts.lost, link.down.counts.doubled, link.down.counts.overtaken) > 0


def test_a_rival_asks_again_until_it_is_heard() -> None:
    fault = {"kind": "link_loss", "on": "cw-1", "link": "onboard", "direction": "up", "duration_s": 8.0}
    scene = Scene(faults=[fault])
    scene.rival.upload(FOREIGN)
    scene.rival.set_mode(4, 4)
    scene.run(1.5)
    assert scene.rival.told == []
    scene.run(4.0)
    assert scene.rival.transfer is Transfer.ACCEPTED
    assert ("COMMAND_ACK", 176) in {(t.what, t.number) for t in scene.rival.told}


def test_nobody_answers_a_rival_whose_radio_is_dead() -> None:
    scene = Scene(faults=[{"kind": "link_loss", "on": "cw-1", "link": "onboard", "direction": "up"}])
    scene.rival.upload(FOREIGN)
    scene.rival.set_mode(4, 3)
    scene.run(8.0)
    assert scene.rival.transfer is Transfer.UNANSWERED
    assert scene.rival.told == []


def test_a_rivals_heartbeat_hides_from_the_vehicle_that_its_controller_is_gone() -> None:
    params = {"NAV_DLL_ACT": 2, "COM_DL_LOSS_T": 5}
    alone, watched = Scene(vehicle={"params": params}), Scene(vehicle={"params": params})
    watched.rival.heartbeat(True)
    for scene in (alone, watched):
        scene.flying()
        scene.gcs.quiet = True
        scene.run(12.0)
    assert alone.gcs.mode() != MISSION
    assert watched.gcs.mode() == MISSION
    assert watched.rival.told == []
    watched.rival.heartbeat(False)
    watched.run(9.0)
    assert watched.gcs.mode() != MISSION


def test_who_is_on_another_link_of_the_vehicle_is_heard_by_heartbeats_but_not_by_what_it_tells_the_vehicle() -> None:
    scene = Scene()
    scene.rival.heartbeat(True)
    scene.rival.set_mode(4, 3)
    scene.run(5.0)
    handed_on = [m.name for m in scene.gcs.heard if m.system == scene.rival.system_id]
    assert set(handed_on) == {"HEARTBEAT"}
    assert 4 <= len(handed_on) <= 6
    scene.rival.heartbeat(False)
    before = len(scene.gcs.heard)
    scene.run(5.0)
    assert all(m.system == 1 for m in scene.gcs.heard[before:])


def test_a_link_on_which_nobody_speaks_is_handed_nothing() -> None:
    spec = SimSpec.from_dict(spec_dict(vehicle={"onboard": {"local_port": 0}}))
    world = Simulation(spec, clock=Clock(), sockets=False).world
    watched: list[Message] = []
    world.vehicles[0].link("onboard").hearers.append(lambda data: watched.extend(frames(data)))
    gcs = Station(world)
    gcs.ready(thin=True)
    gcs.run(5.0)
    assert {m.system for m in watched} == {1}


def test_a_pilot_takes_over_flies_and_gives_back() -> None:
    scene = Scene(vehicle={"params": {"COM_RCL_EXCEPT": 3}})
    scene.flying()
    scene.rival.take_over()
    scene.run(4.0)
    assert scene.gcs.mode() == POSITION
    before = scene.gcs.height()
    scene.rival.take_over(up=1.0)
    scene.run(10.0)
    assert scene.gcs.height() > before + 10.0, "the sticks steer"

    scene.rival.give_back()
    scene.run(5.0)
    assert scene.gcs.mode() == HOLD
    assert not scene.rival.flies, "the sticks are silent once the vehicle holds"
    scene.run(10.0)
    assert scene.gcs.mode() == HOLD


def test_sticks_that_move_take_an_automatic_mode_away_at_once() -> None:
    scene = Scene()
    scene.flying()
    scene.rival.take_over()
    scene.run(4.0)
    scene.gcs.set_mode(4, 4)
    scene.run(1.0)
    assert scene.gcs.mode() == MISSION, "centred sticks leave it alone"
    scene.rival.take_over(right=0.5)
    scene.run(0.2)
    assert scene.gcs.mode() == POSITION
    assert "Pilot took over using sticks\t" in scene.gcs.texts()


@pytest.mark.parametrize(("except_bits", "mode"), [(3, HOLD), (0, RETURN)])
def test_sticks_put_down_in_flight_are_missed_unless_the_mode_is_excepted(except_bits: int, mode: int) -> None:
    scene = Scene(vehicle={"params": {"COM_RCL_EXCEPT": except_bits}})
    scene.flying()
    scene.rival.take_over()
    scene.run(4.0)
    scene.rival.give_back()
    scene.until(lambda: not scene.rival.flies)
    assert scene.gcs.mode() == HOLD
    scene.run(8.0)
    assert scene.gcs.mode() == mode


def test_sticks_are_out_at_ten_hertz_for_a_second_before_their_mode_is_asked_for() -> None:
    sent: list[bytes] = []
    rival = Rival(246, 1, sent.append)
    rival.take_over(forward=0.5)
    for n in range(60):
        rival.tick(START_S + n / 60.0)
    names = [m.name for m in frames(b"".join(sent))]
    assert names == ["MANUAL_CONTROL"] * len(names)
    assert len(names) == pytest.approx(10, abs=1)
    rival.tick(START_S + 1.1)
    assert next(frames(sent[-1])).name == "COMMAND_LONG"


def test_a_pilot_whose_mode_is_taken_away_does_not_fight() -> None:
    scene = Scene()
    scene.flying()
    scene.rival.take_over()
    scene.run(4.0)
    scene.gcs.set_mode(4, 5)
    scene.run(4.0)
    assert scene.gcs.mode() == RETURN


def test_a_rival_sets_a_mode_and_knows_the_answer() -> None:
    scene = Scene()
    scene.flying()
    scene.rival.set_mode(4, 3)
    scene.run(1.5)
    assert scene.gcs.mode() == HOLD == scene.rival.custom_mode
    assert {(t.what, t.number, t.result) for t in scene.rival.told} == {("COMMAND_ACK", 176, 0)}


def test_all_who_are_connected_to_a_link_hear_the_same_until_they_leave() -> None:
    scene = Scene()
    heard: dict[str, list[bytes]] = {"a": [], "b": []}
    scene.simulation.connect("cw-1", heard["a"].append, "onboard")
    scene.simulation.connect("cw-1", heard["b"].append, "onboard")
    scene.run(1.0)
    assert heard["a"] == heard["b"] != []
    before = len(heard["b"])
    scene.simulation.disconnect("cw-1", heard["b"].append, "onboard")
    scene.run(1.0)
    assert len(heard["b"]) == before < len(heard["a"])


@pytest.mark.parametrize("noise", [b"", b"\xfd", b"\xfe\xff", b"\xfd\x09\x00" * 30, bytes(range(256))])
def test_noise_before_and_after_a_frame_is_stepped_over(noise: bytes) -> None:
    scene, heard = Scene(), list[bytes]()
    scene.simulation.connect("cw-1", heard.append, "onboard")
    scene.run(1.2)
    beat = next(data for data in heard if next(frames(data)).name == "HEARTBEAT")
    rival = Rival(246, 1, lambda data: None)
    rival.hear(noise, START_S)
    rival.hear(beat, START_S)
    assert rival.custom_mode == HOLD
    rival.hear(beat[:-1] + bytes([beat[-1] ^ 1]), START_S)
    assert rival.told == list[Told]()
