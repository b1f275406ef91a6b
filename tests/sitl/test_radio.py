"""What a bad radio may do to frames, and what it never does."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sitl.radio import STILL_AIR, Air, Channel

SHARES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
TIMES_S = st.sampled_from([0.0, 0.02, 0.3, 5.0])
AIRS = st.builds(Air, loss=SHARES, delay_s=TIMES_S, jitter_s=TIMES_S, duplicate=SHARES)
STEPS = st.lists(st.tuples(TIMES_S, st.one_of(st.just(None), AIRS)), max_size=60)
"""(seconds since the step before, the air that begins now; None: a frame is sent)"""


@dataclass
class Told:
    """A channel through which the story has been told to its end."""

    sent: list[bytes] = field(default_factory=list)
    sent_s: dict[bytes, float] = field(default_factory=dict)
    heard: list[tuple[float, bytes]] = field(default_factory=list)

    def tell(self, steps: list[tuple[float, Air | None]], seed: int) -> Channel:
        channel = Channel(lambda frame, now_s: self.heard.append((now_s, frame)), random.Random(seed))
        now_s = 0.0
        for pause_s, air in steps:
            now_s += pause_s
            channel.step(now_s)
            if air is not None:
                channel.air = air
                continue
            frame = b"frame %d" % len(self.sent)
            self.sent.append(frame)
            self.sent_s[frame] = now_s
            channel.send(frame, now_s)
        channel.step(now_s + 20.0)
        return channel


@given(STEPS, st.integers(0, 10))
def test_a_radio_never_makes_up_or_changes_a_frame(steps: list[tuple[float, Air | None]], seed: int) -> None:
    told = Told()
    channel = told.tell(steps, seed)
    copies = Counter(frame for _, frame in told.heard)
    assert set(copies) <= set(told.sent)
    assert all(n <= 2 for n in copies.values())
    assert all(at_s >= told.sent_s[frame] for at_s, frame in told.heard)
    assert channel.next_s == float("inf")


@given(STEPS, st.integers(0, 10))
def test_what_was_lost_doubled_and_overtaken_is_counted(steps: list[tuple[float, Air | None]], seed: int) -> None:
    told = Told()
    counts = told.tell(steps, seed).counts
    heard = [told.sent.index(frame) for _, frame in told.heard]
    assert counts.lost == len(told.sent) - len(set(heard))
    assert counts.doubled == len(heard) - len(set(heard))
    assert counts.overtaken == sum(n < max(heard[:at], default=-1) for at, n in enumerate(heard))


@given(STEPS, st.integers(0, 10))
def test_the_same_seed_gives_the_same_result(steps: list[tuple[float, Air | None]], seed: int) -> None:
    first, second = Told(), Told()
    assert first.tell(steps, seed).counts == second.tell(steps, seed).counts
    assert first.heard == second.heard


@given(SHARES, TIMES_S, st.integers(0, 10))
def test_without_jitter_frames_stay_in_order(loss: float, delay_s: float, seed: int) -> None:
    told = Told()
    air = Air(loss=loss, delay_s=delay_s, duplicate=0.5)
    counts = told.tell([(0.0, air), *[(0.01, None)] * 40], seed).counts
    assert counts.overtaken == 0
    assert [frame for _, frame in told.heard] == sorted((f for _, f in told.heard), key=told.sent.index)


def test_what_is_under_way_when_the_air_clears_still_arrives_and_may_be_overtaken() -> None:
    told = Told()
    counts = told.tell([(0.0, Air(delay_s=2.0)), (0.0, None), (1.0, STILL_AIR), (0.0, None)], 1).counts
    assert told.heard == [(1.0, b"frame 1"), (21.0, b"frame 0")]
    assert counts.overtaken == 1
