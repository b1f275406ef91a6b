"""KML as others draw it: Google Earth's placemarks, and what cannot be a zone."""

import time

import pytest

from geofences.formats import AreaOfOperation, kml, load_airspace_bytes, load_airspace_text
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Circle, Restriction, Role

SQUARE = "8.0,47.0,120 8.01,47.0,150\n 8.01,47.01,150 8.0,47.01,120 8.0,47.0,120"


def ring(coordinates, side="outerBoundaryIs"):
    return f"<{side}><LinearRing><coordinates>{coordinates}</coordinates></LinearRing></{side}>"


def polygon(head="", coordinates=SQUARE, holes=""):
    return f"<Polygon>{head}{ring(coordinates)}{holes}</Polygon>"


def mark(inside, name="Park"):
    return f"<Placemark><name>{name}</name>{inside}</Placemark>"


def read(*marks, **more):
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document>\n'
        + "\n".join(marks)
        + "</Document></kml>"
    )
    return kml.parse(text, "t.kml", **more)


def data(**values):
    return (
        "<ExtendedData>"
        + "".join(f'<Data name="{k}"><value>{v}</value></Data>' for k, v in values.items())
        + "</ExtendedData>"
    )


def test_a_plain_placemark_is_a_prohibited_zone_of_all_heights_and_that_is_said():
    parsed = read(mark(polygon()))
    (zone,) = parsed.zones
    assert (zone.zone_id, zone.role, zone.restriction) == ("Park", Role.KEEP_OUT, Restriction.PROHIBITED)
    assert (zone.volumes[0].lower, zone.volumes[0].upper) == (None, None)
    assert zone.volumes[0].outline.outer[1] == LatLon(47.0, 8.01)
    assert {n.field for n in parsed.notes} == {"ExtendedData.id", "ExtendedData.role"}


@pytest.mark.parametrize(
    ("head", "upper"),
    [
        ("<extrude>1</extrude><altitudeMode>relativeToGround</altitudeMode>", Height(150.0, Datum.AGL)),
        ("<extrude>1</extrude><altitudeMode>absolute</altitudeMode>", Height(150.0, Datum.AMSL)),
        ("<extrude>1</extrude><altitudeMode>clampToGround</altitudeMode>", None),
        ("<altitudeMode>absolute</altitudeMode>", None),
        ("<extrude>1</extrude><gx:altitudeMode>relativeToSeaFloor</gx:altitudeMode>", None),
    ],
)
def test_an_extruded_area_reaches_up_to_its_highest_corner_and_any_other_everywhere(head, upper):
    (zone,) = read(mark(polygon(head))).zones
    assert (zone.volumes[0].lower, zone.volumes[0].upper) == (None, upper)


def test_a_keep_in_under_a_slanting_roof_ends_at_its_lowest_corner():
    head = "<extrude>1</extrude><altitudeMode>absolute</altitudeMode>"
    (zone,) = read(mark(data(id="K", role="keep_in") + polygon(head))).zones
    assert zone.role is Role.KEEP_IN
    assert zone.volumes[0].upper == Height(120.0, Datum.AMSL)


def test_data_says_more_than_the_drawing():
    times = '[{"daily": [{"day": ["MON"], "startEvent": "SR", "endEvent": "SS"}]}]'
    said = data(id="A1", lower_m="30", lower_datum="AGL", restriction="CONDITIONAL", times=times)
    (zone,) = read(mark(said + polygon())).zones
    assert zone.volumes[0].lower == Height(30.0, Datum.AGL)
    assert zone.restriction is Restriction.CONDITIONAL
    assert zone.applicability[0].daily


def test_folders_holes_and_several_polygons_are_read_and_a_label_beside_them_is_told():
    hole = ring("8.002,47.002 8.004,47.002 8.004,47.004 8.002,47.002", "innerBoundaryIs")
    far = "8.1,47.0 8.11,47.0 8.11,47.01 8.1,47.0"
    several = f"<MultiGeometry><Point><coordinates>8,47</coordinates></Point>{polygon(holes=hole)}{polygon('', far)}"
    parsed = read(f"<Folder><Folder>{mark(several + '</MultiGeometry>')}</Folder></Folder>", mark(polygon()))
    assert [z.zone_id for z in parsed.zones] == ["Park", "Park #2"]
    assert len(parsed.zones[0].volumes) == 2
    assert len(parsed.zones[0].volumes[0].outline.holes) == 1
    assert any(n.field == "Point" for n in parsed.notes)


