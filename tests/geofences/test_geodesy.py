"""Geodesy and heights: the local frame's error bound, where it is refused, and conversions there and back."""

import struct
import sys
from math import hypot

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geofences import geoid
from geofences.airspace import frame_for
from geofences.bands import ALL_HEIGHTS, AglBand, inner_band, outer_band
from geofences.geodesy import Box, LatLon, destination, distance_m, frame_error_m, local_frame
from geofences.geoid import GeoidError, ProjGeoid, find_geoid, undulation_range_m
from geofences.heights import M_PER_FT, Datum, FlatTerrain, Height, amsl_m_many, in_datum
from geofences.volumes import Circle, Volume, box_of

GEOD = Geod(ellps="WGS84")
MM = 0.001

origins = st.builds(LatLon, st.floats(-83.6, 83.6), st.floats(-178, 178)).map(
    lambda p: LatLon(p.lat_deg, p.lon_deg if abs(p.lat_deg) < 60 else p.lon_deg / 2)
)
ways = st.tuples(st.floats(0, 360), st.floats(0, 1))


@settings(max_examples=200, deadline=None)
@given(origins, st.floats(100, 150_000), ways, ways)
def test_the_local_frame_is_as_true_as_it_says_within_150_km(origin, radius_m, a, b):
    frame, bound_m = local_frame(origin), frame_error_m(radius_m) + MM
    p, q = (destination(origin, bearing, share * radius_m) for bearing, share in (a, b))
    (px, py), (qx, qy) = frame.to_xy([p, q])
    length = hypot(px - qx, py - qy)
    assert abs(length - distance_m(p, q)) <= bound_m
    between = GEOD.inv_intermediate(
        p.lon_deg, p.lat_deg, q.lon_deg, q.lat_deg, 9, initial_idx=0, terminus_idx=0, return_back_azimuth=False
    )
    xy = frame.to_xy([LatLon(lat, lon) for lat, lon in zip(between.lats, between.lons, strict=True)])
    off = np.abs((xy[:, 0] - px) * (qy - py) - (xy[:, 1] - py) * (qx - px)) / max(length, MM)
    assert length < 1.0 or off.max() <= bound_m, "a straight line is nearly the geodesic"


@settings(deadline=None)
@given(origins, st.lists(ways, min_size=1, max_size=5))
def test_places_come_back_from_the_local_frame_where_they_were(origin, seen):
    frame = local_frame(origin)
    there = [destination(origin, bearing, share * 150_000) for bearing, share in seen]
    for p, q in zip(there, frame.to_latlon(frame.to_xy(there)), strict=True):
        assert distance_m(p, q) < MM


def test_the_bound_is_what_the_documents_say():
    assert frame_error_m(50_000) == pytest.approx(0.4)
    assert frame_error_m(150_000) == pytest.approx(10.8)


@pytest.mark.parametrize(
    ("points", "complaint"),
    [
        ([LatLon(-17.0, 179.5), LatLon(-17.0, -179.5)], "antimeridian is not supported; plan each side by itself"),
        ([LatLon(84.0, 10.0), LatLon(85.1, 10.0)], "beyond 85 degrees of latitude is not supported"),
        ([LatLon(-85.1, 10.0)], "beyond 85 degrees of latitude is not supported"),
    ],
)
def test_an_area_across_the_antimeridian_or_near_a_pole_is_refused_and_told_so(points, complaint):
    with pytest.raises(ValueError, match=complaint):
        frame_for(points)


@given(st.floats(-85, 85), st.floats(-170, 170), st.floats(1, 200_000), st.floats(0, 360))
def test_the_box_of_a_circle_holds_the_circle(lat, lon, radius_m, bearing):
    box = box_of(Circle(LatLon(lat, lon), radius_m))
    edge = destination(LatLon(lat, lon), bearing, radius_m)
    assert box.south_deg <= edge.lat_deg <= box.north_deg
    assert box.west_deg <= edge.lon_deg <= box.east_deg or box.east_deg - box.west_deg > 180


# heights: a geoid that rises a metre with each quarter of a degree to the east and ten to the north


def geoid_of(path, nodes):
    """In the format of NOAA, which PROJ reads: south-west corner, steps, rows, columns, then rows from the south."""
    path.write_bytes(struct.pack(">4d2i", 46.0, 7.0, 0.25, 0.25, *nodes.shape) + nodes.astype(">f4").tobytes())
    return find_geoid(path)


@pytest.fixture(scope="module")
def hilly_sea(tmp_path_factory):
    return geoid_of(tmp_path_factory.mktemp("geoid") / "sea.gtx", np.add.outer(10 * np.arange(9), np.arange(9)))


@pytest.fixture(scope="module")
def choppy_sea(tmp_path_factory):
    """6 m up and down from node to node, nearly the steepest there is."""
    waves = np.indices((9, 9)).sum(axis=0) % 2 * 6.0
    return geoid_of(tmp_path_factory.mktemp("geoid") / "choppy.gtx", waves)


