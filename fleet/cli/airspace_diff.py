"""`fleet airspace diff`: what changed from one airspace file to the next, and which plans it breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.airspace_reading import KNOWN, read_airspace, reasons
from fleet.cli.output import ExitCode, JsonFlag, Output

if TYPE_CHECKING:
    from fleet.config import FleetConfig
    from fleet.store.reader import Reader
    from geofences.airspace import Airspace
    from geofences.comparing import Difference
    from geofences.heights import Terrain
    from missions.delivery import Flight
    from missions.orders import Order
    from missions.plan import Reason
    from missions.routing.flown import Violation


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan, and what the new airspace forbids of it that the old one did not."""

    kind: str
    """`flight`, `order` or `file`"""
    name: str
    broken: tuple[Reason, ...]


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help=KNOWN)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="the file that follows it, in any format")],
    plans: Annotated[
        list[Path] | None, typer.Option("--plans", metavar="FILE.plan", help="a QGroundControl plan; repeatable")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="a fleet.yaml: its store's flights and orders too")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Tell which zones were added, withdrawn or changed, and which plans that breaks (exit code 3 if any)."""
    from geofences.airspace import Airspace
    from geofences.comparing import compare

    out = Output(json)
    before, after = read_airspace(out, old), read_airspace(out, new)
    for file, parsed in ((old, before), (new, after)):
        if not parsed.ok:
            # A zone that was not understood may be the one that breaks a plan.
            problems = reasons(parsed)
            out.fail(ExitCode.REFUSED, f"{file} holds features that cannot be used", reasons=problems)
        for note in parsed.notes:
            out.say(f"note: {note}")
    found = compare(before.zones, after.zones)
    judge = _Judge(out, config, Airspace(1, before.zones), Airspace(1, after.zones))
    judged = [*(judge.file(path) for path in plans or []), *judge.stored()]
    broken = [j for j in judged if j.broken]
    if json:
        out.data({"old": str(old), "new": str(new), **_as_json(found), "plans": judged})
    else:
        _tell(out, found, judged)
    if broken:
        listed = [replace(r, text=f"{j.kind} {j.name}: {r.text}") for j in broken for r in j.broken]
        text = f"{len(broken)} of {len(judged)} plans cannot be flown any more"
        Output().fail(ExitCode.REFUSED, text, reasons=listed)  # with --json the reasons are on stdout already


class _Judge:
    """Judges plans by the two airspaces alone: only what the new one forbids and the old one did not counts."""

    def __init__(self, out: Output, config: Path | None, old: Airspace, new: Airspace) -> None:
        from geofences.heights import FlatTerrain

        self._out = out
        self._airspaces = old, new
        self._config = _load(out, config) if config is not None else None
        loaded = self._config
        self._authorised = loaded.policy.authorised_zones if loaded is not None else frozenset()
        self._terrain: Terrain | None = loaded.terrain if loaded is not None else None
        self._level = FlatTerrain

    def file(self, path: Path) -> Judged:
        from fleet.cli.plan_check import read_plan
        from missions.routing.flown import Rules
        from missions.routing.imported import check_file
        from missions.routing.px4 import airframe_of

        plan = read_plan(self._out, path)
        terrain = self._terrain or self._level(plan.home_amsl_m)
        airframe, depart_s = airframe_of(plan), time.time()
        old, new = (
            check_file(plan, Rules(a, self._authorised, terrain), depart_s, airframe=airframe).violations
            for a in self._airspaces
        )
        return Judged("file", str(path), _more(old, new))

    def stored(self) -> Iterator[Judged]:
        """Open flights as they are planned, and orders that have not flown yet by whether a plan can be made."""
        if self._config is None:
            return
        if not self._config.store_path.exists():
            self._out.say(f"note: there is no store at {self._config.store_path} yet, so no flights and orders")
            return
        from fleet.records.codec import from_json
        from fleet.runtime.ledger import OrderEntry
        from fleet.store import Store, StoreOpenError
        from missions.delivery import Flight

        try:
            with Store.open_readonly(self._config.store_path) as reader:
                flights = [from_json(Flight, body) for body in _rows(reader, "flights")]
                entries = [from_json(OrderEntry, body) for body in _rows(reader, "orders")]
        except StoreOpenError as error:
            self._out.fail(ExitCode.FAILED, str(error))
        except (KeyError, TypeError, ValueError) as error:
            text = f"{self._config.store_path} holds what this Coldwing does not know: {error}"
            self._out.fail(ExitCode.FAILED, text, "start the controller on it once")
        flying = {f.order_id for f in flights if f.is_open and f.plan is not None}
        yield from (self._flight(f) for f in flights if f.is_open and f.plan is not None)
        yield from (self._order(e.order) for e in entries if not e.is_final and e.order.order_id not in flying)

    def _flight(self, flight: Flight) -> Judged:
        from missions.routing.checker import check_plan
        from missions.routing.flown import Rules

        plan, config = flight.plan, self._config
        assert plan is not None
        assert config is not None
        # Which version it was planned against says nothing of two files.
        old, new = (
            check_plan(
                plan,
                Rules(
                    replace(a, version=plan.airspace_version),
                    self._authorised,
                    config.terrain,
                    config.planning.ceiling_agl_m,
                    config.policy.reserve_pct,
                    sites=config.sites,
                ),
            )
            for a in self._airspaces
        )
        return Judged("flight", f"{flight.flight_id} ({flight.vehicle_id} to {plan.goal_site})", _more(old, new))

    def _order(self, order: Order) -> Judged:
        """Whether the first vehicle type of its origin can fly it, before and after."""
        from missions.energy import STILL
        from missions.plan import Ending, Infeasible
        from missions.world import World, plan_to

        config = self._config
        assert config is not None
        vehicles = config.vehicles.values()
        vehicle = next((v for v in vehicles if v.home_site == order.origin_site), next(iter(vehicles), None))
        named = f"{order.order_id} ({order.origin_site} to {order.destination_site})"
        known = {order.origin_site, order.destination_site} <= set(config.sites)
        if vehicle is None or not known:
            return Judged("order", named, ())
        start = config.sites[order.origin_site]
        made = [
            plan_to(
                World(config.sites, airspace, self._authorised, config.terrain, config.planning),
                vehicle,
                plan_id=order.order_id,
                start=start.position,
                start_amsl_m=start.elevation_amsl_m,
                take_off=True,
                goal=config.sites[order.destination_site],
                ending=Ending.HOLD_AT_DROP,
                home=config.sites[vehicle.home_site],
                payload_kg=order.mass_kg + min((b.empty_mass_kg for b in config.boxes.values()), default=0.0),
                battery_pct=100.0,
                wind=STILL,
                layer_agl_m=config.planning.layers_agl_m[0],
                depart_s=time.time(),
            )
            for airspace in self._airspaces
        ]
        after = made[1]
        breaks = isinstance(after, Infeasible) and not isinstance(made[0], Infeasible)
        return Judged("order", named, after.reasons if breaks and isinstance(after, Infeasible) else ())


def _load(out: Output, path: Path) -> FleetConfig:
    from fleet.cli.config import refuse
    from fleet.config import ConfigError, load_config

    try:
        return load_config(path)
    except ConfigError as error:
        refuse(out, error)


def _rows(reader: Reader, table: str) -> list[dict[str, Any]]:
    return list(reader.load(table).values())


def _more(old: tuple[Violation, ...], new: tuple[Violation, ...]) -> tuple[Reason, ...]:
    from missions.plan import Reason

    known = {(v.leg_index, v.code, v.zone_id) for v in old}
    fresh = [v for v in new if (v.leg_index, v.code, v.zone_id) not in known]
    return tuple(dict.fromkeys(Reason(v.code, v.text) for v in fresh))


def _as_json(found: Difference) -> dict[str, Any]:
    return {
        "added": [z.zone_id for z in found.added],
        "withdrawn": [z.zone_id for z in found.withdrawn],
        "changed": [{"id": c.after.zone_id, "fields": c.fields} for c in found.changed],
        "same": found.same,
    }


def _tell(out: Output, found: Difference, judged: list[Judged]) -> None:
    from geofences.comparing import heights_text, times_kind

    def about(zone: Any) -> str:
        heights = "; ".join(dict.fromkeys(map(heights_text, zone.volumes)))
        return f"{zone.restriction}, {heights}, {times_kind(zone)}"

    rows = [("+", z.zone_id, z.name, "added", about(z)) for z in found.added]
    rows += [("-", z.zone_id, z.name, "withdrawn", about(z)) for z in found.withdrawn]
    for c in found.changed:
        rows += [("!" if f.closes else "~", c.after.zone_id, c.after.name, f.field, f.text) for f in c.fields]
    out.table(None, ("", "id", "name", "what", "how"), rows, empty="No zone is other than it was.")
    counts = (f"{len(found.added)} added", f"{len(found.withdrawn)} withdrawn", f"{len(found.changed)} changed")
    out.say(f"{', '.join(counts)}, {found.same} as they were")
    for j in judged:
        if not j.broken:
            out.say(f"{j.kind} {j.name}: nothing new stands against it")