def test_a_point_with_a_radius_is_a_circle():
    (zone,) = read(mark(data(radius_m="250") + "<Point><coordinates>8.5,47.5,0</coordinates></Point>")).zones
    assert zone.volumes[0].outline == Circle(LatLon(47.5, 8.5), 250.0)


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("<Point><coordinates>8,47</coordinates></Point>", "holds Point"),
        ("<LineString><coordinates>8,47 9,47</coordinates></LineString>", "holds LineString"),
        ("", "holds nothing"),
        ("<Polygon></Polygon>", "no ring"),
        (polygon(coordinates=""), "no coordinates"),
        (polygon(coordinates="8 47 9 47"), "not a position"),
        (polygon(coordinates="8,47 9,nan 9,48"), "not a finite number"),
        (polygon(coordinates="8,47 9,1e999 9,48"), "not a finite number"),
        (polygon(coordinates="8,47 8.01,47.01 8.01,47 8,47.01 8,47"), "near 47.005"),
        (data(role="fence") + polygon(), "not a role"),
        (data(times="soon") + polygon(), "not JSON"),
        (data(lower_m="low") + polygon(), "not a number"),
        (data(radius_m="9") + polygon(), "0 points"),
        ("<TimeSpan><begin>2026-01-01T00:00:00</begin></TimeSpan>" + polygon(), "no time zone"),
    ],
)
def test_what_is_no_zone_is_refused_with_its_name_and_line(inside, says):
    parsed = read(mark(inside, "Bad"), mark(polygon()))
    assert [z.zone_id for z in parsed.zones] == ["Park"], "the others are still read"
    (problem,) = parsed.problems
    assert says in problem.text
    assert problem.feature_id == "Bad"
    assert problem.field.startswith("line 4")
    assert problem.fix


def test_overlays_and_links_are_problems_and_looks_are_notes():
    parsed = read('<Style id="s"/>', "<GroundOverlay/>", "<NetworkLink/>", mark(polygon()))
    assert [p.text.split()[1] for p in parsed.problems] == ["GroundOverlay", "NetworkLink"]
    assert any(n.field == "Style" for n in parsed.notes)
    assert len(parsed.zones) == 1


def test_a_time_span_bounds_the_zone():
    (zone,) = read(mark("<TimeSpan><end>2026-01-01T00:00:00Z</end></TimeSpan>" + polygon())).zones
    assert zone.applies_at(0.0)
    assert not zone.applies_at(1_800_000_000.0)


def test_swapped_coordinates_are_found():
    swapped = "47.0,8.0 47.0,8.01 47.01,8.01 47.0,8.0"
    parsed = read(mark(polygon(coordinates=swapped)), area=AreaOfOperation(LatLon(47.0, 8.0)))
    assert "wrong order" in parsed.problems[0].text


BOMB = '<!DOCTYPE kml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><kml>&b;</kml>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "document type"),
        ("<kml>&a;</kml>", "not XML"),
        ("<kml><Document></kml>", "not XML"),
        ("<gpx></gpx>", "not <kml>"),
        ("<a>" * 100_000, "nested"),
        ("<", "not XML"),
    ],
)
def test_what_is_no_kml_is_one_problem_with_a_line(text, says):
    parsed = load_airspace_text(text, "odd.kml")
    (problem,) = parsed.problems
    assert says in problem.text
    assert problem.field.startswith("line 1")


def test_a_kmz_and_other_encodings():
    assert "KMZ" in load_airspace_bytes(b"PK\x03\x04....", "a.kmz").problems[0].text
    text = f"<kml>{mark(polygon(), 'Zürich')}</kml>"
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        parsed = load_airspace_bytes(text.encode(encoding), "a.kml")
        assert [z.zone_id for z in parsed.zones] == ["Zürich"]
        assert any("Windows-1252" in n.text for n in parsed.notes) == (encoding == "cp1252")


def test_three_hundred_thousand_vertices_are_refused_at_once():
    coordinates = " ".join(f"{8 + k * 1e-6:.6f},47.{k % 2}" for k in range(300_000))
    before = time.process_time()
    (problem,) = read(mark(polygon(coordinates=coordinates))).problems
    assert "300000 vertices" in problem.text
    assert time.process_time() - before < 2.0
