"""Airspace files: real ones, round trips, and every way a file can be wrong."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings

from geofences.daylight import SunEvent
from geofences.formats import (
    CODECS,
    AreaOfOperation,
    ed269,
    ed318,
    geojson,
    load_airspace_bytes,
    load_airspace_text,
)
from geofences.geodesy import LatLon, distance_m
from geofences.heights import Datum, Height
from geofences.volumes import (
    Circle,
    DailyPeriod,
    Restriction,
    Role,
    Volume,
    Zone,
)
from tests.geofences.strategies import airspaces
from tests.support.shared import SHARED_DATA, needs_shared

ROOT = Path(__file__).parents[2]
SAMPLES = SHARED_DATA / "airspace"
needs_samples = needs_shared("airspace")


def load(path):
    return load_airspace_text(path.read_text(encoding="utf-8"), path.name)


def feature(coordinates=None, **properties):
    ring = coordinates or [[8.0, 47.0], [8.01, 47.0], [8.01, 47.01], [8.0, 47.01], [8.0, 47.0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"id": "Z1", "role": "keep_out", **properties},
    }


def parse(*features, **more):
    return geojson.parse(json.dumps({"type": "FeatureCollection", "features": list(features)}), "t.geojson", **more)


# real files


@needs_samples
def test_the_swiss_sample_in_ed318_is_read_whole():
    parsed = load(SAMPLES / "cis_source_sample_ed318.json")
    assert parsed.format == "ED-318"
    assert parsed.ok
    assert [z.zone_id for z in parsed.zones] == ["LSZB003", "BLns058", "LSTB002"]
    bern = parsed.zones[0]
    assert bern.restriction is Restriction.REQ_AUTHORISATION
    assert bern.volumes[0].lower == Height(60.0, Datum.AGL)
    assert bern.authority[0].name == "Skyguide"
    assert len(bern.volumes[0].outline.outer) == 27
    assert "exemption permit" in bern.conditions


@needs_samples
def test_the_swiss_sample_in_ed269_is_read_with_its_strings_and_nulls():
    parsed = load(SAMPLES / "cis_source_sample_ed269.json")
    assert (parsed.format, parsed.ok) == ("ED-269", True)
    (zone,) = parsed.zones
    assert zone.volumes[0].lower == Height(0.0, Datum.AGL)
    assert zone.volumes[0].upper is None
    assert zone.applicability == ()
    assert round(zone.volumes[0].outline.outer[0].lat_deg) == 46, "lon, lat order"


@needs_samples
@pytest.mark.parametrize("name", ["Collection", "GeoZone_2_Layers", "GeoZone_Circle", "GeoZone_with_extension"])
def test_the_examples_of_ed318_are_read_whole(name):
    parsed = load(SAMPLES / "ed318-examples" / f"Example_{name}.json")
    assert parsed.ok
    assert parsed.zones
    if name == "GeoZone_2_Layers":
        (zone,) = parsed.zones
        assert [v.upper.value_m for v in zone.volumes] == [150.0, 50.0]
        assert zone.applies_at(datetime(2019, 5, 6, 16, 30, tzinfo=UTC).timestamp())
        assert not zone.applies_at(datetime(2019, 5, 6, 17, 30, tzinfo=UTC).timestamp())


REAL = ["cis_source_sample_ed269", "cis_source_sample_ed318", "ed318-examples/Example_Collection"]


@needs_samples
@pytest.mark.parametrize("name", list(CODECS))
@pytest.mark.parametrize("real", REAL)
def test_real_zones_go_through_every_format_and_back(real, name):
    found = load(SAMPLES / f"{real}.json").zones
    codec = CODECS[name]
    dumped = codec.dump_text(found)
    parsed = load_airspace_text(dumped.text, "x")
    assert parsed.format == codec.name
    assert parsed.problems == ()
    assert [z.zone_id for z in parsed.zones] == [z.zone_id for z in codec.fit(found)[0]]
    if name in ("ed318", "geojson", "kml"):
        assert parsed.zones == found
        assert dumped.problems == ()


@needs_samples
def test_the_invalid_example_is_refused_for_its_date_and_its_type():
    parsed = load(SAMPLES / "ed318-examples" / "InvalidExample_GeoZone_2_Layers.json")
    assert not parsed.zones
    assert [p.field for p in parsed.problems] == ["metadata.validFrom", "properties.type"]
    assert "not a date" in parsed.problems[0].text
    assert "with a Z" in parsed.problems[1].fix


@needs_samples
def test_our_dump_fits_the_schema_of_ed318():
    import jsonschema

    properties = json.loads((SAMPLES / "ed318-schema" / "Schema_GeoZoneProperties.json").read_text())
    for zone in load(ROOT / "configs" / "airspace" / "valley.ed318.json").zones:
        dumped = json.loads(ed318.write([zone]))["features"][0]["properties"]
        assert set(properties["required"]) <= set(dumped)
        assert set(dumped) <= set(properties["properties"])
        jsonschema.validate(dumped["identifier"], properties["properties"]["identifier"])


def test_the_demo_valley_is_good_and_its_keep_in_is_an_extension():
    parsed = load(ROOT / "configs" / "airspace" / "valley.ed318.json")
    assert parsed.ok
    assert not parsed.notes
    assert [z.zone_id for z in parsed.zones if z.role is Role.KEEP_IN] == ["VALLEY"]
    closure = load(ROOT / "configs" / "airspace" / "valley-closure.geojson")
    assert closure.ok
    assert len(closure.zones) == 1


# round trips


@pytest.mark.parametrize("name", ["ed318", "ed269", "geojson", "kml", "qgc"])
@settings(max_examples=40, deadline=None)
@given(found=airspaces)
def test_every_format_reads_back_what_it_can_hold(name, found):
    codec = CODECS[name]
    dumped = codec.dump_text(found)
    parsed = codec.parse(dumped.text, "x", None)
    assert parsed.problems == ()
    fitting = codec.fit(found)[0]
    if name == "qgc":
        assert fence(parsed.zones) == fence(fitting)
    else:
        assert parsed.zones == fitting
    assert load_airspace_bytes(dumped.text.encode(), "x").zones == parsed.zones or not parsed.zones


def fence(found):
    """In a plan's own order: the keep-in first, polygons before circles."""
    return {
        z.zone_id: replace(z, volumes=sorted(z.volumes, key=lambda v: isinstance(v.outline, Circle))) for z in found
    }