def test_the_undulation_is_read_between_the_nodes_of_the_grid_and_not_known_beyond(hilly_sea):
    lat, lon = np.array([46.0, 46.25, 46.125, 45.9]), np.array([7.0, 7.25, 7.125, 7.0])
    assert hilly_sea.undulation_m_many(lat, lon).tolist() == pytest.approx([0.0, 11.0, 5.5, np.nan], nan_ok=True)


def test_a_height_over_the_ellipsoid_is_resolved_with_the_geoid(hilly_sea):
    here = LatLon(46.25, 7.25)  # mean sea level 11 m above the ellipsoid, and ground 500 m above that
    ground = FlatTerrain(500.0, hilly_sea)
    for datum, value_m in ((Datum.AMSL, 900.0), (Datum.AGL, 400.0)):
        found = in_datum(Height(911.0, Datum.WGS84), datum, here, ground)
        assert (found.datum, found.value_m) == (datum, pytest.approx(value_m))
    assert in_datum(Height(911.0, Datum.WGS84), Datum.AMSL, LatLon(45.0, 7.0), ground) is None, "beyond the grid"
    assert in_datum(Height(911.0, Datum.WGS84), Datum.AMSL, here, FlatTerrain(500.0)) is None, "no geoid"


datums = st.sampled_from(Datum)


@settings(deadline=None)
@given(st.floats(-1000, 10_000), datums, datums, st.floats(46.0, 48.0), st.floats(7.0, 9.0), st.floats(-400, 5000))
def test_a_height_comes_back_from_any_datum_as_it_was(hilly_sea, value_m, datum, other, lat, lon, ground_m):
    here, ground = LatLon(lat, lon), FlatTerrain(ground_m, hilly_sea)
    there = in_datum(Height(value_m, datum), other, here, ground)
    assert there.datum is other
    assert in_datum(there, datum, here, ground).value_m == pytest.approx(value_m, abs=1e-6)
    amsl = amsl_m_many(there, np.array([lat]), np.array([lon]), ground)
    assert amsl[0] == pytest.approx(in_datum(Height(value_m, datum), Datum.AMSL, here, ground).value_m, abs=1e-6)


@given(st.floats(-10_000, 100_000))
def test_feet_come_back_from_metres_as_they_were(feet):
    assert feet * M_PER_FT / M_PER_FT == pytest.approx(feet, rel=1e-15)
    assert feet * M_PER_FT == pytest.approx(feet * 381 / 1250, rel=1e-15), "a foot is 0.3048 m by definition"


def test_a_zone_over_the_ellipsoid_has_a_band_where_there_is_a_geoid(hilly_sea):
    volume = Volume(Circle(LatLon(46.25, 7.25), 100.0), Height(611.0, Datum.WGS84), Height(711.0, Datum.WGS84))
    outer, inner = (band(volume, FlatTerrain(500.0, hilly_sea)) for band in (outer_band, inner_band))
    assert (outer.lower_m, outer.upper_m) == pytest.approx((100.0, 200.0), abs=0.1)
    assert outer.covers(AglBand(100.0, 200.0)), "rather too high and too low"
    assert AglBand(100.0, 200.0).covers(inner)
    far = Volume(Circle(LatLon(20.0, 7.25), 100.0), Height(611.0, Datum.WGS84))
    assert outer_band(far, FlatTerrain(500.0, hilly_sea)) == ALL_HEIGHTS, "beyond the geoid's grid"
    assert outer_band(volume, FlatTerrain(500.0)) == ALL_HEIGHTS, "no geoid"


@settings(deadline=None)
@given(*[st.floats(46.0, 48.0)] * 2, *[st.floats(7.0, 9.0)] * 2, st.integers(0, 999))
def test_no_place_in_a_box_has_an_undulation_beyond_its_range(choppy_sea, a, b, c, d, seed):
    box = Box(min(a, b), min(c, d), max(a, b), max(c, d))
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(box.south_deg, box.north_deg, 500), rng.uniform(box.west_deg, box.east_deg, 500)
    low, high = undulation_range_m(choppy_sea, box)
    found = choppy_sea.undulation_m_many(lat, lon)
    assert low <= found.min()
    assert found.max() <= high


def test_a_geoid_file_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(GeoidError, match=r"none\.gtx is no file"):
        find_geoid(tmp_path / "none.gtx")
    (tmp_path / "text.gtx").write_text("not a grid")
    with pytest.raises(GeoidError, match=r"text\.gtx is not a grid that PROJ can read"):
        find_geoid(tmp_path / "text.gtx")


def test_without_a_package_and_a_grid_of_proj_there_is_no_geoid(monkeypatch):
    monkeypatch.setattr(geoid, "PROJ_GRID", "not_installed.tif")
    monkeypatch.setitem(sys.modules, "egm96", None)
    assert find_geoid() is None


def test_the_installed_geoid_knows_the_indian_ocean_from_new_guinea():
    found = find_geoid()
    if found is None:
        assert sys.version_info < (3, 12), "from there on the package is among the dependencies"
        return
    low, high, munich = found.undulation_m_many(np.array([4.7, -4.0, 48.14]), np.array([78.8, 140.0, 11.58]))
    assert -107.5 < low < -104
    assert 75 < high < 86
    assert munich == pytest.approx(45.48, abs=0.2)
    assert isinstance(found, (geoid.Egm96, ProjGeoid))
