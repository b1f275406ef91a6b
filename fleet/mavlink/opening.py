"""The transport of a link URL."""

from __future__ import annotations

from fleet.clock import Clock
from fleet.mavlink.serialport import SerialTransport
from fleet.mavlink.tcp import TcpInTransport, TcpOutTransport
from fleet.mavlink.transport import Transport
from fleet.mavlink.udp import UdpTransport
from fleet.mavlink.urls import LinkUrl


def make_transport(url: LinkUrl, clock: Clock) -> Transport:
    """Reserves what the URL names; nothing is read before `open`. Raises LinkError with the URL and the fix."""
    match url.scheme:
        case "tcpin":
            return TcpInTransport(url, clock)
        case "tcpout":
            return TcpOutTransport(url, clock)
        case "serial":
            return SerialTransport(url, clock)
        case _:
            return UdpTransport(url)
