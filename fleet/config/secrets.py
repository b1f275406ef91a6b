"""Secrets: from the environment, else from a file, else inline; inline only for what stays on this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from fleet.config.models import FleetFile
from fleet.config.problems import Problems
from fleet.config.source import Document, Loc

MIN_TOKEN_CHARS = 16
"""shorter bearer tokens can be guessed"""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Values by the token's name and the box's id."""

    tokens: Mapping[str, str] = field(repr=False)
    box_keys: Mapping[str, bytes] = field(repr=False)
    mqtt_password: str | None = field(repr=False)
    secret: bytes | None = field(repr=False)


def env_name(prefix: str, name: str) -> str:
    """COLDWING_API_TOKEN_WARD_7 for `ward-7`."""
    return f"{prefix}_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}"


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def resolve_secrets(model: FleetFile, document: Document, env: Mapping[str, str], problems: Problems) -> Secrets:
    """All secrets of the configuration, and a problem for each that is missing, weak or in the wrong place."""
    look = _Lookup(document, env, problems)
    broker = urlsplit(model.mqtt.url)
    tokens: dict[str, str] = {}
    for token in model.api.tokens:
        place = document.item(("api", "tokens"), "name", token.name)
        value = look.find(
            (*place, "token"),
            env_name("COLDWING_API_TOKEN", token.name),
            token.token_file,
            token.token,
            stays_here=is_loopback(model.api.host),
            required=True,
        )
        if value is not None and len(value) < MIN_TOKEN_CHARS:
            fix = f"Use at least {MIN_TOKEN_CHARS} random characters, such as `openssl rand -hex 24` prints"
            problems.add(document, (*place, "token"), "has a token that can be guessed", fix)
        elif value in tokens.values():
            text = "has the same value as another token: the record could not tell who acted"
            problems.add(document, (*place, "token"), text, "Give each its own")
        elif value is not None:
            tokens[token.name] = value
    keys: dict[str, bytes] = {}
    for box in model.boxes:
        key = look.find(
            (*document.item(("boxes",), "id", box.id), "key"),
            env_name("COLDWING_BOX_KEY", box.id),
            box.key_file,
            box.key,
            stays_here=is_loopback(broker.hostname or ""),
            required=False,
        )
        if key is not None:
            keys[box.id] = key.encode()
    password = look.find(
        ("mqtt", "url"),
        "COLDWING_MQTT_PASSWORD",
        None,
        None if broker.password is None else unquote(broker.password),
        stays_here=is_loopback(broker.hostname or ""),
        required=False,
    )
    secret = env.get("COLDWING_SECRET")
    return Secrets(tokens, keys, password, secret.encode() if secret else None)


@dataclass(slots=True)
class _Lookup:
    document: Document
    env: Mapping[str, str]
    problems: Problems

    def find(
        self, loc: Loc, variable: str, file: str | None, inline: str | None, *, stays_here: bool, required: bool
    ) -> str | None:
        if value := self.env.get(variable):
            return value
        if file is not None:
            return self._read(loc, file)
        if inline is not None:
            if stays_here:
                return inline
            text = "stands in the file, but the host is not loopback"
            self.problems.add(self.document, loc, text, f"Take it out and set {variable} in the environment")
        elif required:
            self.problems.add(self.document, loc, "has no value", f"Set {variable} in the environment")
        return None

    def _read(self, loc: Loc, file: str) -> str | None:
        path = self.document.path.parent / file
        place = (*loc[:-1], f"{loc[-1]}_file")
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            self.problems.add(self.document, place, f"{path} cannot be read: {reason}", "Check the path")
            return None
        if not value:
            self.problems.add(self.document, place, f"{path} is empty", "Put the secret into it")
        return value or None
