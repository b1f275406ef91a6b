"""Sensor truth by the thousand: no bad sensor is ever judged in range, and a good one is hardly ever doubted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import pi, sin

import pytest

from fleet.coldbox import Refusal, Refused, ReplayGuard, read_sample, sign
from missions.boxes import BoxSample
from missions.coldchain import samples
from missions.coldchain.monitor import Monitor, observe, view
from missions.snapshot import BoxVerdict
from tests.coldchain.builders import T0, rules

CASES = 200
"""of each kind; the rest of a thousand are a `soak`"""
CLEAN = 2000
GOOD = {BoxVerdict.IN_RANGE, BoxVerdict.EXCURSION_ALLOWED}
MAX_GAP_S = 120.0


@dataclass
class Sender:
    """A healthy box: a truth that wanders within the band, read with noise and a resolution, sent with some delay."""

    rng: random.Random
    every_s: float
    sd_c: float
    grain_c: float
    probes: int
    seq: int = 0
    t_s: float = 0.0

    def __post_init__(self) -> None:
        self.mean_c = self.rng.uniform(3.6, 6.4)
        self.swing_c = self.rng.uniform(0.0, 0.8)
        self.period_s = self.rng.uniform(600.0, 7200.0)
        self.offsets_c = [self.rng.uniform(-0.2, 0.2) for _ in range(self.probes)]

    def temps(self) -> list[float]:
        true_c = self.mean_c + self.swing_c * sin(2.0 * pi * self.t_s / self.period_s)
        read = [true_c + off + self.rng.gauss(0.0, self.sd_c) for off in self.offsets_c]
        return [round(round(c / self.grain_c) * self.grain_c, 4) for c in read]

    def next(self, *temps: float | None, skip: int = 0) -> BoxSample:
        self.seq += 1 + skip
        self.t_s += (1 + skip) * self.every_s
        return BoxSample("box-1", "b1", self.seq, T0 + self.t_s, temps or tuple(self.temps()))

    def run(self, n: int) -> Iterator[BoxSample]:
        for _ in range(n):
            yield self.next()

    def many(self, at_least: int = 15) -> int:
        """As many samples as take longer than a gap may."""
        return max(at_least, int(1.4 * MAX_GAP_S / self.every_s) + 1)


def send(monitor: Monitor, sample: BoxSample, delay_s: float = 0.3) -> Monitor:
    return observe(monitor, sample, sample.box_time_s + delay_s)


@dataclass
class Case:
    """A healthy record so far, and the sender to go on with."""

    box: Sender
    monitor: Monitor
    history: list[BoxSample]

    def send_all(self, series: Iterator[BoxSample] | list[BoxSample], delay_s: float = 0.3) -> None:
        for s in series:
            self.monitor = send(self.monitor, s, delay_s)

    @property
    def now_s(self) -> float:
        return T0 + self.box.t_s + 0.5


def healthy(seed: int, probes: int, n: int = 60, every_s: tuple[float, ...] = (5.0, 10.0, 20.0, 60.0)) -> Case:
    rng = random.Random(seed)
    box = Sender(rng, rng.choice(every_s), rng.uniform(0.05, 0.08), rng.choice((0.01, 0.1)), probes)
    history = list(box.run(n))
    case = Case(box, Monitor("box-1", rules()), history)
    case.send_all(history)
    return case


# each kind makes the sensor bad and gives the time at which it is asked

Kind = Callable[[Case], float]


def reads(case: Case, temp: Callable[[], float | None]) -> float:
    rest = list(case.box.temps()[1:])
    case.send_all([case.box.next(temp(), *rest) for _ in range(case.box.many(6))])
    return case.now_s


def probe_dead(case: Case) -> float:
    return reads(case, lambda: None)


def not_a_number(case: Case) -> float:
    return reads(case, lambda: float("nan"))


def infinite(case: Case) -> float:
    return reads(case, lambda: float("inf"))


def out_of_physical_range(case: Case) -> float:
    return reads(case, lambda: case.box.rng.choice((-127.0, 85.0, 327.67, -60.0, 71.0)))


def only_the_newest_is_broken(case: Case) -> float:
    case.send_all([case.box.next(case.box.rng.choice((None, 85.0, float("nan"))))])
    return case.now_s


def jumping(case: Case) -> float:
    """Back and forth, further than any box can, and always within the band or nearly so."""
    reach = 1.5 + 0.5 * case.box.every_s
    if reach > 5.0:
        case.box.every_s, reach = 5.0, 4.0
    low = case.box.mean_c - 2.0
    case.send_all([case.box.next(low if i % 2 else low + reach + 1.0) for i in range(case.box.many(12))])
    return case.now_s


def stuck(case: Case) -> float:
    frozen = case.box.temps()
    case.send_all([case.box.next(*frozen) for _ in range(case.box.many(160))])
    return case.now_s


def disagreeing(case: Case) -> float:
    off = case.box.rng.choice((-1.0, 1.0)) * case.box.rng.uniform(2.6, 6.0)
    for _ in range(case.box.many(6)):
        first, second = case.box.temps()
        case.send_all([case.box.next(first, second + off)])
    return case.now_s


def drifting_apart(case: Case) -> float:
    for i in range(case.box.many(40)):
        first, second = case.box.temps()
        case.send_all([case.box.next(first, second + 0.12 * i)])
    return case.now_s


def silent(case: Case) -> float:
    return case.now_s + MAX_GAP_S + case.box.rng.uniform(1.0, 600.0)


def numbers_missing(case: Case) -> float:
    lost = int(MAX_GAP_S / case.box.every_s) + case.box.rng.randrange(0, 50)
    case.send_all([case.box.next(skip=lost), *case.box.run(12)])
    return case.now_s


def clock_runs_slow(case: Case) -> float:
    """Measured at our pace, stamped at the box's: every second of it is longer than it says."""
    share, begun = case.box.rng.uniform(0.05, 0.3), case.box.t_s
    for s in list(case.box.run(case.box.many(80))):
        passed = s.box_time_s - T0 - begun
        slow = replace(s, box_time_s=s.box_time_s - share * passed)
        case.monitor = observe(case.monitor, slow, s.box_time_s + 0.3)
    return case.now_s


