"""The controller is killed at each commit of a delivery in turn: before it is durable, and after, before it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fleet.clock import LoopClock
from fleet.service import OrderRequest, OrderView, Refused
from fleet.store import IdempotencyKey, MemoryStore, NewEvent, Put
from fleet.virtual import run_virtual
from geofences.geodesy import destination
from missions.orders import Priority
from missions.sites import Site, SiteKind
from tests.runtime.rig import START_S, Rig, demo_config, make, restarted
from tests.support.wild_vehicle import WildVehicle

SAMPLES_EVERY = 20
"""box samples are most of the commits, and all alike: one in so many is cut at"""
LIMIT_S = 900.0


class _Killed(BaseException):
    """Not an Exception: nothing in the controller may catch it, as nothing catches SIGKILL."""


class _CutStore(MemoryStore):
    """Counts commits; at the one given, the process ends: `durable` says whether the write is still made."""

    def __init__(self, at: int | None = None, *, durable: bool = False) -> None:
        super().__init__()
        self.at, self.durable, self.seen = at, durable, 0
        self.kinds: list[str] = []
        self.dead = asyncio.Event()

    def commit(
        self,
        *,
        events: Sequence[NewEvent] = (),
        puts: Sequence[Put] = (),
        idempotency: IdempotencyKey | None = None,
    ) -> Awaitable[Any]:
        if self.dead.is_set():
            raise _Killed
        cut = self.seen == self.at
        self.seen += 1
        self.kinds.append("+".join(e.kind for e in events))
        if cut:
            self.dead.set()
            if self.durable:
                super().commit(events=events, puts=puts, idempotency=idempotency)
            raise _Killed
        return super().commit(events=events, puts=puts, idempotency=idempotency)

    def live_again(self) -> None:
        self.at = None
        self.dead.clear()


def _near_config() -> Any:
    """A clinic 400 m from the hub: every step of a delivery in a short flight."""
    config = demo_config()
    hub = config.sites["teral"]
    near = Site("near", "Near Clinic", SiteKind.CLINIC, destination(hub.position, 120.0, 400.0), 420.0)
    return replace(config, sites={**config.sites, "near": near})


CONFIG = _near_config()


async def _place(r: Rig) -> OrderView:
    """A client that asks again, with the same key, until it has an answer."""
    request = OrderRequest(
        product_id="red_cells",
        destination_site="near",
        recipient_ref="ward-7",
        mass_kg=0.8,
        volume_l=1.5,
        deadline_s=START_S + 3600.0,
        priority=Priority.URGENT,
    )
    answer = await r.service.place_order(request, requester="ward", idempotency_key="one", fingerprint="one")
    assert not isinstance(answer, Refused)
    return answer


async def _deliver(r: Rig) -> None:
    """The whole story from wherever it stands: order, release, receipt, home. Ends early when the process is killed."""
    store = r.store
    assert isinstance(store, _CutStore)
    flying = asyncio.create_task(r.run(), name="controller")
    killed = asyncio.create_task(store.dead.wait(), name="killed")
    try:
        order_id = (await _place(r)).order.order_id
        end_s = r.clock.now_s() + LIMIT_S
        while not store.dead.is_set():
            view = r.order(order_id)
            assert r.clock.now_s() < end_s, f"{view.state}, {view.phase}: {view.decision}"
            if view.state == "released":
                await r.receive(order_id)
            elif view.state == "received" and not r.ledger.flights:
                return
            await asyncio.wait(
                [asyncio.ensure_future(r.clock.sleep(0.5)), killed, flying], return_when="FIRST_COMPLETED"
            )
            assert not flying.done() or store.dead.is_set(), "the controller has ended by itself"
    except _Killed:
        pass
    finally:
        flying.cancel()
        killed.cancel()
        await asyncio.wait([flying, killed])
        if not flying.cancelled():
            flying.exception()


def _fly(at: int | None = None, *, durable: bool = False) -> tuple[Rig, _CutStore, list[str]]:
    async def story() -> tuple[Rig, _CutStore, list[str]]:
        clock, store = LoopClock(START_S), _CutStore(at, durable=durable)
        # What a killed process leaves behind in its tasks is no news here.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        hub = CONFIG.sites["teral"]
        vehicles = {
            v: WildVehicle(v, clock, hub.position, hub.elevation_amsl_m, climb_m_s=10.0) for v in CONFIG.vehicles
        }
        r = make(CONFIG, clock, store, dict(vehicles))
        await _deliver(r)
        if at is not None:
            await clock.sleep(3.0)
            store.live_again()
            r = restarted(r)
            await _deliver(r)
        commands = [c for v in r.vehicles.values() for c in v.commands]
        return r, store, commands

    return run_virtual(story())


UNCUT = ["upload", "start", "release", "upload", "fly"]


@pytest.fixture(scope="module")
def commits() -> list[str]:
    """The kinds of events of each commit of a delivery that nobody kills."""
    _, store, commands = _fly()
    assert commands == UNCUT
    return store.kinds


def _instants(commits: list[str]) -> list[int]:
    samples = [i for i, kinds in enumerate(commits) if kinds == "box_sample"]
    return sorted({i for i, kinds in enumerate(commits) if kinds != "box_sample"} | set(samples[::SAMPLES_EVERY]))


def _without_one(commands: list[str]) -> Callable[[list[str]], bool]:
    """True for the uncut run's commands, or those with one of them said twice in a row."""
    doubled = [UNCUT[: i + 1] + UNCUT[i:] for i in range(len(UNCUT))]
    return lambda said: said == commands or said in doubled


def _what_goes_wrong(commits: list[str], instants: Sequence[int], *, durable: bool) -> list[str]:
    as_uncut = _without_one(UNCUT)
    wrong = []
    for at in instants:
        r, _, commands = _fly(at, durable=durable)
        where = f"commit {at} ({commits[at]})"
        assert len(r.ledger.orders) == 1, where
        (order_id,) = r.ledger.orders
        if (r.order(order_id).state, sum(v.let_go for v in r.vehicles.values())) != ("received", 1):
            wrong.append(f"{where}: {r.order(order_id).state}, released {[v.let_go for v in r.vehicles.values()]}")
        asked = [e["step"] for e in r.events(order_id, "command")]
        answered = [e["step"] for e in r.events(order_id, "outcome")]
        # Only a command that was recorded and has no answer may be said once more; and on the ground the plan is proven
        # anew by the process that is to start it.
        proven_anew = commands == ["upload", *UNCUT]
        if not as_uncut(commands) or (commands != UNCUT and not proven_anew and len(asked) <= len(answered)):
            wrong.append(f"{where}: {commands}")
    return wrong


@pytest.mark.parametrize("durable", [False, True], ids=["before it is written", "after it is written"])
def test_killed_at_any_commit_the_delivery_ends_the_same_and_nothing_is_said_twice(commits, durable):
    assert _what_goes_wrong(commits, _instants(commits), durable=durable) == []
