"""What a telemetry message costs from the socket to the decision, beside pymavlink's parser and mavsdk's streams.

Bars: a thousand vehicles at 15 messages a second under 50 % of a core, in the snapshot within 20 ms (p99), none lost;
decoding at most half of pymavlink's parser, all of it no more than that parser, and a third of mavsdk at most.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.link_vehicles import HZ, PER_LINK, STAMP_US, SYSTEMS, stamp_us, stream
from benchmarks.report import percentile, report, say
from fleet.clock import ScaledClock
from fleet.heap import steady_heap
from fleet.mavlink.codec import decode
from fleet.mavlink.frame import scan
from fleet.mavlink.peer import Peer
from fleet.mavlink.station import Station, open_station
from fleet.mavlink.udp import MAX_DATAGRAMS_PER_TURN
from fleet.runtime.cockpit import CANDIDATES_EVERY_S
from fleet.runtime.session import TICK_S
from missions.decision.engine import decide
from missions.decision.types import Memory, Policy, Snapshot
from missions.snapshot import Timed
from tests.decision.situations import BOX, CALM, NOW
from tests.mavlink.wires import Nowhere

SIZES = (20, 100)
THOUSAND = 1000
MESSAGES = 15_000
"""in memory, for each size; of one vehicle fewer than the link takes in one go"""
REPEATS = 12
SETTLE_S = 4.0
WINDOW_S = 12.0
SAMPLED = 10
"""the age of one vehicle in so many is measured: measuring costs too"""
LOOK_EVERY = HZ * TICK_S
"""messages of a vehicle from one look to the next: it looks at the first that comes TICK_S after its
last look, as a session without news does"""
POLICY = Policy()
assert BOX.sample is not None
BOX_SAMPLE = BOX.sample.value
ORDER = replace(CALM.order, deadline_s=NOW + 1e6)


class Rules:
    """A vehicle in flight as its session sees it: at the session's pace a snapshot, all fault rows and a decision."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.memory = Memory()
        self.looks = self.disturbed = 0
        made = [tuple(replace(c, arrive_s=c.arrive_s + 1e-3 * n) for c in CALM.candidates) for n in range(3)]
        self._made = cycle(made)
        self._renewed_s = float("-inf")
        self._looked_s = float("-inf")

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """New telemetry: it looks at the first that comes TICK_S after its last look."""
        now_s = self.peer.clock.now_s()
        if now_s - self._looked_s >= TICK_S:
            self._looked_s = now_s
            loop.call_soon(self.look, now_s)

    def look(self, now_s: float) -> None:
        if now_s - self._renewed_s >= CANDIDATES_EVERY_S:
            self._renew(now_s)
        state = self.peer.state()
        snapshot = Snapshot(
            phase=CALM.phase,
            order=ORDER,
            plan=CALM.plan,
            vehicle=state,
            box=self._box,
            candidates=self._candidates,
            candidates_at_s=self._renewed_s,
            conflict=None,
            cross_track_m=CALM.cross_track_m,
            home_end_pct=CALM.home_end_pct,
            expected_mode=CALM.expected_mode,
            authority=True,
            dispatched_at_s=CALM.dispatched_at_s,
            airspace_version=CALM.airspace_version,
            payload_aboard=True,
            plan_held=True,
            held_boot=state.boot,
        )
        self.memory, decision = decide(self.memory, snapshot, POLICY, now_s)
        self.looks += 1
        if decision.cause != "plan":
            self.disturbed += 1

    def _renew(self, now_s: float) -> None:
        """Fresh candidates and a box sample, as the controller has them; planning the routes is not part of this."""
        self._renewed_s = now_s
        self._candidates = next(self._made)
        self._box = replace(BOX, sample=Timed(BOX_SAMPLE, now_s))


# -- in memory: CPU a message ------------------------------------------------------------------------------------------


class SetClock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.at_s = NOW

    def now_s(self) -> float:
        return self.at_s

    async def sleep(self, duration_s: float) -> None:
        raise AssertionError("nothing waits here")

    def wall_s(self, duration_s: float) -> float:
        return duration_s


def decoding(frames: list[bytes]) -> None:
    for data in frames:
        for frame in scan(data).frames:
            decode(frame)


