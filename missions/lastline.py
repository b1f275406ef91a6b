"""What PX4 does by itself if its link dies now: always known, always shown."""

from __future__ import annotations

from collections.abc import Mapping

from geofences.geodesy import distance_m
from missions.delivery import Flight, in_air
from missions.sites import Site
from missions.snapshot import VehicleState


def px4_return_site(flight: Flight, state: VehicleState, sites: Mapping[str, Site]) -> Site | None:
    """Where PX4 v1.17 flies on its own return: straight to the horizontally closest of home and rally points."""
    if state.position is None or flight.home_site not in sites:
        return None
    here = state.position.value.point
    rally = [r.site_id for r in flight.plan.rally] if flight.plan is not None else []
    places = [sites[s] for s in (flight.home_site, *rally) if s in sites]
    return min(places, key=lambda site: distance_m(here, site.position))


def if_link_dies(flight: Flight, state: VehicleState, sites: Mapping[str, Site]) -> str:
    """One sentence for the operator: after its data-link time-out PX4 holds 5 s and returns by its own rule."""
    if not in_air(state):
        return "stays on the ground"
    if state.link.other_gcs:
        return "flies on as it was last told: another ground station keeps PX4's data-link failsafe from acting"
    site = px4_return_site(flight, state, sites)
    if site is None:
        return "PX4 returns to its home in a straight line"
    assert state.position is not None
    away_km = distance_m(state.position.value.point, site.position) / 1000.0
    return f"PX4 returns in a straight line to {site.name}, {away_km:.1f} km away"
