"""One MAVLink link with many vehicles on it: who is admitted, and what goes to whom.

Adopting a vehicle changes nothing on it but the rates of its telemetry: no mission and no mode message is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleet.mavlink.beacon import GCS_HEARTBEAT
from fleet.mavlink.codec import decode, encode
from fleet.mavlink.frame import Frame
from fleet.mavlink.messages import Heartbeat, Message
from fleet.mavlink.path import Path
from fleet.mavlink.peer import Peer
from fleet.mavlink.px4 import AUTOPILOT_PX4
from fleet.mavlink.signing import KeyGuard
from fleet.mavlink.transport import Transport, shown

OWN_COMPONENT = 190
"""MAV_COMP_ID_MISSIONPLANNER: what ground stations use"""
TYPE_GCS = 6
RADIO_STATUS = 109
"""a telemetry radio puts these between the vehicle's frames, from a system id of its own (SiK: 51): no stranger"""
ADDRESS_HELD_S = 3.0
"""a second sender with a live vehicle's system id is refused; one silent for this long may come from elsewhere"""
EARLY = frozenset({1, 33, 42, 245})
"""SYS_STATUS, GLOBAL_POSITION_INT, MISSION_CURRENT, EXTENDED_SYS_STATE: what a controller that has just started needs
of a vehicle in the air; the plan it holds comes once a second, and so does the HEARTBEAT that admits it"""
EARLY_S = 1.5
MAX_REFUSALS = 512
NOISE_WINDOW_S = 10.0
NOISE_BYTES = 500
NOISE_PER_FRAME = 30
"""more bytes that are no frame than that for each frame, about as many as a frame has, and the link carries noise"""


