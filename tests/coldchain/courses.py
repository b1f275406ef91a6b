"""Temperature courses in minutes after T0, and what the assessment says of them."""

from __future__ import annotations

from missions.coldchain.assess import Assessment, Rules, judge, start, step
from missions.coldchain.mkt import window_mkt
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0

MIN = 60.0


def run(by: Rules, *points: tuple[float, float]) -> Assessment:
    """(minutes after T0, temperature) in order."""
    a = start(by)
    for minutes, temp in points:
        a = step(a, by, T0 + minutes * MIN, temp)
    return a


def verdict(a: Assessment, by: Rules, now_s: float) -> tuple[BoxVerdict, str]:
    found = judge(a, by, now_s)
    return found.verdict, found.why


def mkt_of(by: Rules, a: Assessment) -> float:
    """As read, over a window longer than the record."""
    found = window_mkt(by, a, None, None)
    assert found is not None
    return found.read


def judged(by: Rules, *points: tuple[float, float]) -> BoxVerdict:
    return verdict(run(by, *points), by, T0 + points[-1][0] * MIN)[0]


def every_minute(temp: float, minutes: int, start_min: int = 0) -> list[tuple[float, float]]:
    """From start_min to start_min + minutes, both included: the last reading closes the last minute."""
    return [(float(m), temp) for m in range(start_min, start_min + minutes + 1)]
