"""Makes a scenario's faults happen, each when its time or place has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fleet.runtime.ledger import order_stream
from fleet.service import OrderView, RecordedEvent, Refused, VehicleCommand
from fleet.simulate.happenings import AROUND, Happening
from fleet.simulate.people import People
from fleet.simulate.stage import Stage
from geofences.geodesy import LatLon, distance_m
from sitl import geo
from sitl.faults import FAULTS, WorldTroubles
from sitl.observer import Sighting
from sitl.rival import RivalItem

LOOK_EVERY_S = 0.25
RIVAL_TICK_S = 0.1
TAKEOFF, WAYPOINT = 22, 16
"""MAV_CMD_NAV_…"""
UPLOAD_S = 20.0
"""a rival that is not answered gives up"""
FOREIGN_NORTH_M, FOREIGN_AGL_M = 300.0, 40.0
"""where a rival's mission leads: the ground station of somebody who has picked the wrong vehicle"""


@dataclass(slots=True)
class _Path:
    """How far a vehicle has flown since its last take-off, by the observer's fixes."""

    flown_m: float = 0.0
    seen: int = 0
    takeoffs: int = 0

    def follow(self, sighting: Sighting) -> float:
        if len(sighting.takeoffs) > self.takeoffs:
            self.takeoffs, self.flown_m = len(sighting.takeoffs), 0.0
            self.seen = max(self.seen, len(sighting.fixes) - 1)
        for a, b in zip(sighting.fixes[self.seen :], sighting.fixes[self.seen + 1 :], strict=False):
            self.flown_m += geo.distance_m(a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg)
            self.seen += 1
        return self.flown_m if self.takeoffs else 0.0


@dataclass(slots=True)
class _Story:
    """The states and phases that an order has come to, by its record: a look in between may miss a short one."""

    seq: int = 0
    states: set[str] = field(default_factory=set)
    phases: set[str] = field(default_factory=set)

    def read(self, events: Iterable[RecordedEvent]) -> None:
        for event in events:
            self.seq = event.seq
            if event.kind == "order_state":
                self.states.add(event.body["state"])
            elif event.kind == "phase":
                self.phases.add(event.body["phase"])


