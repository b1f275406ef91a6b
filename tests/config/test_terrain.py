"""The ground a configuration stands on: level, a grid, or tiles; and what is said when it cannot be used."""

import struct

import numpy as np
import pytest

from geofences.heights import FlatTerrain
from geofences.terrain import GridTerrain, TileTerrain

HEAD = "ncols 5\nnrows 5\nxllcorner 37.75\nyllcorner 6.75\ncellsize 0.25\n"


def use(sandbox, **terrain):
    """Sites stand on the terrain instead of at 420 m."""

    def edit(data):
        data["terrain"] = terrain
        for site in data["sites"]:
            site.pop("elevation_amsl_m", None)

    sandbox.change(edit)


def test_pads_without_an_elevation_stand_on_the_grid_and_the_hub_tells_the_ground(sandbox):
    (sandbox.folder / "hills.asc").write_text(HEAD + "431 " * 25)
    use(sandbox, grid="hills.asc")
    config = sandbox.load()
    assert isinstance(config.terrain, GridTerrain)
    assert {s.elevation_amsl_m for s in config.sites.values()} == {431.0}
    assert config.hub_amsl_m == 431.0
    before = config.config_hash
    (sandbox.folder / "hills.asc").write_text(HEAD + "432 " * 25)
    assert sandbox.load().config_hash != before


def test_pads_stand_on_tiles(sandbox):
    (sandbox.folder / "srtm").mkdir()
    np.full((1201, 1201), 433, dtype=">i2").tofile(sandbox.folder / "srtm" / "N07E038.hgt")
    use(sandbox, tiles="srtm")
    config = sandbox.load()
    assert isinstance(config.terrain, TileTerrain)
    assert {s.elevation_amsl_m for s in config.sites.values()} == {433.0}


def test_without_a_word_the_ground_is_the_sea(sandbox):
    use(sandbox)
    terrain = sandbox.load().terrain
    assert isinstance(terrain, FlatTerrain)
    assert terrain.elevation_amsl_m == 0.0


def test_a_geoid_file_belongs_to_the_ground(sandbox):
    nodes = np.full((5, 5), -7.0, dtype=">f4").tobytes()
    (sandbox.folder / "sea.gtx").write_bytes(struct.pack(">4d2i", 6.0, 37.0, 0.5, 0.5, 5, 5) + nodes)
    use(sandbox, flat_amsl_m=420.0, geoid="sea.gtx")
    geoid = sandbox.load().terrain.geoid
    assert geoid.undulation_m_many(np.array([7.0]), np.array([38.0])).tolist() == pytest.approx([-7.0])


@pytest.mark.parametrize(
    ("terrain", "field", "words"),
    [
        ({"grid": "none.asc"}, "terrain.grid", ("none.asc, which cannot be read", "Correct the path")),
        ({"grid": "bad.asc"}, "terrain.grid", ("bad.asc, which holds 3 heights", "Correct ncols")),
        ({"tiles": "products"}, "terrain.tiles", ("products, which holds no tile", "Put .hgt tiles (SRTM) there")),
        ({"tiles": "none"}, "terrain.tiles", ("none, which cannot be read", "Give a folder")),
        ({"flat_amsl_m": 3, "grid": "ok.asc"}, "terrain.grid", ("stands beside flat_amsl_m", "Keep one")),
        ({"geoid": "none.tif"}, "terrain.geoid", ("none.tif is no file", "us_nga_egm96_15.tif")),
        ({"grid": 7}, "terrain.grid", ("is 7", "valid string")),
        ({"grids": "x"}, "terrain.grids", ("not a known key", "`grid`?")),
    ],
)
def test_what_cannot_be_used_is_told_once_with_field_and_fix(sandbox, terrain, field, words):
    (sandbox.folder / "bad.asc").write_text(HEAD + "1 2 3")
    (sandbox.folder / "ok.asc").write_text(HEAD + "1 " * 25)
    use(sandbox, **terrain)
    problem = sandbox.problem()
    assert problem.field == field
    assert problem.line is not None
    for word in words:
        assert word in str(problem)


def test_a_site_beyond_the_grid_is_told_for_each_site(sandbox):
    (sandbox.folder / "small.asc").write_text(HEAD.replace("6.75", "60.75") + "431 " * 25)
    use(sandbox, grid="small.asc")
    problems = sandbox.problems()
    assert "puts teral where the terrain is not known. Add a tile or a larger grid" in str(problems[0])
    assert len(problems) == len({p.field for p in problems}) > 3
