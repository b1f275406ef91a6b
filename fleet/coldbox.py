"""The cold boxes' samples from MQTT: each message is checked and delivered once, or refused with a reason.

Topic `coldwing/v1/boxes/{box_id}/samples`, QoS 1, JSON by configs/schemas/box_sample.schema.json. The broker keeps the
session under a stable client id, so what is sent while the controller restarts is delivered afterwards. Whether a
sample is believable is not decided here but in `missions.coldchain`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import select
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from math import isfinite
from typing import Any, cast

import aiomqtt
import structlog
from paho.mqtt.client import Client

from fleet.clock import Clock
from fleet.config.values import MqttConfig
from fleet.records.codec import canonical_json
from missions.boxes import BoxSample

TOPIC = "coldwing/v1/boxes/+/samples"
MAX_PAYLOAD = 4096
"""bytes; a full sample with eight probes has about 600"""
WINDOW = 8192
"""samples of one boot that may still arrive behind the newest: 11 h at one per 5 s"""
MAX_BOOTS = 16
"""boots of a box whose samples may still arrive; older ones are refused by their time"""
KEEPALIVE_S = 15
"""wall seconds; a broker that vanished without a word is noticed after one and a half times this"""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
"""the wait before reconnecting doubles from the first to the last"""
MOST_AT_ONCE = 32
"""messages taken in one turn of the loop; what a broker has kept over a restart must not hold up all flights"""

log = structlog.get_logger()


class Refusal(StrEnum):
    """Why a message was not taken."""

    UNKNOWN_BOX = "unknown_box"
    RETAINED = "retained"
    """a broker's copy of unknown age"""
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID = "invalid"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    REPEATED = "repeated"
    """QoS 1 may deliver twice, and so may somebody who recorded the message"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was not taken; `text` names the field and the rule."""

    kind: Refusal
    text: str


# -- one message ------------------------------------------------------------------------------------------------------


class _InvalidError(ValueError):
    pass


