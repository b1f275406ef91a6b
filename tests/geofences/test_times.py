"""When zones are in force: Monday 2 March 2026 is day one of these timelines, all times UTC."""

from datetime import UTC, datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.geodesy import LatLon
from geofences.times import applies_throughout, applies_within, intervals, next_free
from geofences.volumes import Applicability, Circle, DailyPeriod, Restriction, Volume, Zone

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


periods = st.builds(
    DailyPeriod,
    st.frozensets(st.integers(1, 7), max_size=3),
    st.builds(time, st.integers(0, 23), st.sampled_from([0, 30])),
    st.builds(time, st.integers(0, 23), st.sampled_from([0, 30])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(periods, min_size=1, max_size=2), st.floats(0, 7 * 24), st.floats(0.01, 30))
def test_intervals_agree_with_the_zone_asked_minute_by_minute(daily, hour, hours):
    z = zone(Applicability(daily=tuple(daily)))
    start, end = at(0, hour), at(0, hour + hours)
    found = intervals(z, start, end)
    t = start
    while t <= end:
        inside = any(a <= t < b or (a == b == t) for a, b in found) or (bool(found) and t == end == found[-1][1])
        if z.applies_at(t) != inside:
            assert t == end, (z, t, found)
        t += 600.0 if t + 600.0 < end or t == end else end - t
        if t == end:
            break
