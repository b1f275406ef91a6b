"""What a vehicle really draws from its battery, beside what its type is planned with; and what that leaves at an end.

The charge that goes while the model says that a percent should is compared with it, in flight, percent by percent: the
ratio covers a worn battery, a heavy airframe, a dragging box, thin air and a failing rotor alike. It is one scalar
Kalman filter. Autopilots tell whole percents, so that only between two steps of the reading it is known what was drawn.

Readings may be wrong. One that is lower than the last is believed at once; one that is higher, in the air, only once it
has been told for a while. A fall that no power explains is charge lost, not power drawn: the ratio learns nothing from
it, nor from what follows until it has settled, since autopilots smooth what they tell. And what surprises is believed
when it comes twice in a row: once is a reading, twice is the vehicle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot, sqrt

from missions.decision.types import Forecast
from missions.energy import STILL, cruise_power_w, planned_power_w
from missions.snapshot import VehicleState
from missions.vehicles import VehicleType

PRIOR_SD = 0.08
"""of the ratio before anything was drawn: one battery, airframe and load against the type's figures"""
WANDER_SD = 0.035
"""by how much the ratio moves while a percent is drawn"""
STEP_SD_PCT = 0.05
"""when a step of the reading came is known to the second or two between two messages"""
MODEL_SD_SHARE = 0.08
"""of the power in one moment by the model: gusts, turns, climbs"""
SURPRISE_SD = 2.5
NEWS_SD = 0.4
"""of the ratio after two surprises in a row: what was known is over"""
LEAST, MOST = 0.5, 4.0
"""no power in flight is further from the model than that: rotors that lift twice the weight take 2.8 times the power"""
EDGE_PCT = 0.2
"""by how much a window's fall may be in error for a message that came late"""
SETTLE_S = 30.0
"""after charge was lost: a smoothed reading, as PX4's, creeps towards the new one for some ten seconds"""
GAP_S = 10.0
"""longer without a reading, what was flown meanwhile is not known"""
RISE_S = 20.0
"""a charge that is told to be higher than before, in the air, is believed after that"""
WINDOW_PCT = 1.0
AHEAD_SD_SHARE = 0.035
"""of what is still to be drawn: the wind and the way will not be quite as foretold"""
OTHER_LOAD_SD = 0.04
"""how well a ratio learnt with one load holds with another"""
UNSEEN_PCT = 0.5
"""what a whole percent hides before a step of it was seen, on average"""
END_SD_PCT = 0.3
"""of what no share tells: where within its percent the charge is, and the last metres above the pad"""


@dataclass(frozen=True, slots=True)
class Draw:
    """Belief about one vehicle's battery in one flight."""

    at_s: float
    """of the newest reading"""
    left_pct: float
    """the charge, as far as its readings are believed"""
    ratio: float = 1.0
    """drawn to planned power; the estimate's mean"""
    var: float = PRIOR_SD**2
    since_pct: float | None = None
    """the reading at its last step; None until one was seen"""
    planned_pct: float = 0.0
    """what the model has drawn since"""
    surprises: int = 0
    """windows in a row that do not fit the ratio"""
    higher_since_s: float | None = None
    """readings have been higher than `left_pct` since then"""
    lost_s: float | None = None
    """when charge was last seen to be lost"""

    @property
    def sd(self) -> float:
        return sqrt(self.var)


def drawn(
    before: Draw | None, vehicle: VehicleType, payload_kg: float, state: VehicleState, *, airborne: bool
) -> Draw | None:
    """The belief with the newest reading of the battery; as it was, where there is none that is newer.

    `payload_kg`: what it carries, box and content.
    """
    battery = state.battery
    if battery is None or (before is not None and battery.at_s <= before.at_s):
        return before
    reading = battery.value.remaining_pct
    if before is None:
        return Draw(battery.at_s, reading)
    gap_s = battery.at_s - before.at_s
    if not airborne:  # batteries are charged and changed on the ground
        return Draw(battery.at_s, reading, before.ratio, before.var)
    new = _believe(before, reading, battery.at_s)
    if gap_s > GAP_S:
        return replace(new, since_pct=None, planned_pct=0.0)
    planned_wh = _planned_w(vehicle, payload_kg, state) * gap_s / 3600.0
    new = replace(new, planned_pct=before.planned_pct + 100.0 * planned_wh / vehicle.battery_wh)
    since_pct = before.since_pct
    if since_pct is None:
        # A reading that has just changed stands at the edge of its percent: from here on it can be counted.
        stepped = reading < before.left_pct
        return replace(new, since_pct=reading, planned_pct=0.0) if stepped else new
    if reading > since_pct:
        return replace(new, since_pct=None, planned_pct=0.0)
    return new if since_pct - reading < WINDOW_PCT else _learn(new, since_pct - reading, reading)


