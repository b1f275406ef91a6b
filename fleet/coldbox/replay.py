"""Each message once: QoS 1 may deliver twice, and so may somebody who recorded one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from missions.boxes import BoxSample

WINDOW = 8192
"""samples of one boot that may still arrive behind the newest: 11 h at one per 5 s"""
MAX_BOOTS = 16
"""boots of a box whose samples may still arrive; older ones are refused by their time"""


@dataclass(slots=True)
class _Boot:
    highest: int
    seen: int
    """bit n: sample `highest` - n has arrived"""
    newest_s: float


class ReplayGuard:
    """Admits each (boot, seq) of one box once, in any order within a window; its memory is bounded.

    As in IPsec (RFC 4303, 3.4.3). Forgotten boots are barred by time: what is not newer than they were is a replay.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()
        self._floor_s = float("-inf")
        if state is not None:
            self._floor_s = float("-inf") if state["floor_s"] is None else state["floor_s"]
            for boot_id, (highest, seen, newest_s) in state["boots"]:
                self._boots[boot_id] = _Boot(highest, int(seen, 16), newest_s)

    def state(self) -> dict[str, Any]:
        """JSON for the constructor, so that a replay is refused also after a restart."""
        return {
            "floor_s": self._floor_s if isfinite(self._floor_s) else None,
            "boots": [[name, [b.highest, f"{b.seen:x}", b.newest_s]] for name, b in self._boots.items()],
        }

    def admit(self, sample: BoxSample) -> str | None:
        """None, and the sample is noted; or why it was or may have been here before."""
        boot = self._boots.get(sample.boot_id)
        if boot is None:
            if sample.box_time_s <= self._floor_s:
                return "it belongs to a boot too long ago to know whether it was here before"
            self._boots[sample.boot_id] = _Boot(sample.seq, 1, sample.box_time_s)
            if len(self._boots) > MAX_BOOTS:
                _, forgotten = self._boots.popitem(last=False)
                self._floor_s = max(self._floor_s, forgotten.newest_s)
            return None
        ahead = sample.seq - boot.highest
        if ahead > 0:
            boot.seen = 1 if ahead >= WINDOW else (boot.seen << ahead | 1) & ((1 << WINDOW) - 1)
            boot.highest = sample.seq
        elif -ahead >= WINDOW:
            return f"seq {sample.seq} is too far behind {boot.highest} to know whether it was here before"
        elif boot.seen >> -ahead & 1:
            return f"seq {sample.seq} of this boot was here before"
        else:
            boot.seen |= 1 << -ahead
        boot.newest_s = max(boot.newest_s, sample.box_time_s)
        self._boots.move_to_end(sample.boot_id)
        return None
