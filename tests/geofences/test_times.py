"""When zones are in force: Monday 2 March 2026 is day one of these timelines, all times UTC."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from math import asin, atan2, cos, degrees, radians, sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.daylight import SunEvent, event_s
from geofences.geodesy import LatLon
from geofences.times import HORIZON_S, applies_throughout, applies_within, intervals, next_free
from geofences.volumes import Applicability, Circle, DailyPeriod, Restriction, Role, Volume, Zone

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def at(day: int, hour: float) -> float:
    return (MONDAY + timedelta(days=day, hours=hour)).timestamp()


def zone(*applicability: Applicability) -> Zone:
    return Zone(
        "Z", "Z", Restriction.PROHIBITED, (Volume(Circle(LatLon(0.0, 0.0), 100.0)),), applicability=applicability
    )


OFFICE = zone(Applicability(daily=(DailyPeriod(frozenset({1, 2, 3, 4, 5}), time(8), time(17)),)))
NIGHT = zone(Applicability(daily=(DailyPeriod(frozenset({5}), time(22), time(2)),)))


def test_a_zone_without_times_always_applies():
    assert applies_within(zone(), at(0, 3), at(0, 4))
    assert applies_throughout(zone(), at(0, 3), at(9, 4))
    assert next_free(zone(), at(0, 3), 60.0) is None


def test_a_flight_that_only_ends_in_office_hours_still_meets_the_zone():
    assert not applies_within(OFFICE, at(0, 7), at(0, 7.9))
    assert applies_within(OFFICE, at(0, 7), at(0, 8.1))
    assert applies_within(OFFICE, at(0, 16.9), at(0, 18))
    assert not applies_within(OFFICE, at(0, 17), at(0, 18))
    assert not applies_within(OFFICE, at(5, 9), at(5, 16)), "Saturday"


def test_a_period_past_midnight_reaches_into_the_next_day():
    assert applies_within(NIGHT, at(4, 23), at(4, 23.5))
    assert applies_within(NIGHT, at(5, 1), at(5, 1.5))
    assert not applies_within(NIGHT, at(5, 2), at(5, 3))
    assert not applies_within(NIGHT, at(4, 1), at(4, 1.5)), "Thursday night is free"


def test_the_next_free_time_is_after_closing_and_long_enough():
    assert next_free(OFFICE, at(0, 10), 1800.0) == at(0, 17)
    assert next_free(OFFICE, at(0, 7), 1800.0) == at(0, 7)
    assert next_free(OFFICE, at(0, 7.9), 1800.0) == at(0, 17), "too short before opening"


def test_dates_bound_the_daily_periods():
    march = Applicability(MONDAY + timedelta(days=1), MONDAY + timedelta(days=2), OFFICE.applicability[0].daily)
    assert not applies_within(zone(march), at(0, 9), at(0, 10))
    assert applies_within(zone(march), at(1, 9), at(1, 10))
    assert not applies_within(zone(march), at(2, 9), at(2, 10))


# Against the zone asked at every half minute: where all times are whole minutes, that tells everything.

moments = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30]))
periods = st.builds(DailyPeriod, st.frozensets(st.integers(1, 7), max_size=3), moments, moments)
instants = st.none() | st.integers(0, 7 * 1440).map(lambda minute: MONDAY + timedelta(minutes=minute))
dated = st.builds(
    lambda a, b, daily: Applicability(*_in_order(a, b), tuple(daily)), instants, instants, st.lists(periods, max_size=2)
)
schedules = st.lists(dated, min_size=1, max_size=2).map(lambda several: zone(*several))
minutes = st.integers(0, 7 * 1440)


def _in_order(a, b):
    """An end after its start: the readers of files refuse others."""
    return (a, b if a is None or b is None or b > a else None)


def half_minutes(start_s, end_s):
    return [start_s + 30.0 * k for k in range(int((end_s - start_s) // 30.0) + 1)]


@settings(max_examples=100, deadline=None)
@given(schedules, minutes, st.integers(0, 1500))
def test_intervals_agree_with_the_zone_asked_at_every_half_minute(z, minute, long):
    start, end = at(0, 0) + 60.0 * minute, at(0, 0) + 60.0 * (minute + long)
    found = intervals(z, start, end)
    assert found == sorted(found)
    assert all(start <= a <= b <= end for a, b in found)
    assert all(b < c for (_, b), (c, _) in pairwise(found)), "merged"
    for t in half_minutes(start, end - 30.0):
        assert z.applies_at(t) == any(a <= t < b for a, b in found)
    inside = [z.applies_at(t) for t in half_minutes(start, end)]
    assert applies_within(z, start, end) == bool(found) == any(inside)
    assert applies_throughout(z, start, end) == all(inside)


@settings(max_examples=100, deadline=None)
@given(schedules, minutes, st.integers(0, 600))
def test_the_next_free_time_is_the_first(z, minute, long):
    after, duration = at(0, 0) + 60.0 * minute, 60.0 * long
    found = next_free(z, after, duration)
    if found is not None:
        assert not applies_within(z, found, found + duration)
    until = after + HORIZON_S if found is None else found
    candidates = [t for t in (after, *(b for _, b in intervals(z, after, until))) if t < until]
    for t in candidates:
        assert applies_within(z, t, t + duration), "nothing was free before"


def test_a_zone_that_closes_at_an_instant_is_free_from_that_instant_on():
    assert applies_within(OFFICE, at(0, 8), at(0, 8))
    assert not applies_within(OFFICE, at(0, 17), at(0, 17))
    assert applies_within(OFFICE, at(0, 7), at(0, 8)), "a flight that ends when it begins"
    assert not applies_throughout(OFFICE, at(0, 16), at(0, 17)), "free at the last instant"
    assert next_free(OFFICE, at(0, 7), 3600.0) == at(0, 17), "it begins when the flight would end"
    assert next_free(OFFICE, at(0, 7), 3599.0) == at(0, 7)


def test_the_day_the_clocks_change_is_a_day_as_any_other():
    """Schedules are in UTC: on 29 March 2026 most of Europe sets its clocks forward at 01:00 UTC."""
    sunday = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    early = zone(Applicability(daily=(DailyPeriod(frozenset({7}), time(0, 30), time(3)),)))
    assert intervals(early, sunday, sunday + 86_400) == [(sunday + 1800, sunday + 3 * 3600)]


# The sun: its height by the Astronomical Almanac's low-precision formula, good to 0.02 degrees


def altitude_deg(t_s, lat, lon):
    n = t_s / 86_400 - 10_957.5
    anomaly, mean = radians(357.528 + 0.9856003 * n), 280.460 + 0.9856474 * n
    longitude = radians(mean + 1.915 * sin(anomaly) + 0.020 * sin(2 * anomaly))
    tilt = radians(23.439 - 4e-7 * n)
    ascension = atan2(cos(tilt) * sin(longitude), cos(longitude))
    declination = asin(sin(tilt) * sin(longitude))
    hour = radians(((18.697374558 + 24.06570982441908 * n) % 24) * 15 + lon) - ascension
    return degrees(asin(sin(radians(lat)) * sin(declination) + cos(radians(lat)) * cos(declination) * cos(hour)))


DEPRESSION = {SunEvent.BMCT: 6.0, SunEvent.SR: 5 / 6, SunEvent.SS: 5 / 6, SunEvent.EECT: 6.0}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SunEvent), st.integers(19_000, 24_000), st.floats(-85, 85), st.floats(-180, 180))
def test_a_daylight_event_is_when_the_sun_comes_to_its_height_on_the_place_s_own_day(event, day, lat, lon):
    found, noon = event_s(event, day, LatLon(lat, lon)), (day + 0.5 - lon / 360) * 86_400
    rising = event in (SunEvent.BMCT, SunEvent.SR)
    if found is None:
        heights = [altitude_deg(noon + k * 600, lat, lon) + DEPRESSION[event] for k in range(-72, 73)]
        assert max(heights) < 0.4 or min(heights) > -0.4, "it stays above or below"
        return
    assert abs(altitude_deg(found, lat, lon) + DEPRESSION[event]) < 0.2
    assert -0.52 <= (found - noon) / 86_400 <= 0.02 if rising else -0.02 <= (found - noon) / 86_400 <= 0.52


@pytest.mark.parametrize(
    ("place", "event", "day", "told"),
    [
        ((51.51, -0.13), SunEvent.SR, "2026-06-21", "2026-06-21T03:43"),
        ((51.51, -0.13), SunEvent.SS, "2026-06-21", "2026-06-21T20:21"),
        ((0.0, 0.0), SunEvent.SR, "2026-03-20", "2026-03-20T06:04"),
        ((-33.87, 151.21), SunEvent.SR, "2025-12-21", "2025-12-20T18:41"),
        ((-33.87, 151.21), SunEvent.SS, "2025-12-21", "2025-12-21T09:05"),
        ((21.31, -157.86), SunEvent.SS, "2025-12-21", "2025-12-22T03:54"),
    ],
)
def test_daylight_events_are_those_of_published_tables(place, event, day, told):
    found = event_s(event, (date.fromisoformat(day) - date(1970, 1, 1)).days, LatLon(*place))
    assert abs(found - datetime.fromisoformat(f"{told}:00+00:00").timestamp()) < 75.0


def sunny(start, end, lat=46.0, lon=8.0, radius_m=1000.0, days=(), role=Role.KEEP_OUT):
    daily = (DailyPeriod(frozenset(days), start, end),)
    volume = Volume(Circle(LatLon(lat, lon), radius_m))
    return Zone("S", "S", Restriction.PROHIBITED, (volume,), role=role, applicability=(Applicability(daily=daily),))


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([(SunEvent.SR, SunEvent.SS), (SunEvent.BMCT, SunEvent.EECT), (SunEvent.SS, SunEvent.SR)]),
    st.floats(-60, 60),
    st.floats(-179, 179),
    st.integers(0, 700 * 24 * 12),
)
def test_a_zone_by_the_sun_is_in_force_while_the_sun_is_up_or_down_there(pair, lat, lon, tick):
    z, t = sunny(*pair, lat, lon), MONDAY.timestamp() + 300.0 * tick
    height = altitude_deg(t, lat, lon) + DEPRESSION[pair[0]]
    if abs(height) < 0.3:
        return
    expected = height > 0 if pair[0] is not SunEvent.SS else height < 0
    assert z.applies_at(t) == expected
    assert applies_within(z, t, t) == expected


events = st.sampled_from(SunEvent)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(events, moments | events) | st.tuples(moments, events),
    st.floats(-85, 85),
    st.floats(-175, 175),
    st.sampled_from([1000.0, 100_000.0]),
    st.frozensets(st.integers(1, 7), max_size=3),
    st.sampled_from(Role),
    st.integers(0, 300 * 24),
)
def test_planner_and_checker_see_a_zone_by_the_sun_alike(pair, lat, lon, radius_m, days, role, hour):
    z = sunny(*pair, lat, lon, radius_m, days, role)
    start = MONDAY.timestamp() + 3600.0 * hour
    found = intervals(z, start, start + 86_400)
    for t in range(int(start), int(start) + 86_400, 601):
        assert z.applies_at(t) == any(a <= t < b for a, b in found)


def test_on_the_far_side_of_the_world_monday_is_the_place_s_own_monday():
    """Auckland's Monday begins at noon of Sunday in UTC: sunrise at 18:06 UTC on Sunday 1 March."""
    z = sunny(SunEvent.SR, SunEvent.SS, -36.85, 174.76, days={1})
    (span,) = intervals(z, at(-2, 0), at(4, 0))
    assert [round((t - at(0, 0)) / 3600.0, 1) for t in span] == [-5.9, 7.0]