@settings(max_examples=60, deadline=None)
@given(found=airspaces)
def test_openair_reads_back_what_it_can_hold_and_no_zone_is_smaller(found):
    codec = CODECS["openair"]
    text = codec.dump_text(found).text
    parsed = codec.parse(text, "x", None)
    assert parsed.problems == ()
    fitting = codec.fit(found)[0]
    assert [replace(z, volumes=()) for z in parsed.zones] == [replace(z, volumes=()) for z in fitting]
    for read, written in zip(parsed.zones, fitting, strict=True):
        for v, w in zip(read.volumes, written.volumes, strict=True):
            assert_limits(v, w)
            assert_outlines(v.outline, w.outline)
    assert codec.dump_text(parsed.zones).text == text, "once rounded, the same for ever"


def assert_limits(read, written):
    for v, w, outwards in ((read.lower, written.lower, -1), (read.upper, written.upper, 1)):
        assert (v is None) == (w is None)
        if v is not None:
            assert v.datum is w.datum
            assert -1e-6 <= (v.value_m - w.value_m) * outwards <= 0.3049


def assert_outlines(read, written):
    if isinstance(written, Circle):
        assert distance_m(read.centre, written.centre) < 0.03
        assert -1e-3 <= read.radius_m - written.radius_m <= 0.186
    else:
        assert len(read.outer) == len(written.outer)
        assert all(distance_m(p, q) < 0.03 for p, q in zip(read.outer, written.outer, strict=True))


@pytest.mark.parametrize("name", list(CODECS))
@settings(max_examples=30, deadline=None)
@given(found=airspaces)
def test_whatever_a_format_cuts_from_a_zone_is_told_and_a_keep_in_never_grows(name, found):
    found = [replace(z, source=str(i)) for i, z in enumerate(found)]
    fitting, problems = CODECS[name].fit(found)
    told = {p.feature_id for p in problems}
    left = {z.source: z for z in fitting}
    for zone in found:
        cut = left.get(zone.source)
        assert cut == zone or zone.zone_id in told
        if cut is not None and cut.role is Role.KEEP_IN:
            assert (cut.volumes, cut.applicability) == (zone.volumes, zone.applicability)


