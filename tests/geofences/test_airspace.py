"""An airspace: what is closed, where, and how versions follow each other."""

from datetime import time

import pytest

from geofences.airspace import Airspace, frame_for
from geofences.bands import AglBand, inner_band, outer_band
from geofences.geodesy import LatLon, destination
from geofences.heights import Datum, FlatTerrain, Height, Terrain
from geofences.volumes import Applicability, Circle, DailyPeriod, Polygon, Restriction, Role, Volume, Zone

HERE = LatLon(47.0, 8.0)
GROUND = FlatTerrain(500.0)
NOON = 1772452800.0  # Monday 2 March 2026, 12:00 UTC
LOW = AglBand(70.0, 90.0)


def circle(zone_id, east_m=0.0, radius_m=100.0, restriction=Restriction.PROHIBITED, lower=None, upper=None, **more):
    centre = destination(HERE, 90.0, east_m)
    return Zone(zone_id, zone_id, restriction, (Volume(Circle(centre, radius_m), lower, upper),), **more)


def ids(zones):
    return [z.zone_id for z in zones]


def test_only_an_authorisation_opens_a_zone_and_never_a_prohibited_one():
    zones = tuple(circle(r.value, restriction=r) for r in Restriction)
    airspace = Airspace(1, (*zones, circle("BOX", role=Role.KEEP_IN)))
    closed = ["PROHIBITED", "REQ_AUTHORISATION", "CONDITIONAL", "USPACE"]
    assert ids(airspace.closed_zones()) == closed
    assert ids(airspace.closed_zones(frozenset({"USPACE", "PROHIBITED"}))) == closed[:3]
    assert ids(airspace.keep_ins()) == ["BOX"]


def test_each_change_is_a_new_version_and_leaves_the_old_one_as_it_was():
    first = Airspace(1, (circle("A"),))
    frame = frame_for([HERE])
    first.index(frame)
    second = first.with_zone(circle("B", 500.0))
    third = second.without_zone("A")
    assert [first.version, second.version, third.version] == [1, 2, 3]
    assert [ids(a.zones) for a in (first, second, third)] == [["A"], ["A", "B"], ["B"]]
    assert second.index(frame).shapes[0] is first.index(frame).shapes[0], "what did not change is not made again"
    with pytest.raises(KeyError):
        third.without_zone("A")
    with pytest.raises(ValueError, match="occurs twice"):
        Airspace(1, (circle("A"), circle("A")))


def test_a_query_finds_zones_by_place_height_and_time():
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(11), time(13)),)),)
    airspace = Airspace(
        1,
        (
            circle("near"),
            circle("far", 5000.0),
            circle("high", lower=Height(120.0, Datum.AGL)),
            circle("noon", applicability=hours),
            circle("sea", lower=Height(0.0, Datum.AGL), upper=Height(560.0, Datum.AMSL)),
            circle("datum", lower=Height(9000.0, Datum.WGS84)),
        ),
    )
    assert ids(airspace.at(HERE, LOW, NOON, NOON, GROUND)) == ["near", "noon", "datum"]
    assert ids(airspace.at(HERE, LOW, NOON + 7200, NOON + 7300, GROUND)) == ["near", "datum"]
    assert ids(airspace.along(HERE, destination(HERE, 90.0, 6000.0), LOW, NOON + 7200, NOON + 7300, GROUND)) == [
        "near",
        "far",
        "datum",
    ]


def test_a_limit_that_cannot_be_resolved_closes_all_heights_and_opens_none():
    class Unknown(Terrain):
        def ground_amsl_m(self, at):
            return None

    amsl = Volume(Circle(HERE, 100.0), Height(2000.0, Datum.AMSL), None)
    assert not outer_band(amsl, GROUND).overlaps(LOW)
    assert outer_band(amsl, Unknown()).overlaps(LOW)
    assert not inner_band(amsl, Unknown()).covers(LOW)
    wgs84 = Volume(Circle(HERE, 100.0), None, Height(2000.0, Datum.WGS84))
    assert outer_band(wgs84, GROUND).overlaps(LOW)
    assert not inner_band(wgs84, GROUND).covers(LOW)


def test_over_hills_the_band_to_keep_out_of_is_the_widest_and_to_stay_in_the_narrowest():
    class Slope(Terrain):
        def ground_amsl_m(self, at):
            return 500.0 + (at.lon_deg - HERE.lon_deg) * 10_000.0

    square = Polygon(tuple(LatLon(47.0 + a, 8.0 + b) for a, b in ((0, 0), (0, 0.01), (0.01, 0.01), (0.01, 0))))
    volume = Volume(square, Height(600.0, Datum.AMSL), Height(700.0, Datum.AMSL))
    outer, inner = outer_band(volume, Slope()), inner_band(volume, Slope())
    assert (round(outer.lower_m), round(outer.upper_m)) == (0, 200)
    assert (round(inner.lower_m), round(inner.upper_m)) == (100, 100)


def test_the_antimeridian_and_the_poles_are_refused_by_name():
    with pytest.raises(ValueError, match="antimeridian"):
        frame_for([LatLon(0.0, 179.0), LatLon(0.0, -179.0)])
    with pytest.raises(ValueError, match="85"):
        frame_for([LatLon(86.0, 0.0)])
