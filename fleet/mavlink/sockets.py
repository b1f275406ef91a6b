"""What UDP and TCP links share: names to addresses, and reasons in words."""

from __future__ import annotations

import errno
import socket
from typing import Any

from fleet.mavlink.urls import LinkError, LinkUrl


def resolve(url: LinkUrl, kind: socket.SocketKind) -> tuple[socket.AddressFamily, Any]:
    """Family and address of the URL's host, looked up once at the start. Raises LinkError for an unknown name."""
    try:
        family, _, _, _, address = socket.getaddrinfo(url.host, url.port, type=kind)[0]
    except (socket.gaierror, UnicodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "no host's name is spelled so"
        raise LinkError(f"link {url}: the host {url.host!r} is not known ({why}); correct it") from None
    return family, address


def why_not(url: LinkUrl, fault: OSError) -> str:
    """Why a socket cannot be opened, with the fix."""
    if fault.errno == errno.EADDRINUSE:
        return (
            f"link {url}: port {url.port} is in use by another program (a second controller or a ground station?); "
            f"stop it, or configure another port"
        )
    if fault.errno == errno.EADDRNOTAVAIL:
        return f"link {url}: this computer has no address {url.host}; use 0.0.0.0 to listen on all of its addresses"
    if fault.errno == errno.EACCES:
        return f"link {url}: no permission for port {url.port}; use a port above 1023"
    return f"link {url}: cannot be opened ({fault.strerror})"
