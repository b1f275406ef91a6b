"""Whether a vehicle is where it says: clean flights are believed whatever the link does, jumps are not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import cos, hypot, pi, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.geodesy import LatLon, destination
from missions.position import GATE_M, Fix, Reckoning, doubt, reckon, reckoned, unseen_m
from missions.snapshot import Gps, Position, Timed, VehicleState, Velocity

HERE = LatLon(7.5, 38.2)
STEP_S = 0.1


@dataclass
class Flown:
    """A vehicle that is pushed about by its own turns and by gusts, with an estimator that errs and mends itself."""

    chance: random.Random
    wing: bool
    lat_deg: float
    lon_deg: float
    clock_s: float = 40.0
    north_m_s: float = 0.0
    east_m_s: float = 0.0
    push: tuple[float, float] = (0.0, 0.0)
    err_m: tuple[float, float] = (0.0, 0.0)
    jumped_m: float = 0.0
    """north, of what the estimator believes"""
    receiver_m: float = 0.0
    """north, of what the receiver says"""
    gps: Timed[Gps] | None = field(default=None)

    def step(self) -> None:
        c, most_m_s = self.chance, 30.0 if self.wing else 18.0
        if c.random() < 0.03:  # rest, a new course, a hard turn, a gust
            hard = c.choice((0.0, 2.0, 5.0, 8.0))
            course = c.uniform(0.0, 2.0 * pi)
            self.push = (hard * cos(course), hard * sin(course))
        if c.random() < 0.01:
            self.err_m = (c.gauss(0.0, 1.2), c.gauss(0.0, 1.2))
        before = self.north_m_s, self.east_m_s
        self.north_m_s += self.push[0] * STEP_S
        self.east_m_s += self.push[1] * STEP_S
        over = hypot(self.north_m_s, self.east_m_s) / most_m_s
        if over > 1.0:
            self.north_m_s, self.east_m_s, self.push = self.north_m_s / over, self.east_m_s / over, (0.0, 0.0)
        self.lat_deg += (before[0] + self.north_m_s) / 2.0 * STEP_S / m_per_lat(self.lat_deg)
        self.lon_deg += (before[1] + self.east_m_s) / 2.0 * STEP_S / m_per_lon(self.lat_deg)
        self.clock_s += STEP_S

    def receiver(self) -> None:
        """Tells a place a fifth of a second old, as good receivers do, with their noise."""
        c, late_s = self.chance, 0.2
        north = self.receiver_m - late_s * self.north_m_s + c.gauss(0.0, 2.0)
        east = -late_s * self.east_m_s + c.gauss(0.0, 2.0)
        self.gps = Timed(Gps(self._place(north, east), self.clock_s), self.clock_s)

    def _place(self, north_m: float, east_m: float) -> LatLon:
        return LatLon(self.lat_deg + north_m / m_per_lat(self.lat_deg), self.lon_deg + east_m / m_per_lon(self.lat_deg))

    def state(self) -> VehicleState:
        """Velocities in whole cm/s, as they travel."""
        at_s = self.clock_s
        here = Position(self._place(self.err_m[0] + self.jumped_m, self.err_m[1]), 500.0, 80.0, at_s)
        v = Velocity(int(100 * self.north_m_s) / 100, int(100 * self.east_m_s) / 100, 0.0)
        return VehicleState("cw-1", position=Timed(here, at_s), velocity=Timed(v, at_s), gps=self.gps)


def m_per_lat(lat_deg: float) -> float:
    """Metres per degree, WGS84, by its radii of curvature."""
    e2, a = 0.00669437999014, 6_378_137.0
    return radians(1.0) * a * (1.0 - e2) / (1.0 - e2 * sin(radians(lat_deg)) ** 2) ** 1.5


def m_per_lon(lat_deg: float) -> float:
    e2, a = 0.00669437999014, 6_378_137.0
    return radians(1.0) * a * cos(radians(lat_deg)) / (1.0 - e2 * sin(radians(lat_deg)) ** 2) ** 0.5


def flown(seed: int) -> Flown:
    chance = random.Random(seed)
    made = Flown(chance, chance.random() < 0.3, chance.uniform(-65.0, 65.0), chance.uniform(-179.0, 179.0))
    made.receiver()
    return made


def heard(flight: Flown, every: int, seconds: float, loss: float) -> Iterator[VehicleState]:
    """What arrives of it, at 10 Hz divided by `every`: some lost, some late, some twice, and gaps of many seconds."""
    c, late, gap_until_s = flight.chance, [], 0.0
    for n in range(int(seconds / STEP_S)):
        flight.step()
        if n % 5 == 0:
            flight.receiver()
        if n % every or flight.clock_s < gap_until_s or c.random() < loss:
            continue
        if loss and c.random() < 0.01:
            gap_until_s = flight.clock_s + c.uniform(2.0, 30.0)
        state = flight.state()
        if loss and c.random() < 0.05:
            late.append(state)
            continue
        yield state
        if late and c.random() < 0.3:
            yield late.pop()


def test_of_a_thousand_clean_flights_at_1_to_10_hz_over_any_link_none_is_doubted():
    for seed in range(1000):
        flight, reckoning = flown(seed), None
        every, loss = flight.chance.choice((1, 2, 3, 5, 10)), flight.chance.choice((0.0, 0.1, 0.5))
        for state in heard(flight, every, 20.0, loss):
            reckoning = reckoned(reckoning, state)
            assert doubt(reckoning, state) == "", f"seed {seed}"


@pytest.mark.parametrize("sign", ["estimator", "receiver"])
def test_of_500_jumps_by_half_a_kilometre_at_2_to_10_hz_each_is_doubted_within_a_second(sign: str):
    for seed in range(500):
        flight, reckoning = flown(seed), None
        every = flight.chance.choice((1, 2, 5))
        for state in heard(flight, every, 5.0, 0.0):
            reckoning = reckoned(reckoning, state)
        if sign == "estimator":  # a receiver that is not heard, or that nobody has
            flight.jumped_m, flight.gps = 500.0, None
        else:
            flight.receiver_m = 500.0
        doubts = []
        for state in heard(flight, every, 0.9, 0.0):
            state = replace(state, gps=None) if sign == "estimator" else state
            reckoning = reckoned(reckoning, state)
            doubts.append(doubt(reckoning, state))
        assert doubts[-1], f"seed {seed}"


def fix(clock_s: float, north_m: float, speed_m_s: float = 0.0) -> Fix:
    return Fix(clock_s, destination(HERE, 0.0, north_m), speed_m_s, 0.0)


def after(*fixes: Fix) -> Reckoning:
    r = None
    for f in fixes:
        r = reckon(r, f)
    assert r is not None
    return r


SILENT = VehicleState("cw-1")


def test_a_position_that_jumps_back_is_believed_again_wherever_the_vehicle_has_flown_meanwhile():
    away = after(fix(0.0, 0.0), fix(0.5, 500.0), fix(20.5, 300.0, -20.0), fix(21.0, 290.0, -20.0))
    assert not away.believed
    assert "500 m north of where its own velocity leads" in doubt(away, SILENT)
    back = reckon(away, fix(21.5, -220.0, -20.0))
    assert back.believed
    assert doubt(back, SILENT) == ""
    assert back.jumped_s == 21.5


def test_a_slow_drift_and_a_jump_within_the_gate_are_not_seen():
    drifting = after(*(fix(n * 0.25, n * 0.25) for n in range(2400)))
    assert drifting.off_m == 0.0, "600 m in 10 min at 1 m/s, without a velocity: this sign does not see it"
    assert after(fix(0.0, 0.0), fix(0.25, GATE_M - 1.0)).believed


def test_steps_add_up():
    assert not after(*(fix(n * 0.25, n * 8.0) for n in range(8))).believed


def test_an_older_message_changes_nothing_and_a_clock_that_ran_backwards_is_a_reboot():
    now = after(fix(100.0, 0.0), fix(100.5, 400.0))
    assert reckon(now, fix(100.2, 0.0)) == now
    assert reckon(now, fix(3.0, 0.0)) == Reckoning(fix(3.0, 0.0))


def test_somebody_who_vouches_for_the_place_has_it_believed_and_the_next_jump_is_seen_again():
    vouched = after(fix(0.0, 0.0), fix(0.5, 500.0)).forgiven()
    assert vouched.believed
    assert not reckon(vouched, fix(1.0, 0.0)).believed


@given(gap_s=st.floats(0.05, 13.0), north_m=st.floats(-2000.0, 2000.0))
def test_after_a_gap_what_is_longer_than_it_explains_is_seen_and_nothing_else(gap_s: float, north_m: float):
    r = after(fix(0.0, 0.0), fix(gap_s, north_m))
    assert (r.off_m > 0.0) is (abs(north_m) > unseen_m(gap_s)) or abs(abs(north_m) - unseen_m(gap_s)) < 0.01


def place(point: LatLon, clock_s: float, *, receiver: LatLon | None, receiver_s: float, speed_m_s: float = 0.0):
    return VehicleState(
        "cw-1",
        position=Timed(Position(point, 500.0, 80.0, clock_s), 0.0),
        velocity=Timed(Velocity(speed_m_s, 0.0, 0.0), 0.0),
        gps=Timed(Gps(receiver, receiver_s), 0.0),
    )


def test_a_receiver_elsewhere_is_doubted_before_the_estimator_gives_in():
    elsewhere = destination(HERE, 90.0, 500.0)
    assert "its receiver is 495 m" in doubt(None, place(HERE, 10.0, receiver=elsewhere, receiver_s=10.0))
    assert doubt(None, place(HERE, 10.0, receiver=HERE, receiver_s=10.0)) == ""


def test_a_receivers_word_of_another_time_allows_for_the_way_flown_and_an_old_one_says_nothing():
    behind = destination(HERE, 180.0, 40.0)
    assert doubt(None, place(HERE, 11.5, receiver=behind, receiver_s=10.0, speed_m_s=25.0)) == ""
    far = destination(HERE, 180.0, 500.0)
    assert doubt(None, place(HERE, 10.0, receiver=far, receiver_s=5.0)) == ""


def test_without_a_fix_the_position_is_doubted_at_once():
    assert doubt(None, place(HERE, 10.0, receiver=None, receiver_s=10.0)) == "no GPS fix"


def test_a_vehicle_that_tells_neither_its_own_time_nor_its_receiver_is_taken_at_its_word():
    bare = VehicleState("cw-1", position=Timed(Position(HERE, 500.0, 80.0), 0.0))
    assert reckoned(None, bare) is None
    assert doubt(None, bare) == ""