def test_where_the_sun_does_not_set_or_rise_a_zone_to_avoid_applies_and_one_to_stay_in_does_not():
    june, december = (datetime(2026, month, 21, tzinfo=UTC).timestamp() for month in (6, 12))
    for day in (june, december):
        for pair in ((SunEvent.SR, SunEvent.SS), (SunEvent.SS, SunEvent.SR)):
            assert applies_throughout(sunny(*pair, 78.0, 15.0), day, day + 86_400)
            assert next_free(sunny(*pair, 78.0, 15.0), day, 60.0) is None
            assert not applies_within(sunny(*pair, 78.0, 15.0, role=Role.KEEP_IN), day, day + 86_400)


def test_the_night_before_the_polar_day_ends_when_the_sun_should_have_risen():
    """At 70° north the sun sets for the last time in the middle of May; no moment of dark is left out."""
    z = sunny(SunEvent.SS, SunEvent.SR, 70.0, 20.0)
    start = datetime(2026, 5, 10, tzinfo=UTC).timestamp()
    for t in range(int(start), int(start) + 20 * 86_400, 300):
        if altitude_deg(t, 70.0, 20.0) < -1.0:
            assert z.applies_at(t)


def test_a_large_zone_has_the_daylight_of_all_its_corners_and_one_to_stay_in_of_none_less():
    wide = sunny(SunEvent.SR, SunEvent.SS, 46.0, 8.0, radius_m=300_000.0)
    inside = sunny(SunEvent.SR, SunEvent.SS, 46.0, 8.0, radius_m=300_000.0, role=Role.KEEP_IN)
    (outer,), (inner,) = (intervals(z, at(0, 0), at(1, 0)) for z in (wide, inside))
    assert 3000 < (outer[1] - outer[0]) - (inner[1] - inner[0]) < 9000, "8 degrees of longitude are 32 minutes, twice"
    for lat, lon in ((44.0, 5.0), (48.0, 5.0), (44.0, 11.0), (48.0, 11.0)):
        (here,) = intervals(sunny(SunEvent.SR, SunEvent.SS, lat, lon), at(0, 0), at(1, 0))
        assert outer[0] <= here[0] <= inner[0]
        assert inner[1] <= here[1] <= outer[1]


def test_a_period_may_begin_with_the_clock_and_end_with_the_sun():
    z = sunny(time(12), SunEvent.SS)
    (span,) = intervals(z, at(0, 0), at(1, 0))
    assert span[0] == at(0, 12)
    assert 17.0 < (span[1] - at(0, 0)) / 3600.0 < 17.4, "Locarno in early March"
