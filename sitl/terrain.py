"""The height of the ground: flat, rounded hills, a grid of measured heights, or hills upon a grid."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, pi
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sitl.fields import Fields, SpecError
from sitl.geo import metres_per_degree

LOWEST_M, HIGHEST_M = -500.0, 9000.0
"""ground above mean sea level: below the Dead Sea's shore, above Everest"""
MOST_NODES = 250_000
"""500 × 500: at 30 m steps 15 km a side, and quick to read"""


@dataclass(frozen=True, slots=True)
class Hill:
    """A round hill (or hollow, with a negative height) with a smooth top and foot: h/2 · (1 + cos(π r / radius)).

    Its steepest place, half way up, has the slope π/2 · height / radius.
    """

    lat_deg: float
    lon_deg: float
    radius_m: float
    height_m: float

    @staticmethod
    def read(f: Fields) -> Hill:
        hill = Hill(
            lat_deg=f.number("lat_deg", low=-85, high=85),
            lon_deg=f.number("lon_deg", low=-180, high=180),
            radius_m=f.number("radius_m", low=1, high=100_000),
            height_m=f.number("height_m", low=-2000, high=6000),
        )
        f.done()
        return hill


@dataclass(frozen=True, slots=True)
class Grid:
    """Heights at nodes a step apart, the southernmost row first and each row from the west."""

    south_lat_deg: float
    west_lon_deg: float
    lat_step_deg: float
    lon_step_deg: float
    rows_amsl_m: tuple[tuple[float, ...], ...]

    @staticmethod
    def read(f: Fields) -> Grid:
        file = f.optional_text("file")
        if file is not None:
            f.done()
            return read_asc(Path(file), f.at("file"))
        grid = Grid(
            south_lat_deg=f.number("south_lat_deg", low=-85, high=85),
            west_lon_deg=f.number("west_lon_deg", low=-180, high=180),
            lat_step_deg=f.number("lat_step_deg", low=1e-6, high=1),
            lon_step_deg=f.number("lon_step_deg", low=1e-6, high=1),
            rows_amsl_m=tuple(_row(path, raw) for path, raw in f.items("rows_amsl_m")),
        )
        f.done()
        where = f.at("rows_amsl_m")
        if len(grid.rows_amsl_m) < 2 or len(grid.rows_amsl_m[0]) < 2:
            raise SpecError(f"{where}: a grid needs two rows of two heights or more; give more, or leave `grid` out")
        _not_too_many(where, len(grid.rows_amsl_m) * len(grid.rows_amsl_m[0]))
        for i, row in enumerate(grid.rows_amsl_m):
            if len(row) != len(grid.rows_amsl_m[0]):
                wanted = len(grid.rows_amsl_m[0])
                raise SpecError(f"{where}[{i}]: holds {len(row)} heights, the first row {wanted}; give {wanted}")
        return grid


def _row(path: str, raw: object) -> tuple[float, ...]:
    if not isinstance(raw, list):
        raise SpecError(f"{path}: is {type(raw).__name__}; give a list of heights in square brackets")
    for i, value in enumerate(raw):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not LOWEST_M <= value <= HIGHEST_M:
            raise SpecError(
                f"{path}[{i}]: {value!r} is no height; give metres above mean sea level "
                f"from {LOWEST_M:g} to {HIGHEST_M:g}"
            )
    return tuple(float(value) for value in raw)


def _not_too_many(where: str, nodes: int) -> None:
    if nodes > MOST_NODES:
        raise SpecError(f"{where}: {nodes} heights are more than {MOST_NODES}; cut it out smaller or take wider steps")


# --- ESRI ASCII grid: a header of `name value` lines, then rows from the north

_HEADER = {"ncols", "nrows", "xllcorner", "xllcenter", "yllcorner", "yllcenter", "cellsize", "dx", "dy", "nodata_value"}


