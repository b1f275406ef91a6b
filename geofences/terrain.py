"""Ground elevation from files: one ESRI ASCII grid (`.asc`), or a folder of SRTM tiles (`.hgt`).

Both are grids in degrees of WGS84 with heights above mean sea level (EGM96). Between nodes the ground is bilinear, so
that it is nowhere higher or lower than the four nodes around: the range over a box is exact bounds, not samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geofences.geodesy import Box, LatLon
from geofences.heights import Array, Geoid, Terrain

LOWEST_M, HIGHEST_M = -500.0, 9000.0
"""the shore of the Dead Sea and the summit of Mount Everest lie between"""
MOST_NODES = 25_000_000
"""100 MB in memory; a larger grid belongs in tiles, which stay on disk"""

_HGT_NAME = re.compile(r"^([NS])(\d{2})([EW])(\d{3})\.hgt$", re.IGNORECASE)
_HGT_SIDES = (1201, 3601)
"""nodes along a tile's side at 3 and at 1 arc second"""
_HGT_VOID = -32768


class TerrainError(ValueError):
    """A terrain file or folder that cannot be used: what is wrong with it, and what to do."""

    def __init__(self, path: Path, text: str, fix: str) -> None:
        super().__init__(f"{path}: {text}; fix: {fix}")
        self.path, self.text, self.fix = path, text, fix


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Heights in metres at the nodes of a grid in degrees, the southernmost row first and each row from the west."""

    south_deg: float
    west_deg: float
    lat_step_deg: float
    lon_step_deg: float
    nodes: NDArray[np.float32] | NDArray[np.int16]
    void: float = nan
    """what stands in a node whose height is not known"""
    rim: float = 0.0
    """how far beyond its outer nodes the grid speaks, in steps: half a cell where heights stand for cells"""

    def at(self, lat_deg: Array, lon_deg: Array) -> Array:
        """Bilinear between the nodes; NaN beyond the grid and where one of the four nodes is not known."""
        rows, columns = self.nodes.shape
        y = (lat_deg - self.south_deg) / self.lat_step_deg
        x = (lon_deg - self.west_deg) / self.lon_step_deg
        rim = self.rim + 1e-9  # what rounding takes from a place on the very edge
        within = (y >= -rim) & (y <= rows - 1 + rim) & (x >= -rim) & (x <= columns - 1 + rim)
        y, x = np.clip(y, 0.0, rows - 1.0), np.clip(x, 0.0, columns - 1.0)
        i, j = np.minimum(y.astype(np.intp), rows - 2), np.minimum(x.astype(np.intp), columns - 2)
        corners = self.nodes[[i, i, i + 1, i + 1], [j, j + 1, j, j + 1]].astype(np.float64)
        corners[corners == self.void] = nan
        v, u = y - i, x - j
        south, north = corners[0] * (1 - u) + corners[1] * u, corners[2] * (1 - u) + corners[3] * u
        return np.where(within, south * (1 - v) + north * v, nan)

    def within(self, box: Box) -> tuple[float, float] | None:
        """Lowest and highest of the nodes around a box; None where the grid does not cover it or has a gap there."""
        rows, columns = self.nodes.shape
        low_y, high_y = ((lat - self.south_deg) / self.lat_step_deg for lat in (box.south_deg, box.north_deg))
        low_x, high_x = ((lon - self.west_deg) / self.lon_step_deg for lon in (box.west_deg, box.east_deg))
        rim = self.rim + 1e-9
        if low_y < -rim or low_x < -rim or high_y > rows - 1 + rim or high_x > columns - 1 + rim:
            return None
        # Two nodes at least, as `at` reads them: rounding may place it in either of the cells that meet at an edge.
        i, j = max(0, min(floor(low_y - 1e-9), rows - 2)), max(0, min(floor(low_x - 1e-9), columns - 2))
        part = self.nodes[i : max(i + 2, ceil(high_y + 1e-9) + 1), j : max(j + 2, ceil(high_x + 1e-9) + 1)]
        low, high = float(part.min()), float(part.max())  # NaN if there is one
        unknown = not isfinite(low) or (isfinite(self.void) and bool((part == self.void).any()))
        return None if unknown else (low, high)


@dataclass(frozen=True, slots=True, eq=False)
class GridTerrain(Terrain):
    """The ground of one grid; not known beyond it."""

    raster: Raster
    geoid: Geoid | None = None

    def ground_amsl_m(self, at: LatLon) -> float | None:
        return _one(self.raster.at(np.array([at.lat_deg]), np.array([at.lon_deg])))

    def ground_amsl_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        return self.raster.at(lat_deg, lon_deg)

    def ground_range_amsl_m(self, box: Box) -> tuple[float, float] | None:
        return self.raster.within(box)


@dataclass(frozen=True, slots=True, eq=False)
class TileTerrain(Terrain):
    """The ground of SRTM tiles, each mapped into memory when it is first asked for; not known where there is none."""

    files: Mapping[tuple[int, int], Path]
    """latitude and longitude of its south-west corner in whole degrees → the tile"""
    geoid: Geoid | None = None
    _open: dict[tuple[int, int], Raster] = field(default_factory=dict, repr=False)

    def ground_amsl_m(self, at: LatLon) -> float | None:
        return _one(self.ground_amsl_m_many(np.array([at.lat_deg]), np.array([at.lon_deg])))

    def ground_amsl_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        south, west = np.floor(lat_deg).astype(int), np.floor(lon_deg).astype(int)
        ground = np.full(len(lat_deg), nan)
        for corner in set(zip(south.tolist(), west.tolist(), strict=True)):
            if (tile := self._tile(corner)) is not None:
                here = (south == corner[0]) & (west == corner[1])
                ground[here] = tile.at(lat_deg[here], lon_deg[here])
        return ground

    def ground_range_amsl_m(self, box: Box) -> tuple[float, float] | None:
        found = []
        for south in range(floor(box.south_deg), floor(box.north_deg) + 1):
            for west in range(floor(box.west_deg), floor(box.east_deg) + 1):
                part = Box(
                    max(box.south_deg, south),
                    max(box.west_deg, west),
                    min(box.north_deg, south + 1),
                    min(box.east_deg, west + 1),
                )
                tile = self._tile((south, west))
                span = None if tile is None else tile.within(part)
                if span is None:
                    return None
                found.append(span)
        return min(a for a, _ in found), max(b for _, b in found)

    def _tile(self, corner: tuple[int, int]) -> Raster | None:
        tile = self._open.get(corner)
        if tile is None and (path := self.files.get(corner)) is not None:
            side = _side(path)
            nodes = np.memmap(path, dtype=">i2", mode="r", shape=(side, side))[::-1]  # the file begins in the north
            tile = self._open[corner] = Raster(*corner, 1 / (side - 1), 1 / (side - 1), nodes, void=_HGT_VOID)
        return tile


def read_tiles(folder: Path, geoid: Geoid | None = None) -> TileTerrain:
    """The tiles in a folder, named as SRTM names them: `N07E038.hgt` begins at 7° north, 38° east.

    Raises TerrainError.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise TerrainError(folder, f"cannot be read ({error.strerror})", "give a folder of .hgt tiles") from None
    files: dict[tuple[int, int], Path] = {}
    for path in (p for p in paths if p.suffix.lower() == ".hgt"):
        name = _HGT_NAME.match(path.name)
        if name is None:
            raise TerrainError(path, "its name does not tell its place", "name it as N07E038.hgt")
        lat, lon = int(name[2]), int(name[4])
        files[lat if name[1] in "Nn" else -lat, lon if name[3] in "Ee" else -lon] = path
        _side(path)
    if not files:
        raise TerrainError(folder, "holds no tile", "put .hgt tiles (SRTM) there, not zipped")
    return TileTerrain(files, geoid)


