"""The vehicles' MAVLink signing keys, and what the production profile demands of their links."""

from __future__ import annotations

import binascii
import os
import stat
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

from fleet.config.models import FleetFile, VehicleModel
from fleet.config.problems import Problems
from fleet.config.secrets import env_name
from fleet.config.source import Document
from fleet.config.values import Driver, Profile
from fleet.mavlink.signing import KEY_BYTES

MIN_DISTINCT_BYTES = 8
"""no random key has fewer; an all-zero key is how PX4 is told not to sign"""
MAX_FILE_BYTES = 4096
NEW_KEY = "Make one with `openssl rand -hex 32`, and install the same on the vehicle"


class _BadKeyError(Exception):
    """What is wrong with a key, and the fix."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.text, self.fix = text, fix


def variable(vehicle_id: str) -> str:
    """The environment variable of a vehicle's key: COLDWING_MAVLINK_KEY_CW_1 for `cw-1`."""
    return env_name("COLDWING_MAVLINK_KEY", vehicle_id)


def resolve_keys(model: FleetFile, document: Document, env: Mapping[str, str], problems: Problems) -> dict[str, bytes]:
    """Vehicle id → key, for the vehicles that have one; and a problem for each key or link that will not do."""
    declared = {link.url for link in model.authenticated_links}
    owners: dict[bytes, str] = {}
    for vehicle in model.vehicles:
        item = document.item(("vehicles",), "id", vehicle.id)
        has_key = bool(env.get(variable(vehicle.id))) or vehicle.mavlink_key_file is not None
        try:
            owner = owners.setdefault(_key(vehicle, document.path.parent, env), vehicle.id) if has_key else vehicle.id
            if owner != vehicle.id:
                text = f"is the key of {owner} too: whoever steals one of the two could command the other"
                raise _BadKeyError(text, f"Give each its own. {NEW_KEY}")
        except _BadKeyError as bad:
            problems.add(document, (*item, "mavlink_key_file"), bad.text, bad.fix)
        if has_key and vehicle.driver is Driver.MAVSDK:
            text = f"is mavsdk, which neither signs nor verifies, and {vehicle.id} has a signing key"
            fix = "Use `driver: native`, or leave the key out and declare its link under authenticated_links"
            problems.add(document, (*item, "driver"), text, fix)
        elif model.profile is Profile.PRODUCTION and not has_key and (open_urls := set(vehicle.link) - declared):
            problems.add(document, (*item, "link"), *_open_link(vehicle.id, min(open_urls)))
    return {vehicle_id: key for key, vehicle_id in owners.items()}


def _open_link(vehicle_id: str, url: str) -> tuple[str, str]:
    text = f"{url!r} is neither signed nor declared authenticated, and the profile is production"
    fix = (
        f"Set {variable(vehicle_id)} or mavlink_key_file to a signing key that {vehicle_id} has too; or, where others "
        f"are kept off the link (VPN, cable), add `- {{url: {url!r}, by: …}}` to authenticated_links"
    )
    return text, fix


def _key(vehicle: VehicleModel, folder: Path, env: Mapping[str, str]) -> bytes:
    """The environment goes before the file."""
    name = variable(vehicle.id)
    if text := env.get(name):
        return _parsed(text, name)
    path = folder / (vehicle.mavlink_key_file or "")
    content = _read(path)
    printable = all(32 <= byte < 127 for byte in content)
    if len(content) == KEY_BYTES and not printable:
        return _strong(content, str(path))
    try:
        return _parsed(content.decode("ascii"), str(path))
    except UnicodeDecodeError:
        text = f"{path} holds {len(content)} bytes that are not text, and a key has {KEY_BYTES}"
        raise _BadKeyError(text, NEW_KEY) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise _BadKeyError(f"{path} cannot be read: {error.strerror}", "Check the path and its permissions") from None
    if mode & stat.S_IRWXO:
        raise _BadKeyError(f"{path} is open to every user of this machine", f"Run `chmod 600 {path}`")
    if not content.strip():
        raise _BadKeyError(f"{path} is empty", NEW_KEY)
    return content


def _parsed(text: str, where: str) -> bytes:
    """64 hexadecimal digits, or base64 of 32 bytes; never repeats what it was given."""
    digits = "".join(text.split())
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        try:
            key = b64decode(digits.translate(str.maketrans("-_", "+/")) + "=" * (-len(digits) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise _BadKeyError(f"{where} is neither {2 * KEY_BYTES} hexadecimal digits nor base64", NEW_KEY) from None
    if len(key) != KEY_BYTES:
        relation = "short" if len(key) < KEY_BYTES else "long"
        raise _BadKeyError(f"{where} is too {relation}: {len(key)} bytes, and a key has {KEY_BYTES}", NEW_KEY)
    return _strong(key, where)


def _strong(key: bytes, where: str) -> bytes:
    if len(set(key)) < MIN_DISTINCT_BYTES:
        raise _BadKeyError(f"{where} can be guessed: its bytes are nearly all the same", NEW_KEY)
    return key
