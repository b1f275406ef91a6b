"""One command on a bad link against a vehicle that counts: what was said against what was done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from fleet.mavlink import px4
from fleet.mavlink.command import Command, Repeat
from fleet.mavlink.exchange import Parties
from fleet.mavlink.messages import CommandAck, CommandLong, Heartbeat, Message
from fleet.mavlink.timing import RoundTrip
from missions.snapshot import Mode
from tests.mavlink.converse import converse
from tests.mavlink.fake_px4 import HOLD, RTL, FakePx4

US = Parties(245, 190, 1)
RELEASE, START, ARM, MODE, INTERVAL = 211, 300, 400, 176, 511
KINDS = ("release", "start", "arm", "mode", "interval")
ONCE = ("release", "start", "arm")
"""kinds that may not be carried out twice"""


@dataclass(frozen=True, slots=True)
class Trial:
    known: bool
    """done or refused; else reported as unknown"""
    executed: int
    """how often the vehicle carried it out"""
    false: bool
    """said to be done and was not, or said to be refused and was done"""
    took_s: float


def _armed(beat: Heartbeat) -> bool:
    return bool(beat.base_mode & px4.ARMED)


def _returning(beat: Heartbeat) -> bool:
    return px4.mode_of(beat.custom_mode) is Mode.RETURN


_ROWS: dict[str, tuple[int, tuple[float, ...], Repeat, Callable[[Heartbeat], bool] | None]] = {
    "release": (RELEASE, (1.0, 0.0), Repeat.NEVER, None),
    "start": (START, (), Repeat.IF_NO_EFFECT, _armed),
    "arm": (ARM, (1.0,), Repeat.IF_NO_EFFECT, _armed),
    "mode": (MODE, (1.0, 4.0, 5.0), Repeat.FREELY, _returning),
    "interval": (INTERVAL, (33.0, 250_000.0), Repeat.FREELY, None),
}


def judge(kind: str, lost: str, rtt_s: float, seed: int) -> Trial:
    """A command of this kind with half of all ACKs lost, or half of `everything` each way."""
    command, params, repeat, effect = _ROWS[kind]
    vehicle = FakePx4(mode=HOLD, mission_state=2)
    vehicle.lists[0] = [None]  # type: ignore[list-item]
    rtt = RoundTrip()
    for _ in range(5):
        rtt.sample(rtt_s)
    values = (*params, *(0.0,) * (7 - len(params)))
    machine = Command(US, CommandLong(*values, command, 0, 0), rtt, repeat=repeat, effect=effect)  # type: ignore[call-arg, arg-type, misc]
    chance = random.Random(seed + 1)

    def ack_lost(message: Message) -> bool:
        return lost == "acks" and isinstance(message, CommandAck) and chance.random() < 0.5

    answer, took_s = converse(
        machine,
        vehicle,
        rtt_s=rtt_s,
        loss=0.5 if lost == "everything" else 0.0,
        seed=seed,
        telemetry=True,
        drop=ack_lost,
    )
    assert answer is not None, "a command has an end"
    executed = sum(isinstance(m, CommandLong) and m.command == command for m in vehicle.log)
    done = bool(answer.seen or (answer.seen is None and answer.accepted))
    held = {
        "release": vehicle.grips > 0,
        "start": vehicle.armed,
        "arm": vehicle.armed,
        "mode": vehicle.mode == RTL,
        "interval": vehicle.rates.get(33) == 250_000.0,
    }[kind]
    return Trial(done or answer.refused, executed, (done and not held) or (answer.refused and held), took_s)
