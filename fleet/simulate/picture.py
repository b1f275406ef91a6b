"""A picture of a scenario run: where everything flew, and how warm each box was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleet.config import data_dir
from fleet.maps import FlownFlight, TemperatureTrace, flight_picture
from fleet.records.codec import from_json
from fleet.service import RecordedEvent
from fleet.simulate.outcome import Outcome
from fleet.simulate.scenario import Scenario
from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from missions.coldchain.product import Product
from missions.plan import Plan
from sitl.observer import Fix

_WORDS = {
    "reice": "to the ice house",
    "reroute": "another route",
    "return": "turns back",
    "deliver": "delivers after all",
}


def draw(scenario: Scenario, outcome: Outcome, path: Path) -> None:
    """Writes a PNG of the run."""
    flights, traces = [], []
    for wanted, order in zip(scenario.file.orders, outcome.orders, strict=True):
        stays = outcome.carried.get(order.name, ())
        fixes = [
            f
            for stay in stays
            for f in outcome.sightings[stay.vehicle_id].fixes
            if stay.from_s <= f.at_s <= stay.until_s
        ]
        if not fixes:
            continue
        launch_s = next((e.at_s for e in order.events if e.body.get("event") == "launch"), fixes[0].at_s)
        words = [(e.at_s, text) for e in order.events if (text := _word(e))]
        plans = tuple(from_json(Plan, e.body["plan"]) for e in order.events if e.kind == "planned")
        track = tuple(LatLon(f.lat_deg, f.lon_deg) for f in fixes)
        places = tuple((_where(fixes, at_s), text) for at_s, text in words)
        flights.append(FlownFlight(order.name, plans, track, places))
        product = scenario.config.products[wanted.product]
        traces.append(_trace(product, order.name, outcome.measured.get(order.name, ()), words, launch_s))
    flight_picture(
        path,
        flights,
        traces,
        Airspace(1, tuple(z.zone for z in outcome.zones)),
        tuple(scenario.config.sites.values()),
        base_geojson=(data_dir() / "airspace" / "valley-base.geojson").read_text(encoding="utf-8"),
        title=outcome.title,
    )


def _word(event: RecordedEvent) -> str:
    if event.kind == "decision" and event.body["decision"].get("candidate") is not None:
        return _WORDS.get(event.body["decision"]["candidate"]["kind"], "")
    if event.kind == "custody":
        return {"release": "released", "reiced": "new pack"}.get(event.body["step"], "")
    return ""


def _where(fixes: Sequence[Fix], at_s: float) -> LatLon:
    near = min(fixes, key=lambda f: abs(f.at_s - at_s))
    return LatLon(near.lat_deg, near.lon_deg)


def _trace(
    product: Product,
    name: str,
    temps_c: Sequence[tuple[float, float]],
    words: Sequence[tuple[float, str]],
    launch_s: float,
) -> TemperatureTrace:
    return TemperatureTrace(
        f"{name}: {product.lower_c:g} to {product.upper_c:g} °C",
        tuple((at_s - launch_s) / 60.0 for at_s, _ in temps_c),
        tuple(temp for _, temp in temps_c),
        (product.lower_c, product.upper_c),
        tuple(((at_s - launch_s) / 60.0, text) for at_s, text in words),
    )