def test_what_a_format_cannot_say_is_told_when_written():
    keep_in = Zone("K", "K", Restriction.NO_RESTRICTION, (Volume(Circle(LatLon(0, 0), 9.0)),), Role.KEEP_IN)
    dumped = CODECS["ed269"].dump_text([keep_in])
    assert ed269.parse(dumped.text, "x").zones == ()
    assert [(p.feature_id, p.field) for p in dumped.problems] == [("K", "role")]
    long = Zone("too-long-id", "too long", Restriction.PROHIBITED, keep_in.volumes)
    dumped = CODECS["ed318"].dump_text([long])
    assert "at most 7 characters" in dumped.problems[0].text
    assert ed318.parse(dumped.text, "x").zones == (long,)


# bad input


@pytest.mark.parametrize(
    ("properties", "field", "says"),
    [
        ({"role": "fence"}, "properties.role", "not a role"),
        ({"id": ""}, "properties.id", "missing"),
        ({"restriction": "NONE"}, "properties.restriction", "unknown restriction"),
        ({"lower_m": 10}, "properties.lower_datum", "missing"),
        ({"lower_m": 10, "lower_datum": "MSL"}, "properties.lower_m", "unknown vertical reference"),
        ({"lower_m": "low", "lower_datum": "AGL"}, "properties.lower_m", "not a number"),
        (
            {"lower_m": 99, "lower_datum": "AGL", "upper_m": 9, "upper_datum": "AGL"},
            "properties.lower_m",
            "above the upper",
        ),
        ({"times": [{"start": "2026-01-01T00:00:00"}]}, "properties.times[0].start", "no time zone"),
        ({"times": [{"start": "soon"}]}, "properties.times[0].start", "not a date"),
        (
            {"times": [{"daily": [{"day": ["MON"], "startTime": "08:00", "endTime": "09:00Z"}]}]},
            "properties.times[0].daily[0].startTime",
            "no time zone",
        ),
        ({"times": [{"daily": [{"day": ["FUN"]}]}]}, "properties.times[0].daily[0].day", "unknown day"),
        (
            {"times": [{"daily": [{"startEvent": "NOON"}]}]},
            "properties.times[0].daily[0].startEvent",
            "unknown daylight event",
        ),
        (
            {"times": [{"daily": [{"endEvent": "SS", "endTime": "18:00Z"}]}]},
            "properties.times[0].daily[0].endEvent",
            "only one of them",
        ),
        ({"lower_m": 10**400, "lower_datum": "AGL"}, "properties.lower_m", "not a finite number"),
        ({"upper_m": 1e300, "upper_datum": "AGL"}, "properties.upper_m", "no height"),
    ],
)
def test_a_feature_that_cannot_be_used_names_the_field_and_a_fix(properties, field, says):
    parsed = parse(feature(**properties), feature(id="good"))
    assert [z.zone_id for z in parsed.zones] == ["good"], "the others are still read"
    (problem,) = parsed.problems
    assert problem.field == field
    assert says in problem.text
    assert problem.fix
    assert problem.source == "t.geojson"


@pytest.mark.parametrize(
    ("ring", "says"),
    [
        ([[8.0, 47.0], [8.01, 47.01], [8.01, 47.0], [8.0, 47.01], [8.0, 47.0]], "crosses or touches itself"),
        ([[8.0, 47.0], [8.0, 47.0], [8.01, 47.0], [8.0, 47.0]], "distinct corners"),
        ([[8.0, 47.0], [8.000001, 47.0], [8.000001, 47.000001], [8.0, 47.0]], "holds only"),
        ([[179.9, 10.0], [-179.9, 10.0], [-179.9, 10.1], [179.9, 10.0]], "antimeridian"),
        ([[8.0, 97.0], [8.01, 97.0], [8.01, 97.01], [8.0, 97.0]], "85 degrees"),
        ([[8.0], [8.01, 47.0], [8.01, 47.01]], "not a position"),
        ([[8.0 + k * 1e-6, 47.0 + (k % 2) * 1e-3] for k in range(10_001)], "at most 10000"),
    ],
)
def test_an_outline_that_means_nothing_is_refused(ring, says):
    (problem,) = parse(feature(ring)).problems
    assert says in problem.text
    assert problem.feature_id == "Z1"


def test_a_crossing_of_centimetres_is_repaired_and_said():
    tiny = 1e-7  # one centimetre
    ring = [[8.0, 47.0], [8.01, 47.0], [8.01, 47.01], [8.0, 47.01], [8.0 - tiny, 47.005], [8.0 + tiny, 47.005]]
    crossed = [*ring[:4], [8.0, 47.005], [8.0 + tiny, 47.006], [8.0 - tiny, 47.004], [8.0, 47.0]]
    parsed = parse(feature(crossed))
    assert parsed.ok
    assert "repaired" in parsed.notes[0].text
    assert len(parsed.zones) == 1