def clock_jumps_ahead(case: Case) -> float:
    by = case.box.rng.uniform(10.0, 1e5)
    for s in case.box.run(6):
        case.monitor = observe(case.monitor, replace(s, box_time_s=s.box_time_s + by), s.box_time_s + 0.3)
    return case.now_s


def clock_jumps_back(case: Case) -> float:
    by = case.box.rng.uniform(10.0, 1e5) + 6.0 * case.box.every_s
    for s in case.box.run(6):
        case.monitor = observe(case.monitor, replace(s, box_time_s=s.box_time_s - by), s.box_time_s + 0.3)
    return case.now_s


def clock_never_set(case: Case) -> float:
    """A start with a clock that is wrong by years, asked before it has gone in step with ours."""
    by = case.box.rng.choice((-1.0, 1.0)) * case.box.rng.uniform(2e5, 1e9)
    for s in case.box.run(case.box.rng.randrange(1, 9)):
        late = replace(s, boot_id="b2", box_time_s=s.box_time_s + by)
        case.monitor = observe(case.monitor, late, s.box_time_s + 0.3)
    return case.now_s


def old_messages_again(case: Case) -> float:
    """The box is silent; somebody sends what it said before."""
    for i in range(20):
        case.monitor = observe(case.monitor, case.box.rng.choice(case.history), case.now_s + 10.0 * i)
    return case.now_s + 200.0


def old_messages_with_new_times(case: Case) -> float:
    for i in range(20):
        old, now_s = case.box.rng.choice(case.history), case.now_s + 10.0 * i
        case.monitor = observe(case.monitor, replace(old, box_time_s=now_s - 0.3), now_s)
    return case.now_s + 200.0


