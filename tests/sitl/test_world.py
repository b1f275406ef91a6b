"""The world by its figures: wind by height and time, ground by place, air by hour, the sun by all three."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitl import geo
from sitl.fields import Fields, SpecError
from sitl.spec import SimSpec
from sitl.sun import elevation_deg, irradiance_w_m2
from sitl.terrain import Grid, Terrain, TerrainSpec, read_asc
from sitl.world import Weather
from sitl.worldspec import WorldSpec
from tests.sitl.helpers import GROUND_M, HOME, Station, item, spec_dict, station, takeoff_and

EAST_OF_HOME_M = 5000.0


def world(**fields: Any) -> WorldSpec:
    return WorldSpec.read(Fields(fields, "world"))


def weather(vehicles: int = 1, *, start_s: float = 0.0, lon_deg: float = 0.0, **fields: Any) -> Weather:
    rng = np.random.default_rng(7)
    return Weather(world(**fields), vehicles, rng, start_s=start_s, lat_deg=HOME[0], lon_deg=lon_deg)


def at_home(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(n, HOME[0]), np.full(n, HOME[1])


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# --- wind


def test_without_a_wind_shear_exponent_the_wind_is_the_same_at_every_height() -> None:
    north, east = weather(3, wind_north_m_s=4.0, wind_east_m_s=-3.0).wind(*at_home(3), np.array([0.0, 10.0, 500.0]))
    assert north.tolist() == [4.0] * 3
    assert east.tolist() == [-3.0] * 3


def test_with_one_it_grows_by_the_power_law_from_none_on_the_ground_to_the_top_of_the_surface_layer() -> None:
    air = weather(6, wind_north_m_s=5.0, wind_east_m_s=2.0, wind_shear_exponent=0.2)
    north, east = air.wind(*at_home(6), np.array([0.0, 10.0, 20.0, 160.0, 200.0, 900.0]))
    assert north[0] == 0.0
    assert north[1] == 5.0
    assert north[2] / north[1] == pytest.approx(1.1487, abs=1e-4)  # 2^0.2
    assert north[3] / north[1] == pytest.approx(1.7411, abs=1e-4)  # 16^0.2
    assert north[5] == north[4]
    assert east / 2.0 == pytest.approx(north / 5.0)
    assert air.mean(2) == (pytest.approx(5.7435, abs=1e-4), pytest.approx(2.2974, abs=1e-4))


def test_a_front_without_a_place_turns_the_wind_everywhere_within_its_ramp() -> None:
    air = weather(
        wind_north_m_s=4.0, fronts=[{"at_s": 600, "ramp_s": 60, "wind_north_m_s": -8.0, "wind_east_m_s": 6.0}]
    )
    seen = {}
    for second in range(1, 721):
        air.step(1.0)
        north, east = air.wind(*at_home(1), np.zeros(1))
        seen[second] = (float(north[0]), float(east[0]))
    assert seen[599] == seen[600] == (4.0, 0.0)
    assert seen[630] == (pytest.approx(-2.0), pytest.approx(3.0))
    assert seen[660] == seen[720] == (-8.0, 6.0)


def test_a_front_that_moves_reaches_the_farther_vehicle_later_by_distance_over_speed() -> None:
    line = {"lat_deg": HOME[0], "lon_deg": HOME[1], "towards_deg": 90.0, "speed_m_s": 10.0}
    air = weather(2, fronts=[{"at_s": 100, "ramp_s": 0, "wind_north_m_s": 9.0, "wind_east_m_s": 0.0, **line}])
    lat, lon = geo.shifted(*HOME, 0.0, EAST_OF_HOME_M)
    places = np.array([HOME[0], lat]), np.array([HOME[1], lon])
    came: dict[int, int] = {}
    for second in range(1, 700):
        air.step(1.0)
        north, _ = air.wind(*places, np.zeros(2))
        for i in (0, 1):
            if north[i] == 9.0:
                came.setdefault(i, second)
    assert came[0] == pytest.approx(100, abs=1)
    assert came[1] - came[0] == pytest.approx(500, abs=1)


def test_wind_of_faults_comes_on_top_of_a_front() -> None:
    air = weather(fronts=[{"at_s": 0, "ramp_s": 0, "wind_north_m_s": 8.0, "wind_east_m_s": 0.0}])
    air.step(1.0)
    air.extra_north_m_s = 3.0
    assert air.wind(*at_home(1), np.zeros(1))[0][0] == 11.0


def test_gusts_have_the_asked_spread_differ_between_vehicles_and_leave_the_mean_alone() -> None:
    air = weather(2, gust_m_s=1.5, wind_north_m_s=6.0)
    seen = []
    for _ in range(20_000):
        air.step(1.0)
        seen.append(air.wind(*at_home(2), np.zeros(2))[0] - 6.0)
    gusts = np.array(seen)
    assert gusts.std(axis=0) == pytest.approx(1.5, rel=0.1)
    assert abs(np.corrcoef(gusts.T)[0, 1]) < 0.1
    assert air.mean(0) == (6.0, 0.0)


def test_a_vehicle_flies_in_the_wind_of_its_height() -> None:
    gcs = station(world={"wind_north_m_s": 5.0, "wind_shear_exponent": 0.25})
    gcs.start(takeoff_and(item(16, 0.0, 1000.0, 80.0), z=80.0))
    gcs.until(lambda: gcs.height() > 79.0)
    assert gcs.world.weather.mean(0)[0] == pytest.approx(5.0 * 8.0**0.25, rel=0.01)


# --- ground


@given(
    st.lists(st.integers(-500, 1500), min_size=4, max_size=4),
    st.floats(0.0, 4.0),
    st.floats(0.0, 3.0),
)
def test_a_grid_gives_a_bilinear_surface_back_exactly(plane: list[int], y: float, x: float) -> None:
    a, b, c, d = (value / 10.0 for value in plane)
    rows = tuple(tuple(a + b * i + c * j + d * i * j for j in range(4)) for i in range(5))
    terrain = Terrain(TerrainSpec(grid=Grid(7.0, 38.0, 0.01, 0.02, rows)), 0.0)
    assert terrain.at(7.0 + 0.01 * y, 38.0 + 0.02 * x) == pytest.approx(a + b * y + c * x + d * x * y, abs=1e-6)


def test_beyond_a_grid_the_height_of_its_edge_goes_on() -> None:
    terrain = Terrain(TerrainSpec(grid=Grid(7.0, 38.0, 0.01, 0.01, ((100.0, 200.0), (300.0, 400.0)))), 0.0)
    corners = terrain.amsl_m(np.array([6.0, 6.0, 8.0, 8.0]), np.array([37.0, 39.0, 37.0, 39.0]))
    assert corners.tolist() == [100.0, 200.0, 300.0, 400.0]


def test_hills_stand_on_level_ground_or_on_a_grid_with_half_their_height_half_way_out() -> None:
    hill = {"lat_deg": HOME[0], "lon_deg": HOME[1], "radius_m": 400.0, "height_m": 80.0}
    grid = {
        "south_lat_deg": 7.0,
        "west_lon_deg": 38.0,
        "lat_step_deg": 1,
        "lon_step_deg": 1,
        "rows_amsl_m": [[900, 900], [900, 900]],
    }
    for extra, level in (({}, 500.0), ({"grid": grid}, 900.0)):
        air = weather(ground_amsl_m=500.0, terrain={"hills": [hill], **extra})
        heights = [air.ground_amsl_m(*geo.shifted(*HOME, 0.0, east)) - level for east in (0.0, 200.0, 400.0, 900.0)]
        assert heights == pytest.approx([80.0, 40.0, 0.0, 0.0], abs=0.01)


def with_hill(north_m: float, height_m: float, radius_m: float) -> Station:
    lat, lon = geo.shifted(*HOME, north_m, 0.0)
    hill = {"lat_deg": lat, "lon_deg": lon, "radius_m": radius_m, "height_m": height_m}
    return station(world={"terrain": {"hills": [hill]}})


def test_a_vehicle_lands_on_top_of_a_hill() -> None:
    events: list[dict] = []
    gcs = with_hill(300.0, 25.0, 150.0)
    gcs.world.emit = events.append
    gcs.start(takeoff_and(item(16, 300.0, z=60.0), item(21, 300.0, z=0.0), z=60.0))
    gcs.until(lambda: not gcs.armed())
    assert [e["event"] for e in events] == ["landed"]
    fleet = gcs.world.fleet
    assert gcs.away(300.0) < 3.0
    assert fleet.alt[0] == gcs.world.weather.ground_amsl_m(float(fleet.lat[0]), float(fleet.lon[0]))
    assert fleet.alt[0] == pytest.approx(GROUND_M + 25.0, abs=0.2)
    # Heights on the wire are above home, whatever is below.
    assert gcs.of("GLOBAL_POSITION_INT")[-1]["relative_alt"] == pytest.approx(25_000, abs=300)


@pytest.mark.parametrize(
    ("height_m", "radius_m", "strikes_at_m"),
    [
        (60.0, 300.0, 750.0),  # 30 m up is half of the hill: half way out, where it is steepest, 1 in 3
        (40.0, 600.0, 700.0),  # three quarters of a gentle one: a third of the way out, nowhere steeper than 1 in 10
    ],
)
def test_a_vehicle_that_flies_lower_than_the_hill_ahead_strikes_it_however_gently_it_rises(
    height_m: float, radius_m: float, strikes_at_m: float
) -> None:
    events: list[dict] = []
    gcs = with_hill(900.0, height_m, radius_m)
    gcs.world.emit = events.append
    gcs.start(takeoff_and(item(16, 1800.0)))
    gcs.until(lambda: bool(events))
    assert events[0]["event"] == "crashed"
    assert gcs.away(strikes_at_m) < 40.0


def test_a_vehicle_that_flies_higher_than_the_hill_passes_over_it_in_the_height_above_ground_that_is_left() -> None:
    gcs = with_hill(600.0, 20.0, 300.0)
    gcs.start(takeoff_and(item(16, 1200.0)))
    gcs.until(lambda: gcs.away(600.0) < 10.0)
    assert gcs.height() == pytest.approx(10.0, abs=0.5)
    gcs.until(lambda: gcs.away(1200.0) < 5.0)
    assert gcs.height() == pytest.approx(30.0, abs=0.5)


# --- ESRI ASCII grids

ASC = """ncols 3
nrows 2
xllcorner 37.995
yllcorner 6.995
cellsize 0.01
NODATA_value -9999
1100 1200 1300
100 200 300
"""


def test_an_esri_grid_has_its_rows_from_the_north_and_its_heights_in_the_middle_of_cells(tmp_path: Path) -> None:
    file = tmp_path / "hills.asc"
    file.write_text(ASC)
    air = weather(terrain={"grid": {"file": str(file)}})
    assert air.ground_amsl_m(7.0, 38.0) == pytest.approx(100.0)
    assert air.ground_amsl_m(7.01, 38.02) == pytest.approx(1300.0)
    assert air.ground_amsl_m(7.005, 38.005) == pytest.approx(650.0)
    centred = ASC.replace("xllcorner 37.995", "xllcenter 38.0").replace("yllcorner 6.995", "YLLCENTER 7.0")
    file.write_text(centred.replace("cellsize 0.01", "dx 0.01\ndy 0.01"))
    grid = read_asc(file, "file")
    assert (grid.south_lat_deg, grid.west_lon_deg) == (7.0, 38.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ncols 3\n", "", "the header lacks ncols; add the line"),
        ("ncols 3", "ncols three", "line 1: 'ncols three' is no header; give `ncols NUMBER`"),
        ("nrows 2", "nrows 4", "holds 2 rows, its header says 4"),
        ("nrows 2", "nrows 1", "give two rows"),
        ("ncols 3", "ncols 90000", "line 7: holds 3 heights, the header says 90000"),
        ("ncols 3", "ncols 900000", "1800000 heights are more than 250000"),
        ("xllcorner 37.995", "xllcorner 441000", "is not in degrees of WGS84"),
        ("cellsize 0.01", "cellsize 30", "is not in degrees of WGS84"),
        ("200 300", "200", "line 8: holds 2 heights, the header says 3"),
        ("200 300", "-9999 300", "line 8: has a gap (-9999); fill it"),
        ("200 300", "two 300", "line 8: 'two' is no number"),
        ("200 300", "nan 300", "line 8: nan m is no height of ground"),
    ],
)
def test_a_mistake_in_an_esri_grid_is_answered_with_file_line_and_fix(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    file = tmp_path / "hills.asc"
    file.write_text(ASC.replace(old, new))
    with pytest.raises(SpecError) as error:
        world(terrain={"grid": {"file": str(file)}})
    assert str(error.value).startswith(f"world.terrain.grid.file: {file}")
    assert words in str(error.value)


# --- air and sun


def test_the_air_is_warmest_at_three_in_the_afternoon_by_the_sun_and_coldest_twelve_hours_before() -> None:
    def air_c(clock: str) -> float:
        air = weather(start_s=utc(f"2026-11-21T{clock}"), lon_deg=30.0, ambient_c=20.0, day_amplitude_k=6.0)
        return air.ambient_c(1000.0)

    # 30° east is two hours ahead of UTC.
    by_height = 20.0 - 6.5
    assert air_c("13:00") == pytest.approx(by_height + 6.0)
    assert air_c("01:00") == pytest.approx(by_height - 6.0)
    assert air_c("07:00") == pytest.approx(by_height)


def test_at_the_equator_on_an_equinox_the_sun_stands_overhead_at_noon_and_on_the_horizon_six_hours_later() -> None:
    # On 20 March 2024 (equinox 03:06 UTC) the sun is 7.4 min late: overhead at 12:07:25 UTC at longitude 0.
    assert elevation_deg(utc("2024-03-20T12:07:25"), 0.0, 0.0) == pytest.approx(90.0, abs=0.25)
    assert elevation_deg(utc("2024-03-20T18:07:25"), 0.0, 0.0) == pytest.approx(0.0, abs=0.25)
    assert elevation_deg(utc("2024-03-20T00:07:25"), 0.0, 0.0) == pytest.approx(-90.0, abs=0.25)
    assert elevation_deg(utc("2024-03-20T09:07:25"), 0.0, 45.0) == pytest.approx(90.0, abs=0.3)


def test_at_the_june_solstice_it_is_overhead_at_the_tropic_and_as_high_all_day_at_the_pole() -> None:
    at_s = utc("2024-06-20T12:01:48")
    assert elevation_deg(at_s, 23.44, 0.0) == pytest.approx(90.0, abs=0.1)
    assert elevation_deg(at_s, 90.0, 0.0) == pytest.approx(23.44, abs=0.01)
    assert elevation_deg(at_s, -66.56, 0.0) == pytest.approx(0.0, abs=0.1)


def test_in_early_november_it_is_highest_sixteen_minutes_before_noon() -> None:
    midnight_s = utc("2024-11-03T00:00")
    highest_s = max(range(39_600, 46_800, 10), key=lambda s: elevation_deg(midnight_s + s, 51.48, 0.0))
    assert (43_200 - highest_s) / 60.0 == pytest.approx(16.45, abs=0.3)


def test_a_clear_sky_brings_a_kilowatt_a_covered_one_a_quarter_of_it_and_the_night_nothing() -> None:
    assert irradiance_w_m2(90.0) == pytest.approx(1035.0, abs=1.0)
    assert irradiance_w_m2(30.0) == pytest.approx(488.0, abs=1.0)
    assert irradiance_w_m2(90.0, 1.0) == pytest.approx(259.0, abs=1.0)
    assert irradiance_w_m2(90.0, 0.5) == pytest.approx(961.0, abs=1.0)
    assert irradiance_w_m2(0.0) == irradiance_w_m2(-40.0) == 0.0


def test_the_world_has_a_sun_only_if_asked_for_and_it_sets() -> None:
    noon_s = utc("2026-11-21T09:13")
    assert weather(start_s=noon_s, lon_deg=38.2).sun_w_m2() == 0.0
    air = weather(start_s=noon_s, lon_deg=38.2, sun=True)
    assert air.sun_w_m2() == pytest.approx(1098 * 0.885 * np.exp(-0.059 / 0.885), rel=0.01)  # 62.3° at 7.5° N
    air.step(3600.0 * 7)
    assert air.sun_w_m2() == 0.0


# --- mistakes

GRID = {"south_lat_deg": 7, "west_lon_deg": 38, "lat_step_deg": 0.01, "lon_step_deg": 0.01}
CALM = {"wind_north_m_s": 0, "wind_east_m_s": 0}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"wind_shear_exponent": 2}, "world.wind_shear_exponent: 2 is out of range; give a number from 0 to 0.6"),
        ({"cloud_cover": 8}, "world.cloud_cover: 8 is out of range; give a number from 0 to 1"),
        ({"sun": "yes"}, "world.sun: is str 'yes'; give true or false"),
        ({"wind_shear": 0.1}, "world.wind_shear: unknown field; did you mean 'wind_shear_exponent'?"),
        ({"fronts": [{"at_s": 5}]}, "world.fronts[0].wind_north_m_s: missing"),
        ({"fronts": [{"at_s": 5, **CALM, "lat_deg": 7}]}, "world.fronts[0].lon_deg: missing; a front that moves needs"),
        ({"fronts": [{"at_s": 5, **CALM}, {"at_s": 4, **CALM}]}, "world.fronts: are not in the order of at_s; sort"),
        ({"terrain": 300}, "world.terrain: is int '300'; give an object"),
        ({"terrain": {"hills": [{"lat_deg": 7}]}}, "world.terrain.hills[0].lon_deg: missing"),
        ({"terrain": {"grid": {"file": "/no/such.asc"}}}, "world.terrain.grid.file: /no/such.asc cannot be read"),
        ({"terrain": {"grid": {"file": "x.asc", "lat_step_deg": 1}}}, "world.terrain.grid.lat_step_deg: unknown field"),
        ({"terrain": {"grid": {**GRID, "rows_amsl_m": [[1, 2]]}}}, "rows_amsl_m: a grid needs two rows"),
        ({"terrain": {"grid": {**GRID, "rows_amsl_m": [[1, 2], [3]]}}}, "rows_amsl_m[1]: holds 1 heights, the first"),
        ({"terrain": {"grid": {**GRID, "rows_amsl_m": [[1, 2], [3, "x"]]}}}, "rows_amsl_m[1][1]: 'x' is no height"),
        ({"terrain": {"grid": {**GRID, "rows_amsl_m": [7, 8]}}}, "rows_amsl_m[0]: is int; give a list of heights"),
    ],
)
def test_a_mistake_in_the_world_is_answered_with_its_place_and_the_fix(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as error:
        SimSpec.from_dict(spec_dict(world=fields))
    assert words in str(error.value)
