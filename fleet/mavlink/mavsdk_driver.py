"""The vehicle port by MAVSDK: a second implementation of the wire, of mission transfer and of parameters.

Flying is the same conversation as the native driver's, so that both promise the same: a start only on a proven plan,
modes believed when HEARTBEAT shows them, a release sent once. MAVSDK's own actions promise less: they repeat any
command, a release too, and take the ACK for the deed. Its mission transfer hides the opaque_id of the ACK, so every
list is read back and compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from fleet.clock import Clock
from fleet.mavlink.mavsdk_transport import MavsdkTransport
from fleet.mavlink.messages import MissionItemInt
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.params import HASH_CHECK, INT32, REAL32, Param, ParamTable
from fleet.mavlink.peer import Peer
from fleet.mavlink.port import Capabilities
from fleet.mavlink.station import Station
from fleet.mavlink.transfer import AckCode, ListType, Rejected, Silent, Stored, Upload
from fleet.mavlink.urls import parse_url

CAPABILITIES = Capabilities(
    driver="mavsdk", compares_opaque_id=False, verifies_signing=False, several_links=False, records=False
)
GIVE_UP_S = 300.0
"""on the wall: MAVSDK ends a transfer by itself some seconds after the last answer; this only bounds a fault of its"""
_REFUSED = {
    "TOO_MANY_MISSION_ITEMS": AckCode.NO_SPACE,
    "INVALID_ARGUMENT": AckCode.INVALID,
    "UNSUPPORTED": AckCode.UNSUPPORTED,
    "DENIED": AckCode.DENIED,
    "INVALID_SEQUENCE": AckCode.INVALID_SEQUENCE,
}
"""results that can only be the vehicle's word. PROTOCOL_ERROR may also be an ACK that came too early"""


@dataclass(frozen=True, slots=True)
class RejectedSomewhere(Rejected):
    """MAVSDK does not tell at which item, nor whether a frame or a command is unsupported."""

    def __str__(self) -> str:
        return f"the vehicle refused the list with {AckCode(self.code).name}"


