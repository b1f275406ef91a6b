"""OpenAir as pilots' files have it: classes, heights, arcs, and lines that cannot be read."""

import time
from datetime import UTC, datetime

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.formats import load_airspace_text, openair
from geofences.formats.arcs import ARC_ERROR_M, Arc, ring
from geofences.geodesy import LatLon, LocalFrame, destination, distance_m
from geofences.heights import Datum, Height
from geofences.volumes import Authority, Circle, Restriction

TRIANGLE = "DP 46:00:00 N 007:00:00 E\nDP 46:00:00 N 007:06:00 E\nDP 46:06:00 N 007:00:00 E\n"


def record(klass="R", low="GND", high="UNLIM", outline=TRIANGLE, more=""):
    return f"AC {klass}\nAN Area\nAL {low}\nAH {high}\n{more}{outline}"


def one(text):
    parsed = openair.parse(text, "t.txt")
    assert parsed.problems == ()
    (zone,) = parsed.zones
    return zone


def test_a_file_with_comments_and_both_notations_of_positions_is_found_to_be_openair():
    text = (
        "* Swiss\n\n"
        + record(more="SP 0,1,255,0,0\nAI 4f1\nAY TMZ\nAF 118.475\nAG Bern Tower\n")
        + "AC Q\nAN Shooting\nAL 1500ft AGL\nAH 450m MSL\nV X=46:30.5 N 007:15.25 W\nDC 0.5\n"
    )
    parsed = load_airspace_text(text, "t.txt")
    assert parsed.format == "OpenAir"
    first, second = parsed.zones
    assert (first.zone_id, first.name, first.authority) == ("4f1", "Area", (Authority("Bern Tower"),))
    assert first.message == "Radio 118.475"
    assert first.volumes[0].outline.outer[2] == LatLon(46.1, 7.0)
    assert second.volumes[0].outline == Circle(LatLon(46 + 30.5 / 60, -(7 + 15.25 / 60)), 926.0)
    assert second.volumes[0].lower == Height(1500 * 0.3048, Datum.AGL)
    assert second.volumes[0].upper == Height(450.0, Datum.AMSL)
    assert {n.field for n in parsed.notes} == {"SP"}


@pytest.mark.parametrize(
    ("klass", "kind", "restriction"),
    [
        ("P", "", Restriction.PROHIBITED),
        ("R", "", Restriction.REQ_AUTHORISATION),
        ("CTR", "", Restriction.REQ_AUTHORISATION),
        ("D", "CTR", Restriction.REQ_AUTHORISATION),
        ("UNC", "P", Restriction.PROHIBITED),
        ("E", "R", Restriction.REQ_AUTHORISATION),
        ("Q", "", Restriction.CONDITIONAL),
        ("G", "", Restriction.NO_RESTRICTION),
        ("G", "RMZ", Restriction.CONDITIONAL),
        ("XYZ", "", Restriction.CONDITIONAL),
        ("UNC", "", Restriction.CONDITIONAL),
    ],
)
def test_the_stricter_of_class_and_type_counts_and_the_unknown_is_closed(klass, kind, restriction):
    assert one(record(klass, more=f"AY {kind}\n" if kind else "")).restriction is restriction


@pytest.mark.parametrize(
    ("low", "lower"),
    [
        ("GND", None),
        ("SFC", None),
        ("1000", Height(304.8, Datum.AMSL)),
        ("1000 ft AGL", Height(304.8, Datum.AGL)),
        ("1000F ASFC", Height(304.8, Datum.AGL)),
        ("1000FT SFC", Height(304.8, Datum.AGL)),
        ("100 m AMSL", Height(100.0, Datum.AMSL)),
        ("FL 50", Height((1524.0 - 630.0) * 0.78, Datum.AMSL)),
    ],
)
def test_heights_in_feet_and_metres_over_ground_and_sea(low, lower):
    assert one(record(low=low)).volumes[0].lower == lower


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 400),
    st.floats(941.0, 1053.0),
    st.floats(0.78, 1.10),
)
def test_a_flight_level_is_outwards_of_where_any_air_puts_it(level, sea_hpa, warmth):
    # ICAO Doc 7488 up to 11 km, then constant temperature; the layer's thickness follows its temperature.
    at_sea_m = (1.0 - (sea_hpa / 1013.25) ** 0.190263) / 2.25577e-5
    true_m = (level * 30.48 - at_sea_m) * warmth
    zone = one(record(low=f"FL{level}", high=f"FL {level}"))
    assert zone.volumes[0].lower.value_m <= true_m
    assert zone.volumes[0].upper.value_m >= true_m


def test_flight_levels_are_told_once_with_a_count():
    parsed = openair.parse(record(low="FL95") + record(low="FL95"), "t.txt")
    (note,) = parsed.notes
    assert "at the lowest" in note.text
    assert "2: Area, Area #2" in note.text


def test_activation_times_bound_the_zone_and_what_is_not_understood_applies_always():
    at = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
    assert not one(record(more="AA 2026-05-02T08:00Z/2026-05-02T18:00Z\n")).applies_at(at)
    assert one(record(more="AA NONE/2026-05-02T18:00Z\n")).applies_at(at)
    for text in ("NONE", "2026-05-02T08:00/2026-05-02T18:00", "MON-FRI"):
        parsed = openair.parse(record(more=f"AA 2020-01-01T00:00Z/2020-01-02T00:00Z\nAA {text}\n"), "t.txt")
        assert parsed.zones[0].applies_at(at)
        assert any(n.field == "AA" for n in parsed.notes)


