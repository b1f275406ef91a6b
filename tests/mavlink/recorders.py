"""A recorder whose clock and thread the test moves, and the two readers of what it wrote."""

from pathlib import Path
from typing import Any

from fleet.mavlink import tlog
from fleet.mavlink.codec import encode
from fleet.mavlink.messages import Ping
from fleet.mavlink.recorder import Recorder

START_S = 1_800_000_000.0
DAY_S = 86_400.0
GB = 10**9


class SetClock:
    """Stands until it is set."""

    now_at_s = START_S

    def now_s(self) -> float:
        return self.now_at_s

    async def sleep(self, duration_s: float) -> None:
        raise AssertionError("nothing waits here")

    def wall_s(self, duration_s: float) -> float:
        return duration_s


def frame(n: int, system: int = 1) -> bytes:
    """A PING with a number in it; 30 bytes at most."""
    return encode(Ping(n + 1, n, 0, 0), seq=n & 0xFF, system=system, component=1)


def a_recorder(folder: Path, clock: SetClock | None = None, **changes: int) -> Recorder:
    """Without its thread: the test says when it works."""
    numbers = {"max_bytes": 10**6, "keep_bytes": GB, "reserve_bytes": 0, **changes}
    return Recorder(folder, clock=clock or SetClock(), **numbers)  # type: ignore[arg-type]


def numbers_in(*paths: Path) -> list[int]:
    """The numbers of the PINGs in these files, as our own reader finds them."""
    said = [entry for path in paths for entry in tlog.entries(path.read_bytes())]
    return [int.from_bytes(entry.frame.payload[8:12].ljust(4, b"\0"), "little") for entry in said]


def read_by_pymavlink(path: Path, **options: Any) -> list[tuple[float, bytes]]:
    """Time and bytes of each message; `notimestamps` and the like choose which of pymavlink's readers."""
    from pymavlink import mavutil

    log = mavutil.mavlink_connection(str(path), dialect="development", **options)
    try:
        messages = []
        while (message := log.recv_match(blocking=False)) is not None:
            messages.append((float(message._timestamp), bytes(message.get_msgbuf())))
        return messages
    finally:
        log.close()