def _number(name: str, value: Any, lowest: float | None = None, highest: float | None = None) -> float:
    if type(value) not in (int, float):
        raise _InvalidError(f"{name} is {value!r:.40}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise _InvalidError(f"{name} is not finite")
    if (lowest is not None and number < lowest) or (highest is not None and number > highest):
        raise _InvalidError(f"{name} is {number:g}, outside {lowest:g} to {highest:g}")
    return number


def _optional(message: Mapping[str, Any], name: str, *bounds: float) -> float | None:
    value = message.get(name)
    return None if value is None else _number(name, value, *bounds)


def _choice(message: Mapping[str, Any], name: str, when_true: str, when_false: str) -> bool | None:
    value = message.get(name)
    if value is None:
        return None
    if value not in (when_true, when_false):
        raise _InvalidError(f"{name} is {value!r:.40}, neither {when_true!r} nor {when_false!r}")
    return bool(value == when_true)


def _boot_id(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise _InvalidError(f"boot_id is {value!r:.40}, not a text of 1 to 64 characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _InvalidError("boot_id is not Unicode text") from None
    return value


def _seq(value: Any) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)  # JSON Schema: 3.0 is an integer
    if type(value) is not int or value < 0:
        raise _InvalidError(f"seq is {value!r:.40}, not a whole number from 0 on")
    return value


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")


def _time_s(value: Any) -> float:
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise _InvalidError(f"box_time is {value!r:.40}, not a time such as 2026-11-21T08:00:00.000Z")
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError as error:
        raise _InvalidError(f"box_time is {value!r:.40}: {error}") from None


def _temperatures(value: Any) -> tuple[float | None, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 8:
        raise _InvalidError("temp_c is not a list of 1 to 8 probes")
    return tuple(None if t is None else _number(f"temp_c[{i}]", t) for i, t in enumerate(value))


_REQUIRED = ("boot_id", "seq", "box_time", "temp_c")
_KNOWN = frozenset(_REQUIRED) | {
    *("rh_pct", "lid", "seal", "tilt_deg", "shock_g", "light_lux", "battery_pct", "docked", "hmac")
}
_HMAC = re.compile(r"[0-9a-f]{64}")


def _validated(box_id: str, message: Any) -> BoxSample:
    """The sample, or _InvalidError: the rules of box_sample.schema.json, by hand because they run on every message."""
    if not isinstance(message, dict):
        raise _InvalidError("the message is not an object")
    if unknown := message.keys() - _KNOWN:
        raise _InvalidError(f"{min(unknown)!r:.40} is not a field of a sample")
    for name in _REQUIRED:
        if name not in message:
            raise _InvalidError(f"{name} is missing")
    signature = message.get("hmac", "0" * 64)
    if not isinstance(signature, str) or _HMAC.fullmatch(signature) is None:
        raise _InvalidError("hmac is not 64 small hexadecimal digits")
    docked = message.get("docked")
    if docked is not None and not isinstance(docked, bool):
        raise _InvalidError(f"docked is {docked!r:.40}, neither true nor false")
    return BoxSample(
        box_id=box_id,
        boot_id=_boot_id(message["boot_id"]),
        seq=_seq(message["seq"]),
        box_time_s=_time_s(message["box_time"]),
        temp_c=_temperatures(message["temp_c"]),
        rh_pct=_optional(message, "rh_pct", 0.0, 100.0),
        lid_open=_choice(message, "lid", "open", "closed"),
        seal_ok=_choice(message, "seal", "ok", "broken"),
        tilt_deg=_optional(message, "tilt_deg"),
        shock_g=_optional(message, "shock_g"),
        light_lux=_optional(message, "light_lux"),
        battery_pct=_optional(message, "battery_pct", 0.0, 100.0),
        docked=docked,
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a field is given twice")  # two readers of the message could take different ones
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_sample(box_id: str, payload: bytes, key: bytes | None) -> BoxSample | Refused:
    """The sample in a message, or why it is none. With a key it must be signed with it; times are the box's own."""
    if len(payload) > MAX_PAYLOAD:
        return Refused(Refusal.TOO_LARGE, f"{len(payload)} bytes, more than {MAX_PAYLOAD}")
    try:
        message = json.loads(payload, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return Refused(Refusal.NOT_JSON, str(error) or type(error).__name__)
    try:
        sample = _validated(box_id, message)
    except _InvalidError as error:
        return Refused(Refusal.INVALID, str(error))
    if key is not None:
        given = message.pop("hmac", None)
        if given is None:
            return Refused(Refusal.UNSIGNED, "hmac is missing, and this box has a key")
        if not hmac.compare_digest(given, sign(message, key)):
            return Refused(Refusal.FORGED, "hmac is not that of this message with this box's key")
    return sample


def sign(message: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA256 over the message as canonical JSON, without its `hmac`."""
    return hmac.new(key, canonical_json({k: v for k, v in message.items() if k != "hmac"}), "sha256").hexdigest()


# -- each message once ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Boot:
    highest: int
    seen: int
    """bit n: sample `highest` - n has arrived"""
    newest_s: float


class ReplayGuard:
    """Admits each (boot, seq) of one box once, in any order within a window; its memory is bounded.

    As in IPsec (RFC 4303, 3.4.3). Forgotten boots are barred by time: what is not newer than they were is a replay.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()
        self._floor_s = float("-inf")
        if state is not None:
            self._floor_s = float("-inf") if state["floor_s"] is None else state["floor_s"]
            for boot_id, (highest, seen, newest_s) in state["boots"]:
                self._boots[boot_id] = _Boot(highest, int(seen, 16), newest_s)

    def state(self) -> dict[str, Any]:
        """JSON for the constructor, so that a replay is refused also after a restart."""
        return {
            "floor_s": self._floor_s if isfinite(self._floor_s) else None,
            "boots": [[name, [b.highest, f"{b.seen:x}", b.newest_s]] for name, b in self._boots.items()],
        }

    def admit(self, sample: BoxSample) -> str | None:
        """None, and the sample is noted; or why it was or may have been here before."""
        boot = self._boots.get(sample.boot_id)
        if boot is None:
            if sample.box_time_s <= self._floor_s:
                return "it belongs to a boot too long ago to know whether it was here before"
            self._boots[sample.boot_id] = _Boot(sample.seq, 1, sample.box_time_s)
            if len(self._boots) > MAX_BOOTS:
                _, forgotten = self._boots.popitem(last=False)
                self._floor_s = max(self._floor_s, forgotten.newest_s)
            return None
        ahead = sample.seq - boot.highest
        if ahead > 0:
            boot.seen = 1 if ahead >= WINDOW else (boot.seen << ahead | 1) & ((1 << WINDOW) - 1)
            boot.highest = sample.seq
        elif -ahead >= WINDOW:
            return f"seq {sample.seq} is too far behind {boot.highest} to know whether it was here before"
        elif boot.seen >> -ahead & 1:
            return f"seq {sample.seq} of this boot was here before"
        else:
            boot.seen |= 1 << -ahead
        boot.newest_s = max(boot.newest_s, sample.box_time_s)
        self._boots.move_to_end(sample.boot_id)
        return None


# -- the feed ---------------------------------------------------------------------------------------------------------


class ColdBoxFeed:
    """Keeps a subscription alive for as long as `run` runs, and hands each good sample with its receive time on.

    `on_sample(sample, received_s)` is called on the loop and must be quick. `replay_state` is what `replay_state()`
    gave before a restart.
    """

    def __init__(
        self,
        mqtt: MqttConfig,
        boxes: Collection[str],
        keys: Mapping[str, bytes],
        clock: Clock,
        on_sample: Callable[[BoxSample, float], None],
        *,
        replay_state: Mapping[str, Any] | None = None,
    ) -> None:
        self._mqtt = mqtt
        self._keys = keys
        self._clock = clock
        self._on_sample = on_sample
        known = replay_state or {}
        self._guards = {box: ReplayGuard(known.get(box)) for box in boxes}
        self.connected = False
        self.status = f"not yet connected to {mqtt.url}"
        """`ok`, or what is wrong: for health checks"""
        self.accepted = 0
        self.refused: Counter[Refusal] = Counter()
        self.refusals: deque[tuple[float, str, Refused]] = deque(maxlen=50)
        """the newest: time, topic, reason"""

    def replay_state(self) -> dict[str, Any]:
        """By box, as JSON: what the constructor takes."""
        return {box: guard.state() for box, guard in self._guards.items()}

    async def run(self) -> None:
        """Connects, listens and reconnects until cancelled."""
        retry_s = FIRST_RETRY_S
        while True:
            connected_s: float | None = None
            try:
                async with self._client() as client:
                    await self._subscribe(client)
                    connected_s = self._clock.now_s()
                    self.note(True, "ok")
                    async for _ in client.messages:
                        pass  # each was received as it came off the connection: this waits for the connection's end
                reason = "the broker ended the connection"
            except (aiomqtt.MqttError, OSError) as error:
                reason = str(error) or type(error).__name__
            finally:
                self.connected = False
            # Only a connection that held counts as good: two controllers with one client id throw each other out.
            if connected_s is not None and self._clock.now_s() - connected_s > LAST_RETRY_S:
                retry_s = FIRST_RETRY_S
            self.note(False, f"no cold-box samples from {self._mqtt.url}: {reason}")
            await self._clock.sleep(retry_s)
            retry_s = min(2.0 * retry_s, LAST_RETRY_S)

    def receive(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """One message, as it came."""
        now_s = self._clock.now_s()
        taken = self._take(topic, payload, retained)
        if isinstance(taken, Refused):
            self._refuse(now_s, topic, taken)
            return
        self.accepted += 1
        try:
            self._on_sample(taken, now_s)
        except Exception:
            log.exception("a cold-box sample could not be used", box=taken.box_id, seq=taken.seq)

    def _take(self, topic: str, payload: bytes, retained: bool) -> BoxSample | Refused:
        box_id = topic.removeprefix("coldwing/v1/boxes/").removesuffix("/samples")
        guard = self._guards.get(box_id)
        if guard is None:
            return Refused(Refusal.UNKNOWN_BOX, f"{box_id!r:.60} is not a configured box")
        if retained:
            return Refused(Refusal.RETAINED, "samples must be published without the retain flag")
        sample = read_sample(box_id, payload, self._keys.get(box_id))
        if isinstance(sample, BoxSample) and (why := guard.admit(sample)) is not None:
            return Refused(Refusal.REPEATED, why)
        return sample

    def _refuse(self, now_s: float, topic: str, refused: Refused) -> None:
        self.refused[refused.kind] += 1
        self.refusals.append((now_s, topic, refused))
        count = self.refused[refused.kind]
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th…: a flood makes twenty lines, not a million
            log.warning("cold-box message refused", topic=topic, why=refused.kind.value, text=refused.text, count=count)

    def note(self, connected: bool, status: str) -> None:
        """Whether samples can come in at present; `status` is `ok`, or what is wrong."""
        if (connected, status) != (self.connected, self.status):
            (log.info if connected else log.warning)("cold-box feed", broker=self._mqtt.url, status=status)
        self.connected, self.status = connected, status

    def _client(self) -> aiomqtt.Client:
        tls = aiomqtt.TLSParameters(ca_certs=None if self._mqtt.ca_file is None else str(self._mqtt.ca_file))
        return _Client(
            self._mqtt.host,
            self._mqtt.port,
            username=self._mqtt.username,
            password=self._mqtt.password,
            identifier=self._mqtt.client_id,
            clean_session=False,
            keepalive=KEEPALIVE_S,
            tls_params=tls if self._mqtt.tls else None,
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", partial(_Received, self._received)),
        )

    def _received(self, message: aiomqtt.Message) -> None:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        self.receive(message.topic.value, payload, retained=message.retain)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        granted = await client.subscribe(TOPIC, qos=1)
        if any(code if isinstance(code, int) and code > 2 else getattr(code, "is_failure", False) for code in granted):
            raise aiomqtt.MqttError(
                f"the broker refuses the subscription to {TOPIC}: give this user the right to read it"
            )


class _Received(asyncio.Queue[aiomqtt.Message]):
    """Hands each message on at once: to wait for one in a queue costs several turns of the loop each time."""

    def __init__(self, received: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._received = received

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._received(item)


class _Client(aiomqtt.Client):
    """Takes up to `MOST_AT_ONCE` messages in a turn of the loop.

    With one each, what boxes send is seconds behind where every turn plans a route or decides for a vehicle.
    """

    def _on_socket_open(self, client: Client, userdata: Any, sock: Any) -> None:
        super()._on_socket_open(client, userdata, sock)

        def read() -> None:
            try:
                for _ in range(MOST_AT_ONCE):
                    client.loop_read()
                    if not _has_more(sock):
                        break
            except Exception as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        # In the place of the reader that it has put there: a descriptor has one.
        self._loop.call_soon_threadsafe(self._loop.add_reader, sock.fileno(), read)


def _has_more(sock: Any) -> bool:
    """Bytes to be read without waiting, those that TLS has already decoded included."""
    if sock.fileno() < 0:
        return False
    return bool((hasattr(sock, "pending") and sock.pending()) or select.select([sock], [], [], 0.0)[0])