# arcs

CENTRE = LatLon(46.0, 7.0)
FRAME = LocalFrame(CENTRE)


def shape(corners):
    return shapely.Polygon(FRAME.to_xy(corners))


@settings(max_examples=60, deadline=None)
@given(st.floats(50, 60_000), st.integers(0, 359), st.integers(1, 360), st.booleans())
def test_a_sector_holds_its_arc_and_sticks_out_little_whichever_way_it_is_drawn(radius_m, begin, turn, clockwise):
    end = begin + turn if clockwise else begin - turn
    arc = Arc.of_bearings(CENTRE, radius_m, begin, end % 360, clockwise=clockwise)
    assert abs(arc.turn_deg) == turn
    # A sector of more than 180° and one of less both lie on the side of the centre.
    drawn = shape(ring([arc] if turn == 360 else [CENTRE, arc]))
    on_arc = [destination(CENTRE, begin + arc.turn_deg * k / 97, radius_m) for k in range(98)]
    assert all(drawn.buffer(0.05).covers(shapely.Point(xy)) for xy in FRAME.to_xy(on_arc))
    assert max(distance_m(CENTRE, p) for p in ring([arc])) <= radius_m + ARC_ERROR_M + 0.01


def test_a_bite_out_of_an_area_is_never_larger_than_its_arc():
    """A half-disc cut out of a square: the area's side is not the centre's."""
    corners = [destination(CENTRE, b, 20_000.0) for b in (270.0, 315.0, 45.0, 90.0)]
    bite = Arc.between(CENTRE, destination(CENTRE, 90.0, 9_000.0), destination(CENTRE, 270.0, 9_000.0), clockwise=False)
    drawn = shape(ring([*corners, bite]))
    assert drawn.is_valid
    on_arc = [destination(CENTRE, 90.0 - 180.0 * k / 50, 9_000.1) for k in range(1, 50)]
    assert all(drawn.covers(shapely.Point(xy)) for xy in FRAME.to_xy(on_arc))


def test_a_zone_with_an_arc_between_two_points_is_read():
    centre = "46:00:00 N 007:00:00 E"
    outline = f"V X={centre}\nV D=-\nDP {centre}\nDB 46:00:00 N 007:10:00 E,46:06:57 N 007:00:00 E\n"
    zone = one(record(outline=outline))
    reach = [distance_m(CENTRE, p) for p in zone.volumes[0].outline.outer]
    assert min(reach) == 0.0
    assert 12_880 < max(reach) < 12_920
    assert len(reach) > 10


# what cannot be read


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (record(low="high"), "line 3 AL", "no height"),
        (record(high="7000 furlongs"), "line 4 AH", "no height"),
        (record(outline="DP 46:61:00 N 007:00:00 E\n"), "line 5 DP", "not a position"),
        (record(outline="DP 46:00:00 N\n"), "line 5 DP", "not a position"),
        (record(outline="DP 96:00:00 N 007:00:00 E\n"), "line 5 DP", "latitude"),
        (record(outline="DC 5\n"), "line 5 DC", "no centre"),
        (record(outline="V X=46:00:00 N 007:00:00 E\nDC -5\n"), "line 1 DC.radius", "cannot be"),
        (record(outline="V X=46:00:00 N 007:00:00 E\nDC nan\n"), "line 6 DC", "not a finite number"),
        (record(outline="V X=46:00:00 N 007:00:00 E\nDA 5,10\n"), "line 6 DA", "not radius"),
        (record(outline="V X=46:00:00 N 007:00:00 E\nDA 1e300,10,20\n"), "line 6 DA", "cannot be"),
        (record(outline="V X=46:00:00 N 007:00:00 E\nDB 46:00:00 N 007:00:00 E\n"), "line 6 DB", "two positions"),
        (record(outline="V D=left\n"), "line 5 V", "no direction"),
        (record(outline="V W=10\nDY 46:00:00 N 007:00:00 E\n"), "line 6 DY", "not read"),
        (record(outline=""), "line 1 outline", "0 distinct corners"),
        (record(outline=TRIANGLE + "V X=46:00:00 N 007:00:00 E\nDC 5\n"), "line 1", "several outlines"),
        (record(low="3000ft MSL", high="1000ft MSL"), "line 1 AL", "above the upper"),
    ],
)
def test_a_record_that_cannot_be_read_names_its_line_and_the_others_are_read(text, line, says):
    parsed = openair.parse(text + record("P"), "t.txt")
    assert [z.restriction for z in parsed.zones] == [Restriction.PROHIBITED]
    (problem,) = parsed.problems
    assert problem.field == line
    assert says in problem.text
    assert problem.feature_id == "Area"
    assert problem.fix


def test_lines_before_the_first_record_and_records_that_are_not_known_are_told():
    parsed = openair.parse("hello world\n" + record(more="ZZ top\nAX 7000\n"), "t.txt")
    assert parsed.ok
    assert [n.field for n in parsed.notes] == ["line 1", "ZZ", "AX"]


def test_three_hundred_thousand_lines_are_refused_at_once():
    outline = "".join(f"DP 46:{k % 60:02d}:00 N 007:{k % 59:02d}:00 E\n" for k in range(300_000))
    arcs = "V X=46:00:00 N 007:00:00 E\n" + "DA 250,0,359\n" * 100_000
    for drawn in (outline, arcs):
        before = time.process_time()
        (problem,) = openair.parse(record(outline=drawn), "t.txt").problems
        assert "more than 10000 vertices" in problem.text
        assert time.process_time() - before < 2.0
