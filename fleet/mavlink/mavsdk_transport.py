"""MAVSDK as the transport of a link: its sockets, framing and checksums below, our station above.

One instance serves all vehicles of a URL. Its messages come as JSON on a thread of MAVSDK's own; they wait in a bounded
queue per system and are taken in, a bounded number at a time, by the event loop. What MAVSDK does not tell stays
unknown: sequence numbers (so no loss is shown), the sender's address (so a clash of system ids shows only by the
autopilots' hardware ids), signatures.

`mavsdk.asyncio` is a veil over the same calls with unbounded queues and the loop's default executor, where twenty
silent vehicles would hold up everybody else's work; so the calls beneath it are used, with an executor of their own.

MAVSDK's own heartbeat comes from a thread that never hangs, which would hide a hung controller from PX4's data-link
failsafe. It is therefore sent as that of an onboard computer, which PX4 does not count; the one that counts is ours.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from fleet.mavlink.codec import decode, encode
from fleet.mavlink.frame import Frame, scan
from fleet.mavlink.link import OWN_COMPONENT
from fleet.mavlink.mavsdk_wire import UnspeakableError, from_fields, to_json
from fleet.mavlink.quality import UNNUMBERED
from fleet.mavlink.sockets import resolve, why_not
from fleet.mavlink.transport import Received
from fleet.mavlink.urls import LinkError, LinkUrl

if TYPE_CHECKING:
    from mavsdk import Mavsdk, System
    from mavsdk.plugins.mavlink_direct import MavlinkDirect

log = structlog.get_logger()

QUEUE = 1024
"""messages of one system that may wait: an unthinned PX4 sends 400 a second"""
AT_ONCE = 128
"""taken in per turn of the event loop: at 40 µs each, 5 ms"""
WORKERS = 16
"""threads for MAVSDK's blocking calls, which are those for parameters; a silent vehicle holds one for 3 s"""
MAX_TOLD = 100
"""different errors of MAVSDK that are shown, each once"""
EVERYBODY = "MAVSDK"
"""the one address there is: MAVSDK does not tell who sent, and sends to all"""


