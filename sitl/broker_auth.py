"""amqtt's authentication by one name and password, compared in constant time. Nobody enters without."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class OnePassword(BaseAuthPlugin):  # type: ignore[misc]
    """Loaded by amqtt from its configuration."""

    @dataclass
    class Config:
        username: str
        password: str

    async def authenticate(self, *, session: Session) -> bool:
        given = f"{session.username}\0{session.password}".encode()
        return hmac.compare_digest(given, f"{self.config.username}\0{self.config.password}".encode())