def read_asc(path: Path, field: str) -> Grid:
    """Reads an ESRI ASCII grid in geographic degrees. `field` names the place in the spec for errors (SpecError)."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise SpecError(f"{field}: {path} cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise SpecError(f"{field}: {path} is no text; give an ESRI ASCII grid (.asc)") from None
    where = f"{field}: {path}"
    head: dict[str, float] = {}
    for at, line in enumerate(lines):
        name, *rest = line.split() or [""]
        if name.lower() not in _HEADER:
            break
        try:
            (text,) = rest
            head[name.lower()] = float(text)
        except ValueError:
            raise SpecError(f"{where} line {at + 1}: {line.strip()!r} is no header; give `{name} NUMBER`") from None
    else:
        at = len(lines)

    def needed(*names: str) -> float:
        for name in names:
            if name in head and isfinite(head[name]):
                return head[name]
        raise SpecError(f"{where}: the header lacks {' or '.join(names)}; add the line")

    columns, count = int(needed("ncols")), int(needed("nrows"))
    if columns < 2 or count < 2:
        raise SpecError(f"{where}: {columns} × {count} heights are no grid; give two rows of two or more")
    _not_too_many(where, columns * count)
    dx, dy = needed("dx", "cellsize"), needed("dy", "cellsize")
    # A corner is that of the cell, whose height stands for its middle.
    west = needed("xllcenter", "xllcorner") + (0.0 if "xllcenter" in head else dx / 2.0)
    south = needed("yllcenter", "yllcorner") + (0.0 if "yllcenter" in head else dy / 2.0)
    in_degrees = -180.0 <= west <= 180.0 and -85.0 <= south <= south + (count - 1) * dy <= 85.0
    if not in_degrees or not 1e-6 <= min(dx, dy) <= max(dx, dy) <= 1.0:
        raise SpecError(f"{where}: is not in degrees of WGS84; convert it to EPSG:4326 (gdalwarp -t_srs EPSG:4326)")
    rows = [(number + 1, line.split()) for number, line in enumerate(lines) if number >= at and line.strip()]
    if len(rows) != count:
        raise SpecError(f"{where}: holds {len(rows)} rows, its header says {count}; mend nrows or the rows")
    values = [_asc_row(f"{where} line {number}", words, columns, head.get("nodata_value")) for number, words in rows]
    return Grid(south, west, dy, dx, tuple(reversed(values)))


def _asc_row(where: str, words: list[str], columns: int, gap: float | None) -> tuple[float, ...]:
    if len(words) != columns:
        raise SpecError(f"{where}: holds {len(words)} heights, the header says {columns}; mend ncols or the row")
    values = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            raise SpecError(f"{where}: {word!r} is no number; give a height in metres") from None
        if value == gap:
            raise SpecError(f"{where}: has a gap ({word}); fill it (gdal_fillnodata.py) or cut the grid smaller")
        if not LOWEST_M <= value <= HIGHEST_M:
            raise SpecError(f"{where}: {word} m is no height of ground; give {LOWEST_M:g} to {HIGHEST_M:g}")
        values.append(value)
    return tuple(values)


@dataclass(frozen=True, slots=True)
class TerrainSpec:
    """`hills` stand upon `grid`, or upon the world's level ground without one."""

    hills: tuple[Hill, ...] = ()
    grid: Grid | None = None

    @staticmethod
    def read(f: Fields) -> TerrainSpec:
        grid = f.optional_inner("grid")
        terrain = TerrainSpec(
            hills=tuple(Hill.read(Fields(h, path)) for path, h in f.items("hills")),
            grid=Grid.read(grid) if grid else None,
        )
        f.done()
        return terrain


class Terrain:
    """Height above mean sea level by place, for many places at once. Beyond a grid's edge the edge's height goes on."""

    def __init__(self, spec: TerrainSpec, level_amsl_m: float) -> None:
        self.flat = not spec.hills and spec.grid is None
        self._level_m = level_amsl_m
        self._hills = [(hill, metres_per_degree(hill.lat_deg)) for hill in spec.hills]
        self._grid = spec.grid
        if spec.grid is not None:
            self._heights = np.array(spec.grid.rows_amsl_m)

    def amsl_m(self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        height = np.full(lat_deg.shape, self._level_m) if self._grid is None else self._bilinear(lat_deg, lon_deg)
        for hill, (per_lat, per_lon) in self._hills:
            away = np.hypot((lat_deg - hill.lat_deg) * per_lat, (lon_deg - hill.lon_deg) * per_lon)
            height += 0.5 * hill.height_m * (1.0 + np.cos(pi * np.minimum(1.0, away / hill.radius_m)))
        return height

    def at(self, lat_deg: float, lon_deg: float) -> float:
        if self.flat:
            return self._level_m
        return float(self.amsl_m(np.array([lat_deg]), np.array([lon_deg]))[0])

    def _bilinear(self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        grid, heights = self._grid, self._heights
        assert grid is not None
        rows, columns = heights.shape
        y = np.clip((lat_deg - grid.south_lat_deg) / grid.lat_step_deg, 0.0, rows - 1.0)
        x = np.clip((lon_deg - grid.west_lon_deg) / grid.lon_step_deg, 0.0, columns - 1.0)
        i = np.minimum(y.astype(np.intp), rows - 2)
        j = np.minimum(x.astype(np.intp), columns - 2)
        v, u = y - i, x - j
        south = heights[i, j] * (1.0 - u) + heights[i, j + 1] * u
        north = heights[i + 1, j] * (1.0 - u) + heights[i + 1, j + 1] * u
        return np.asarray(south * (1.0 - v) + north * v)
