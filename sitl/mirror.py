"""The world around real PX4s: boxes ride on them, people reach them, faults come when they are due.

It follows what each PX4 says on its onboard link, by listening only, and so knows positions as PX4's estimator has
them. A box is let go when PX4 has acknowledged DO_GRIPPER, whoever commanded it. Sans-IO, time is an argument.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from sitl import geo
from sitl.faults import VehicleTroubles
from sitl.px4_faults import Deed, Restart, deeds
from sitl.relay import Relay, msg_id
from sitl.scene import Emit, Scene, ignore
from sitl.spec import SimSpec, VehicleSpec
from sitl.vehicle.dynamics import FleetState
from sitl.wire.dialect import BY_NAME, Message, frames
from sitl.world import Weather

TEND_S = 0.5
"""between two looks at boxes and faults, as in the simulator"""
FOLLOWED = frozenset(
    BY_NAME[name].msg_id
    for name in ("HEARTBEAT", "GLOBAL_POSITION_INT", "ATTITUDE", "EXTENDED_SYS_STATE", "SYS_STATUS")
)
ARMED = 0x80
ON_GROUND = 1
"""MAV_LANDED_STATE"""
DO_GRIPPER, RELEASE, ACCEPTED = 211, 0, 0
COMMAND_ACK = BY_NAME["COMMAND_ACK"].msg_id
COMMANDS = {BY_NAME[name].msg_id for name in ("COMMAND_LONG", "COMMAND_INT")}

Do = Callable[[int, list[Deed]], None]
"""has vehicle i's PX4 do these"""


class MirrorFleet(FleetState):
    """A fleet that others move: `hear` keeps each vehicle's newest frames, `look` makes them the present state."""

    def __init__(self, vehicles: Sequence[VehicleSpec], weather: Weather) -> None:
        super().__init__(vehicles, weather)
        self._newest: list[dict[int, bytes]] = [{} for _ in vehicles]
        self._attitude = [(0.0, 0.0, 0.0)] * len(vehicles)
        self._located = [False] * len(vehicles)

    def hear(self, i: int, frame: bytes) -> None:
        """Most frames are never decoded: there are 400 a second."""
        number = msg_id(frame)
        if number in FOLLOWED:
            self._newest[i][number] = frame

    def forget(self, i: int) -> None:
        """It starts anew."""
        self._newest[i].clear()
        self._located[i] = False

    def look(self, i: int) -> None:
        for frame in self._newest[i].values():
            for message in frames(frame):
                self._LOOKS[message.name](self, i, message)
        self._newest[i].clear()

    def _heartbeat(self, i: int, m: Message) -> None:
        armed = bool(m["base_mode"] & ARMED)
        if armed and not self.armed[i]:
            self.flown_m[i] = 0.0
        self.armed[i] = armed

    def _position(self, i: int, m: Message) -> None:
        lat, lon = m["lat"] * 1e-7, m["lon"] * 1e-7
        if self._located[i]:
            self.flown_m[i] += geo.distance_m(float(self.lat[i]), float(self.lon[i]), lat, lon)
        self._located[i] = True
        self.lat[i], self.lon[i] = lat, lon
        # SIH's ground is level, and PX4's height above home is better than its height above the sea.
        self.alt[i] = self.ground[i] + m["relative_alt"] * 1e-3
        self.vn[i], self.ve[i], self.vu[i] = m["vx"] * 0.01, m["vy"] * 0.01, -m["vz"] * 0.01

    def _on_attitude(self, i: int, m: Message) -> None:
        self._attitude[i] = (m["roll"], m["pitch"], m["yaw"])

    def _state(self, i: int, m: Message) -> None:
        self.on_ground[i] = m["landed_state"] == ON_GROUND

    def _battery(self, i: int, m: Message) -> None:
        if m["battery_remaining"] >= 0:
            self.used_wh[i] = self.capacity_wh[i] * (1.0 - m["battery_remaining"] / 100.0)

    def attitude(self, i: int) -> tuple[float, float, float]:
        """Roll, pitch, yaw in radians."""
        return self._attitude[i]

    _LOOKS: Mapping[str, Callable[[MirrorFleet, int, Message], None]] = {
        "HEARTBEAT": _heartbeat,
        "GLOBAL_POSITION_INT": _position,
        "ATTITUDE": _on_attitude,
        "EXTENDED_SYS_STATE": _state,
        "SYS_STATUS": _battery,
    }


