"""The subscription to the broker: kept alive, and taken from many messages at a time."""

from __future__ import annotations

import asyncio
import select
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import aiomqtt
import structlog
from paho.mqtt.client import Client

from fleet.clock import Clock
from fleet.coldbox.messages import Refusal, Refused, read_sample
from fleet.coldbox.replay import ReplayGuard
from fleet.config.values import MqttConfig
from missions.boxes import BoxSample

TOPIC = "coldwing/v1/boxes/+/samples"
KEEPALIVE_S = 15
"""wall seconds; a broker that vanished without a word is noticed after one and a half times this"""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
"""the wait before reconnecting doubles from the first to the last"""
MOST_AT_ONCE = 32
"""messages taken in one turn of the loop; what a broker has kept over a restart must not hold up all flights"""

log = structlog.get_logger()


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
