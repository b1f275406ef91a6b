"""QGroundControl's plan files: what they hold comes back as it was; what is not understood is told, never dropped."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.formats import qgc
from geofences.formats.qgc_plan import (
    ComplexItem,
    FenceArea,
    MissionItem,
    PlanFile,
    RallyPlace,
    dump_plan,
    parse_plan,
)
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Circle, Polygon, Restriction, Role, Volume, Zone

PLANS = Path(__file__).parents[3] / "shared" / "data" / "plans"
REAL = sorted(PLANS.glob("*.plan"))
HOME = LatLon(47.4, 8.5)


def near(draw_lat, draw_lon):
    return st.builds(LatLon, st.floats(47.3, 47.5), st.floats(8.4, 8.6))


places = near(None, None)
metres = st.floats(-500, 5000)


@st.composite
def boxes(draw):
    at = draw(places)
    d, e = draw(st.floats(0.001, 0.02)), draw(st.floats(0.001, 0.02))
    corners = ((0, 0), (0, e), (d, e), (d, 0))
    return Polygon(tuple(LatLon(at.lat_deg + y, at.lon_deg + x) for y, x in corners))


circles = st.builds(Circle, places, st.floats(1.0, 5000.0))
areas = st.builds(FenceArea, st.one_of(boxes(), circles), st.booleans())


@st.composite
def simple(draw):
    frame = draw(st.sampled_from([0, 2, 3, 10]))
    loose = st.one_of(st.none(), st.floats(-1e6, 1e6))
    at = draw(places)
    where = (at.lat_deg, at.lon_deg) if frame != 2 else (draw(loose), draw(loose))
    params = (*(draw(loose) for _ in range(4)), *where, draw(metres))
    jump, auto = draw(st.one_of(st.none(), st.integers(1, 99))), draw(st.booleans())
    return MissionItem(0, draw(st.integers(0, 42600)), frame, params, jump, auto)


@st.composite
def plans(draw):
    at = 1
    mission = []
    for _ in range(draw(st.integers(0, 4))):
        items = draw(st.lists(simple(), min_size=1, max_size=3))
        numbered = tuple(
            MissionItem(at + k, i.command, i.frame, i.params, i.jump_id, i.auto_continue) for k, i in enumerate(items)
        )
        if len(numbered) > 1:
            extra = {"type": "ComplexItem", "complexItemType": "survey", "angle": 3, "TransectStyleComplexItem": {}}
            mission.append(ComplexItem("survey", numbered, extra))
        else:
            mission.append(numbered[0])
        at += len(numbered)
    fence = draw(st.lists(areas, max_size=4))
    return PlanFile(
        draw(places),
        draw(metres),
        tuple(mission),
        tuple(sorted(fence, key=lambda a: isinstance(a.outline, Circle))),
        tuple(draw(st.lists(st.builds(RallyPlace, places, metres), max_size=3))),
        draw(st.one_of(st.none(), st.floats(1, 40))),
        draw(st.one_of(st.none(), st.floats(1, 40))),
        draw(st.sampled_from([None, 2, 20, 22])),
    )


def document(**changes):
    plan = PlanFile(HOME, 400.0, (MissionItem(1, 16, 3, (0.0, 0.0, 0.0, None, 47.41, 8.51, 50.0)),))
    return dump_plan(plan) | changes


def refusal(changed) -> str:
    parsed = parse_plan(json.dumps(changed), "a.plan")
    assert not parsed.ok
    return " | ".join(map(str, parsed.problems))


@given(plans())
def test_a_plan_comes_back_as_it_was_written(plan):
    parsed = parse_plan(json.dumps(dump_plan(plan)), "a.plan")
    assert parsed.problems == ()
    assert parsed.plan == plan


@pytest.mark.skipif(not REAL, reason="needs the shared data folder")
def test_real_files_come_back_to_the_last_member():
    for file in REAL:
        text = file.read_text(encoding="utf-8")
        parsed = parse_plan(text, file.name)
        if "wrong_overall_version" in file.name:
            assert "version 42 of the plan format is not known" in str(parsed.problems[0])
            assert "version 42" in str(qgc.parse(text, file.name).problems[0])
            continue
        assert parsed.plan is not None, parsed.problems
        assert dump_plan(parsed.plan) == json.loads(text), file.name
        assert parsed.plan.items, file.name


@pytest.mark.skipif(not REAL, reason="needs the shared data folder")
def test_a_survey_counts_with_the_items_it_was_made_into():
    parsed = parse_plan((PLANS / "qgroundcontrol_sample_with_survey.plan").read_text(encoding="utf-8"), "s.plan")
    assert parsed.plan is not None
    assert [i.number for i in parsed.plan.items] == list(range(1, 14))
    assert isinstance(parsed.plan.mission[1], ComplexItem)


def test_a_member_that_is_not_understood_is_kept_and_told():
    changed = document()
    changed["mission"]["weather"] = "fine"
    parsed = parse_plan(json.dumps(changed), "a.plan")
    assert parsed.plan is not None
    assert "mission.weather: is not understood" in str(parsed.notes[0])
    assert dump_plan(parsed.plan) == changed


def test_a_complex_item_without_its_items_is_refused_by_its_number():
    changed = document()
    changed["mission"]["items"].append({"type": "ComplexItem", "complexItemType": "StructureScan", "version": 3})
    assert "a.plan: item 2: TransectStyleComplexItem.Items: a StructureScan without the items" in refusal(changed)


def test_swapped_latitude_and_longitude_are_told():
    changed = document()
    params = changed["mission"]["items"][0]["params"]
    params[4], params[5] = params[5], params[4]
    assert "item 1: params: latitude and longitude are in the wrong order" in refusal(changed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(fileType="Mission"), "'Mission' is not a plan"),
        (lambda d: d.pop("mission"), "mission: is missing"),
        (lambda d: d["geoFence"].update(version=1), "version 1 of geoFence is not known"),
        (lambda d: d["mission"]["items"][0].update(frame=7), "frame 7 is not known"),
        (lambda d: d["mission"]["items"][0].update(frame="3"), "item 1: frame"),
        (lambda d: d["mission"]["items"][0].update(params=[0, 0, 0]), "give seven numbers"),
        (lambda d: d["mission"]["items"][0].update(type="Magic"), "unknown type of item 'Magic'"),
        (lambda d: d["mission"]["items"].append(7), "item 2: this is not an object"),
        (lambda d: d["mission"].update(plannedHomePosition=[95, 8, 400]), "is no latitude and longitude"),
        (lambda d: d["mission"].update(plannedHomePosition=[47, 8]), "give [latitude, longitude, height]"),
        (lambda d: d["geoFence"].update(polygons=[{"polygon": [[47.4, 8.5]], "inclusion": True, "version": 1}]),
         "fence polygon 1"),
        (lambda d: d["geoFence"].update(circles=[{"circle": {"center": [47.4, 8.5], "radius": -5}, "inclusion": False,
                                                  "version": 1}]), "fence circle 1: circle.radius"),
        (lambda d: d["rallyPoints"].update(points=[[47.4, None, 0]]), "rally point 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_its_place_and_a_fix(change, told):
    changed = document()
    change(changed)
    text = refusal(changed)
    assert told in text
    assert "fix: " in text


def test_text_that_is_no_json_is_told_with_its_line():
    assert "line 2 column" in str(parse_plan("{\n oops", "a.plan").problems[0])


# the fence as an airspace

SQUARE = Polygon(tuple(LatLon(47.4 + y, 8.5 + x) for y, x in ((0, 0), (0, 0.02), (0.02, 0.02), (0.02, 0))))


@given(st.lists(st.one_of(boxes(), circles), max_size=5), st.one_of(st.none(), boxes()))
def test_zones_come_back_from_a_fence(outlines, keep_in):
    zones = [Zone(f"z{i}", f"Zone {i}", Restriction.REQ_AUTHORISATION, (Volume(o),)) for i, o in enumerate(outlines)]
    if keep_in is not None:
        zones.append(Zone("in", "In", Restriction.NO_RESTRICTION, (Volume(keep_in),), Role.KEEP_IN))
    parsed = qgc.parse(json.dumps(qgc.dump(zones)), "f.plan")
    assert parsed.problems == ()
    assert sorted(parsed.zones, key=lambda z: z.zone_id) == sorted(zones, key=lambda z: z.zone_id)


def test_several_inclusions_are_what_they_have_in_common():
    far = Polygon(tuple(LatLon(p.lat_deg + 0.01, p.lon_deg) for p in SQUARE.outer))
    plan = PlanFile(HOME, 0.0, (), (FenceArea(SQUARE, True), FenceArea(far, True)))
    parsed = qgc.parse(json.dumps(dump_plan(plan)), "f.plan")
    (zone,) = parsed.zones
    assert zone.role is Role.KEEP_IN
    lats = sorted({round(p.lat_deg, 9) for p in zone.volumes[0].outline.outer})
    assert lats == [47.41, 47.42]
    assert "2 inclusions" in str(parsed.notes[0])
    apart = Polygon(tuple(LatLon(p.lat_deg + 0.1, p.lon_deg) for p in SQUARE.outer))
    plan = PlanFile(HOME, 0.0, (), (FenceArea(SQUARE, True), FenceArea(apart, True)))
    assert "no single area in common" in str(qgc.parse(json.dumps(dump_plan(plan)), "f.plan").problems[0])


def test_a_keep_in_with_heights_cannot_be_a_fence():
    low = Volume(SQUARE, None, Height(100.0, Datum.AGL))
    with pytest.raises(ValueError, match="K: a fence has no heights"):
        qgc.dump([Zone("K", "K", Restriction.NO_RESTRICTION, (low,), Role.KEEP_IN)])
