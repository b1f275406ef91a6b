"""A ground station for tests: pymavlink's own encoder speaks to a simulated world without sockets, in fake time.

`clock` is the world's: nothing here sleeps. What the vehicle says is decoded twice: by pymavlink, which does not know
the newest fields, and by `sitl.wire.dialect`, which does.
"""

from __future__ import annotations

import math
from typing import Any

from pymavlink.dialects.v20 import development as mavlink

from sitl import geo
from sitl.simulation import World
from sitl.spec import SimSpec
from sitl.wire.dialect import Message, frames

START_S = 1_700_000_000.0
HOME = (7.5, 38.2)
GROUND_M = 420.0
HOLD, TAKEOFF_MODE, MISSION, RETURN, LAND = 0x03040000, 0x02040000, 0x04040000, 0x05040000, 0x06040000
PLACED_FRAME = 6
FAST_STREAMS = ((30, -1), (31, -1), (83, -1), (32, -1), (85, -1), (36, -1), (33, 500_000))


def spec_dict(**changes: Any) -> dict[str, Any]:
    """One quad at home with box-1; `vehicle`, `world` and `box` change their fields, other names the spec's."""
    vehicle = {
        "vehicle_id": "cw-1",
        "system_id": 1,
        "lat_deg": HOME[0],
        "lon_deg": HOME[1],
        "box": "box-1",
        "performance": {"cruise_m_s": 20.0, "climb_m_s": 3.0, "descent_m_s": 2.0},
    }
    return {
        "epoch_s": START_S,
        "monotonic_s": 0.0,
        "world": {"ambient_c": 38.0, "ground_amsl_m": GROUND_M, **changes.pop("world", {})},
        "vehicles": [vehicle | changes.pop("vehicle", {})],
        "boxes": [{"box_id": "box-1", "payload_kg": 0.8, **changes.pop("box", {})}],
        **changes,
    }


def point(north_m: float, east_m: float) -> tuple[int, int]:
    """Degrees × 1e7 of a place given in metres from home."""
    lat, lon = geo.shifted(*HOME, north_m, east_m)
    return round(lat * 1e7), round(lon * 1e7)


def item(command: int, north_m: float = 0.0, east_m: float = 0.0, z: float = 30.0, **more: Any) -> dict[str, Any]:
    """A mission item; `frame=2` has no place. Unnamed parameters are 0, param4 NaN."""
    frame = more.pop("frame", PLACED_FRAME)
    x, y = (0, 0) if frame == 2 else point(north_m, east_m)
    base = {"param1": 0.0, "param2": 0.0, "param3": 0.0, "param4": 0.0 if frame == 2 else math.nan}
    return base | {"command": command, "frame": frame, "x": x, "y": y, "z": 0.0 if frame == 2 else z} | more


def takeoff_and(*items: dict[str, Any], z: float = 30.0) -> list[dict[str, Any]]:
    return [item(22, z=z), *items]


