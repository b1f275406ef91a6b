"""The transport of a link URL."""

from __future__ import annotations

from fleet.clock import Clock
from fleet.mavlink.transport import Transport
from fleet.mavlink.udp import UdpTransport
from fleet.mavlink.urls import LinkUrl


def make_transport(url: LinkUrl, clock: Clock) -> Transport:
    """Reserves what the URL names; nothing is read before `open`. Raises LinkError with the URL and the fix."""
    return UdpTransport(url)
