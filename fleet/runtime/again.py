"""What fails by a fault of ours is begun anew: ever more slowly while it goes on failing, and told once per kind.

A fault that lasts must not fill the record and the operators' eyes every two seconds, nor end with nobody trying.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from traceback import extract_tb
from typing import Any

import structlog

from fleet.clock import Clock

log = structlog.get_logger()

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
"""each wait is twice the one before it"""
WELL_S = 60.0
"""what has run for this long is well: its next fault is its first"""
LOOK_S = 1.0
"""how often a wait looks for a reason to end sooner"""

Report = Callable[[str, str, dict[str, Any]], Awaitable[None]]
"""(kind, text, body): `fault` for the first of its kind, `fault_over` with the counts of all"""


class Again:
    """One thing that is to run until it ends by itself, and how it has failed since it last ran well."""

    def __init__(self, what: str, clock: Clock, report: Report, shown: Callable[[], None] = lambda: None) -> None:
        """`shown` is called whenever `trouble` says something new."""
        self._what = what
        self._clock = clock
        self._report = report
        self._shown = shown
        self._counts: Counter[str] = Counter()
        """kind of fault → how often"""
        self._newest = ""
        self._again_s = 0.0

    @property
    def trouble(self) -> str | None:
        """For operators, as of now; None while it runs well."""
        if not self._counts:
            return None
        times, left_s = self._counts.total(), self._again_s - self._clock.now_s()
        often = f", {times} times" if times > 1 else ""
        then = f"again in {left_s:.0f} s" if left_s > 0.5 else "begun anew"
        return f"a fault of the controller in {self._what} ({self._newest}){often}: {then}"

    async def keep(self, run: Callable[[], Awaitable[None]], mark: Callable[[], object] = lambda: None) -> None:
        """Runs it until it returns. A wait ends when `mark()` is another: then there is something new to try."""
        while True:
            well = asyncio.create_task(self._well(), name=f"{self._what} is well") if self._counts else None
            try:
                await run()
                await self._over("it has ended")
                return
            except Exception as fault:
                await self._failed(fault)
            finally:
                if well is not None:
                    well.cancel()
            at_the_fault = mark()
            while (left_s := self._again_s - self._clock.now_s()) > 0 and mark() is at_the_fault:
                self._shown()
                await self._clock.sleep(min(LOOK_S, left_s))

    async def _failed(self, fault: Exception) -> None:
        at = extract_tb(fault.__traceback__)[-1]
        kind = f"{type(fault).__name__} at {Path(at.filename).name}:{at.lineno}"
        self._newest = f"{type(fault).__name__}: {fault}"
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._counts.total(), 10))
        self._again_s = self._clock.now_s() + wait_s
        self._counts[kind] += 1
        if self._counts[kind] > 1:
            log.error("a fault of the controller", what=self._what, kind=kind, count=self._counts[kind], again_s=wait_s)
            return
        log.exception("a fault of the controller", what=self._what, again_s=wait_s)
        body = {"what": self._what, "kind": kind, "text": self._newest, "again_in_s": wait_s}
        await self._report("fault", self.trouble or "", body)

    async def _well(self) -> None:
        await self._clock.sleep(WELL_S)
        await self._over("it runs well")

    async def _over(self, how: str) -> None:
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        self._shown()
        text = f"{self._what}: no fault of the controller any more, {how}"
        await self._report("fault_over", text, {"what": self._what, "how": how, "counts": dict(counts)})
