"""Scenario files: a world, a fleet, orders, what goes wrong, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.config import FleetConfig, load_airspace, load_config
from fleet.config.problems import ConfigError, Problem, Problems, did_you_mean
from fleet.config.source import Document, Loc, SourceError, read_yaml
from fleet.simulate.expect import ALARMS, Expect, ExpectRun, is_text
from fleet.simulate.happenings import Fault, Happening, check_happening
from fleet.simulate.spec import WireOf, sim_spec
from geofences.formats import load_airspace_text
from geofences.geodesy import LatLon
from geofences.volumes import Circle, Restriction, Volume, Zone
from missions.coldchain.assess import rules_for
from missions.coldchain.product import ProfileError
from missions.orders import Priority
from missions.sites import Site, SiteKind
from sitl.fields import SpecError
from sitl.spec import SimSpec


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class People(_Strict):
    """How long the people on the ground take, simulated seconds."""

    load_s: float = Field(
        default=15.0, ge=0, description="from the assignment until the box is packed, docked and sealed"
    )
    receive_s: float = Field(default=20.0, ge=0, description="from the release until the recipient gives the code")


class ScenarioSite(_Strict):
    """A place that the fleet's own configuration has not; on the ground as configured."""

    id: str = Field(min_length=1, description="by which orders, faults and expectations name it")
    kind: Literal["clinic", "alternate"] = Field(default="clinic", description="a destination, or a place to land at")
    lat: float = Field(ge=-85, le=85, description="degrees, WGS84")
    lon: float = Field(ge=-180, le=180, description="degrees, WGS84")


class ScenarioOrder(_Strict):
    name: str = Field(description="by which faults, the story and the findings call it")
    at_s: float = Field(default=0.0, ge=0, description="when it is placed, simulated seconds since the start")
    product: str = Field(description="a product of the fleet")
    to: str = Field(description="a site")
    mass_kg: float = Field(gt=0, description="of the content, without its box")
    volume_l: float = Field(gt=0)
    deadline_min: float = Field(gt=0, description="after it is placed")
    priority: Priority = Field(default=Priority.ROUTINE, description="what a late arrival costs")
    budget_min: dict[str, float] = Field(
        default_factory=dict, description="excursion of the product → minutes that are left of it"
    )
    single_patient: bool = Field(default=False, description="made for one patient, not replaceable")
    payload_c: float = Field(ge=-200, le=80, description="temperature at which the pharmacy packs it")
    pack_left_kj: float | None = Field(default=None, description="coolant left when it is packed; none: a fresh pack")
    faults: list[Fault] = Field(default_factory=list, description="of this order's vehicle or box")
    expect: Expect | None = Field(default=None, description="only where the run is to be `sound`, it may be missing")


class ScenarioFile(_Strict):
    title: str = Field(description="what the report and the terminal call it")
    about: str = Field(default="", description="what it shows, in a sentence or two")
    fleet: str = Field(description="the fleet's file, relative to this one")
    start: datetime = Field(description="date and time of the world, UTC unless it says otherwise")
    seed: int = Field(default=1, ge=0, description="of all chance; the same one gives the same run in virtual time")
    speed: float = Field(default=10.0, gt=0, le=100, description="times real time where it runs against the wall clock")
    limit_min: float = Field(default=60.0, gt=0, description="simulated minutes after which the run has failed")
    ends_min: float | None = Field(
        default=None,
        gt=0,
        description="judged then at the latest, as it stands, even if an order has not ended or a vehicle is not back",
    )
    waits_for_landing: bool = Field(
        default=True, description="no: judged once every order has ended, though vehicles are still on their way home"
    )
    quiet_min: float | None = Field(
        default=None, gt=0, description="judged as it stands when nothing has flown, changed or happened for so long"
    )
    world: dict[str, Any] = Field(default_factory=dict, description="of the simulator, docs/simulator.md")
    people: People = Field(default=People(), description="how quick the people on the ground are")
    only: list[str] = Field(default_factory=list, description="these vehicles alone; empty: the whole fleet")
    sites: list[ScenarioSite] = Field(default_factory=list, description="places besides the fleet's own")
    vehicles: dict[str, dict[str, Any]] = Field(default_factory=dict, description="id → what differs in the simulator")
    boxes: dict[str, dict[str, Any]] = Field(default_factory=dict, description="id → what differs in the simulator")
    orders: list[ScenarioOrder] = Field(min_length=1, description="at least one")
    faults: list[Fault] = Field(default_factory=list, description="of no order, or of those that they name")
    expect: ExpectRun = Field(default=ExpectRun(), description="of the whole run")
    not_on_px4: str = Field(default="", description="why no real PX4 with SIH can fly it; empty: it can")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, checked with everything that it names."""

    path: Path
    file: ScenarioFile
    config: FleetConfig
    happenings: tuple[Happening, ...]
    text: str

    @property
    def start_s(self) -> float:
        start = self.file.start
        return (start if start.tzinfo is not None else start.replace(tzinfo=UTC)).timestamp()

    def sim_spec(self, wire: WireOf, seed: int | None = None) -> dict[str, Any]:
        file = self.file
        return sim_spec(
            self.config,
            file.world,
            seed=file.seed if seed is None else seed,
            wire=wire,
            vehicles=file.vehicles,
            boxes=file.boxes,
        )


def load_scenario(path: Path) -> Scenario:
    """Raises ConfigError with all problems at once. A folder stands for its `scenario.yaml`."""
    try:
        document = read_yaml(path / "scenario.yaml" if path.is_dir() else path)
    except SourceError as e:
        raise ConfigError([Problem(str(e.path), e.line, "", e.text, e.fix)]) from None
    return scenario_of(document)


def scenario_of(document: Document, fleet: Callable[[Path], FleetConfig] = load_config) -> Scenario:
    """The scenario in a document that was read, or made. `fleet` reads its fleet's file."""
    path, problems = document.path, Problems()
    try:
        file = ScenarioFile.model_validate(document.data)
    except ValidationError as e:
        for details in e.errors(include_url=False):
            problems.add_details(document, ScenarioFile, details)
        problems.raise_if_any()
        raise
    fleet_path = path.parent / file.fleet
    if not fleet_path.is_file():
        problems.add(document, ("fleet",), f"names {fleet_path}, which does not exist", "Check the path")
        problems.raise_if_any()
    config = _with_sites(_restricted(fleet(fleet_path), file, document, problems), file, document, problems)
    _check_orders(file, config, document, problems)
    happenings = tuple(_happenings(path.parent, file, config, document, problems))
    _check_names(file, config, happenings, document, problems)
    scenario = Scenario(path, file, config, happenings, document.text.decode())
    _check_simulator(scenario, document, problems)
    problems.raise_if_any()
    return scenario


