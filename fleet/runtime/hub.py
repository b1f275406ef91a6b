"""Fan-out of changes to live readers. A slow reader skips old states of a thing but never misses its last one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from fleet.service import LiveEvent

PACE_S = 0.1
"""wall clock; a reader gets each thing's newest state at most ten times a second"""
MAX_ALARMS = 200

Render = Callable[[str, str], dict[str, Any] | None]
"""(kind, key) → the view of that thing as it is now"""


class _Reader:
    def __init__(self) -> None:
        self.dirty: dict[tuple[str, str], None] = {}
        self.alarms: deque[dict[str, Any]] = deque(maxlen=MAX_ALARMS)
        self.woken = asyncio.Event()


class Hub:
    """What has changed, per reader: memory is bounded by the number of things there are."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._readers: set[_Reader] = set()

    def changed(self, kind: str, key: str) -> None:
        for reader in self._readers:
            reader.dirty[kind, key] = None
            reader.woken.set()

    def alarm(self, data: dict[str, Any]) -> None:
        for reader in self._readers:
            reader.alarms.append(data)
            reader.woken.set()

    async def read(self, first: list[tuple[str, str]]) -> AsyncIterator[LiveEvent]:
        """`first` is the whole picture; then changes for as long as the reader reads."""
        reader = _Reader()
        reader.dirty = dict.fromkeys(first)
        reader.woken.set()
        self._readers.add(reader)
        try:
            while True:
                await reader.woken.wait()
                reader.woken.clear()
                dirty, reader.dirty = reader.dirty, {}
                while reader.alarms:
                    yield LiveEvent("alarm", reader.alarms.popleft())
                for kind, key in dirty:
                    data = self._render(kind, key)
                    if data is not None:
                        yield LiveEvent(kind, data)
                await asyncio.sleep(PACE_S)
        finally:
            self._readers.discard(reader)