def test_what_a_repair_drops_is_counted_and_an_unclosed_ring_is_closed():
    ring = [[8.0, 47.0], [8.01, 47.0], [8.01, 47.0], [8.01, 47.0], [8.01, 47.01], [8.0, 47.01]]
    parsed = parse(feature(ring))
    assert len(parsed.zones[0].volumes[0].outline.outer) == 4
    assert [n.text.split(";")[0] for n in parsed.notes] == [
        "a ring does not end where it began",
        "2 corners that repeat the one before were left out",
    ]


def test_a_spike_of_a_decimetre_is_cut_off_and_one_of_a_kilometre_refused_with_its_place():
    square = [[8.0, 47.0], [8.01, 47.0], [8.01, 47.01], [8.0, 47.01]]
    for tip, ok in ((8.010001, True), (8.02, False)):
        spiked = [*square[:2], [8.01, 47.005], [tip, 47.005], [8.01, 47.005], *square[2:], square[0]]
        parsed = parse(feature(spiked))
        assert parsed.ok is ok
        told = (parsed.notes or parsed.problems)[0].text
        assert ("repaired" in told) is ok
        assert ok or "near 47.005000, 8.0" in told


def test_which_way_round_a_ring_is_drawn_does_not_matter():
    ring = feature()["geometry"]["coordinates"][0]
    back = parse(feature(ring[::-1]))
    assert back.ok
    assert not back.notes
    assert set(back.zones[0].volumes[0].outline.outer) == set(parse(feature()).zones[0].volumes[0].outline.outer)


def test_a_property_that_is_not_known_is_told_once_for_all_features():
    parsed = parse(feature(lower=30), feature(id="Z2", lower=40), feature(id="Z3"))
    (note,) = parsed.notes
    assert note.field == "properties.lower"
    assert note.text.endswith("(2: Z1, Z2)")


@pytest.mark.parametrize(
    "ring",
    [
        [[8.0 + k * 1e-6, 47.0 + (k % 2) * 1e-3] for k in range(300_000)],
        [[random.Random(k).uniform(7, 8), random.Random(-k).uniform(46, 47)] for k in range(10_000)],
        [[8.0 + (k * 7919 % 9973) * 1e-5, 47.0 + (k * 104729 % 9967) * 1e-5] for k in range(9_900)],
    ],
    ids=["300,000 corners", "10,000 corners at random", "9,900 crossing edges"],
)
def test_no_outline_however_wild_takes_long(ring):
    text = json.dumps({"type": "FeatureCollection", "features": [feature(ring)]})
    before = process_time()
    (problem,) = load_airspace_text(text, "t.geojson").problems
    assert process_time() - before < 2.0
    assert problem.feature_id == "Z1"
    assert "vertices" in problem.text or "near 4" in problem.text


def test_nested_collections_and_huge_numbers_are_refused_in_one_line():
    (zone,) = parse(feature()).zones
    document = json.loads(ed318.write([zone]))
    geometry = document["features"][0]["geometry"]
    for _ in range(60):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}
    document["features"][0]["geometry"] = geometry
    (problem,) = ed318.parse(json.dumps(document), "x").problems
    assert "nested" in problem.text
    for bad in ("1e999", "-1e999", "1" * 400, "9" * 5000, "NaN"):
        parsed = load_airspace_text(geojson.write([zone]).replace("8.01", bad), "x")
        assert len(parsed.problems) == 1
        assert len(str(parsed.problems[0])) < 300


def test_swapped_coordinates_are_found_against_the_area_of_operation():
    area = AreaOfOperation(LatLon(47.0, 8.0), 50_000.0)
    swapped = [[lat, lon] for lon, lat in feature()["geometry"]["coordinates"][0]]
    assert parse(feature(swapped)).ok, "nothing to compare with"
    (problem,) = parse(feature(swapped), area=area).problems
    assert "wrong order" in problem.text
    assert parse(feature(), area=area).ok


def test_features_of_one_id_make_one_zone_and_must_agree():
    other = [[8.1, 47.0], [8.11, 47.0], [8.11, 47.01], [8.1, 47.0]]
    (zone,) = parse(feature(), feature(other)).zones
    assert len(zone.volumes) == 2
    parsed = parse(feature(), feature(other, name="another"))
    assert parsed.zones == ()
    assert "differ" in parsed.problems[0].text