class Station:
    """Talks to vehicle 0 of the world on one link, with a heartbeat every half second unless `quiet`."""

    def __init__(self, world: World, *, link: str = "gcs", system: int = 245) -> None:
        self.world = world
        self.link = world.vehicles[0].link(link)
        self.heard: list[Message] = []
        self.link.hearers.append(self._hear)
        self.mav = mavlink.MAVLink(None, srcSystem=system, srcComponent=190)
        self.target = world.vehicles[0].spec.system_id
        self.quiet = False
        self._reader = mavlink.MAVLink(None)

    def _hear(self, data: bytes) -> None:
        assert self._reader.parse_buffer(data)  # pymavlink takes every frame, CRC and all
        self.heard.extend(frames(data))

    def send(self, message: Any) -> None:
        self.link.receive(message.pack(self.mav), self.world.now_s)

    def heartbeat(self, kind: int = 6) -> None:
        self.send(self.mav.heartbeat_encode(kind, 8, 0, 0, 4))

    def run(self, seconds: float) -> None:
        """Lets simulated time pass."""
        end_s = self.world.now_s + seconds
        while self.world.now_s < end_s - 1e-6:
            if not self.quiet:
                self.heartbeat()
            self.world.advance(min(end_s, self.world.now_s + 0.5))

    def until(self, condition: Any, limit_s: float = 600.0) -> float:
        """Runs until it holds; returns the seconds it took."""
        start_s = self.world.now_s
        while not condition():
            assert self.world.now_s - start_s < limit_s, f"not within {limit_s} s"
            self.run(0.1)
        return self.world.now_s - start_s

    def ready(self, *, thin: bool) -> Station:
        """Boots; `thin` turns the fast streams down, as a fleet does."""
        self.run(1.0)
        for msg_id, interval_us in FAST_STREAMS if thin else ():
            self.command(511, msg_id, interval_us)
        self.run(5.0)
        self.heard.clear()
        return self

    # --- what was heard

    def of(self, name: str) -> list[Message]:
        return [m for m in self.heard if m.name == name]

    def texts(self) -> list[str]:
        """Status texts, chunks joined."""
        joined: dict[int, str] = {}
        for m in self.of("STATUSTEXT"):
            joined[m["id"]] = joined.get(m["id"], "") + m["text"]
        return list(joined.values())

    def acks(self, command: int) -> list[int]:
        return [m["result"] for m in self.of("COMMAND_ACK") if m["command"] == command]

    def mode(self) -> int:
        return self.world.vehicles[0].pilot.mode.custom_mode

    def armed(self) -> bool:
        return self.world.vehicles[0].pilot.armed

    def landed(self) -> bool:
        return self.world.vehicles[0].pilot.landed

    def height(self) -> float:
        return self.world.fleet.height_m(0)

    def away(self, north_m: float = 0.0, east_m: float = 0.0) -> float:
        """Metres from a place given from home."""
        lat, lon = geo.shifted(*HOME, north_m, east_m)
        return geo.distance_m(float(self.world.fleet.lat[0]), float(self.world.fleet.lon[0]), lat, lon)

    # --- commands

    def command(self, number: int, *params: float, component: int = 1) -> list[int]:
        """COMMAND_LONG; the answers that came at once."""
        self.heard = [m for m in self.heard if m.name != "COMMAND_ACK"]
        seven = [*params, *[0.0] * (7 - len(params))]
        self.send(self.mav.command_long_encode(self.target, component, number, 0, *seven))
        return self.acks(number)

    def set_mode(self, main: int, sub: int) -> list[int]:
        return self.command(176, 1, main, sub)

    def count(self, n: int, kind: int = 0) -> None:
        self.send(self.mav.mission_count_encode(self.target, 1, n, kind))

    def give(self, seq: int, fields: dict[str, Any], kind: int = 0) -> None:
        f = {"autocontinue": 1, "current": 0} | fields
        self.send(
            self.mav.mission_item_int_encode(
                self.target,
                1,
                seq,
                f["frame"],
                f["command"],
                f["current"],
                f["autocontinue"],
                f["param1"],
                f["param2"],
                f["param3"],
                f["param4"],
                f["x"],
                f["y"],
                f["z"],
                kind,
            )
        )

    def upload(self, items: list[dict[str, Any]], kind: int = 0) -> Message:
        """The whole upload; the ACK it ends with."""
        before = len(self.of("MISSION_ACK"))
        self.count(len(items), kind)
        for seq, fields in enumerate(items):
            self.give(seq, fields, kind)
        acks = self.of("MISSION_ACK")[before:]
        assert len(acks) == 1
        return acks[0]

    def mission_state(self) -> int:
        return self.world.vehicles[0].pilot.mission_state()

    def start(self, items: list[dict[str, Any]]) -> None:
        """Uploads, waits for the judgement, arms and starts."""
        assert self.upload(items)["type"] == 0
        self.run(0.5)
        assert self.command(300) == [0]


def station(*, thin: bool = True, **changes: Any) -> Station:
    """A booted vehicle and its ground station."""
    return Station(World(SimSpec.from_dict(spec_dict(**changes)), START_S)).ready(thin=thin)
