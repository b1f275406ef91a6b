"""The ground from files: grids and tiles, what they say between their nodes, and what they do not know."""

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.bands import ALL_HEIGHTS, AglBand, inner_band, outer_band
from geofences.geodesy import Box, LatLon
from geofences.heights import Datum, FlatTerrain, Height, Terrain
from geofences.terrain import GridTerrain, Raster, TerrainError, read_grid, read_tiles
from geofences.volumes import Circle, Polygon, Volume

VALLEY = """ncols 4
nrows 3
xllcorner 7.95
yllcorner 46.95
cellsize 0.1
NODATA_value -9999
900 800 700 600
500 400 300 200
100 0 -50 -9999
"""


def grid(tmp_path, text=VALLEY, name="valley.asc"):
    path = tmp_path / name
    path.write_text(text)
    return read_grid(path)


def tile(folder, name, heights):
    folder.mkdir(exist_ok=True)
    np.asarray(heights, dtype=">i2").tofile(folder / name)


def ramp(side=1201, base=0):
    """A metre higher with each node to the east, two with each to the south; as a file holds it, from the north."""
    return base + np.add.outer(2 * np.arange(side), np.arange(side))


def test_a_height_of_an_ascii_grid_stands_for_the_middle_of_its_cell(tmp_path):
    ground = grid(tmp_path)
    assert ground.ground_amsl_m(LatLon(47.2, 8.0)) == pytest.approx(900.0, abs=1e-3), "the north-west comes first"
    assert ground.ground_amsl_m(LatLon(47.1, 8.3)) == pytest.approx(200.0, abs=1e-3)
    assert ground.ground_amsl_m(LatLon(47.15, 8.05)) == pytest.approx(650.0, abs=1e-3), "between four nodes"
    assert ground.ground_amsl_m(LatLon(47.249, 7.951)) == pytest.approx(900.0, abs=1e-3), "to the edge of the cell"


def test_beyond_the_grid_and_beside_a_gap_the_ground_is_not_known(tmp_path):
    ground = grid(tmp_path)
    assert ground.ground_amsl_m(LatLon(47.26, 8.0)) is None
    assert ground.ground_amsl_m(LatLon(47.2, 7.94)) is None
    assert ground.ground_amsl_m(LatLon(47.05, 8.25)) is None, "one of the four nodes is a gap"
    assert ground.ground_range_amsl_m(Box(47.0, 8.0, 47.05, 8.25)) is None
    assert ground.ground_range_amsl_m(Box(47.11, 8.0, 47.3, 8.2)) is None
    assert ground.ground_range_amsl_m(Box(47.01, 8.01, 47.09, 8.09)) == (0.0, 500.0)


def test_a_grid_may_be_written_by_corner_or_centre_and_with_two_cell_sizes(tmp_path):
    text = VALLEY.replace("xllcorner 7.95", "XLLCENTER 8.0").replace("yllcorner 46.95", "yllcenter 47")
    other = grid(tmp_path, text.replace("cellsize 0.1", "dx 0.1\ndy 0.1"))
    for lat, lon in ((47.2, 8.0), (47.13, 8.17), (47.24, 8.0)):
        assert other.ground_amsl_m(LatLon(lat, lon)) == grid(tmp_path).ground_amsl_m(LatLon(lat, lon))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("ncols 4", "ncols 5"), "holds 12 heights, and its header says 5 × 3 = 15"),
        (("ncols 4\n", ""), "its header lacks ncols"),
        (("cellsize 0.1\n", ""), "its header lacks cellsize or dx"),
        (("cellsize 0.1", "cellsize ten"), "line 5: 'cellsize ten'"),
        (("cellsize 0.1", "cellsize 30"), "not in degrees of WGS84; fix: convert it with gdalwarp"),
        (("xllcorner 7.95", "xllcorner 512000"), "not in degrees of WGS84"),
        (("nrows 3", "nrows 3\nnrows 3"), "line 3: nrows is given twice"),
        (("nrows 3", "nrows 1"), "holds 4 × 1 heights"),
        (("nrows 3", "nrows 1e9"), "holds 4 × 1000000000 heights"),
        (("300 200", "300 x200"), "line 8: 'x200' is no number"),
        (("300 200", "300 inf"), "infinite"),
        (("300 200", "300 29029"), "holds -50 to 29029 m, which is no ground"),
        (("NODATA_value -9999", "NODATA_value 0"), "holds -9999 to 900 m"),
    ],
)
def test_a_grid_that_cannot_be_used_is_refused_with_what_is_wrong_and_the_fix(tmp_path, change, complaint):
    with pytest.raises(TerrainError, match=r"valley\.asc: .*; fix: ") as refused:
        grid(tmp_path, VALLEY.replace(*change))
    assert complaint in str(refused.value)


