"""Places on the ground that a flight may use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geofences.geodesy import LatLon


class SiteKind(StrEnum):
    HUB = "hub"
    CLINIC = "clinic"
    REICING = "reicing"
    """a station whose staff swap a box's coolant pack"""
    ALTERNATE = "alternate"
    """a landing site for when nothing better can be reached"""


@dataclass(frozen=True, slots=True)
class Site:
    site_id: str
    name: str
    kind: SiteKind
    position: LatLon
    elevation_amsl_m: float
    pads: int = 1
    reice_s: float = 180.0
    """how long a pack swap takes here (only where kind is reicing)"""
