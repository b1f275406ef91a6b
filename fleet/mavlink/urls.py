"""Link URLs: `udpin://host:port` waits for vehicles, `udpout://host:port` calls one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = ("udpin", "udpout")


class LinkError(Exception):
    """A link cannot be opened. The text names the URL and the fix."""


@dataclass(frozen=True, slots=True)
class LinkUrl:
    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def parse_url(url: str) -> LinkUrl:
    """Raises LinkError for what is not a link URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as fault:
        raise LinkError(f"link URL {url!r}: {fault}; write it as udpin://127.0.0.1:14550") from None
    if parts.scheme not in SCHEMES:
        known = " or ".join(f"{scheme}://" for scheme in SCHEMES)
        raise LinkError(
            f"link URL {url!r}: unknown scheme {parts.scheme!r}; use {known}, as in udpin://127.0.0.1:14550"
        )
    if not host or not port:
        missing = "host" if not host else "port"
        raise LinkError(f"link URL {url!r}: the {missing} is missing; write it as {parts.scheme}://127.0.0.1:14550")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise LinkError(f"link URL {url!r}: nothing may follow the port; write {parts.scheme}://{host}:{port}")
    return LinkUrl(parts.scheme, host, port)