class WholePath:
    """Frames through the link, as many in a turn as its UDP transport drains when it is behind, but no more than come
    between two looks of a vehicle; then what telemetry wakes: one look for every LOOK_EVERY messages, the vehicles in
    turn."""

    def __init__(self, vehicles: int) -> None:
        self.clock = SetClock()
        names = {system: f"cw-{system}" for system in SYSTEMS[:vehicles]}
        self.station = Station(clock=self.clock)
        self.link = self.station.add_link("memory", Nowhere(), names)
        self.rules = [Rules(peer) for peer in self.station.peers]
        self.vehicles = vehicles

    def __call__(self, frames: list[bytes]) -> None:
        received, step_s = self.station.receiver(self.link), 1.0 / (HZ * self.vehicles)
        looking = cycle(self.rules)
        most = min(MAX_DATAGRAMS_PER_TURN, int(LOOK_EVERY * self.vehicles))
        for begin in range(0, len(frames), most):
            turn = frames[begin : begin + most]
            for data in turn:
                self.clock.at_s += step_s
                found = scan(data)
                received(found.frames, found.bad, "somewhere")
            self.station.turn_over()
            for rules in islice(looking, round(len(turn) / LOOK_EVERY)):
                rules.look(self.clock.at_s)


def pymavlink_parser(vehicles: int) -> Callable[[list[bytes]], None]:
    from pymavlink.dialects.v20 import development

    parsers = {system: development.MAVLink(None) for system in SYSTEMS[:vehicles]}

    def parse(frames: list[bytes]) -> None:
        for data in frames:
            for found in parsers[data[5]].parse_buffer(data) or []:
                found.get_type()

    return parse


def in_memory(vehicles: int) -> dict[str, Any]:
    """Best CPU time of several turns each, the turns by turns, so that what else the machine does hits all alike."""
    say(f"in memory: {vehicles} vehicles")
    frames = stream(vehicles, MESSAGES / vehicles / HZ)
    whole = WholePath(vehicles)
    works: dict[str, Callable[[list[bytes]], None]] = {
        "decode": decoding,
        "decode_reduce_rules": whole,
        "pymavlink_parser": pymavlink_parser(vehicles),
    }
    best = dict.fromkeys(works, float("inf"))
    for _ in range(REPEATS):
        whole.station.tick()
        for name, work in works.items():
            before_s = time.process_time()
            work(frames)
            best[name] = min(best[name], time.process_time() - before_s)
    us = {name: 1e6 * spent_s / len(frames) for name, spent_s in best.items()}
    stats = whole.link.stats()
    assert stats.frames == REPEATS * len(frames), "every frame is good"
    assert not stats.refused_frames, "every vehicle is admitted"
    assert not stats.over_budget, "every frame is taken"
    assert not any(rules.disturbed for rules in whole.rules), "nothing is wrong with any flight"
    decode_ratio, whole_ratio = (us[name] / us["pymavlink_parser"] for name in ("decode", "decode_reduce_rules"))
    return {
        "messages": len(frames),
        **{f"{name}_cpu_us_per_message": round(value, 2) for name, value in us.items()},
        "decode_to_pymavlink": round(decode_ratio, 3),
        "decode_at_most_half_of_pymavlink": decode_ratio <= 0.5,
        "whole_path_to_pymavlink": round(whole_ratio, 3),
        "whole_path_at_most_pymavlink": whole_ratio <= 1.0,
    }


# -- over sockets ------------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in socks]
    finally:
        for sock in socks:
            sock.close()


class Flying:
    """The vehicles' process."""

    def __init__(self, ports: list[int], vehicles: int) -> None:
        call = [sys.executable, "-m", "benchmarks.link_vehicles", ",".join(map(str, ports)), str(vehicles)]
        self._process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self) -> int:
        """Lands them; how many frames they sent."""
        out, _ = self._process.communicate(timeout=20)
        return int(json.loads(out)["sent"])


@contextmanager
def flying(ports: list[int], vehicles: int) -> Iterator[Flying]:
    fleet = Flying(ports, vehicles)
    try:
        yield fleet
    finally:
        if fleet._process.poll() is None:
            fleet._process.kill()
            fleet._process.wait()


def cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def height_us(peer: Peer) -> int:
    """When the newest position in a vehicle's state was sent."""
    position = peer.state().position
    return -1 if position is None else round(position.value.alt_rel_home_m * 1000)