def _restricted(config: FleetConfig, file: ScenarioFile, document: Document, problems: Problems) -> FleetConfig:
    for i, name in enumerate(file.only):
        if name not in config.vehicles:
            problems.add(document, ("only", i), f"{name!r} is no vehicle", did_you_mean(name, config.vehicles))
    problems.raise_if_any()
    if not file.only:
        return config
    kept = {v: config.vehicles[v] for v in file.only}
    return replace(config, vehicles=kept, links={v: config.links[v] for v in kept})


def _with_sites(config: FleetConfig, file: ScenarioFile, document: Document, problems: Problems) -> FleetConfig:
    sites = dict(config.sites)
    for i, s in enumerate(file.sites):
        if s.id in sites:
            problems.add(document, ("sites", i, "id"), f"{s.id!r} is a site already", "Give each place its own")
        at = LatLon(s.lat, s.lon)
        # As the simulated world's, where the configured ground does not reach: see fleet.simulate.spec.
        ground_m = config.terrain.ground_amsl_m(at) or next(iter(sites.values())).elevation_amsl_m
        sites[s.id] = Site(s.id, s.id, SiteKind(s.kind), at, ground_m)
    return replace(config, sites=sites)


def _check_orders(file: ScenarioFile, config: FleetConfig, document: Document, problems: Problems) -> None:
    names = [o.name for o in file.orders]
    for i, order in enumerate(file.orders):
        if names.index(order.name) != i:
            problems.add(document, ("orders", i, "name"), f"{order.name!r} is used twice", "Give each order its own")
        if order.product not in config.products:
            fix = did_you_mean(order.product, config.products)
            problems.add(document, ("orders", i, "product"), f"{order.product!r} is no product", fix)
        else:
            try:
                rules_for(config.products[order.product], tuple(order.budget_min.items()))
            except ProfileError as e:
                problems.add(document, ("orders", i, *e.loc), e.problem, e.fix[:1].upper() + e.fix[1:])
        if order.expect is None and not file.expect.sound:
            fix = "Add `expect:`, or ask of the whole run to be `sound`"
            problems.add(document, ("orders", i), "expects nothing", fix)
        if order.to not in config.sites:
            problems.add(
                document, ("orders", i, "to"), f"{order.to!r} is no site", did_you_mean(order.to, config.sites)
            )
    for section, known in (("vehicles", config.vehicles), ("boxes", config.boxes)):
        for name in getattr(file, section):
            if name not in known:
                what = "vehicle" if section == "vehicles" else "box"
                problems.add(
                    document, (section, name), f"{name!r} is no {what} of the fleet", did_you_mean(name, known)
                )