def read_grid(path: Path, geoid: Geoid | None = None) -> GridTerrain:
    """One ESRI ASCII grid: `name value` lines, then rows of heights from the north-west. Raises TerrainError."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise TerrainError(path, f"cannot be read ({error.strerror})", "correct the path") from None
    except UnicodeDecodeError:
        raise TerrainError(path, "is not text", "give an ESRI ASCII grid (gdal_translate -of AAIGrid)") from None
    head = _header(path, lines)
    columns, rows = int(head["ncols"]), int(head["nrows"])
    if min(columns, rows) < 2 or columns * rows > MOST_NODES:
        fix = f"give 2 × 2 to {MOST_NODES} heights, or tiles"
        raise TerrainError(path, f"holds {columns} × {rows} heights", fix)
    nodes = _heights(path, lines[len(head) :], len(head), rows, columns)
    nodes[nodes == np.float32(head.get("nodata_value", -9999.0))] = nan  # ESRI's default
    known = nodes[~np.isnan(nodes)]
    if not known.size or known.min() < LOWEST_M or known.max() > HIGHEST_M:
        text = f"holds {known.min():g} to {known.max():g} m, which is no ground" if known.size else "holds gaps only"
        raise TerrainError(path, text, "give metres above mean sea level, and NODATA_value where it has gaps")
    lon_step, lat_step = head.get("dx", head.get("cellsize", nan)), head.get("dy", head.get("cellsize", nan))
    # A corner is that of the cell, whose height stands for its middle.
    west = head["xllcenter"] if "xllcenter" in head else head["xllcorner"] + lon_step / 2
    south = head["yllcenter"] if "yllcenter" in head else head["yllcorner"] + lat_step / 2
    north, east = south + (rows - 1) * lat_step, west + (columns - 1) * lon_step
    if not (0 < lat_step <= 1 and 0 < lon_step <= 1 and -90 <= south < north <= 90 and -180 <= west < east <= 180):
        raise TerrainError(path, "is not in degrees of WGS84", "convert it with gdalwarp -t_srs EPSG:4326")
    return GridTerrain(Raster(south, west, lat_step, lon_step, nodes[::-1], rim=0.5), geoid)


_NAMES = {"ncols", "nrows", "xllcorner", "xllcenter", "yllcorner", "yllcenter", "cellsize", "dx", "dy", "nodata_value"}


def _header(path: Path, lines: list[str]) -> dict[str, float]:
    head: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].lower() not in _NAMES:
            break
        try:
            (value,) = map(float, words[1:])
        except ValueError:
            raise TerrainError(path, f"line {number}: {line!r:.60}", f"give `{words[0]} NUMBER`") from None
        if words[0].lower() in head:
            raise TerrainError(path, f"line {number}: {words[0]} is given twice", "keep one of the two")
        head[words[0].lower()] = value
    for names in (("ncols",), ("nrows",), ("xllcorner", "xllcenter"), ("yllcorner", "yllcenter"), ("cellsize", "dx")):
        if not any(isfinite(head.get(n, nan)) for n in names):
            text = f"its header lacks {' or '.join(names)}"
            raise TerrainError(path, text, "give an ESRI ASCII grid (gdal_translate -of AAIGrid)")
    return head


def _heights(path: Path, lines: list[str], skipped: int, rows: int, columns: int) -> NDArray[np.float32]:
    try:
        values = np.array(" ".join(lines).split(), dtype=np.float32)
    except ValueError:
        for number, line in enumerate(lines, skipped + 1):
            for word in line.split():
                if not _is_number(word):
                    fix = "give a height in metres"
                    raise TerrainError(path, f"line {number}: {word!r:.40} is no number", fix) from None
        raise
    if len(values) != rows * columns:
        text = f"holds {len(values)} heights, and its header says {columns} × {rows} = {rows * columns}"
        raise TerrainError(path, text, "correct ncols and nrows, or fetch the file again")
    if np.isinf(values).any():
        raise TerrainError(path, "holds an infinite height", "name what stands for a gap as NODATA_value")
    return values.reshape(rows, columns)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _side(path: Path) -> int:
    """Nodes along a tile's side, told by its size."""
    size = path.stat().st_size
    for side in _HGT_SIDES:
        if size == 2 * side * side:
            return side
    text = f"has {size} bytes; a tile has {' or '.join(str(2 * s * s) for s in _HGT_SIDES)}"
    raise TerrainError(path, text, "fetch it again, not zipped")


def _one(ground: Array) -> float | None:
    value = float(ground[0])
    return value if isfinite(value) else None
