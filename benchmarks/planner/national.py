"""A nation's zones: 5,000 with schedules and both datums, written and read in each airspace format."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from datetime import time as clock
from typing import Any

import numpy as np

from benchmarks.report import report, say
from geofences.daylight import SunEvent
from geofences.formats import CODECS, load_airspace_text
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Applicability, Authority, Circle, DailyPeriod, Polygon, Restriction, Volume, Zone

ZONES = 5_000
BAR_S = 3.0
JSON_FORMATS = ("ed318", "ed269")
"""the formats that the bar is about; the others are told beside them"""

_WORKDAYS = Applicability(
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
    (DailyPeriod(frozenset(range(1, 6)), clock(6), clock(18)),),
)
_NIGHTS = Applicability(daily=(DailyPeriod(frozenset(), SunEvent.SS, SunEvent.SR),))
_SCHEDULES = ((), (_WORKDAYS,), (_NIGHTS,))


def national(n: int = ZONES, seed: int = 11) -> list[Zone]:
    """Zones between 46° and 48° north, 6° and 10° east: a fifth circles, the others of 6 to 40 corners."""
    rng = np.random.default_rng(seed)
    kinds = [r for r in Restriction if r is not Restriction.USPACE]
    zones = []
    for i in range(n):
        at = LatLon(float(rng.uniform(46.0, 48.0)), float(rng.uniform(6.0, 10.0)))
        outline = Circle(at, float(rng.uniform(200.0, 8_000.0))) if i % 5 == 0 else _star(rng, at)
        datum = (Datum.AGL, Datum.AMSL)[i % 2]
        zones.append(
            Zone(
                zone_id=f"Z{i:05d}",
                name=f"Zone {i}",
                restriction=kinds[i % len(kinds)],
                volumes=(Volume(outline, Height(0.0, datum), Height(float(rng.uniform(100.0, 3_000.0)), datum)),),
                applicability=_SCHEDULES[i % 3],
                message="ask before you fly",
                authority=(Authority("Office of aviation", "+41 58 000 00 00", "office@example.org"),),
            )
        )
    return zones


def _star(rng: np.random.Generator, at: LatLon) -> Polygon:
    """Corners all around a middle at 300 to 5,000 m: no two edges cross."""
    k = int(rng.integers(6, 41))
    angles = np.arange(k) * 2.0 * np.pi / k
    radii_deg = rng.uniform(0.003, 0.045) * rng.uniform(0.6, 1.0, k)
    lats, lons = at.lat_deg + radii_deg * np.sin(angles), at.lon_deg + 1.45 * radii_deg * np.cos(angles)
    return Polygon(tuple(LatLon(float(lat), float(lon)) for lat, lon in zip(lats, lons, strict=True)))


def run(*, quick: bool = True) -> dict[str, Any]:
    """Seconds to load the same zones from each format, and whether they came back whole."""
    zones = national()
    figures: dict[str, Any] = {"zones": ZONES}
    for name, codec in CODECS.items():
        text = codec.dump_text(zones).text
        load_s, cpu_s = [], []
        for _ in range(3):
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            parsed = load_airspace_text(text, name)
            load_s.append(time.perf_counter() - start_s)
            cpu_s.append(time.process_time() - start_cpu_s)
        figures[name] = {
            "megabytes": round(len(text.encode()) / 1e6, 1),
            "load_s": round(min(load_s), 3),
            "worst_load_s": round(max(load_s), 3),
            "load_cpu_s": round(min(cpu_s), 3),
            "zones_read": len(parsed.zones),
            "problems": len(parsed.problems),
        }
        say(f"{name}: {figures[name]}")
    figures["ok"] = all(
        figures[name]["load_s"] < BAR_S and figures[name]["zones_read"] == ZONES and not figures[name]["problems"]
        for name in JSON_FORMATS
    )
    return figures


if __name__ == "__main__":
    how = "the same zones written once and loaded three times per format, in one process; the best and the worst"
    report("planner.national", run(), how, ("shapely", "numpy"))
