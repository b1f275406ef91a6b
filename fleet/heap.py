"""Python's cycle collector in a process that must not stop: a full collection of a large fleet's state takes 0.3 s."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 2_000
"""container objects more than were freed, before the youngest are looked through: with two hundred flights, whose state
is in no cache of the processor, 5 ms of work"""
MIDDLE, OLD = 5, 1_000
"""collections of the younger generation before one of the next: of the middle one 12 ms"""


@contextmanager
def steady_heap() -> Iterator[None]:
    """What is alive now (code, configuration, vehicles) is exempt from collection inside the `with`.

    Telemetry makes no cycles, and reference counting frees it at once; the collector stays on, less often, for what
    does make them.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
