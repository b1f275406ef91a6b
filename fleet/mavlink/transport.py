"""What a link's transport is: a thing that turns bytes from somewhere into checked frames, and sends bytes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fleet.mavlink.frame import Frame

Received = Callable[[Sequence[Frame], int, Any], None]
"""(frames, bytes that were none, address they came from); the address is hashable and is for `send`"""


class Transport(Protocol):
    """A UDP socket, TCP connections or a serial port. Opens and reopens by itself and never blocks the loop.

    Reading is bounded per turn of the event loop, so that one flood cannot starve the rest; `turn_over` is called
    after each burst. What cannot be sent at once is dropped and counted: the next frame is worth more than a late one.
    """

    peer: Any
    """address to send to before anything was heard; None where one must wait to be called"""
    send_drops: int

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        """From now on delivers what comes in."""
        ...

    def close(self) -> None: ...

    def send(self, data: bytes, address: Any) -> None: ...

    def gone(self, address: Any) -> bool:
        """True when nothing will ever come from that address again: a TCP connection that ended."""
        ...

    def kernel_drops(self) -> int | None:
        """What the kernel threw away because nobody read in time; None where it does not tell."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why nothing can come in at present, with the fix (a serial device unplugged, a TCP server gone), or None."""
        ...


def shown(address: Any) -> str:
    """An address for people."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