async def ours_on_sockets(vehicles: int) -> dict[str, Any]:
    """All vehicles of one process: sockets, links, states, rules."""
    loop, clock = asyncio.get_running_loop(), ScaledClock(epoch_s=NOW)
    ports = free_ports(-(-vehicles // PER_LINK))
    rules: dict[str, Rules] = {}
    ages_us: list[int] = []
    last: dict[str, int] = {}

    def changed(vehicle_id: str) -> None:
        rules[vehicle_id].wake(loop)
        if vehicle_id not in last:
            return
        sent_us = height_us(rules[vehicle_id].peer)
        if sent_us != last[vehicle_id]:
            last[vehicle_id] = sent_us
            ages_us.append((stamp_us() - sent_us) % STAMP_US)

    urls = {
        f"udpin://127.0.0.1:{port}": {
            system: f"cw-{k}-{system}" for system in SYSTEMS[: min(PER_LINK, vehicles - k * PER_LINK)]
        }
        for k, port in enumerate(ports)
    }
    async with open_station(urls, clock=clock) as station:
        rules |= {peer.vehicle_id: Rules(peer) for peer in station.peers}
        links = station.links
        station.on_change(changed)
        beating = loop.create_task(_beat(station, clock), name="beat")
        with steady_heap(), flying(ports, vehicles) as fleet:
            while not all(r.peer.state().heard_s for r in rules.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await asyncio.sleep(SETTLE_S)
            last |= {name: height_us(rules[name].peer) for name in list(rules)[::SAMPLED]}
            looks, frames = sum(r.looks for r in rules.values()), sum(link.frames for link in links)
            before_s, waited, from_s = cpu_s(), waited_s(), time.monotonic()
            await asyncio.sleep(WINDOW_S)
            spent_s, waited, took_s = cpu_s() - before_s, waited_s() - waited, time.monotonic() - from_s
            looks, frames = sum(r.looks for r in rules.values()) - looks, sum(link.frames for link in links) - frames
            sent = await asyncio.to_thread(fleet.stop)
            await asyncio.sleep(0.5)
        beating.cancel()
        stats = [link.stats() for link in links]
        got = sum(s.frames for s in stats)
        ages_us.sort()
        return {
            "links": len(links),
            "window_s": round(took_s, 1),
            "messages_per_s": round(frames / took_s),
            "decisions_per_s": round(looks / took_s),
            "cpu_pct_of_a_core": round(100.0 * spent_s / took_s, 1),
            "cpu_us_per_message": round(1e6 * spent_s / frames, 1),
            "age_in_snapshot_ms": {
                "samples": len(ages_us),
                "median": round(percentile([a / 1000 for a in ages_us], 0.5), 2),
                "p99": round(percentile([a / 1000 for a in ages_us], 0.99), 2),
                "max": round(ages_us[-1] / 1000, 2),
            },
            "sent": sent,
            "received": got,
            "lost": sent - got,
            "kernel_drops": sum(s.kernel_drops or 0 for s in stats),
            "refused": sum(s.refused_frames for s in stats),
            "over_budget": sum(sum(s.over_budget.values()) for s in stats),
            "decisions_with_faults": sum(r.disturbed for r in rules.values()),
            "waited_for_a_core_pct": round(100.0 * waited / took_s, 1),
            "load_1_min": round(os.getloadavg()[0], 2),
        }


def waited_s() -> float:
    """How long this thread stood ready and got no core: what others on the machine cost it (Linux; elsewhere 0)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


async def _beat(station: Station, clock: ScaledClock) -> None:
    while True:
        station.beat(clock.now_s())
        await asyncio.sleep(0.5)


async def mavsdk_on_a_socket(vehicles: int) -> dict[str, Any]:
    """A subscription for each field of our snapshot that mavsdk has, for every vehicle, by mavsdk.asyncio."""
    from mavsdk.asyncio import Configuration, Mavsdk
    from mavsdk.asyncio.component_type import ComponentType
    from mavsdk.asyncio.plugins.mission import MissionAsync
    from mavsdk.asyncio.plugins.telemetry import TelemetryAsync

    (port,) = free_ports(1)
    updates = 0

    async def read(values: Any) -> None:
        nonlocal updates
        async for _ in values:
            updates += 1

    async with Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION)) as mavsdk:
        await mavsdk.add_any_connection(f"udpin://127.0.0.1:{port}")
        with flying([port], vehicles) as fleet:
            deadline_s = time.monotonic() + 60.0
            systems: list[Any] = []
            while len(systems) < vehicles and time.monotonic() < deadline_s:
                await asyncio.sleep(0.5)
                systems = [s for s in await mavsdk.get_systems() if await s.has_autopilot()]
            readers = []
            for system in systems:
                t, m = TelemetryAsync(system), MissionAsync(system)
                streams = (
                    t.subscribe_armed(), t.subscribe_flight_mode(), t.subscribe_landed_state(), t.subscribe_position(),
                    t.subscribe_velocity_ned(), t.subscribe_home(), t.subscribe_battery(), t.subscribe_wind(),
                    t.subscribe_health_all_ok(), t.subscribe_fixedwing_metrics(), t.subscribe_status_text(),
                    m.subscribe_mission_progress(),
                )  # fmt: skip
                readers += [asyncio.create_task(read(values)) for values in streams]
            await asyncio.sleep(SETTLE_S)
            before_s, from_s, seen = cpu_s(), time.monotonic(), updates
            await asyncio.sleep(WINDOW_S)
            spent_s, took_s, seen = cpu_s() - before_s, time.monotonic() - from_s, updates - seen
            await asyncio.to_thread(fleet.stop)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return {
        "systems": len(systems),
        "updates_per_s": round(seen / took_s),
        "cpu_pct_of_a_core": round(100.0 * spent_s / took_s, 1),
        "cpu_us_per_message": round(1e6 * spent_s / (took_s * HZ * vehicles), 1),
    }


PARTS: dict[str, Callable[[int], Coroutine[Any, Any, dict[str, Any]]]] = {
    "ours": ours_on_sockets,
    "mavsdk": mavsdk_on_a_socket,
}


def in_a_process(part: str, vehicles: int) -> dict[str, Any]:
    """Each on its own, so that CPU time is that part's alone."""
    say(f"on sockets: {part}, {vehicles} vehicles at {HZ} messages/s")
    call = [sys.executable, "-m", "benchmarks.link_ingest", part, str(vehicles)]
    found: dict[str, Any] = json.loads(
        subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.splitlines()[-1]
    )
    return found


def side_by_side(vehicles: int) -> dict[str, Any]:
    ours, peer = in_a_process("ours", vehicles), in_a_process("mavsdk", vehicles)
    ratio = ours["cpu_us_per_message"] / peer["cpu_us_per_message"]
    return {
        "ours": ours,
        "mavsdk": peer,
        "ours_to_mavsdk": round(ratio, 3),
        "at_most_a_third_of_mavsdk": ratio <= 1 / 3,
    }


def thousand() -> dict[str, Any]:
    found = in_a_process("ours", THOUSAND)
    dropped = found["lost"] or found["kernel_drops"] or found["refused"] or found["over_budget"]
    return {
        **found,
        "under_half_a_core": found["cpu_pct_of_a_core"] < 50.0,
        "p99_within_20_ms": found["age_in_snapshot_ms"]["p99"] <= 20.0,
        "no_drops": not dropped,
    }


def main() -> None:
    if sys.argv[1:]:
        sys.stdout.write(json.dumps(asyncio.run(PARTS[sys.argv[1]](int(sys.argv[2])))) + "\n")
        return
    how = (
        f"CPU time (user and system) of the process. The mix is what thinning leaves of a PX4's streams, {HZ} messages "
        f"a second. In memory: the same frames through scan and decode; through link, peer, track and, for every "
        f"{LOOK_EVERY:g} messages of a vehicle (the session's pace of {TICK_S:g} s), a Snapshot with five candidates "
        f"and a box through engine.decide with all fault rows; through pymavlink's parse_buffer. Best of {REPEATS}, by "
        f"turns. On sockets: the vehicles in a process and on a core of their own, a socket each, answering TIMESYNC; "
        f"ours with our own heartbeats, thinning and decisions, mavsdk with 12 subscriptions a vehicle and no "
        f"decisions. Age: from the sender's monotonic clock, in GLOBAL_POSITION_INT.relative_alt, to the vehicle's "
        f"state showing it, of one vehicle in {SAMPLED}"
    )
    figures: dict[str, Any] = {"in_memory": {str(n): in_memory(n) for n in SIZES}}
    figures["on_sockets"] = {str(n): side_by_side(n) for n in SIZES}
    figures["thousand"] = thousand()
    report("link_ingest", figures, how, ("pymavlink", "fastcrc", "mavsdk"))


if __name__ == "__main__":
    main()
