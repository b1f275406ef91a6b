"""What the bundled simulator costs: a thousand vehicles, a hundred, three for twenty minutes, and a whole story.

Every vehicle flies a mission with a box on board; its links are thinned as a fleet controller thins them, and a ground
station's heartbeat comes in once a second. CPU time of the one thread. With `--px4` one real PX4 with its own simulator
(SIH) is measured beside it, where it is found: what a user would take instead.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import report, say
from fleet.config import data_dir
from fleet.heap import steady_heap
from fleet.logs import configure_logs
from fleet.simulate.outcome import Outcome
from fleet.simulate.run import Play, play
from fleet.simulate.scenario import load_scenario
from fleet.simulate.virtual import virtual_stage
from fleet.virtual import run_virtual
from sitl import geo
from sitl.px4 import find_px4, start_px4
from sitl.simulation import World
from sitl.spec import BoxSpec, LinkSpec, SimSpec, VehicleSpec
from sitl.wire.dialect import BY_NAME, Packer
from sitl.wire.link import Link
from sitl.wire.streams import FIXED_RATE, GCS_RATES, ONBOARD_RATES
from sitl.worldspec import WorldSpec

START_S = 1_700_000_000.0
HOME = (7.5, 38.2)
GRID_M = 400.0
SYSTEM_IDS = 250
"""a system id is one byte: a thousand vehicles are on four links"""
CONTROLLER_HZ = {
    "GLOBAL_POSITION_INT": 4.0,
    "EXTENDED_SYS_STATE": 2.0,
    "VFR_HUD": 2.0,
    "SYS_STATUS": 1.0,
    "HEARTBEAT": 1.0,
    "BATTERY_STATUS": 0.5,
    "CURRENT_MODE": 0.5,
    "HOME_POSITION": 0.5,
    "WIND_COV": 0.5,
}
"""with MISSION_CURRENT, which keeps its own 1 Hz, 13 messages a second"""
OBSERVER_HZ = {"GLOBAL_POSITION_INT": 4.0, "EXTENDED_SYS_STATE": 1.0, "SYS_STATUS": 1.0, "HEARTBEAT": 1.0}
LEG_M = 3000.0
LEGS = 12
"""out and back: long enough for any run here"""
UPLOAD_S, START_AFTER_S = 6.0, 7.0
CRUISING_S = 60.0
"""after the start all are past their climb"""
RUNS = 3
PX4_S = 20.0


class Station:
    """Speaks to one vehicle on one link, and counts what comes back."""

    def __init__(self, world: World, i: int, link: str) -> None:
        self.world, self.vehicle = world, world.vehicles[i]
        self.link: Link = self.vehicle.link(link)
        self.packer = Packer(255, 190)
        self.frames = self.bytes = 0
        self.link.hearers.append(self._hear)
        self._beat = self.packer.pack("HEARTBEAT", {"type": 6, "autopilot": 8, "mavlink_version": 3})

    def _hear(self, data: bytes) -> None:
        self.frames += 1
        self.bytes += len(data)

    def send(self, name: str, fields: dict[str, Any]) -> None:
        target = {"target_system": self.vehicle.spec.system_id, "target_component": 1}
        self.link.receive(self.packer.pack(name, target | fields), self.world.now_s)

    def heartbeat(self) -> None:
        self.link.receive(self._beat, self.world.now_s)

    def command(self, number: int, *params: float) -> None:
        self.send("COMMAND_LONG", {"command": number, **{f"param{k}": v for k, v in enumerate(params, 1)}})

    def thin(self, wanted: dict[str, float]) -> None:
        for name in (GCS_RATES.keys() | ONBOARD_RATES.keys()) - FIXED_RATE:
            self.command(511, BY_NAME[name].msg_id, 1e6 / wanted[name] if name in wanted else -1.0)

    def upload(self) -> None:
        """Take-off, then there and back again and again."""
        at = self.vehicle.spec.lat_deg, self.vehicle.spec.lon_deg
        places = [(0.0, 22), *((LEG_M * ((k + 1) % 2), 16) for k in range(LEGS))]
        self.send("MISSION_COUNT", {"count": len(places)})
        for seq, (north_m, command) in enumerate(places):
            lat, lon = geo.shifted(*at, north_m, 0.0)
            place = {"x": round(lat * 1e7), "y": round(lon * 1e7), "z": 60.0, "frame": 6, "param4": float("nan")}
            self.send("MISSION_ITEM_INT", {"seq": seq, "command": command, "autocontinue": 1, **place})


class Fleet:
    """A world of n vehicles with their stations, flying."""

    def __init__(self, n: int, *, observed: bool, make: Callable[[SimSpec, float], World]) -> None:
        vehicles = []
        for i in range(n):
            lat, lon = geo.shifted(*HOME, GRID_M * (i // 32), GRID_M * (i % 32))
            link = LinkSpec(0) if observed else None
            number = i % SYSTEM_IDS + 1
            vehicles.append(VehicleSpec(f"cw-{i}", number, lat, lon, onboard=link, box=f"box-{i}"))
        boxes = tuple(BoxSpec(f"box-{i}", payload_kg=0.8) for i in range(n))
        weather = WorldSpec(ambient_c=38.0, wind_north_m_s=2.0, gust_m_s=0.8, ground_amsl_m=420.0)
        spec = SimSpec(START_S, 0.0, 1.0, 1, weather, tuple(vehicles), boxes)
        self.world = make(spec, START_S)
        self.stations = [Station(self.world, i, "gcs") for i in range(n)]
        self.observers = [Station(self.world, i, "onboard") for i in range(n)] if observed else []

    def run(self, seconds: float) -> float:
        """Lets simulated time pass; the CPU seconds that it took."""
        begun_s, end_s = time.thread_time(), self.world.now_s + seconds
        while self.world.now_s < end_s - 1e-6:
            for station in self.stations:
                station.heartbeat()
            self.world.advance(min(end_s, self.world.now_s + 1.0))
            for box in self.world.ground.boxes.values():
                box.device.queue.clear()
        return time.thread_time() - begun_s

    def take_off(self) -> None:
        self.run(1.0)
        for station in self.stations:
            station.thin(CONTROLLER_HZ)
        for station in self.observers:
            station.thin(OBSERVER_HZ)
        self.run(UPLOAD_S - 1.0)
        for station in self.stations:
            station.upload()
        self.run(START_AFTER_S - UPLOAD_S)
        for station in self.stations:
            station.command(300)

    def frames(self) -> int:
        return sum(station.frames for station in self.stations + self.observers)

    def check_flying(self) -> None:
        """A benchmark of vehicles that stand on the ground would be a fine figure and worth nothing."""
        pilots = [vehicle.pilot for vehicle in self.world.vehicles]
        assert all(p.armed and not p.landed and p.mission_state() == 3 for p in pilots)


class Dissected(World):
    """The same world, which keeps the time of each of its parts."""

    def __init__(self, spec: SimSpec, start_s: float) -> None:
        super().__init__(spec, start_s)
        self.spent_s = dict.fromkeys(("dynamics", "autopilots", "streams", "boxes"), 0.0)

    def _move(self) -> None:
        self._timed("dynamics", super()._move)

    def _pilot(self) -> None:
        self._timed("autopilots", super()._pilot)

    def _stream(self) -> None:
        self._timed("streams", super()._stream)

    def _tend(self) -> None:
        self._timed("boxes", super()._tend)

    def _timed(self, part: str, work: Callable[[], None]) -> None:
        begun_s = time.perf_counter()
        work()
        self.spent_s[part] += time.perf_counter() - begun_s


def parts(fleet: Fleet, seconds: float) -> dict[str, float]:
    """Share of each part in what a second run takes; the rest is hearing, and measuring itself."""
    world = fleet.world
    assert isinstance(world, Dissected)
    world.spent_s = dict.fromkeys(world.spent_s, 0.0)
    begun_s = time.perf_counter()
    fleet.run(seconds)
    total_s = time.perf_counter() - begun_s
    return {part: round(spent_s / total_s, 3) for part, spent_s in world.spent_s.items()}


def cruising(n: int, seconds: float) -> dict[str, Any]:
    """n vehicles on their missions; the best of a few runs, since what else the machine does only makes one longer."""
    fleet = Fleet(n, observed=False, make=World)
    fleet.take_off()
    fleet.run(CRUISING_S)
    fleet.check_flying()
    before = fleet.frames()
    cpu_s = min(fleet.run(seconds) for _ in range(RUNS))
    frames = fleet.frames() - before
    fleet.check_flying()
    dissected = Fleet(n, observed=False, make=Dissected)
    dissected.take_off()
    dissected.run(CRUISING_S)
    return {
        "vehicles": n,
        "simulated_s": seconds,
        "cpu_s": round(cpu_s, 3),
        "core_share_at_1x": round(cpu_s / seconds, 4),
        "times_real_time": round(seconds / cpu_s, 1),
        "messages_s_vehicle": round(frames / n / seconds / RUNS, 1),
        "parts": parts(dissected, seconds),
    }


def short_story(minutes: float) -> dict[str, Any]:
    """Three vehicles with boxes, each heard by a controller and by an observer, from power-on; the best of a few."""
    runs = []
    for _ in range(RUNS):
        fleet = Fleet(3, observed=True, make=World)
        begun_s = time.thread_time()
        fleet.take_off()
        fleet.run(60.0 * minutes - START_AFTER_S)
        runs.append(time.thread_time() - begun_s)
        fleet.check_flying()
    dissected = Fleet(3, observed=True, make=Dissected)
    dissected.take_off()
    return {
        "vehicles": 3,
        "simulated_s": 60.0 * minutes,
        "cpu_s": round(min(runs), 3),
        "times_real_time": round(60.0 * minutes / min(runs)),
        "messages_s_vehicle": round(fleet.frames() / 3 / (60.0 * minutes), 1),
        "parts": parts(dissected, 60.0 * minutes - START_AFTER_S),
    }


async def px4_share() -> float:
    """CPU share of one PX4 at real time, ready on the ground: its loops run as fast there as in flight."""

    def used_s(pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async with start_px4([(*HOME, 420.0)]) as (instance, *_):
        before_s, begun_s = used_s(instance.pid), time.monotonic()
        await asyncio.sleep(PX4_S)
        return (used_s(instance.pid) - before_s) / (time.monotonic() - begun_s)


def demo_in_process() -> dict[str, Any]:
    """The demonstration with controller and world on one virtual clock."""
    configure_logs(json=True, stream=io.StringIO())
    scenario = load_scenario(data_dir() / "scenarios" / "demo")
    seed = scenario.file.seed

    async def story() -> Outcome:
        async with virtual_stage(scenario, seed) as stage:
            return await play(Play(scenario, stage, seed, lambda kind, data: None))

    runs = []
    for _ in range(RUNS):
        begun_s, used_s = time.monotonic(), time.process_time()
        with steady_heap():  # as `fleet scenario run`
            outcome = run_virtual(story())
        runs.append((time.monotonic() - begun_s, time.process_time() - used_s))
    simulated_s = outcome.ended_s - outcome.started_s
    wall_s, cpu_s = min(runs)
    return {
        "simulated_min": round(simulated_s / 60.0, 1),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "times_real_time": round(simulated_s / wall_s),
        "expectations_met": outcome.ok,
    }


MEASURED: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "thousand": ("1,000 vehicles at real time", lambda: cruising(1000, 10.0)),
    "hundred": ("100 vehicles", lambda: cruising(100, 60.0)),
    "few": ("3 vehicles for 20 minutes", lambda: short_story(20.0)),
    "demo": ("the demonstration in virtual time", demo_in_process),
}


def main() -> None:
    figures: dict[str, Any] = {}
    for name, (text, measure) in MEASURED.items():
        say(text)
        figures[name] = measure()
    if "--px4" in sys.argv[1:] and find_px4() is not None:
        say(f"one PX4 for {PX4_S:.0f} s")
        share = asyncio.run(px4_share())
        figures["px4_core_share"] = round(share, 3)
        figures["px4_to_one_of_a_thousand"] = round(share / figures["thousand"]["core_share_at_1x"] * 1000.0)
    how = "CPU time of one thread, all vehicles on missions, links thinned; parts: shares of wall clock in a second run"
    report("sim", figures, how, ("numpy", "fastcrc"))


if __name__ == "__main__":
    main()
