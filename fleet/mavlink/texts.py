"""STATUSTEXT: what a vehicle says in words, put together from its chunks."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleet.mavlink.messages import StatusText

CHUNK = 50
CHUNK_WAIT_S = 3.0
"""an unfinished text is given out as it is after this long: half a reason is better than none"""
END = b"\t"
"""ends each of PX4's texts"""
GAP = " … ".encode()
"""stands where a chunk was lost"""
MAX_OPEN = 8
"""texts under way at once; PX4 sends one after the other"""


@dataclass(slots=True)
class _Open:
    """A text of which more is to come."""

    since_s: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    last: int | None = None
    """number of its last chunk, once known"""

    def whole(self) -> bool:
        return self.last is not None and len(self.pieces) == self.last + 1

    def text(self) -> str:
        """Bytes are joined before they are read: a letter may be cut in two."""
        line, following = b"", 0
        for number in sorted(self.pieces):
            line += (b"" if number == following else GAP) + self.pieces[number]
            following = number + 1
        return _told(line if self.last is not None else line + GAP)


class StatusTexts:
    """Puts chunked texts together.

    A full chunk has another one behind it, unless it ends in PX4's closing tab: PX4 sends no empty last chunk. PX4
    numbers all its texts and begins anew at 0 after 65535, so that an id may be used again and 0 is no exception,
    although MAVLink says that it marks a text without chunks.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Open] = {}

    def receive(self, message: StatusText, now_s: float) -> list[str]:
        """Texts that are complete now."""
        finished = self.flush(now_s)
        number = message.chunk_seq
        piece = message.text.split(b"\0", 1)[0]
        last = len(piece) < CHUNK or piece.endswith(END)
        if number == 0 and last:
            return [*finished, _told(piece)]
        # Two texts of one id under way differ in severity more often than not.
        key = (message.id, message.severity)
        under_way = self._open.get(key)
        if under_way is not None and (
            under_way.pieces.get(number, piece) != piece or (under_way.last is not None and number > under_way.last)
        ):
            # The id is used again, so the older text never got its end.
            finished.append(self._open.pop(key).text())
            under_way = None
        if under_way is None:
            if len(self._open) >= MAX_OPEN:
                finished.append(self._open.pop(next(iter(self._open))).text())
            under_way = self._open[key] = _Open(now_s)
        under_way.pieces[number] = piece
        if last:
            under_way.last = number
        if under_way.whole():
            finished.append(self._open.pop(key).text())
        return finished

    def flush(self, now_s: float) -> list[str]:
        """Texts whose end did not come in time. To be asked now and then also when nothing comes in."""
        late = [key for key, text in self._open.items() if now_s - text.since_s > CHUNK_WAIT_S]
        return [self._open.pop(key).text() for key in late]


def _told(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\t\n ")
