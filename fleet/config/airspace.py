"""The zones that a configuration's airspace files hold."""

from __future__ import annotations

import structlog

from fleet.config.problems import ConfigError, Problem
from fleet.config.values import FleetConfig
from geofences.airspace import Airspace
from geofences.formats import load_airspace_bytes
from geofences.volumes import Zone

log = structlog.get_logger()


def load_airspace(config: FleetConfig) -> Airspace:
    """All airspace files as one. A feature that cannot be used is refused: a zone left out is a zone flown through."""
    zones: dict[str, Zone] = {}
    problems: list[Problem] = []
    for path in config.airspace_files:
        try:
            data = path.read_bytes()
        except OSError as error:
            problems.append(Problem(str(path), None, "", f"cannot be read: {error}", "Check its permissions"))
            continue
        parsed = load_airspace_bytes(data, str(path))
        for note in parsed.notes:
            log.warning("airspace file", file=str(path), feature=note.feature_id, note=note.text, fix=note.fix)
        for p in parsed.problems:
            what = ": ".join(x for x in (p.feature_id, p.field, p.text) if x)
            problems.append(Problem(str(path), None, "", what, p.fix))
        for zone in parsed.zones:
            if (other := zones.setdefault(zone.zone_id, zone)) is not zone:
                text = f"zone {zone.zone_id!r} is in {other.source or 'this file'} too"
                problems.append(Problem(str(path), None, "", text, "Rename one, or leave one of the files out"))
    if problems:
        raise ConfigError(problems)
    return Airspace(1, tuple(zones.values()))