class Director:
    """`begun` and `over` say when each fault began and ended, by its name."""

    def __init__(
        self, happenings: tuple[Happening, ...], stage: Stage, people: People, emit: Callable[[dict[str, Any]], None]
    ) -> None:
        self._happenings, self._stage, self._people, self._emit = happenings, stage, people, emit
        self._started_s = stage.clock.now_s()
        self._paths: dict[str, _Path] = {}
        self._views: dict[str, tuple[float | None, OrderView | None]] = {}
        self._stories: dict[str, _Story] = {}
        self.begun: dict[str, float] = {}

    async def run(self) -> None:
        """Until all that should happen has happened."""
        async with asyncio.TaskGroup() as tasks:
            for happening in self._happenings:
                tasks.create_task(self._play(happening), name=f"fault {happening.name}")

    async def _play(self, h: Happening) -> None:
        clock = self._stage.clock
        while not self._due(h):
            await clock.sleep(LOOK_EVERY_S)
        await clock.sleep(h.when.after_s)
        while self._needs_somebody(h) and self._whom(h)[h.of_box] is None:  # taken from its vehicle meanwhile
            await clock.sleep(LOOK_EVERY_S)
        self.begun[h.name] = clock.now_s()
        self._tell(h, "begun")
        await self._carry_out(h)
        self._tell(h, "over")

    def _tell(self, h: Happening, state: str) -> None:
        vehicle_id, box_id = self._whom(h)
        self._emit(
            {
                "event": "fault",
                "name": h.name,
                "kind": h.kind,
                "on": box_id if h.of_box else vehicle_id,
                "state": state,
                "at_s": self._stage.clock.now_s(),
            }
        )

    # when

    def _due(self, h: Happening) -> bool:
        when, now_s = h.when, self._stage.clock.now_s()
        if when.at_s is not None and now_s - self._started_s < when.at_s:
            return False
        if when.after is not None and when.after not in self.begun:
            return False
        if (when.state is not None or when.phase is not None) and not self._come_to(h):
            return False
        if when.flown_m is None and when.near is None and not self._needs_somebody(h):
            return True
        vehicle_id, box_id = self._whom(h)
        if h.of_box:
            return box_id is not None and self._there(h, vehicle_id)
        return vehicle_id is not None and self._there(h, vehicle_id)

    def _come_to(self, h: Happening) -> bool:
        """Whether its order and flight have come to the state and phase that it waits for."""
        view, app = self._view(h.order), self._stage.app
        if view is None or app is None:
            return False
        story = self._stories.setdefault(view.order.order_id, _Story())
        story.read(app.service.record(order_stream(view.order.order_id), after_seq=story.seq))
        state, phase = h.when.state, h.when.phase
        return (state in (None, view.state) or state in story.states) and (
            phase in (None, view.phase) or phase in story.phases
        )

    def _needs_somebody(self, h: Happening) -> bool:
        """Whether it waits for its order's vehicle or box. Wind blows on all, whatever order it is told with."""
        if h.order is None:
            return False
        return FAULTS[h.kind].about is not WorldTroubles if h.kind in FAULTS else AROUND[h.kind].of == "vehicle"

    def _there(self, h: Happening, vehicle_id: str | None) -> bool:
        if h.when.flown_m is None and h.when.near is None:
            return True
        sighting = self._stage.observer.sightings.get(vehicle_id or "")
        if sighting is None or not sighting.fixes:
            return False
        flown_m = self._paths.setdefault(sighting.vehicle_id, _Path()).follow(sighting)
        if h.when.flown_m is not None and flown_m < h.when.flown_m:
            return False
        if h.when.near is None:
            return True
        site, fix = self._stage.config.sites[h.when.near].position, sighting.fixes[-1]
        return distance_m(site, LatLon(fix.lat_deg, fix.lon_deg)) <= h.when.within_m

    def _view(self, order: str | None) -> OrderView | None:
        """Looked up once an instant, however many faults wait for that order."""
        if order is None:
            return None
        now_s, (at_s, view) = self._stage.clock.now_s(), self._views.get(order, (None, None))
        if at_s != now_s:
            view = self._people.view(order)
            self._views[order] = now_s, view
        return view

    def _whom(self, h: Happening) -> tuple[str | None, str | None]:
        """The vehicle and box it concerns, as far as dispatch has named them."""
        view = self._view(h.order)
        pair = (view.vehicle_id, view.box_id) if view is not None else (None, None)
        return h.vehicle or pair[0], h.box or pair[1]

    # what

    async def _carry_out(self, h: Happening) -> None:
        stage, clock = self._stage, self._stage.clock
        vehicle_id, box_id = self._whom(h)
        if h.kind in FAULTS:
            on = box_id if h.of_box else vehicle_id if self._needs_somebody(h) or h.vehicle else None
            lasts = {} if h.duration_s is None else {"duration_s": h.duration_s}
            stage.tell(do="fault", kind=h.kind, **({"on": on} if on is not None else {}), **h.args, **lasts)
            await self._last(h)
        elif h.kind == "closure":
            await self._close(h)
        elif h.kind == "controller_killed":
            await stage.kill_controller(float(h.args.get("down_s", 3.0)))
        elif h.kind == "broker_down":
            await stage.set_broker(False)
            await self._last(h)
            await stage.set_broker(True)
        elif h.kind == "operator":
            await self._command(vehicle_id or "", VehicleCommand(h.args["command"]))
        else:
            await self._rival(h, vehicle_id or "")
        await clock.sleep(0.0)

    async def _last(self, h: Happening) -> None:
        if h.duration_s is None:
            await asyncio.Event().wait()
        else:
            await self._stage.clock.sleep(h.duration_s)

    async def _close(self, h: Happening) -> None:
        assert h.zone is not None
        app = self._stage.app
        while app is None:
            await self._stage.clock.sleep(LOOK_EVERY_S)
            app = self._stage.app
        await app.service.add_zone(h.zone, actor="authority")
        await self._last(h)
        app = self._stage.app
        if app is not None:
            await app.service.withdraw_zone(h.zone.zone_id, actor="authority")

    async def _command(self, vehicle_id: str, command: VehicleCommand) -> None:
        while (app := self._stage.app) is None:
            await self._stage.clock.sleep(LOOK_EVERY_S)
        answer = await app.service.command(vehicle_id, command, actor="operator")
        if isinstance(answer, Refused):
            self._emit({"event": "refused", "reason": answer.reasons[0].text, "at_s": self._stage.clock.now_s()})

    async def _rival(self, h: Happening, vehicle_id: str) -> None:
        rival, clock = self._stage.rival(vehicle_id), self._stage.clock
        ends_s = clock.now_s() + (h.duration_s if h.duration_s is not None else float("inf"))
        if h.kind == "second_gcs":
            rival.heartbeat(True)
        elif h.kind == "pilot":
            rival.take_over()
        else:
            rival.upload(self._foreign(vehicle_id))
            ends_s = clock.now_s() + UPLOAD_S
        while clock.now_s() < ends_s:
            rival.tick(clock.now_s())
            await clock.sleep(RIVAL_TICK_S)
        if h.kind == "second_gcs":
            rival.heartbeat(False)
        elif h.kind == "pilot":
            rival.give_back()
            while rival.flies:
                rival.tick(clock.now_s())
                await clock.sleep(RIVAL_TICK_S)
            await self._command(vehicle_id, VehicleCommand.RESUME)

    def _foreign(self, vehicle_id: str) -> list[RivalItem]:
        fix = self._stage.observer.sightings[vehicle_id].fixes[-1]
        to = geo.shifted(fix.lat_deg, fix.lon_deg, FOREIGN_NORTH_M, 0.0)
        return [
            RivalItem(TAKEOFF, fix.lat_deg, fix.lon_deg, FOREIGN_AGL_M, current=True),
            RivalItem(WAYPOINT, *to, FOREIGN_AGL_M),
        ]
