"""The airspace's index: whatever has come and gone, it answers as a look at every zone does."""

from dataclasses import dataclass, replace
from datetime import time
from itertools import pairwise

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.airspace import Airspace, frame_for
from geofences.bands import AglBand
from geofences.geodesy import LatLon, destination, distance_m
from geofences.heights import Datum, FlatTerrain, Height
from geofences.rtree import MOST_CHANGES, PolygonTree
from geofences.shapes import ShapeIndex, distances_m
from geofences.volumes import Applicability, Circle, DailyPeriod, Polygon, Restriction, Role, Volume, Zone
from missions.routing.judge import Outlines, outlines, track
from missions.routing.tangent import Obstacles

HERE = LatLon(47.0, 8.0)
GROUND = FlatTerrain(500.0)
NOON = 1772452800.0  # Monday 2 March 2026, 12:00 UTC
FRAME = frame_for([HERE])
IDS = [f"z{k}" for k in range(12)]


@dataclass(frozen=True)
class Fix:
    position: LatLon
    alt_amsl_m: float
    eta_s: float


@dataclass(frozen=True)
class Leg:
    start: Fix
    end: Fix


places = st.builds(lambda b, d: destination(HERE, b, d), st.floats(0.0, 359.0), st.floats(0.0, 3000.0))
heights = st.none() | st.builds(Height, st.sampled_from([0.0, 40.0, 90.0, 600.0]), st.sampled_from(list(Datum)))


@st.composite
def outlines_(draw):
    middle = draw(places)
    if draw(st.booleans()):
        return Circle(middle, draw(st.sampled_from([50.0, 400.0, 1500.0])))
    reach = draw(st.sampled_from([80.0, 500.0, 1200.0]))
    ring = tuple(destination(middle, b, reach) for b in (0.0, 80.0, 190.0, 270.0))
    hole = tuple(destination(middle, b, reach / 4) for b in (0.0, 120.0, 240.0))
    return Polygon(ring, (hole,) if draw(st.booleans()) else ())


@st.composite
def zones(draw, zone_id=None):
    volumes = draw(st.lists(st.builds(Volume, outlines_(), heights, heights), min_size=1, max_size=3))
    hours = (Applicability(daily=(DailyPeriod(frozenset(), time(11, 59), time(12, 2)),)),)
    return Zone(
        zone_id or draw(st.sampled_from(IDS)),
        "",
        Restriction.PROHIBITED,
        tuple(volumes),
        role=draw(st.sampled_from([Role.KEEP_OUT, Role.KEEP_OUT, Role.KEEP_IN])),
        applicability=draw(st.sampled_from([(), hours])),
    )


changes = st.lists(st.tuples(st.booleans(), zones()), max_size=14)


def changed(airspace, steps):
    for add, zone in steps:
        if add or airspace.zone(zone.zone_id) is None:
            airspace = airspace.with_zone(zone)
        else:
            airspace = airspace.without_zone(zone.zone_id)
    return airspace


@given(st.lists(zones(), unique_by=lambda z: z.zone_id, max_size=6), changes, places, places)
@settings(max_examples=60, deadline=None)
def test_after_any_changes_all_that_is_derived_is_as_if_it_were_made_anew(first, steps, a, b):
    airspace = Airspace(1, tuple(first))
    airspace.index(FRAME).grown(30.0, Obstacles).corners(0) if first else None
    outlines(airspace)
    airspace.index(FRAME).grown(30.0, Obstacles)
    after = changed(airspace, steps)
    anew = Airspace(after.version, after.zones)
    ours, theirs = after.index(FRAME), ShapeIndex.build(FRAME, anew.zones)
    assert [(s.zone, s.volume) for s in ours.shapes] == [(s.zone, s.volume) for s in theirs.shapes]
    assert all(x.equals(y) for x, y in zip(ours.tree.polygons, theirs.tree.polygons, strict=True))
    grown, fresh = ours.grown(30.0, Obstacles), theirs.grown(30.0, Obstacles)
    for i in range(len(fresh)):
        assert all(np.array_equal(x, y) for x, y in zip(grown.corners(i), fresh.corners(i), strict=True))
    line = shapely.LineString(FRAME.to_xy([a, b]))
    for one, other in ((ours.tree, theirs.tree), (grown.tree, fresh.tree)):
        assert sorted(one.query(line, predicate="intersects")) == sorted(other.query(line, predicate="intersects"))
        pairs, same = (t.query(np.array([line, line]), predicate="intersects") for t in (one, other))
        assert sorted(map(tuple, pairs.T)) == sorted(map(tuple, same.T))
    way = track(a, 550.0, b, 580.0, GROUND)
    near, all_near = (
        [(o.zone, o.volume) for o in found.near(way)] for found in (outlines(after), Outlines.of(anew.zones))
    )
    assert near == all_near
    assert airspace.zones == tuple(first), "an earlier version stays as it was"
    assert [s.zone for s in airspace.index(FRAME).shapes] == [z for z in first for _ in z.volumes]