def test_a_grid_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(TerrainError, match="cannot be read"):
        read_grid(tmp_path / "none.asc")
    (tmp_path / "tiff.asc").write_bytes(b"II*\x00\xff\xfe")
    with pytest.raises(TerrainError, match="is not text"):
        read_grid(tmp_path / "tiff.asc")


def test_tiles_tell_their_place_by_name_and_are_only_opened_where_asked(tmp_path):
    tile(tmp_path / "srtm", "N07E038.hgt", ramp())
    tile(tmp_path / "srtm", "s01w002.HGT", ramp(3601, 100))
    (tmp_path / "srtm" / "README").write_text("not a tile")
    ground = read_tiles(tmp_path / "srtm")
    assert ground._open == {}
    assert ground.ground_amsl_m(LatLon(7.0, 38.0)) == 2400.0
    assert ground.ground_amsl_m(LatLon(7.999999, 38.999999)) == pytest.approx(1200.0, abs=0.01)
    assert list(ground._open) == [(7, 38)]
    assert ground.ground_amsl_m(LatLon(-0.25, -1.5)) == pytest.approx(100 + 2 * 900 + 1800)
    many = ground.ground_amsl_m_many(np.array([7.0, 7.5, -0.25, 7.5]), np.array([38.0, 38.25, -1.5, 39.5]))
    assert many[:3].tolist() == pytest.approx([2400.0, 1500.0, 3700.0])
    assert isnan(many[3]), "no tile"
    assert ground.ground_amsl_m(LatLon(7.5, 37.999)) is None


def test_a_void_in_a_tile_is_not_known_ground(tmp_path):
    holed = ramp()
    holed[600, 600] = -32768
    tile(tmp_path / "srtm", "N07E038.hgt", holed)
    ground = read_tiles(tmp_path / "srtm")
    assert ground.ground_amsl_m(LatLon(7.5, 38.5)) is None
    assert ground.ground_amsl_m(LatLon(7.5 + 0.5 / 1200, 38.5)) is None
    assert ground.ground_amsl_m(LatLon(7.5 + 1.5 / 1200, 38.5)) is not None
    assert ground.ground_range_amsl_m(Box(7.4, 38.4, 7.6, 38.6)) is None
    assert ground.ground_range_amsl_m(Box(7.1, 38.1, 7.2, 38.2)) is not None


def test_the_range_over_several_tiles_is_that_of_all_and_unknown_where_one_is_missing(tmp_path):
    tile(tmp_path / "srtm", "N07E038.hgt", ramp())
    tile(tmp_path / "srtm", "N07E039.hgt", ramp(base=1200))
    ground = read_tiles(tmp_path / "srtm")
    low, high = ground.ground_range_amsl_m(Box(7.25, 38.75, 7.75, 39.25))
    assert (low, high) == pytest.approx((600 + 900, 1800 + 1200 + 300), abs=4)
    assert ground.ground_range_amsl_m(Box(7.25, 38.75, 8.25, 39.25)) is None
    both = ground.ground_amsl_m_many(np.array([7.3, 7.3]), np.array([39.0 - 1e-12, 39.0]))
    assert both[0] == pytest.approx(both[1], abs=0.01), "neighbours share their edge"


@pytest.mark.parametrize(
    ("name", "size", "complaint"),
    [
        ("N07E038.hgt", 1000, r"N07E038\.hgt: has 1000 bytes; a tile has 2884802 or 25934402; fix: fetch it again"),
        ("addis.hgt", 2884802, r"addis\.hgt: its name does not tell its place; fix: name it as"),
        ("N07E038.hgt.zip", 10, "holds no tile; fix: put .hgt tiles"),
    ],
)
def test_a_folder_of_tiles_that_cannot_be_used_is_refused_at_once(tmp_path, name, size, complaint):
    (tmp_path / name).write_bytes(b"\0" * size)
    with pytest.raises(TerrainError, match=complaint):
        read_tiles(tmp_path)
    with pytest.raises(TerrainError, match="cannot be read"):
        read_tiles(tmp_path / "none")


rasters = st.builds(
    lambda rows, columns, seed, gaps: Raster(
        10.0, 20.0, 0.01, 0.02, _rough(rows, columns, seed, gaps), rim=0.5 if seed % 2 else 0.0
    ),
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(0, 1000),
    st.booleans(),
)


def _rough(rows, columns, seed, gaps):
    rng = np.random.default_rng(seed)
    nodes = rng.uniform(0, 3000, (rows, columns)).astype(np.float32)
    if gaps:
        nodes[rng.uniform(size=nodes.shape) < 0.1] = nan
    return nodes


