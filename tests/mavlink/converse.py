"""A machine and the scripted vehicle joined by a pipe with delay and loss, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any, TypeVar

from fleet.mavlink.exchange import Exchange
from fleet.mavlink.messages import Message
from tests.mavlink.fake_px4 import FakePx4

T = TypeVar("T")


def converse(
    exchange: Exchange[T],
    vehicle: FakePx4,
    *,
    rtt_s: float = 0.01,
    loss: float = 0.0,
    jitter_s: float = 0.0,
    seed: int = 1,
    limit_s: float = 3600.0,
    telemetry: bool = False,
    drop: Callable[[Message], bool] = lambda _: False,
) -> tuple[T | None, float]:
    """Runs a machine against the vehicle over a pipe with delay and loss each way; the result and when it came.

    `jitter_s`: up to so much more delay for each message, so that they overtake each other.
    """
    chance = random.Random(seed)
    order = itertools.count()
    pipe: list[tuple[float, int, bool, Message]] = []
    now_s, beat_s = 0.0, chance.random()

    def put(messages: Any, to_vehicle: bool) -> None:
        for message in messages:
            if chance.random() >= loss and not drop(message):
                heapq.heappush(pipe, (now_s + rtt_s / 2 + chance.random() * jitter_s, next(order), to_vehicle, message))

    put(exchange.start(now_s), True)
    while exchange.result is None and now_s < limit_s:
        soonest = now_s + 0.05
        if pipe:
            soonest = min(soonest, pipe[0][0])
        if exchange.next_deadline is not None:
            soonest = min(soonest, max(now_s, exchange.next_deadline))
        now_s = soonest
        while pipe and pipe[0][0] <= now_s:
            _, _, to_vehicle, message = heapq.heappop(pipe)
            if to_vehicle:
                put(vehicle.receive(message, now_s), False)
            else:
                put(exchange.receive(message, now_s), True)
        put(vehicle.tick(now_s), False)
        if telemetry and now_s >= beat_s:
            beat_s += 1.0
            put(vehicle.telemetry(now_s), False)
        put(exchange.tick(now_s), True)
    return exchange.result, now_s
