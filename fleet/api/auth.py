"""Bearer tokens and what their bearers may do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    """reads everything; commands vehicles, changes zones, records custody, places and cancels orders"""
    REQUESTER = "requester"
    """places orders and sees, cancels and receives its own; nothing else"""
    VIEWER = "viewer"
    """reads everything, changes nothing"""


class Right(StrEnum):
    """What a route asks for."""

    READ = "read"
    """vehicles, airspace, the live stream, metrics"""
    ORDERS = "orders"
    """see orders: a requester its own, the others all"""
    PLACE = "place"
    """place, cancel and receive orders, ask for quotes"""
    OPERATE = "operate"
    """command vehicles, change zones, record custody"""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OPERATOR: frozenset(Right),
    Role.REQUESTER: frozenset({Right.ORDERS, Right.PLACE}),
    Role.VIEWER: frozenset({Right.READ, Right.ORDERS}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` goes into the record as the actor."""

    name: str
    role: Role

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]


class TokenTable:
    """Tokens by their digests: the table itself never holds a token, and looking one up takes the same time always."""

    def __init__(self, tokens: Iterable[tuple[str, Principal]]) -> None:
        self._entries = tuple((_digest(token), principal) for token, principal in tokens)
        if any(digest == _digest("") for digest, _ in self._entries):
            raise ValueError("an API token is empty: give every configured token a value")
        if len({digest for digest, _ in self._entries}) != len(self._entries):
            raise ValueError("two API tokens are equal: give each name its own")

    def find(self, token: str) -> Principal | None:
        """The bearer of this token. Every entry is compared, so the time tells nothing."""
        asked = _digest(token)
        found: Principal | None = None
        for digest, principal in self._entries:
            if hmac.compare_digest(digest, asked):
                found = principal
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