class MavsdkTransport:
    """A `fleet.mavlink.transport.Transport`. Making it may block for a moment: do it off the loop."""

    def __init__(self, url: LinkUrl, system_id: int) -> None:
        """Raises LinkError with the URL and the fix."""
        self.url = url
        self.peer: Any = None
        self.send_drops = 0
        self.executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="mavsdk")
        self._received: Received | None = None
        self._turn_over: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._systems: dict[int, System] = {}
        self._direct: dict[int, MavlinkDirect] = {}
        self._inbox: dict[int, deque[tuple[str, int, str]]] = {}
        self._dropped = 0
        self._awake = False
        self._seq = 0
        try:
            self._mavsdk = _connected(url, system_id)
        except BaseException:
            self.executor.shutdown()
            raise

    def open(self, received: Received, turn_over: Callable[[], None]) -> None:
        """From now on delivers what comes in."""
        self._received, self._turn_over = received, turn_over
        self._loop = asyncio.get_running_loop()
        # On MAVSDK's thread: looking there would wait for itself.
        self._mavsdk.subscribe_on_new_system(lambda _: self.submit(self._look))
        self.submit(self._look)

    def submit(self, work: Callable[[], Any]) -> None:
        """Does it on the executor, some time; what becomes of it is nobody's concern."""
        with suppress(RuntimeError):  # closed meanwhile
            self.executor.submit(work)

    def close(self) -> None:
        """Waits for blocking calls under way, 3 s at most, and ends MAVSDK's threads."""
        self._received = None
        # A call into a destroyed instance would be a crash.
        self.executor.shutdown(cancel_futures=True)
        with self._lock:
            self._systems.clear()
            self._direct.clear()
            self._mavsdk.destroy()

    def gone(self, address: Any) -> bool:
        """Never: MAVSDK does not tell."""
        return False

    def kernel_drops(self) -> int | None:
        return None

    @property
    def trouble(self) -> str | None:
        return None

    @property
    def dropped(self) -> int:
        """Messages thrown away because the loop did not take them in in time."""
        return self._dropped

    def system(self, system_id: int) -> System | None:
        """MAVSDK's own handle of a vehicle, for its plugins; None before it was heard."""
        return self._systems.get(system_id)

    # -- messages in -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Listens to systems that are new. On the executor."""
        from mavsdk.plugins.mavlink_direct import MavlinkDirect

        with self._lock:
            if self._received is None:
                return
            for system in self._mavsdk.get_systems():
                number = system.get_system_id()
                if number in self._systems:
                    continue
                self._systems[number] = system
                self._inbox[number] = deque(maxlen=QUEUE)
                direct = self._direct[number] = MavlinkDirect(system)
                direct.subscribe_message("", self._hear)

    def _hear(self, message: Any, _: object) -> None:
        """On MAVSDK's thread, and quick: nothing is decoded here."""
        inbox, loop = self._inbox[message.system_id], self._loop
        if len(inbox) == QUEUE:
            self._dropped += 1
        inbox.append((message.message_name, message.component_id, message.fields_json))
        if not self._awake and loop is not None:
            self._awake = True
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(self._take_in)

    def _take_in(self) -> None:
        """Some of what waits, from each system in turn. On the loop."""
        self._awake = False
        if self._received is None or self._loop is None:
            return
        left = AT_ONCE
        waiting = [(number, inbox) for number, inbox in list(self._inbox.items()) if inbox]
        for number, inbox in waiting:
            share = max(1, left // len(waiting))
            frames, bad = [], 0
            while inbox and share:
                share -= 1
                frame = self._frame(number, *inbox.popleft())
                if frame is None:
                    bad += 1
                else:
                    frames.append(frame)
            self._received(frames, bad, EVERYBODY)
        self._turn_over()
        if any(inbox for _, inbox in waiting) and not self._awake:
            self._awake = True
            self._loop.call_soon(self._take_in)

    def _frame(self, system: int, name: str, component: int, text: str) -> Frame | None:
        """The message as a frame without a number. One that the controller does not use is empty: it only counts."""
        try:
            fields = json.loads(text)
            message = from_fields(name, fields)
            if message is None:
                return Frame(fields["message_id"], system, component, UNNUMBERED, b"", 2, b"")
            raw = encode(message, seq=self._seq, system=system, component=component)
        except (ValueError, TypeError, KeyError, struct.error):
            return None
        self._seq = (self._seq + 1) & 0xFF
        return scan(raw).frames[0]._replace(seq=UNNUMBERED)

    # -- messages out ------------------------------------------------------------------------------------------------

    def send(self, data: bytes, address: Any) -> None:
        """One frame of ours, or several. MAVSDK numbers and frames it anew, under the same ids."""
        from mavsdk.plugins.mavlink_direct import MavlinkDirectError, MavlinkMessage

        for frame in scan(data).frames:
            message = decode(frame)
            direct = self._direct.get(getattr(message, "target_system", 0)) or next(iter(self._direct.values()), None)
            try:
                if message is None or direct is None:
                    raise UnspeakableError("nobody to say it to")
                name, fields = to_json(message)
                direct.send_message(MavlinkMessage(message_name=name, fields_json=fields))
            except (UnspeakableError, MavlinkDirectError, RuntimeError):  # RuntimeError: destroyed meanwhile
                self.send_drops += 1


def _connected(url: LinkUrl, system_id: int) -> Mavsdk:
    """An instance with this one connection. Raises LinkError."""
    try:
        import mavsdk
        from mavsdk.exceptions import ConnectionError as NoConnection
    except ImportError:
        raise LinkError(f"link {url}: driver mavsdk is not installed; run: pip install 'coldwing[mavsdk]'") from None
    _vacant(url)
    _listen_to_log(mavsdk)
    # Sent as an onboard computer's, but under our ids: see above.
    configuration = mavsdk.Configuration.create_with_component_type(mavsdk.ComponentType.COMPANION_COMPUTER)
    configuration.system_id, configuration.component_id = system_id, OWN_COMPONENT
    instance = mavsdk.Mavsdk(configuration)
    try:
        instance.add_any_connection_with_handle(str(url))
    except NoConnection as fault:
        instance.destroy()
        why = str(fault).rpartition(": ")[2].replace("_", " ").lower()
        what = f"is {url.device} plugged in, and may this user open it?" if url.device else "check the address"
        raise LinkError(f"link {url}: MAVSDK cannot open it ({why}); {what}") from None
    return instance


def _vacant(url: LinkUrl) -> None:
    """Raises LinkError for an address that cannot be had. MAVSDK itself shares a port with whoever has it already, and
    then hears half of what comes."""
    if url.scheme == "serial":
        return
    if ":" in url.host:
        raise LinkError(f"link {url}: driver mavsdk takes no IPv6 address; give an IPv4 address, or use driver native")
    kind = socket.SOCK_DGRAM if url.scheme.startswith("udp") else socket.SOCK_STREAM
    family, address = resolve(url, kind)
    if not url.scheme.endswith("in"):
        return
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # A port is free again at once, also after connections that ended a moment ago.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as fault:
            raise LinkError(why_not(url, fault)) from None


_logging = threading.Lock()


def _listen_to_log(mavsdk: Any) -> None:
    """MAVSDK writes coloured lines to standard output; into our log with them. Once per process."""
    if not _logging.acquire(blocking=False):
        return
    told: set[str] = set()

    def note(level: Any, text: str, _file: str | None, _line: int) -> bool:
        # Its warnings are of repeated questions, which our own outcomes tell better; its errors come again and again.
        new = level >= mavsdk.LogLevel.ERROR and text not in told and len(told) < MAX_TOLD
        if new:
            told.add(text)
        (log.warning if new else log.debug)("mavsdk", said=text.strip())
        return True

    mavsdk.log_subscribe(note)