NOISE = (
    "most of what comes in is no MAVLink frame of the `common` dialect: check the baud rate of both radios, "
    "and that nothing but a PX4 with that dialect sends here"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sender that was not admitted, for the operator's eyes."""

    link: str
    system_id: int
    address: str
    why: str
    first_s: float
    last_s: float
    frames: int


@dataclass(frozen=True, slots=True)
class LinkStats:
    """Counters of one link since it was opened."""

    link: str
    frames: int
    bad_bytes: int
    refused_frames: int
    over_budget: dict[str, int]
    """frames dropped per vehicle because it sent too many"""
    unsigned: dict[str, int]
    """frames refused per vehicle because they were not signed with its key"""
    send_drops: int
    kernel_drops: int | None
    trouble: str | None
    """why nothing, or next to nothing, can come in at present, with the fix"""
    refused: tuple[Refusal, ...]
    """who was not admitted, newest last"""


class MavlinkLink:
    """Routes between a transport and the vehicles that may be reached by it. Made by `Station.add_link`."""

    def __init__(self, name: str, number: int, transport: Transport, peers: Mapping[int, Peer], system_id: int) -> None:
        """`peers`: by system id. `number`: the link's id in our signatures."""
        self.name = name
        self.number = number
        self.transport = transport
        self.system_id = system_id
        self.frames = self.bad_bytes = self.refused_frames = 0
        self.changed: dict[str, Peer] = {}
        """vehicles heard since the station told those who wait"""
        self.news: list[Refusal] = []
        """refusals that are new, for the station to tell"""
        self._refusals: dict[tuple[int, str], Refusal] = {}
        self._noise: str | None = None
        self._window_s = 0.0
        self._window = (0, 0)
        self._seq: dict[Any, int] = {}
        """next sequence number by address: several vehicles may live behind one"""
        self._routes: dict[int, tuple[Peer, Path]] = {
            system: (peer, peer.add_path(name, self.send)) for system, peer in peers.items()
        }

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Unknown systems, clashes of system ids and autopilots that are not PX4."""
        return tuple(self._refusals.values())

    def stats(self) -> LinkStats:
        peers = [peer for peer, _ in self._routes.values()]
        return LinkStats(
            self.name,
            self.frames,
            self.bad_bytes,
            self.refused_frames,
            {peer.vehicle_id: peer.dropped for peer in peers if peer.dropped},
            {peer.vehicle_id: peer.unsigned_frames for peer in peers if peer.unsigned_frames},
            self.transport.send_drops,
            self.transport.kernel_drops(),
            self.trouble,
            tuple(sorted(self.refusals, key=lambda refusal: refusal.last_s)),
        )

    @property
    def trouble(self) -> str | None:
        """Why nothing, or next to nothing, can come in at present, with the fix."""
        return self.transport.trouble or self._noise

    def listen_for_noise(self, now_s: float) -> None:
        """Looks now and then whether what comes in is MAVLink at all."""
        if now_s - self._window_s < NOISE_WINDOW_S:
            return
        frames, bad = self.frames - self._window[0], self.bad_bytes - self._window[1]
        self._window_s, self._window = now_s, (self.frames, self.bad_bytes)
        noise = bad > NOISE_BYTES and bad > NOISE_PER_FRAME * frames
        self._noise = NOISE if noise else None

    # -- frames in ---------------------------------------------------------------------------------------------------

    def received(self, frames: Sequence[Frame], bad: int, address: Any, now_s: float) -> None:
        """What a transport read. Nothing that a frame holds can raise."""
        self.bad_bytes += bad
        self.frames += len(frames)
        for frame in frames:
            route = self._routes.get(frame.system)
            if route is None:
                if frame.msg_id == RADIO_STATUS:
                    continue
                self._refuse(frame.system, address, now_s, self._stranger(frame, address, now_s))
                self.refused_frames += 1
                continue
            peer, path = route
            if peer.guard is not None and not (verdict := peer.judge(frame, now_s)).authentic:
                self.refused_frames += 1
                if verdict.behind:
                    self._show_time(peer, path, address, now_s)
            elif path.address != address and not self._admit(peer, path, frame, address, now_s):
                if path.address is not None:
                    self.refused_frames += 1
                elif frame.component == peer.parties.vehicle_component and frame.msg_id in EARLY:
                    # Before its first HEARTBEAT a vehicle is not refused, only early: its word is kept for a second.
                    path.early[frame.msg_id] = (address, now_s, frame)
            elif peer.receive(path, frame, now_s):
                self.changed[peer.vehicle_id] = peer

    def _show_time(self, peer: Peer, path: Path, address: Any, now_s: float) -> None:
        """A vehicle that has booted signs with an old clock until it hears a signed frame of ours: our heartbeat."""
        if now_s - path.called_s >= 1.0:
            path.called_s = now_s
            self._write(peer, path, [GCS_HEARTBEAT], address)

    def _admit(self, peer: Peer, path: Path, frame: Frame, address: Any, now_s: float) -> bool:
        """Whether a new address is the vehicle's from now on. Only a PX4's own heartbeat opens the door."""
        heartbeat = decode(frame) if frame.msg_id == 0 else None
        if not isinstance(heartbeat, Heartbeat) or frame.component != peer.parties.vehicle_component:
            return False
        if heartbeat.autopilot != AUTOPILOT_PX4:
            self._refuse(frame.system, address, now_s, f"its autopilot is type {heartbeat.autopilot}, not PX4 (12)")
            return False
        old = path.address
        heard = path.heard_s is not None and now_s - path.heard_s < ADDRESS_HELD_S
        if old is not None and heard and not self.transport.gone(old):
            self._refuse(
                frame.system,
                address,
                now_s,
                f"system id {frame.system} is already in use by {peer.vehicle_id} at {shown(old)}; "
                f"give one of the two another MAV_SYS_ID",
            )
            return False
        early, path.early = path.early, {}
        path.moved(address)
        for sender, at_s, kept in early.values():
            if sender == address and now_s - at_s <= EARLY_S:
                peer.recall(path, kept, at_s)
        if all(path.address != old for _, path in self._routes.values()):
            self._seq.pop(old, None)  # a vehicle that connects anew has a new address each time
        return True

    def _stranger(self, frame: Frame, address: Any, now_s: float) -> str:
        heartbeat = decode(frame) if frame.msg_id == 0 else None
        if frame.system == self.system_id:
            ours = self.system_id
            return f"it uses our own system id {ours}; configure another one for the controller or for that station"
        if isinstance(heartbeat, Heartbeat) and heartbeat.type == TYPE_GCS:
            for peer, path in self._routes.values():
                if path.address == address:
                    peer.hear_gcs(frame.system, now_s)
            return "another ground station"
        return f"no vehicle with system id {frame.system} is configured on this link; add it to the vehicles or stop it"

    def _refuse(self, system: int, address: Any, now_s: float, why: str) -> None:
        key = (system, why)
        old = self._refusals.get(key)
        if old is not None:
            self._refusals[key] = replace(old, address=shown(address), last_s=now_s, frames=old.frames + 1)
        elif len(self._refusals) < MAX_REFUSALS:
            refusal = Refusal(self.name, system, shown(address), why, now_s, now_s, 1)
            self._refusals[key] = refusal
            self.news.append(refusal)

    # -- bytes out ---------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Our heartbeat to every address that was heard; to where the transport calls, before anything was.

        Once for each key that is used there: vehicles behind one radio take the time only from what they can verify.
        """
        told: set[tuple[Any, KeyGuard | None]] = set()
        for peer, path in self._routes.values():
            address = path.address if path.address is not None else self.transport.peer
            if address is not None and (address, peer.guard) not in told:
                told.add((address, peer.guard))
                self.send(peer, path, [GCS_HEARTBEAT])

    def send(self, peer: Peer, path: Path, messages: Iterable[Message]) -> None:
        """To where the vehicle was heard, or, before it was, to where the transport calls."""
        address = path.address if path.address is not None else self.transport.peer
        if address is None:
            return
        self._write(peer, path, messages, address)

    def _write(self, peer: Peer, path: Path, messages: Iterable[Message], address: Any) -> None:
        now_s = peer.clock.now_s()
        for message in messages:
            seq = self._seq.get(address, 0)
            self._seq[address] = (seq + 1) & 0xFF
            raw = encode(message, seq=seq, system=self.system_id, component=OWN_COMPONENT)
            if peer.tap is not None:
                peer.tap.frame(raw, now_s, path.number)
            if peer.guard is not None:
                raw = peer.guard.seal(raw, self.number, now_s)
            self.transport.send(raw, address)
