"""The picture of flown flights: it is drawn from whatever a recording holds."""

from fleet.maps import FlownFlight, TemperatureTrace, flight_picture
from missions.planning import make_plan
from tests.routing.valley import CONFIGS, SITES, VALLEY, at, planned, request


def test_flights_and_temperatures_are_drawn_on_one_picture(tmp_path):
    plans = [planned(make_plan(request(goal))) for goal in ("ndeba", "salme")]
    flights = [
        FlownFlight(p.goal_site, (p,), tuple(w.position for w in p.waypoints), ((at(0, 0), "take-off"),)) for p in plans
    ]
    traces = [
        TemperatureTrace("box-1", (0.0, 1.0, 2.0, 3.0), (4.0, None, 7.5, 8.4), (2.0, 8.0), ((2.0, "lid seal fails"),)),
        TemperatureTrace("box-2", (), (), (2.0, 8.0)),
    ]
    out = tmp_path / "flight.png"
    base = (CONFIGS / "valley-base.geojson").read_text(encoding="utf-8")
    flight_picture(out, flights, traces, VALLEY, SITES.values(), base_geojson=base, title="Flights")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size > 50_000