def new_numbers_with_old_times(case: Case) -> float:
    for i in range(20):
        old, now_s = case.box.rng.choice(case.history[:-1]), case.now_s + 10.0 * i
        forged = replace(old, seq=case.box.seq + 1 + i, box_time_s=old.box_time_s + 0.37 * case.box.every_s)
        case.monitor = observe(case.monitor, forged, now_s)
    return case.now_s + 200.0


def two_senders(case: Case) -> float:
    """A forger says that the box has started anew, and the box itself goes on."""
    for i, s in enumerate(list(case.box.run(case.box.many(12)))):
        forged = replace(s, boot_id="b9", seq=i, box_time_s=s.box_time_s + 0.1, temp_c=(5.0,) * len(s.temp_c))
        case.send_all([s, forged])
    return case.now_s


KINDS: dict[str, tuple[Kind, int, set[str]]] = {
    "probe dead": (probe_dead, 1, {samples.NO_READING}),
    "not a number": (not_a_number, 1, {samples.NO_READING}),
    "infinite": (infinite, 1, {samples.NO_READING}),
    "out of physical range": (out_of_physical_range, 1, {samples.OUT_OF_PHYSICAL_RANGE}),
    "newest broken": (only_the_newest_is_broken, 1, {samples.NO_READING, samples.OUT_OF_PHYSICAL_RANGE}),
    "impossible slopes": (jumping, 1, {samples.IMPOSSIBLE_SLOPE, samples.RECOVERING}),
    "stuck": (stuck, 1, {samples.STUCK}),
    "one of two stuck": (stuck, 2, {samples.STUCK}),
    "disagreeing": (disagreeing, 2, {samples.PROBES_DISAGREE}),
    "drifting apart": (drifting_apart, 2, {samples.PROBES_DISAGREE}),
    "silent": (silent, 1, set()),
    "numbers missing": (numbers_missing, 1, {samples.GAP}),
    "clock runs slow": (clock_runs_slow, 1, {samples.CLOCK_DRIFT}),
    "clock jumps ahead": (clock_jumps_ahead, 1, {samples.CLOCK_STEP}),
    "clock jumps back": (clock_jumps_back, 1, {samples.CLOCK_STEP, samples.CLOCK_SKEW}),
    "clock never set": (clock_never_set, 1, {samples.CLOCK_SKEW}),
    "replayed": (old_messages_again, 1, set()),
    "replayed with new times": (old_messages_with_new_times, 1, {samples.REPLAYED}),
    "forged numbers": (new_numbers_with_old_times, 1, {samples.CLOCK_STEP, samples.REPLAYED}),
    "two senders": (two_senders, 1, {samples.TWO_SENDERS}),
}
LONG = {"stuck", "one of two stuck"}
"""whether a value is stuck shows by how the sensor flickered before: these need a longer past"""


@dataclass(frozen=True)
class Outcome:
    seed: int
    verdict: BoxVerdict
    named: bool
    """one of its kind's names was counted"""
    refused: int
    """messages that were not taken"""


@cache
def outcomes(first: int, last: int) -> dict[str, list[Outcome]]:
    """Of each kind, by seed. One healthy past serves all kinds of a seed."""
    found: dict[str, list[Outcome]] = {name: [] for name in KINDS}
    for seed in range(first, last):
        pasts = {(p, n): healthy(seed, p, n) for p, n in ((1, 40), (2, 40), (1, 200), (2, 200))}
        for name, (kind, probes, names) in KINDS.items():
            past = pasts[probes, 200 if name in LONG else 40]
            case = Case(replace_sender(past.box, seed), past.monitor, past.history)
            now_s = kind(case)
            verdict = view(case.monitor, now_s).verdict
            refused = sum(n for what, n in case.monitor.counts if what in REFUSALS)
            named = not names or any(case.monitor.count(n) for n in names)
            found[name].append(Outcome(seed, verdict, named, refused))
    return found