def _believe(before: Draw, reading: float, at_s: float) -> Draw:
    if reading <= before.left_pct:
        return replace(before, at_s=at_s, left_pct=reading, higher_since_s=None)
    since_s = at_s if before.higher_since_s is None else before.higher_since_s
    if at_s - since_s < RISE_S:
        return replace(before, at_s=at_s, higher_since_s=since_s)
    return replace(before, at_s=at_s, left_pct=reading, higher_since_s=None)


def _learn(before: Draw, fallen_pct: float, reading: float) -> Draw:
    """The ratio after a window in which the charge fell by `fallen_pct`."""
    after = replace(before, since_pct=reading, planned_pct=0.0)
    planned = before.planned_pct
    if fallen_pct > MOST * planned + EDGE_PCT:
        return replace(after, surprises=0, lost_s=before.at_s)  # or a reading that was wrong before
    if before.lost_s is not None and before.at_s - before.lost_s < SETTLE_S:
        return after
    var = before.var + WANDER_SD**2 * planned
    noise = STEP_SD_PCT**2 + (MODEL_SD_SHARE * planned) ** 2
    surprise = fallen_pct - before.ratio * planned
    spread = planned * planned * var + noise
    if surprise * surprise > SURPRISE_SD**2 * spread:
        if before.surprises == 0:
            return replace(after, var=var, surprises=1)
        var = max(var, NEWS_SD**2)
        spread = planned * planned * var + noise
    gain = var * planned / spread
    ratio = min(MOST, max(LEAST, before.ratio + gain * surprise))
    return replace(after, ratio=ratio, var=var * (1.0 - gain * planned))


def _planned_w(vehicle: VehicleType, payload_kg: float, state: VehicleState) -> float:
    """What a plan reckons for the vehicle's present motion."""
    if state.velocity is None:
        return cruise_power_w(vehicle, payload_kg)
    v = state.velocity.value
    return planned_power_w(
        vehicle,
        payload_kg,
        north_m_s=v.north_m_s,
        east_m_s=v.east_m_s,
        climb_m_s=-v.down_m_s,
        wind=state.wind.value if state.wind is not None else STILL,
        on_wing=state.on_wing is not None and state.on_wing.value,
    )


def left_pct(draw: Draw | None, state: VehicleState) -> float:
    """The charge to reckon with: the newest reading, or less where that is not believed yet.

    Whole percents are rounded up (PX4: ceil): right after a step the reading is the charge itself, from then on the
    draw is counted down from it.
    """
    assert state.battery is not None
    reading = state.battery.value.remaining_pct
    if draw is None:
        return reading
    believed = min(reading, draw.left_pct)
    if draw.since_pct is None:
        return believed - UNSEEN_PCT
    return max(believed - 1.0, min(believed, draw.since_pct - draw.ratio * draw.planned_pct))


def per_planned(draw: Draw | None) -> Forecast:
    """What will be drawn for each percent that the model says, with the load of now."""
    if draw is None:
        return Forecast(1.0, hypot(PRIOR_SD, AHEAD_SD_SHARE))
    return Forecast(draw.ratio, hypot(draw.sd, AHEAD_SD_SHARE))


@dataclass(frozen=True, slots=True)
class Assurance:
    """How sure a departure is to be of its reserve: as sure as it has to be in the air, and a little more, so that a
    flight which is let go is not turned back by the first reading."""

    sds: float
    """standard deviations below the mean"""
    margin_pct: float
    draw: Draw | None = None
    """what is known of the vehicle already"""

    def low_end_pct(self, start_pct: float, use_pct: float) -> float:
        """The charge at the end of a plan, less the margin, that is exceeded so surely."""
        end = end_pct(self.draw, start_pct - UNSEEN_PCT, use_pct, 0.0)
        return end.mean - self.sds * end.sd - self.margin_pct


def end_pct(draw: Draw | None, start_pct: float, as_now_pct: float, other_pct: float) -> Forecast:
    """The charge at an end, after what is planned to be drawn with the load of now and with another.

    That it draws less than planned with one load is not counted on with another.
    """
    now = per_planned(draw)
    other = now if draw is None else Forecast(max(1.0, now.mean), hypot(now.sd, OTHER_LOAD_SD))
    # One ratio is behind both: their errors add up.
    sd = hypot(as_now_pct * now.sd + other_pct * other.sd, END_SD_PCT)
    return Forecast(start_pct - now.mean * as_now_pct - other.mean * other_pct, sd)