class MavsdkVehicle(NativeVehicle):
    """One vehicle (VehiclePort) on a link whose transport is MAVSDK."""

    capabilities = CAPABILITIES

    def __init__(self, peer: Peer, transport: MavsdkTransport, **of_vehicle: Any) -> None:
        """`of_vehicle` as for NativeVehicle."""
        super().__init__(peer, **of_vehicle)
        peer.tap = None  # there are no frames to record: MAVSDK tells what they said
        self._transport = transport
        self._plugins: dict[str, Any] = {}
        self._one_param = asyncio.Lock()
        self._param_types: dict[str, int] = {}
        """by name, once read; MAVSDK wants to know which it is asked for"""

    # -- plans -------------------------------------------------------------------------------------------------------

    async def _send_list(self, kind: ListType, rows: tuple[MissionItemInt, ...]) -> Stored | Rejected | Silent:
        if not rows:
            # MAVSDK uploads no empty list; MISSION_COUNT 0 is one message and its ACK.
            return await self.peer.run(Upload(self.peer.parties, kind, rows, self.peer.rtt))
        raw = self._plugin("mission_raw", "MissionRaw")
        if raw is None:
            return Silent("not yet heard by MAVSDK")
        start = {
            ListType.MISSION: raw.upload_mission_async,
            ListType.FENCE: raw.upload_geofence_async,
            ListType.RALLY: raw.upload_rally_points_async,
        }[kind]
        items = [_item(n, row, kind) for n, row in enumerate(rows)]
        result, _ = await self._called_back(lambda done: start(items, done), raw.cancel_mission_upload)
        if result == "SUCCESS":
            return Stored(0)
        refused = _REFUSED.get(result)
        return Silent(f"taking the list ({result})") if refused is None else RejectedSomewhere(refused, 0)

    async def _read_back(self, kind: ListType) -> Stored | Rejected | Silent:
        raw = self._plugin("mission_raw", "MissionRaw")
        if raw is None:
            return Silent("not yet heard by MAVSDK")
        start = {
            ListType.MISSION: raw.download_mission_async,
            ListType.FENCE: raw.download_geofence_async,
            ListType.RALLY: raw.download_rallypoints_async,
        }[kind]
        result, items = await self._called_back(start, raw.cancel_mission_download)
        if result in ("SUCCESS", "NO_MISSION_AVAILABLE"):
            return Stored(0, tuple(_row(item) for item in items))
        return Silent(f"giving the list back ({result})")

    # -- parameters --------------------------------------------------------------------------------------------------

    async def read_param(self, name: str) -> Param | None:
        types = [self._param_types[name]] if name in self._param_types else [INT32, REAL32]
        for kind in types:
            call = "get_param_int" if kind == INT32 else "get_param_float"
            result, value = await self._ask_param(call, name)
            if result == "SUCCESS":
                self._param_types[name] = kind
                return Param(name, value, kind)
            if result != "WRONG_TYPE":
                break
        return None

    async def write_param(self, param: Param) -> bool:
        if param.type == INT32:
            result, _ = await self._ask_param("set_param_int", param.name, int(param.value))
        else:
            result, _ = await self._ask_param("set_param_float", param.name, float(param.value))
        return result == "SUCCESS"

    async def params_hash(self) -> int | None:
        """None: MAVSDK does not take `_HASH_CHECK` for a parameter, so each check reads them all."""
        return None

    async def params(self) -> ParamTable:
        result, all_params = await self._ask_param("get_all_params")
        found = {}
        if result == "SUCCESS":
            found = {p.name: Param(p.name, p.value, INT32) for p in all_params.int_params}
            found |= {p.name: Param(p.name, p.value, REAL32) for p in all_params.float_params}
            found.pop(HASH_CHECK, None)
        return ParamTable(found, len(found) or None, (), None)

    async def _ask_param(self, call: str, *arguments: Any) -> tuple[str, Any]:
        """One of the Param plugin's calls, all of which block: one at a time, so that a vehicle holds one thread."""
        from mavsdk.plugins.param import ParamError

        plugin = self._plugin("param", "Param")
        if plugin is None:
            return "NO_SYSTEM", None
        async with self._one_param:
            try:
                loop = asyncio.get_running_loop()
                work = partial(getattr(plugin, call), *arguments)
                return "SUCCESS", await loop.run_in_executor(self._transport.executor, work)
            except ParamError as fault:
                return fault.result.name, None

    # -- MAVSDK ------------------------------------------------------------------------------------------------------

    def _plugin(self, module: str, name: str) -> Any:
        """A plugin of this vehicle, made once; None before MAVSDK has heard the vehicle."""
        if name not in self._plugins:
            system = self._transport.system(self.peer.parties.vehicle_system)
            if system is None:
                return None
            self._plugins[name] = getattr(import_module(f"mavsdk.plugins.{module}"), name)(system)
        return self._plugins[name]

    async def _called_back(self, start: Callable[[Any], None], cancel: Callable[[], Any]) -> tuple[str, list[Any]]:
        """Runs one of MAVSDK's calls that answer from its own thread: the result's name, and what was asked for."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[str, list[Any]]] = loop.create_future()

        def settle(result: Any, items: list[Any]) -> None:
            if not answer.done():
                answer.set_result((result.name, items))

        def done(result: Any, *rest: Any) -> None:
            items = rest[0] if len(rest) == 2 else []  # a download answers with them; the last is MAVSDK's user data
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settle, result, items)

        try:
            start(done)
            async with asyncio.timeout(GIVE_UP_S):
                return await answer
        except TimeoutError:
            return "TIMEOUT", []
        except asyncio.CancelledError:
            self._transport.submit(cancel)
            raise


class MavsdkFleet(Mapping[str, MavsdkVehicle]):
    """The vehicles of one MAVSDK connection by vehicle id, and the station they are on: beats, changes, events."""

    def __init__(self, station: Station, vehicles: Mapping[str, MavsdkVehicle]) -> None:
        self.station = station
        self._vehicles = vehicles

    def __getitem__(self, vehicle_id: str) -> MavsdkVehicle:
        return self._vehicles[vehicle_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._vehicles)

    def __len__(self) -> int:
        return len(self._vehicles)


@asynccontextmanager
async def open_mavsdk(
    url: str,
    *,
    clock: Clock,
    vehicles: Mapping[int, str],
    system_id: int = 245,
    of_station: Mapping[str, Any] | None = None,
    of_vehicle: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[MavsdkFleet]:
    """The vehicles (system id → vehicle id) on a URL by MAVSDK, alive inside the `async with`.

    `of_station`: further arguments of Station; `of_vehicle`: of each NativeVehicle, by vehicle id. A key is of no use
    here: MAVSDK neither signs nor verifies. Raises LinkError with the URL and the fix.
    """
    station = Station(clock=clock, system_id=system_id, **(of_station or {}))
    async with mavsdk_transport(url, system_id) as transport:
        link = station.add_link(url, transport, vehicles)
        transport.open(station.receiver(link), station.turn_over)
        ports = {
            vehicle_id: MavsdkVehicle(station.peer(vehicle_id), transport, **(of_vehicle or {}).get(vehicle_id, {}))
            for vehicle_id in vehicles.values()
        }
        runner = asyncio.create_task(station.run(), name="mavlink station")
        try:
            yield MavsdkFleet(station, ports)
        finally:
            runner.cancel()
            with suppress(asyncio.CancelledError):
                await runner


@asynccontextmanager
async def mavsdk_transport(url: str, system_id: int) -> AsyncIterator[MavsdkTransport]:
    """MAVSDK on that URL, made and ended off the loop. Raises LinkError with the URL and the fix."""
    where = parse_url(url)
    transport = await asyncio.to_thread(MavsdkTransport, where, system_id)
    try:
        yield transport
    finally:
        await asyncio.shield(asyncio.to_thread(transport.close))


def _item(seq: int, row: MissionItemInt, kind: ListType) -> Any:
    from mavsdk.plugins.mission_raw import MissionItem

    return MissionItem(
        seq=seq,
        frame=row.frame,
        command=row.command,
        current=row.current,
        autocontinue=row.autocontinue,
        param1=row.param1,
        param2=row.param2,
        param3=row.param3,
        param4=row.param4,
        x=row.x,
        y=row.y,
        z=row.z,
        mission_type=int(kind),
    )


def _row(item: Any) -> MissionItemInt:
    return MissionItemInt(
        item.param1,
        item.param2,
        item.param3,
        item.param4,
        item.x,
        item.y,
        item.z,
        item.seq,
        item.command,
        0,
        0,
        item.frame,
        item.current,
        item.autocontinue,
        item.mission_type,
    )
