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


HANDOVER_S = {SiteKind.HUB: 60.0, SiteKind.CLINIC: 120.0, SiteKind.REICING: 120.0, SiteKind.ALTERNATE: 2400.0}
"""assumed where a site does not say: at a hub somebody waits at the pad; at a clinic the drop takes half a minute, and
the walk to the refrigerator longer; to an alternate somebody has to drive"""


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
    handover_s: float | None = None
    """from a dose's arrival, over the drop or on the ground, until it is in cold storage; None: as its kind has it"""

    @property
    def cold_after_s(self) -> float:
        """How long a dose goes on warming in its box after it has arrived here."""
        return HANDOVER_S[self.kind] if self.handover_s is None else self.handover_s
