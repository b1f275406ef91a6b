"""The composition root: the one place where the controller's parts are made and joined.

`running` joins the same parts whatever they reach the world by: `Outside` says by what.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from fleet.api.app import create_app
from fleet.api.auth import Principal, TokenTable
from fleet.api.server import serve
from fleet.clock import Clock
from fleet.coldbox import ColdBoxFeed
from fleet.config import ApiToken, Driver, FleetConfig, data_dir, load_airspace
from fleet.controller import Controller
from fleet.mavlink.mavsdk_driver import MavsdkVehicle, mavsdk_transport
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.opening import make_transport
from fleet.mavlink.port import VehiclePort
from fleet.mavlink.recorder import UNRECORDED, Recorder, recording
from fleet.mavlink.signing_store import SigningStore, open_signing
from fleet.mavlink.station import Station, open_station
from fleet.mavlink.transport import Transport
from fleet.mavlink.urls import LinkUrl, parse_url
from fleet.runtime.boxdesk import BoxDesk
from fleet.runtime.dispatcher import Offload
from fleet.runtime.ledger import Ledger
from fleet.runtime.prospects import Fleet
from fleet.runtime.supervisor import Supervisor
from fleet.store import Put, Store, StorePort
from missions.coldchain.product import Product
from missions.world import World

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A controller at work."""

    service: Controller
    url: str
    station: Station
    tokens: tuple[ApiToken, ...]
    products: Mapping[str, Product]
    gcs_port: int
    """UDP port of the first link, where a simulator sends to"""


@dataclass(frozen=True, slots=True)
class Outside:
    """By what the controller reaches the world: sockets, disk, threads and chance, unless a run in virtual time brings
    its own."""

    store: Callable[[Path], AbstractAsyncContextManager[StorePort]] = Store.open
    transport: Callable[[LinkUrl, Clock], Transport] = make_transport
    listen: Callable[[ColdBoxFeed], Coroutine[Any, Any, None]] = ColdBoxFeed.run
    """keeps the cold boxes' samples coming"""
    serves: bool = True
    """whether the API is on a port"""
    offload: Offload = asyncio.to_thread
    """what keeps the loop too long"""
    token: Callable[[int], str] = secrets.token_hex


@contextlib.asynccontextmanager
async def running(config: FleetConfig, clock: Clock, outside: Outside | None = None) -> AsyncIterator[Running]:
    """The whole controller, alive inside the `async with`. Raises ConfigError, LinkError, StoreOpenError
    or ListenError."""
    outside = outside or Outside()
    airspace = load_airspace(config)
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(outside.store(config.store_path))
        ledger = Ledger(store, clock, airspace)

        def world() -> World:
            return World(config.sites, ledger.airspace, config.policy.authorised_zones, config.terrain, config.planning)

        recorder = await stack.enter_async_context(_recorder(config, clock))
        signing = await stack.enter_async_context(open_signing(config.store_path.parent, config.mavlink_keys, clock))
        station, ports = await stack.enter_async_context(_vehicles(config, clock, recorder, signing, outside))

        def ambient_c(order_id: str) -> float:
            entry = ledger.orders.get(order_id)
            port = ports.get(entry.vehicle_id) if entry is not None and entry.vehicle_id is not None else None
            position = port.state().position if port is not None else None
            ground_m = config.hub_amsl_m
            amsl_m = position.value.alt_amsl_m if position is not None else ground_m
            return config.weather.air_c_at(amsl_m, clock.now_s())

        boxes = BoxDesk(dict(config.boxes), dict(config.products), ledger, ambient_c, config.weather.air_c_at)
        boxes.resume()

        fleet = Fleet(
            vehicles=config.vehicles,
            boxes=config.boxes,
            products=config.products,
            policy=config.policy,
            policy_hash=config.policy_hash,
            handling=config.handling,
        )
        supervisor = Supervisor(
            fleet,
            ports,
            ledger,
            boxes,
            clock,
            world,
            station.beat,
            notify=lambda vehicle_id: ledger.changed("vehicle", vehicle_id),
            offload=outside.offload,
            recorder=recorder if recorder is not None else UNRECORDED,
        )
        feed = ColdBoxFeed(config.mqtt, config.boxes, config.box_keys, clock, boxes.take)
        service = Controller(
            clock=clock,
            store=store,
            ledger=ledger,
            boxes=boxes,
            supervisor=supervisor,
            world=world,
            air_c=lambda agl_m: config.weather.air_c_at(config.hub_amsl_m + agl_m, clock.now_s()),
            code_secret=await _code_secret(config, store),
            checks=lambda: _checks(feed, station, signing, recorder),
            links=lambda: [link.stats() for link in station.links],
            token=outside.token,
        )
        station.on_event(service.link_event)
        boxes.on_sample = lambda order_id: supervisor.wake_vehicle(ledger.orders[order_id].vehicle_id or "")
        parts = ("cold boxes", outside.listen(feed)), ("supervisor", supervisor.run())
        await stack.enter_async_context(_background(*parts))
        url = await stack.enter_async_context(_served(config, service, clock)) if outside.serves else ""
        first = parse_url(station.links[0].name)
        yield Running(service, url, station, config.api.tokens, config.products, first.port)


