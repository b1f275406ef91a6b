"""Link URLs: where vehicles are reached.

udpin://0.0.0.0:14550                   waits for vehicles that send there
udpout://10.0.0.5:14550                 calls one, or a router
tcpin://0.0.0.0:5760                    waits for vehicles that connect
tcpout://10.0.0.5:5760                  connects to one, or to a router
serial:///dev/ttyACM0:57600             a cable or a telemetry radio
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = ("udpin", "udpout", "tcpin", "tcpout", "serial")
EXAMPLES = {
    "udpin": "udpin://127.0.0.1:14550",
    "udpout": "udpout://127.0.0.1:14550",
    "tcpin": "tcpin://127.0.0.1:5760",
    "tcpout": "tcpout://127.0.0.1:5760",
    "serial": "serial:///dev/ttyACM0:57600",
}
BAUD = range(1200, 12_000_001)
"""what serial devices can be set to, from the slowest radio modem to the fastest USB bridge"""


class LinkError(Exception):
    """A link cannot be opened. The text names the URL and the fix."""


@dataclass(frozen=True, slots=True)
class LinkUrl:
    """`host` and `port` of a network link, or `device` and `baud` (bits/s) of a serial one."""

    scheme: str
    host: str = ""
    port: int = 0
    device: str = ""
    baud: int = 0

    def __str__(self) -> str:
        if self.scheme == "serial":
            return f"serial://{self.device}:{self.baud}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(url: str) -> LinkUrl:
    """Raises LinkError for what is not a link URL."""
    if url.startswith("serial:"):
        return _serial(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as fault:
        raise LinkError(f"link URL {url!r}: {fault}; write it as {EXAMPLES['udpin']}") from None
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES[:-1]) + f" or {SCHEMES[-1]}://"
        raise LinkError(f"link URL {url!r}: unknown scheme {parts.scheme!r}; use {known}, as in {EXAMPLES['udpin']}")
    if not host or not port:
        missing = "host" if not host else "port"
        raise LinkError(f"link URL {url!r}: the {missing} is missing; write it as {EXAMPLES[parts.scheme]}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        plain = LinkUrl(parts.scheme, host, port)
        raise LinkError(f"link URL {url!r}: only a host and a port belong there; write {plain}")
    return LinkUrl(parts.scheme, host, port)


def _serial(url: str) -> LinkUrl:
    """The last colon parts device and baud rate: names under /dev/serial/by-path hold colons themselves."""
    example = f"write it as {EXAMPLES['serial']}"
    if not url.startswith("serial:///"):
        raise LinkError(f"link URL {url!r}: the device's path is not absolute (three slashes); {example}")
    place = url.removeprefix("serial://")
    device, colon, speed = place.rpartition(":")
    if not colon or not (speed.isascii() and speed.isdigit()):
        why = "the baud rate is missing" if not colon or "/" in speed or not speed else f"{speed!r} is no baud rate"
        raise LinkError(
            f"link URL {url!r}: {why}; {example}, with the rate that the radio or PX4's SER_*_BAUD is set to"
        )
    if device.endswith("/"):
        raise LinkError(f"link URL {url!r}: the device is missing; {example}")
    if int(speed) not in BAUD:
        raise LinkError(f"link URL {url!r}: {speed} is no baud rate; usual ones are 57600, 115200 and 921600")
    return LinkUrl("serial", device=device, baud=int(speed))