def test_a_tree_that_changes_for_long_is_built_anew_and_goes_on_answering():
    boxes = [shapely.box(k, 0, k + 0.5, 1) for k in range(300)]
    tree, held = PolygonTree(boxes[:100]), list(boxes[:100])
    for k in range(2 * MOST_CHANGES):
        gone = range(k % len(held), k % len(held) + 1)
        tree = tree.changed(gone, [boxes[100 + k]])
        del held[gone.start]
        held.append(boxes[100 + k])
        found = {tree.polygons[i].bounds[0] for i in tree.query(shapely.box(40, 0, 160, 1)).tolist()}
        assert found == {b.bounds[0] for b in held if b.intersects(shapely.box(40, 0, 160, 1))}


@given(
    st.lists(zones(), unique_by=lambda z: z.zone_id, max_size=8),
    st.lists(st.tuples(places, st.sampled_from([505.0, 545.0, 620.0])), min_size=2, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_a_plan_meets_every_zone_that_a_look_each_few_metres_finds_and_none_far_from_it(held, points):
    airspace = Airspace(1, tuple(held))
    fixes = [Fix(p, alt, NOON + 60.0 * k) for k, (p, alt) in enumerate(points)]
    legs = [Leg(a, b) for a, b in pairwise(fixes)]
    met = airspace.meets(legs, GROUND)
    assert sorted(m.enter_s for m in met) == [m.enter_s for m in met]
    for i, leg in enumerate(legs):
        on_leg = {m.zone.zone_id: m for m in met if m.leg_index == i}
        alone = airspace.along_4d(leg.start, leg.end, GROUND)
        assert {m.zone.zone_id for m in alone} == set(on_leg)
        for zone in held:
            times = [leg.start.eta_s + s * 60.0 for s in np.linspace(0, 1, 150).tolist() if seen(zone, leg, s, 0.0)]
            if times:
                found = on_leg[zone.zone_id]
                assert found.enter_s - 1e-6 <= times[0] <= times[-1] <= found.leave_s + 1e-6
            elif zone.zone_id in on_leg:
                assert any(seen(zone, leg, s, 120.0) for s in np.linspace(0, 1, 150).tolist())


def seen(zone, leg, share, slack_m):
    """By the sphere and the plane, with no index: is the zone met at this share of the leg, or `slack_m` from it?"""
    a, b = leg.start, leg.end
    xy = FRAME.to_xy([a.position, b.position])
    at = FRAME.to_latlon([xy[0] + share * (xy[1] - xy[0])])[0]
    agl = a.alt_amsl_m + share * (b.alt_amsl_m - a.alt_amsl_m) - 500.0
    t = a.eta_s + share * (b.eta_s - a.eta_s)
    reach = slack_m / 40.0  # a piece of the leg lasts and rises at most that long and high
    if not any(zone.applies_at(t + d) for d in (0.0, -3.0 * reach, 3.0 * reach)):
        return False
    steep = reach * 10.0
    return any(
        off(v.outline, at) <= slack_m
        and level(v.lower, -np.inf) <= agl + steep
        and agl - steep <= level(v.upper, np.inf)
        for v in zone.volumes
    )


def off(outline, at):
    if isinstance(outline, Circle):
        return distance_m(outline.centre, at) - outline.radius_m
    rings = [FRAME.to_xy(r) for r in (outline.outer, *outline.holes)]
    return shapely.distance(shapely.Polygon(rings[0], rings[1:]), shapely.Point(FRAME.to_xy([at])[0]))


def level(limit, absent):
    if limit is None or limit.datum is Datum.WGS84:
        return absent
    return limit.value_m - (500.0 if limit.datum is Datum.AMSL else 0.0)


@given(zones(), st.lists(places, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_distance_to_a_zone_orders_places(zone, at):
    for place, away in zip(at, distances_m(zone, at), strict=True):
        true = max(0.0, min(off(v.outline, place) for v in zone.volumes))
        assert abs(away - true) <= 5.0 + 0.02 * true


def test_a_point_is_asked_about_by_height_and_time_after_changes_too():
    zone = Zone("A", "", Restriction.PROHIBITED, (Volume(Circle(HERE, 100.0), None, Height(60.0, Datum.AGL)),))
    airspace = Airspace(1, ()).with_zone(zone).with_zone(replace(zone, zone_id="B")).without_zone("A")
    assert [z.zone_id for z in airspace.at(HERE, AglBand(0.0, 50.0), NOON, NOON, GROUND)] == ["B"]
    assert airspace.at(HERE, AglBand(70.0, 80.0), NOON, NOON, GROUND) == ()
    assert airspace.meets([], GROUND) == ()
