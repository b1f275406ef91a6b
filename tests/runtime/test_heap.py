"""The cycle collector while a controller runs."""

from __future__ import annotations

import gc
import weakref

from fleet.heap import steady_heap


class Knot:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.me = self


def test_what_lives_is_exempt_inside_and_what_is_made_later_is_still_collected() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with steady_heap():
        assert gc.get_freeze_count() > frozen + 10_000
        assert gc.isenabled()
        knot = weakref.ref(Knot())
        gc.collect()
        assert knot() is None
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