def test_an_id_that_occurs_twice_is_said():
    text = ed318.write([Zone("A", "A", Restriction.PROHIBITED, (Volume(Circle(LatLon(1, 1), 9.0)),)) for _ in range(2)])
    assert "twice" in ed318.parse(text, "x").problems[0].text


@pytest.mark.parametrize(
    ("entry", "period"),
    [
        ({"startEvent": "SS", "endEvent": "SR"}, (SunEvent.SS, SunEvent.SR)),
        ({"startEvent": "BMCT", "endTime": "12:00Z"}, (SunEvent.BMCT, time(12))),
        ({"startTime": "T16:00:00Z", "endEvent": "EECT"}, (time(16), SunEvent.EECT)),
        ({"startEvent": "EMCT", "endEvent": "BECT"}, (SunEvent.SR, SunEvent.SS)),
    ],
)
def test_daylight_events_are_kept_as_such(entry, period):
    (zone,) = parse(feature(times=[{"daily": [entry | {"day": ["ANY"]}]}])).zones
    assert zone.applicability[0].daily == (DailyPeriod(frozenset(), *period),)


def test_a_night_closure_holds_at_night_where_the_zone_lies():
    (zone,) = parse(feature(times=[{"daily": [{"day": ["ANY"], "startEvent": "SS", "endEvent": "SR"}]}])).zones
    assert zone.applies_at(datetime(2026, 3, 2, 23, tzinfo=UTC).timestamp())
    assert not zone.applies_at(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())


def test_local_times_become_utc_on_the_right_day():
    times = [{"daily": [{"day": ["MON"], "startTime": "01:00+03:00", "endTime": "05:00+03:00"}]}]
    (zone,) = parse(feature(times=times)).zones
    assert zone.applicability[0].daily == (DailyPeriod(frozenset({7}), time(22), time(2)),), "Sunday 22:00 UTC"


@pytest.mark.parametrize("text", ["", "{", "[]", "nul", '{"type": "Map"}', '{"a": NaN}', "[" * 100_000])
def test_what_is_no_airspace_file_is_one_clear_problem(text):
    parsed = load_airspace_text(text, "odd.json")
    assert not parsed.zones
    (problem,) = parsed.problems
    assert str(problem).startswith("odd.json")


def places(node, path=()):
    """The path to every value in a document."""
    if isinstance(node, (dict, list)):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield (*path, key)
            yield from places(node[key], (*path, key))


@pytest.mark.parametrize("name", ["kml", "openair"])
def test_no_damage_to_a_text_escapes_as_an_exception(name):
    rng = random.Random(5)
    zones = load(ROOT / "configs" / "airspace" / "valley.ed318.json").zones
    good = CODECS[name].dump_text(zones).text
    junk = ["", "<", "-", "nan", "1e999", "\n", "99:99", "AC", "\x00", "&a;", "\ud800", "DC 1\n", "<Point/>", "9" * 400]
    noticed = 0
    for _ in range(200):
        at = rng.randrange(len(good))
        damaged = good[:at] + rng.choice(junk) + good[at + rng.choice((0, 1, 3, 40, 2_000)) :]
        parsed = load_airspace_text(damaged, "mutant")
        noticed += not parsed.ok or bool(parsed.notes)
        assert all(p.fix for p in parsed.problems)
    assert noticed > 60


def test_no_mutation_of_a_good_file_escapes_as_an_exception():
    rng = random.Random(4)
    valley = json.loads((ROOT / "configs" / "airspace" / "valley.ed318.json").read_text(encoding="utf-8"))
    zones = ed318.parse(json.dumps(valley), "v").zones
    old = [z for z in zones if z.role is Role.KEEP_OUT and z.restriction is not Restriction.USPACE]
    documents = [json.dumps(valley), geojson.write(zones), ed269.write(old)]
    paths = [list(places(json.loads(d))) for d in documents]
    junk = [
        "null",
        "true",
        "-1",
        "1e300",
        '""',
        '"x"',
        "[]",
        "{}",
        "[[]]",
        "[null]",
        '{"a": 1}',
        '"99:99Z"',
        "[[1, 2]]",
    ]
    noticed = 0
    for turn in range(300):
        document = json.loads(documents[turn % 3])
        *above, last = rng.choice(paths[turn % 3])
        node = document
        for key in above:
            node = node[key]
        node[last] = json.loads(rng.choice(junk))
        noticed += not load_airspace_text(json.dumps(document), "mutant").ok
    assert noticed > 100