REFUSALS = {"duplicate", samples.REPLAYED, samples.TWO_SENDERS, samples.CLOCK_STEP, "too_late"}


def replace_sender(box: Sender, seed: int) -> Sender:
    other = replace(box, rng=random.Random(seed + 10**6))
    other.mean_c, other.swing_c, other.period_s, other.offsets_c = (
        box.mean_c, box.swing_c, box.period_s, box.offsets_c,
    )  # fmt: skip
    return other


def check(name: str, cases: list[Outcome]) -> None:
    assert [c.seed for c in cases if c.verdict in GOOD] == []
    assert [c.seed for c in cases if not c.named] == []
    if name == "replayed":
        assert all(c.refused == 20 for c in cases)


@pytest.mark.parametrize("name", KINDS)
def test_a_bad_sensor_is_named_and_never_judged_in_range(name: str) -> None:
    check(name, outcomes(0, CASES)[name])


@pytest.mark.soak
@pytest.mark.parametrize("name", KINDS)
def test_nor_in_any_of_a_thousand_cases(name: str) -> None:
    check(name, outcomes(CASES, 1000)[name])


def test_no_signed_message_that_was_changed_comes_in() -> None:
    """A thousand messages, each changed in one field after it was signed; and each one again, as it was."""
    key, rng, guard = b"a key of this box alone", random.Random(7), ReplayGuard()
    for n in range(1000):
        message = {"boot_id": "b1", "seq": n, "box_time": "2026-03-10T10:00:00.000Z", "temp_c": [9.5], "lid": "open"}
        signed = {**message, "hmac": sign(message, key)}
        changes: dict[str, object] = {
            "temp_c": [round(rng.uniform(2.0, 8.0), 2)], "seq": n + rng.randrange(1, 99), "lid": "closed",
            "box_time": f"2026-03-10T1{rng.randrange(1, 10)}:00:00.000Z", "boot_id": f"b{rng.randrange(2, 99)}",
        }  # fmt: skip
        field = rng.choice(sorted(changes))
        forged = read_sample("box-1", json.dumps({**signed, field: changes[field]}).encode(), key)
        assert isinstance(forged, Refused)
        assert forged.kind is Refusal.FORGED
        unsigned = read_sample("box-1", json.dumps(message).encode(), key)
        assert isinstance(unsigned, Refused)
        assert unsigned.kind is Refusal.UNSIGNED
        genuine = read_sample("box-1", json.dumps(signed).encode(), key)
        assert isinstance(genuine, BoxSample)
        assert guard.admit(genuine) is None
        assert guard.admit(genuine) == f"seq {n} of this boot was here before"


def clean_series(seed: int) -> tuple[Sender, list[BoxSample]]:
    """Realistic noise, a resolution of 0.01, 0.1 or 0.5 °C, and messages lost as far as the gap limit lets them be."""
    rng = random.Random(seed)
    every_s = rng.choice((1.0, 5.0, 10.0, 60.0))
    box = Sender(
        rng, every_s, rng.choice((0.01, 0.02, 0.03, 0.05, 0.08)), rng.choice((0.01, 0.1, 0.5)), rng.choice((1, 1, 2))
    )
    series, last_s = [], 0.0
    for s in box.run(rng.choice((60, 120, 120, 240))):
        lost = rng.random() < 0.03 and box.t_s + every_s - last_s <= MAX_GAP_S
        if not lost:
            series.append(s)
            last_s = box.t_s
    return box, series


def test_a_clean_sensor_is_doubted_in_at_most_one_series_of_a_thousand() -> None:
    doubted = []
    for seed in range(CLEAN):
        box, series = clean_series(seed)
        monitor = Monitor("box-1", rules())
        for s in series:
            monitor = send(monitor, s, box.rng.uniform(0.1, 0.9))
        now = view(monitor, series[-1].box_time_s + 1.0)
        if now.verdict is not BoxVerdict.IN_RANGE:
            doubted.append((seed, now.verdict, now.why))
    assert len(doubted) <= CLEAN // 1000, doubted
