"""Zones of every kind, for the round trips of the airspace formats."""

from datetime import UTC, datetime, time

from hypothesis import strategies as st

from geofences.daylight import SunEvent
from geofences.geodesy import LatLon, destination
from geofences.heights import Datum, Height
from geofences.volumes import (
    Applicability,
    Authority,
    Circle,
    DailyPeriod,
    Polygon,
    Restriction,
    Role,
    Volume,
    Zone,
)

latlons = st.builds(LatLon, st.floats(-60, 60), st.floats(-170, 170))


def around(centre, size, n):
    """A convex ring, so that it is valid whatever its size."""
    return tuple(destination(centre, -360.0 * k / n, size) for k in range(n))


polygons = st.builds(
    lambda c, s, n, hole: Polygon(around(c, s, n), (around(c, s / 4, 3),) if hole else ()),
    latlons,
    st.floats(50, 20_000),
    st.integers(3, 9),
    st.booleans(),
)
circles = st.builds(Circle, latlons, st.floats(1, 50_000))
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
texts = st.text(max_size=12)
"""with line breaks, controls and lone surrogates too"""


@st.composite
def volumes(draw):
    lower = draw(st.none() | st.builds(Height, st.floats(0, 500), st.sampled_from(Datum)))
    upper = draw(st.none() | st.builds(Height, st.floats(501, 9000), st.sampled_from(Datum)))
    return Volume(draw(polygons | circles), lower, upper)


clock = st.builds(time, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.sampled_from((0, 250_000)))
times = clock | st.sampled_from(SunEvent)
daily = st.builds(DailyPeriod, st.frozensets(st.integers(1, 7), max_size=6), times, times)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001


@st.composite
def applicabilities(draw):
    start, end = sorted(draw(st.lists(instants, min_size=2, max_size=2, unique=True)))
    days = tuple(draw(st.lists(daily, max_size=2)))
    return Applicability(start if draw(st.booleans()) else None, end, days)


authorities = st.builds(Authority, words, st.none() | words, st.none() | words, st.none() | words)


@st.composite
def zones(draw):
    return Zone(
        zone_id=draw(words | texts.filter(bool)),
        name=draw(words | texts.filter(str.strip)),
        restriction=draw(st.sampled_from(Restriction)),
        volumes=tuple(draw(st.lists(volumes(), min_size=1, max_size=3))),
        role=draw(st.sampled_from(Role)),
        applicability=tuple(draw(st.lists(applicabilities(), max_size=2))),
        message=draw(st.just("") | words | texts),
        conditions=draw(st.just("") | words | texts),
        authority=tuple(draw(st.lists(authorities, max_size=2))),
    )


airspaces = st.lists(zones(), max_size=3, unique_by=lambda z: z.zone_id)
"""some zones of different ids"""
