"""Mean sea level over the WGS84 ellipsoid (EGM96, which PX4's altitudes refer to), from a library's grid.

There is no formula short enough to be written here, so it comes from where one is installed: the package `egm96` (which
needs Python 3.12), or a grid that PROJ reads, such as its own `us_nga_egm96_15.tif`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer
from pyproj.exceptions import ProjError

from geofences.geodesy import Box, distance_m
from geofences.heights import Array, Geoid

PROJ_GRID = "us_nga_egm96_15.tif"
"""PROJ's name for EGM96 at 15 arc minutes: `pyproj sync --file us_nga_egm96_15` puts it where PROJ looks"""

STEEPEST = 0.5e-3
"""bound on the geoid's slope: the plumb line leaves the ellipsoid's normal by at most about 100 arc seconds"""

_SAMPLES = 16


class GeoidError(ValueError):
    """A geoid grid that cannot be used."""


@dataclass(frozen=True, slots=True)
class Egm96(Geoid):
    """The package's grid at 5 arc minutes, bilinear: within 0.1 m of the model. Loaded when first asked (1.5 s)."""

    undulation: Any

    def undulation_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        return np.asarray(self.undulation(lat_deg, lon_deg), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ProjGeoid(Geoid):
    """A vertical grid through PROJ's `vgridshift`, bilinear. `grid`: a file, or a name in PROJ's folders."""

    grid: str

    def __post_init__(self) -> None:
        try:
            _shift(self.grid)
        except ProjError:
            raise GeoidError(f"{self.grid} is not a grid that PROJ can read") from None

    def undulation_m_many(self, lat_deg: Array, lon_deg: Array) -> Array:
        _, _, shift = _shift(self.grid).transform(lon_deg, lat_deg, np.zeros(len(lat_deg)))
        return np.where(np.isfinite(shift), shift, np.nan)


@cache
def _shift(grid: str) -> Transformer:
    return Transformer.from_pipeline(
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
        f'+step +proj=vgridshift +grids="{grid}" +multiplier=1 '
        "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )


def find_geoid(file: Path | None = None) -> Geoid | None:
    """The geoid of a file if one is given, else what is installed; None: nothing is. Raises GeoidError for the file."""
    if file is not None:
        if not file.is_file():
            raise GeoidError(f"{file} is no file")
        return ProjGeoid(str(file))
    try:
        return Egm96(importlib.import_module("egm96").undulation)
    except (ImportError, AttributeError):
        pass
    try:
        return ProjGeoid(PROJ_GRID)
    except GeoidError:
        return None


def undulation_range_m(geoid: Geoid | None, box: Box) -> tuple[float, float] | None:
    """Bounds of the undulation within a box; None where any of it is not known.

    Of a lattice of places, and what the steepest geoid could rise from there to the middle between them.
    """
    if geoid is None:
        return None
    found = geoid.undulation_m_many(*box.lattice(_SAMPLES))
    if np.isnan(found).any():
        return None
    a, b, c, d = box.corners
    between_m = max(distance_m(a, b), distance_m(c, d), 1.0) + distance_m(a, c)
    slack_m = STEEPEST * between_m / (_SAMPLES - 1) / 2
    return float(found.min()) - slack_m, float(found.max()) + slack_m