class MirrorWorld(Scene):
    """What `sitl.simulation.World` is for simulated vehicles. `do` is told what to do with a PX4 when it suffers."""

    fleet: MirrorFleet

    def __init__(self, spec: SimSpec, start_s: float, emit: Emit = ignore, *, do: Do) -> None:
        super().__init__(spec, start_s, emit, MirrorFleet)
        self._do = do
        self._tended_s = start_s
        self._wants_open = [False] * len(spec.vehicles)
        """whether the last gripper command was to let go"""
        self.links: list[dict[str, Relay]] = []
        for i, v in enumerate(spec.vehicles):
            rng = random.Random(spec.seed * 1009 + i)
            rates = v.onboard.rates_hz if v.onboard is not None else None
            gcs = Relay("gcs", _nowhere, rng)
            onboard = Relay("onboard", _nowhere, rng, None if rates is None else dict(rates))
            for relay in (gcs, onboard):
                relay.witnesses.append(self._witness_of(i))
            onboard.witnesses.append(self._follow(i))
            self.links.append({"gcs": gcs, "onboard": onboard})

    def _follow(self, i: int) -> Callable[[bytes, bool], None]:
        def follow(frame: bytes, from_vehicle: bool) -> None:
            if from_vehicle:
                self.fleet.hear(i, frame)

        return follow

    def advance(self, to_s: float) -> None:
        """Late frames arrive; every half second boxes, people and faults have their turn."""
        self.now_s = to_s
        for links in self.links:
            for relay in links.values():
                relay.step(to_s)
        elapsed_s = to_s - self._tended_s
        if elapsed_s >= TEND_S:
            self._tended_s = to_s
            self.weather.step(elapsed_s)
            for i in range(len(self.links)):
                self.fleet.look(i)
                self._report_landing(i, landed=bool(self.fleet.on_ground[i]))
            self._tend()

    # --- the gripper

    def _witness_of(self, i: int) -> Callable[[bytes, bool], None]:
        def witness(frame: bytes, from_vehicle: bool) -> None:
            number = msg_id(frame)
            if from_vehicle:
                if number == COMMAND_ACK:
                    self._answered(i, frame)
            elif number in COMMANDS:
                self._commanded(i, frame)

        return witness

    def _commanded(self, i: int, frame: bytes) -> None:
        for m in frames(frame):
            if m["command"] == DO_GRIPPER:
                self._wants_open[i] = m["param2"] == RELEASE

    def _answered(self, i: int, frame: bytes) -> None:
        for m in frames(frame):
            opens = self._wants_open[i]
            stuck = opens and self._seen[i].gripper_jammed
            if m["command"] == DO_GRIPPER and m["result"] == ACCEPTED and not stuck:
                self.fleet.look(i)
                self.ground.release(i, opens)

    # --- faults

    def _afflict(self, i: int, before: VehicleTroubles, now: VehicleTroubles) -> None:
        self.links[i]["gcs"].suffer(now.gcs)
        self.links[i]["onboard"].suffer(now.onboard)
        todo = deeds(self.spec.vehicles[i], before, now, 100.0 * self.fleet.charge(i))
        if todo:
            why = self._cannot(i, before, now)
            if why:
                self._emit({"event": "impossible", "vehicle": self.spec.vehicles[i].vehicle_id, "why": why})
                return
            if Restart() in todo:
                self.fleet.forget(i)
            self._do(i, todo)

    def _cannot(self, i: int, before: VehicleTroubles, now: VehicleTroubles) -> str:
        """What SIH cannot play just now."""
        if now.reboots > before.reboots and not self.fleet.on_ground[i]:
            return "reboot: SIH starts on the ground, so a PX4 is rebooted only there"
        if now.charge_lost > before.charge_lost and not self.fleet.armed[i]:
            return "battery_sag: SIH's battery is full while it is disarmed; let the fault wait for `armed`"
        return ""


def _nowhere(frame: bytes) -> None:
    """Until there is a PX4 at the other end."""
