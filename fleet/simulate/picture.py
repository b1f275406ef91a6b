"""A picture of a scenario run: where everything flew, and how warm each box was."""

from __future__ import annotations

from pathlib import Path

from fleet.config import data_dir
from fleet.maps import FlownFlight, TemperatureTrace, flight_picture
from fleet.records.codec import from_json
from fleet.service import RecordedEvent
from fleet.simulate.judge import TrackPoint
from fleet.simulate.run import Run
from geofences.airspace import Airspace
from geofences.geodesy import LatLon
from missions.plan import Plan

_WORDS = {"reice": "to the ice house", "reroute": "another route", "return": "turns back"}


def draw(run: Run, path: Path) -> None:
    """Writes a PNG of the run as it stands."""
    flights, traces = [], []
    for delivery in run.people.deliveries:
        if delivery.order_id is None:
            continue
        events = run.app.service.record(f"order/{delivery.order_id}")
        points = [p for track in run.tracks.points.values() for p in track if p.order_id == delivery.order_id]
        if not points:
            continue
        name = delivery.wanted.name
        start_s = next((e.at_s for e in events if e.body.get("event") == "launch"), points[0].at_s)
        words = [(e.at_s, text) for e in events if (text := _word(e))]
        plans = tuple(from_json(Plan, e.body["plan"]) for e in events if e.kind == "planned")
        track = tuple(LatLon(p.lat_deg, p.lon_deg) for p in points)
        places = tuple((_where(points, at_s), text) for at_s, text in words)
        flights.append(FlownFlight(name, plans, track, places))
        traces.append(_trace(run, delivery.wanted.product, name, points, words, start_s))
    version, zones = run.app.service.zones()
    flight_picture(
        path,
        flights,
        traces,
        Airspace(version, tuple(zones)),
        run.app.service.sites(),
        base_geojson=(data_dir() / "airspace" / "valley-base.geojson").read_text(encoding="utf-8"),
        title=run.scenario.file.title,
    )


def _word(event: RecordedEvent) -> str:
    if event.kind == "decision" and event.body["decision"].get("candidate") is not None:
        return _WORDS.get(event.body["decision"]["candidate"]["kind"], "")
    if event.kind == "custody":
        return {"release": "released", "reiced": "new pack"}.get(event.body["step"], "")
    return ""


def _where(points: list[TrackPoint], at_s: float) -> LatLon:
    near = min(points, key=lambda p: abs(p.at_s - at_s))
    return LatLon(near.lat_deg, near.lon_deg)


def _trace(
    run: Run, product_id: str, name: str, points: list[TrackPoint], words: list[tuple[float, str]], start_s: float
) -> TemperatureTrace:
    product = run.app.products[product_id]
    with_box = [p for p in points if p.box_temp_c is not None]
    return TemperatureTrace(
        f"{name}: {product.lower_c:g} to {product.upper_c:g} °C",
        tuple((p.at_s - start_s) / 60.0 for p in with_box),
        tuple(p.box_temp_c for p in with_box),
        (product.lower_c, product.upper_c),
        tuple(((at_s - start_s) / 60.0, text) for at_s, text in words),
    )