@settings(deadline=None)
@given(rasters, st.data(), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_between_nodes_the_ground_is_bilinear_and_known_where_all_four_are(raster, data, v, u):
    rows, columns = raster.nodes.shape
    i, j = data.draw(st.integers(0, rows - 2)), data.draw(st.integers(0, columns - 2))
    found = float(raster.at(np.array([10.0 + 0.01 * (i + v)]), np.array([20.0 + 0.02 * (j + u)]))[0])
    nodes = [float(raster.nodes[i + a, j + b]) for a in (0, 1) for b in (0, 1)]
    if any(map(isnan, nodes)):
        assert isnan(found)
        return
    weights = [a * b for a in (1 - v, v) for b in (1 - u, u)]
    assert found == pytest.approx(sum(w * h for w, h in zip(weights, nodes, strict=True)), abs=0.01)


@given(rasters, st.floats(0.01, 0.4), st.sampled_from([(-1, 0), (1, 0), (0, -1), (0, 1)]))
def test_a_grid_speaks_half_a_cell_beyond_its_nodes_only_where_they_stand_for_cells(raster, out, side):
    rows, columns = raster.nodes.shape
    y = (rows - 1) / 2 + side[0] * ((rows - 1) / 2 + out)
    x = (columns - 1) / 2 + side[1] * ((columns - 1) / 2 + out)
    found = float(raster.at(np.array([10.0 + 0.01 * y]), np.array([20.0 + 0.02 * x]))[0])
    assert raster.rim or isnan(found)
    if raster.rim and not np.isnan(raster.nodes).any():
        assert not isnan(found)
    further = raster.at(np.array([10.0 + 0.01 * (y + side[0])]), np.array([20.0 + 0.02 * (x + side[1])]))
    assert isnan(float(further[0]))


@settings(deadline=None)
@given(rasters, *[st.floats(-0.005, 0.1)] * 4, st.integers(0, 999))
def test_no_place_in_a_box_is_higher_or_lower_than_the_range_says(raster, a, b, c, d, seed):
    ground = GridTerrain(raster)
    box = Box(10.0 + min(a, b), 20.0 + 2 * min(c, d), 10.0 + max(a, b), 20.0 + 2 * max(c, d))
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(box.south_deg, box.north_deg, 200), rng.uniform(box.west_deg, box.east_deg, 200)
    corners = np.array([(p.lat_deg, p.lon_deg) for p in box.corners])
    heights = ground.ground_amsl_m_many(np.append(lat, corners[:, 0]), np.append(lon, corners[:, 1]))
    known = heights[~np.isnan(heights)]
    span = ground.ground_range_amsl_m(box)
    if span is None:
        return
    assert len(known) == len(heights), "where a range is told, all ground is known"
    assert span[0] - 0.01 <= known.min()
    assert known.max() <= span[1] + 0.01


def test_one_place_and_many_agree_also_where_only_one_was_written():
    class Hill(Terrain):
        def ground_amsl_m(self, at):
            return None if at.lat_deg > 47.5 else 400.0 + 1000.0 * (at.lat_deg - 47.0)

    lat, lon = np.array([47.0, 47.1, 47.6]), np.array([8.0, 8.0, 8.0])
    many = Hill().ground_amsl_m_many(lat, lon)
    assert many[:2].tolist() == pytest.approx([400.0, 500.0])
    assert isnan(many[2])
    assert Hill().ground_range_amsl_m(Box(47.0, 8.0, 47.2, 8.1)) == pytest.approx((400.0, 600.0))
    assert Hill().ground_range_amsl_m(Box(47.0, 8.0, 47.6, 8.1)) is None
    assert FlatTerrain(30.0).ground_amsl_m_many(lat, lon).tolist() == [30.0] * 3


def test_a_zone_over_a_ridge_that_lies_between_its_corners_is_as_low_as_the_ridge_makes_it(tmp_path):
    rows = ["500 500 500 500 500", "500 500 1900 500 500", "500 500 500 500 500"]
    head = "ncols 5\nnrows 3\nxllcenter 8\nyllcenter 47\ncellsize 0.01\n"
    ground = grid(tmp_path, head + "\n".join(rows))
    square = Polygon(tuple(LatLon(47.001 + a, 8.001 + b) for a, b in ((0, 0), (0, 0.038), (0.018, 0.038), (0.018, 0))))
    volume = Volume(square, Height(2000.0, Datum.AMSL), Height(2500.0, Datum.AMSL))
    assert outer_band(volume, ground) == AglBand(100.0, 2000.0)
    assert inner_band(volume, ground) == AglBand(1500.0, 600.0)
    reaching_out = Volume(Circle(LatLon(47.01, 8.0), 5000.0), Height(2000.0, Datum.AMSL), Height(2500.0, Datum.AMSL))
    assert outer_band(reaching_out, ground) == ALL_HEIGHTS, "beyond the grid nobody knows"