def _served(config: FleetConfig, service: Controller, clock: Clock) -> AbstractAsyncContextManager[str]:
    tokens = TokenTable((t.secret, Principal(t.name, t.role)) for t in config.api.tokens)
    app = create_app(service, tokens, base_map=data_dir() / "airspace" / "valley-base.geojson", now_s=clock.now_s)
    return serve(app, config.api.host, config.api.port)


@contextlib.asynccontextmanager
async def _vehicles(
    config: FleetConfig, clock: Clock, recorder: Recorder | None, signing: SigningStore, outside: Outside
) -> AsyncIterator[tuple[Station, dict[str, VehiclePort]]]:
    """One link per URL, shared by the vehicles that name it; each vehicle prefers its links in its own order and is
    flown by its own driver."""
    native: dict[str, dict[int, str]] = {}
    mavsdk: dict[str, dict[int, str]] = {}
    for vehicle_id, urls in config.links.items():
        by_url = mavsdk if config.drivers.get(vehicle_id) is Driver.MAVSDK else native
        for url in urls:
            by_url.setdefault(str(parse_url(url)), {})[config.vehicles[vehicle_id].system_id] = vehicle_id
    async with contextlib.AsyncExitStack() as stack:
        station = await stack.enter_async_context(
            open_station(
                native,
                clock=clock,
                system_id=config.gcs_system_id,
                transport=outside.transport,
                uids=config.uids,
                guards=signing.guards,
                tap=recorder.tap if recorder is not None else None,
            )
        )
        made: dict[str, Callable[..., VehiclePort]] = {}
        for url, vehicles in mavsdk.items():
            transport = await stack.enter_async_context(mavsdk_transport(url, config.gcs_system_id))
            link = station.add_link(url, transport, vehicles)
            transport.open(station.receiver(link), station.turn_over)
            made |= dict.fromkeys(vehicles.values(), partial(MavsdkVehicle, transport=transport))
        ports: dict[str, VehiclePort] = {}
        for peer in station.peers:
            peer.prefer([str(parse_url(url)) for url in config.links[peer.vehicle_id]])
            ports[peer.vehicle_id] = made.get(peer.vehicle_id, NativeVehicle)(
                peer,
                cruise_m_s=config.vehicles[peer.vehicle_id].type.cruise_m_s,
                airframe=config.vehicles[peer.vehicle_id].type.airframe,
                contract=config.contracts.get(peer.vehicle_id),
            )
        yield station, ports


@contextlib.asynccontextmanager
async def _recorder(config: FleetConfig, clock: Clock) -> AsyncIterator[Recorder | None]:
    """Writes a tlog per flight, if the configuration names a folder for it."""
    kept = config.recording
    if kept.folder is None:
        yield None
        return
    max_bytes, keep_bytes = int(kept.max_mb * 1e6), int(kept.keep_gb * 1e9)
    async with recording(kept.folder, max_bytes=max_bytes, keep_bytes=keep_bytes, clock=clock) as recorder:
        yield recorder


def _checks(feed: ColdBoxFeed, station: Station, signing: SigningStore, recorder: Recorder | None) -> dict[str, str]:
    """The parts of the controller: `ok`, or what is wrong."""
    links = [f"{link.name}: {link.trouble}" for link in station.links if link.trouble]
    return {
        "store": "ok",
        "boxes": "ok" if feed.connected else feed.status,
        "links": "; ".join(links) or "ok",
        "signing": signing.trouble or "ok",
        "recording": (recorder.trouble if recorder is not None else None) or "ok",
    }


async def _code_secret(config: FleetConfig, store: StorePort) -> bytes:
    """What one-time codes are derived from: given, or made once and kept with the orders it belongs to."""
    if config.secret is not None:
        return config.secret
    kept = store.get("meta", "code_secret")
    if kept is not None:
        return bytes.fromhex(kept["hex"])
    secret = secrets.token_bytes(32)
    await store.commit(puts=[Put("meta", "code_secret", {"hex": secret.hex()})])
    return secret


@contextlib.asynccontextmanager
async def _background(*parts: tuple[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Named tasks that live as long as the context; one that fails takes the whole controller down, loudly."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part, name=name) for name, part in parts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
