"""Arcs about a centre, drawn as polygon corners that never leave out what the arc holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import acos, ceil, cos, radians

from geofences.geodesy import LatLon, bearing_deg, destination, distance_m

ARC_ERROR_M = 2.0
"""how far the polygon of an arc sticks out at most, beyond the difference of its two radii"""
MIN_RADIUS_M, MAX_RADIUS_M = 0.1, 500_000.0


@dataclass(frozen=True, slots=True)
class Arc:
    """From one bearing to another about a centre; where the radii at its ends differ, it lies between them."""

    centre: LatLon
    start: LatLon
    end: LatLon
    radii_m: tuple[float, float]
    """the smaller and the larger"""
    from_deg: float
    turn_deg: float
    """positive clockwise"""

    @classmethod
    def between(cls, centre: LatLon, start: LatLon, end: LatLon, *, clockwise: bool) -> Arc:
        """From one point to another; all the way round where they are the same."""
        radii = sorted(distance_m(centre, p) for p in (start, end))
        if not radii[0] >= MIN_RADIUS_M or radii[1] > MAX_RADIUS_M:
            raise ValueError(f"an arc of radius {radii[0]:g} to {radii[1]:g} m cannot be")
        begin = bearing_deg(centre, start)
        turn = (bearing_deg(centre, end) - begin) % 360.0
        if not clockwise:
            turn -= 360.0
        if start == end or turn == 0.0:
            turn = 360.0 if clockwise else -360.0
        return cls(centre, start, end, (radii[0], radii[1]), begin, turn)

    @classmethod
    def of_bearings(cls, centre: LatLon, radius_m: float, from_deg: float, to_deg: float, *, clockwise: bool) -> Arc:
        """From one true bearing to another; all the way round where they are the same."""
        if not MIN_RADIUS_M <= radius_m <= MAX_RADIUS_M:
            raise ValueError(f"an arc of radius {radius_m:g} m cannot be")
        start, end = (destination(centre, bearing, radius_m) for bearing in (from_deg, to_deg))
        turn = (to_deg - from_deg) % 360.0 or 360.0
        return cls(centre, start, end, (radius_m, radius_m), from_deg, turn if clockwise else turn - 360.0 or -360.0)

    @property
    def steps(self) -> int:
        """The number of pieces it is drawn with, each within `ARC_ERROR_M`."""
        half = acos(self.radii_m[1] / (self.radii_m[1] + ARC_ERROR_M))
        return max(1, ceil(radians(abs(self.turn_deg)) / (2.0 * half)))

    def corners(self, *, bulges_out: bool) -> list[LatLon]:
        """From its start to its end: about the arc if the area lies on the side of the centre, else within it."""
        step = self.turn_deg / self.steps
        if bulges_out:
            # Corners where the tangents of neighbouring touching points meet.
            bearings = [self.from_deg + (k + 0.5) * step for k in range(self.steps)]
            radius_m = self.radii_m[1] / cos(radians(step / 2.0))
        else:
            bearings = [self.from_deg + k * step for k in range(1, self.steps)]
            radius_m = self.radii_m[0]
        between = [destination(self.centre, bearing, radius_m) for bearing in bearings]
        return [self.start, *between, self.end]


def ring(pieces: Sequence[LatLon | Arc]) -> list[LatLon]:
    """The corners of an outline of points and arcs, not closed; arcs are drawn so that the area only grows."""
    plain = _corners(pieces, clockwise=None)
    area = sum(a.lon_deg * b.lat_deg - b.lon_deg * a.lat_deg for a, b in zip(plain, plain[1:] + plain[:1], strict=True))
    return _corners(pieces, clockwise=area < 0.0)


def _corners(pieces: Sequence[LatLon | Arc], *, clockwise: bool | None) -> list[LatLon]:
    found: list[LatLon] = []
    for piece in pieces:
        if isinstance(piece, Arc):
            found += piece.corners(bulges_out=clockwise is not None and (piece.turn_deg > 0.0) is clockwise)
        else:
            found.append(piece)
    # An arc begins where the point before it is.
    return [p for i, p in enumerate(found) if i == 0 or p != found[i - 1]]