def _happenings(
    folder: Path, file: ScenarioFile, config: FleetConfig, document: Document, problems: Problems
) -> Iterator[Happening]:
    placed: list[tuple[Loc, Fault, str | None]] = [(("faults", i), f, f.order) for i, f in enumerate(file.faults)]
    for i, wanted in enumerate(file.orders):
        placed += [(("orders", i, "faults", j), f, f.order or wanted.name) for j, f in enumerate(wanted.faults)]
    names = {f.name or f.kind for _, f, _ in placed}
    orders = [o.name for o in file.orders]
    begins = _begins([fault for _, fault, _ in placed])
    for loc, fault, order in placed:
        if order is not None and order not in orders:
            problems.add(document, (*loc, "order"), f"{order!r} is no order", did_you_mean(order, orders))
        if fault.name is not None and [f.name or f.kind for _, f, _ in placed].count(fault.name) > 1:
            problems.add(document, (*loc, "name"), f"{fault.name!r} is used twice", "Give each fault its own")
        when = fault.when
        if when.near is not None and when.near not in config.sites:
            fix = did_you_mean(when.near, config.sites)
            problems.add(document, (*loc, "when", "near"), f"{when.near!r} is no site", fix)
        if when.after is not None and when.after not in names:
            fix = did_you_mean(when.after, names)
            problems.add(document, (*loc, "when", "after"), f"{when.after!r} is no fault's name", fix)
        elif when.after is not None and when.after not in begins:
            text = f"{when.after!r} never begins: it waits for itself"
            problems.add(document, (*loc, "when", "after"), text, "Let one of them begin at a time or a place")
        asks = [n for n in ("state", "phase", "flown_m", "near") if getattr(when, n) is not None]
        of_vehicle = {"flown_m", "near"}
        if asks and order is None and not (fault.vehicle is not None and set(asks) <= of_vehicle):
            problems.add(document, (*loc, "when"), f"`{asks[0]}` of whom?", "Add `order:`")
        if (unfit := check_happening(fault.kind, fault.args, order, fault.vehicle, fault.box, config)) is not None:
            field, text, fix = unfit
            problems.add(document, (*loc, field) if field else loc, text, fix)
            continue
        zone = _closure(folder, fault, loc, document, problems) if fault.kind == "closure" else None
        yield Happening(
            fault.name or fault.kind, fault.kind, dict(fault.args), order, fault.vehicle, fault.box,
            when, fault.duration_s, zone,
        )  # fmt: skip


def _begins(faults: list[Fault]) -> set[str]:
    """The names of those that can begin: that wait for none, or for one that can."""
    begins: set[str] = set()
    while more := {f.name or f.kind for f in faults if f.when.after is None or f.when.after in begins} - begins:
        begins |= more
    return begins


def _closure(folder: Path, fault: Fault, loc: Loc, document: Document, problems: Problems) -> Zone | None:
    if (circle := fault.args.get("circle")) is not None:
        around = Circle(LatLon(circle["lat"], circle["lon"]), circle["radius_m"])
        name = fault.name or fault.kind
        return Zone(name, name, Restriction.PROHIBITED, (Volume(around),))
    path = folder / str(fault.args["file"])
    where = (*loc, "file")
    if not path.is_file():
        problems.add(document, where, f"names {path}, which does not exist", "Check the path")
        return None
    parsed = load_airspace_text(path.read_text(encoding="utf-8"), str(path))
    if len(parsed.zones) != 1:
        said = "; ".join(str(p) for p in parsed.problems) or f"it holds {len(parsed.zones)} zones"
        problems.add(document, where, f"must name a file with one usable zone: {said}", f"Mend {path}")
        return None
    return parsed.zones[0]


def _check_names(
    file: ScenarioFile, config: FleetConfig, happenings: tuple[Happening, ...], document: Document, problems: Problems
) -> None:
    """That expectations speak of zones, sites and faults that there are."""
    zones = {z.zone_id for z in load_airspace(config).zones} | {h.zone.zone_id for h in happenings if h.zone}
    known = {"zone": zones, "site": set(config.sites), "fault": {h.name for h in happenings}, "alarm": ALARMS}
    parts: list[tuple[Loc, Expect | ExpectRun]] = [(("expect",), file.expect)]
    parts += [(("orders", i, "expect"), o.expect) for i, o in enumerate(file.orders) if o.expect is not None]
    for loc, expect in parts:
        for field, what, name in expect.names():
            if name not in known[what] and not (what == "alarm" and is_text(name)):
                problems.add(document, (*loc, field), f"{name!r} is no {what}", did_you_mean(name, known[what]))


def _check_simulator(scenario: Scenario, document: Document, problems: Problems) -> None:
    """The simulator's own rules, told by the field of this file."""
    spec = scenario.sim_spec(lambda i, v: {})
    try:
        SimSpec.from_dict({"epoch_s": 0, "monotonic_s": 0, **spec})
    except SpecError as e:
        path, _, rest = str(e).partition(": ")
        text, _, fix = rest.partition("; ")
        problems.add(document, _loc(path, spec), text, fix[:1].upper() + fix[1:] or "Mend it")


def _loc(path: str, spec: Mapping[str, Any]) -> Loc:
    """`vehicles[0].battery_pct` of the simulator's spec, as a place in the scenario."""
    head, _, rest = path.partition(".")
    name, _, index = head.rstrip("]").partition("[")
    tail = tuple(rest.split(".")) if rest else ()
    if index and name in ("vehicles", "boxes"):
        key = {"vehicles": "vehicle_id", "boxes": "box_id"}[name]
        return (name, str(spec[name][int(index)][key]), *tail)
    return (name, *tail)
