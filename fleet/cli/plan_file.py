"""A plan of ours as a QGroundControl `.plan`: the mission as the link would upload it, the fence, the rally points."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isnan
from pathlib import Path

from fleet.mavlink.items import FRAME_MISSION, plan_items
from fleet.mavlink.messages import MissionItemInt
from geofences.formats.qgc_plan import FenceArea, MissionItem, PlanFile, RallyPlace, dump_plan
from geofences.volumes import Circle, Polygon
from missions.plan import FenceSet, Plan
from missions.vehicles import Airframe, VehicleType

_AMSL_FRAME = 0
"""QGroundControl writes places in degrees: MAV_FRAME_GLOBAL, where the link has GLOBAL_INT"""
_ABSOLUTE = 2
"""QGroundControl's AltitudeMode of heights above mean sea level"""
_MAV_TYPES = {Airframe.MULTIROTOR: 2, Airframe.VTOL: 22}
"""quadrotor and fixed-rotor VTOL: all that QGroundControl tells apart in a plan is the kind"""


def plan_file(plan: Plan, vehicle: VehicleType) -> PlanFile:
    """The plan as a file holds it. Times, energy and alternates have no place there."""
    items = plan_items(plan, cruise_m_s=vehicle.cruise_m_s, airframe=vehicle.airframe).mission
    flies = vehicle.airframe is Airframe.VTOL
    return PlanFile(
        home=plan.home,
        home_amsl_m=plan.home_amsl_m,
        mission=tuple(_item(n, item) for n, item in enumerate(items, start=1)),
        fence=tuple(_fence(plan.fence)),
        rally=tuple(RallyPlace(r.position, r.alt_rel_home_m) for r in plan.rally),
        cruise_m_s=vehicle.cruise_m_s if flies else None,
        hover_m_s=None if flies else vehicle.cruise_m_s,
        vehicle_type=_MAV_TYPES[vehicle.airframe],
    )


def write_plan(path: Path, plan: Plan, vehicle: VehicleType) -> None:
    """Writes the file over what is there. OSError where it cannot be written."""
    path.write_text(json.dumps(dump_plan(plan_file(plan, vehicle)), indent=4) + "\n", encoding="utf-8")


def _item(number: int, item: MissionItemInt) -> MissionItem:
    params = (item.param1, item.param2, item.param3, item.param4, item.x / 1e7, item.y / 1e7, item.z)
    placeless = item.frame == FRAME_MISSION
    height = {} if placeless else {"AltitudeMode": _ABSOLUTE, "Altitude": item.z, "AMSLAltAboveTerrain": None}
    return MissionItem(
        number,
        item.command,
        FRAME_MISSION if placeless else _AMSL_FRAME,
        tuple(None if isnan(p) else p for p in params),
        jump_id=number,
        extra=height,
    )


def _fence(fence: FenceSet) -> Iterator[FenceArea]:
    """As `fleet.mavlink.items.fence_items`: a hole of the keep-in becomes a keep-out, one of a keep-out is filled."""
    if fence.keep_in is not None:
        yield FenceArea(Polygon(fence.keep_in.outer), inclusion=True)
        for hole in fence.keep_in.holes:
            yield FenceArea(Polygon(hole), inclusion=False)
    for zone in fence.keep_out:
        yield FenceArea(zone if isinstance(zone, Circle) else Polygon(zone.outer), inclusion=False)
