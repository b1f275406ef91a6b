"""One decision with 8 candidates, the cold-chain forecasts of 8 candidates, and a whole fleet from sample to command.

Bars: `decide` at most 1 ms in the median; 200 vehicles at 15 messages a second with boxes at 1 Hz on one core: from the
box's sample to the command at the vehicle, both written down durably before it leaves, at most 50 ms (p99), all of them
at once within 1 s; candidates at most 10 s old. `python -m benchmarks.decide 20` flies fewer.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from benchmarks.decide_fleet import VEHICLES, end_to_end
from benchmarks.report import percentile, report, say
from missions.boxes import Box
from missions.coldchain import thermal
from missions.coldchain.assess import rules_for, start
from missions.coldchain.forecast import Outlook
from missions.decision.engine import decide
from missions.decision.types import CandidateKind, Memory, Policy
from tests.coldchain.builders import profile
from tests.decision.situations import CALM, NOW, candidate, excursion_forecast

RUNS = 5000
FORECASTS = 200
BOX = Box("box-1", 6.0, 1.2, frozenset({"vaccine_freeze_sensitive"}), 4.0, 150.0, 1.2, 7.0)


def decisions_us() -> list[float]:
    """The comparison is open, so that every candidate is weighed."""
    calm = excursion_forecast(CALM)
    more = tuple(
        candidate(CandidateKind.ALTERNATE, f"field-{n}", after_s=100.0 + n) for n in range(8 - len(calm.candidates))
    )
    snapshot = replace(calm, candidates=(*calm.candidates, *more))
    assert len(snapshot.candidates) == 8
    memory, policy, times = Memory(), Policy(), []
    for _ in range(RUNS):
        start_s = time.thread_time()
        memory, decision = decide(memory, snapshot, policy, NOW)
        times.append(1e6 * (time.thread_time() - start_s))
    assert len(decision.considered) == 8
    return times


def forecasts_ms(*, lid_open: bool) -> list[float]:
    """A new outlook, as after each sample, asked for 8 arrivals, two of them with a new pack on the way.

    With the lid open for a minute: it may be shut again, so that there are twice as many futures.
    """
    rules = rules_for(profile("vaccine_freeze_sensitive"))
    estimate = thermal.initial(BOX, 5.0, 0.0, pack_left_kj=40.0)
    for n in range(1, 60):
        opened = lid_open and n > 30
        temp_c = 5.0 + 0.002 * n + (0.05 * (n - 30) if opened else 0.0)
        estimate = thermal.update(estimate, temp_c, 38.0, 2.0 * n, opened, True)
    times = []
    for n in range(FORECASTS):
        start_s = time.thread_time()
        outlook = Outlook(estimate, start(rules), rules, 38.0, 120.0 + n * 1e-3)
        for k in range(8):
            arrive_s = 300.0 + 60.0 * k
            outlook(arrive_s, arrive_s - 150.0 if k >= 6 else None)
        times.append(1e3 * (time.thread_time() - start_s))
    return times


def main() -> None:
    say(f"{RUNS} decisions")
    decided = decisions_us()
    say(f"{FORECASTS} times 8 forecasts, with the lid shut and open")
    forecast, with_lid_open = forecasts_ms(lid_open=False), forecasts_ms(lid_open=True)
    fleet = end_to_end(int(sys.argv[1]) if len(sys.argv) > 1 else VEHICLES)
    figures = {
        "candidates": 8,
        "decide_median_us": round(percentile(decided, 0.5), 1),
        "decide_p99_us": round(percentile(decided, 0.99), 1),
        "forecasts_8_median_ms": round(percentile(forecast, 0.5), 2),
        "forecasts_8_p99_ms": round(percentile(forecast, 0.99), 2),
        "forecasts_8_lid_open_median_ms": round(percentile(with_lid_open, 0.5), 2),
        "forecasts_8_lid_open_p99_ms": round(percentile(with_lid_open, 0.99), 2),
        "end_to_end": fleet,
    }
    how = (
        f"{RUNS} calls of decide on one snapshot, {FORECASTS} outlooks of 8 ways each, CPU time. End to end: wall time "
        "from a sample's datagram to the command's, by the vehicles' process; the controller as `fleet serve` runs it, "
        "re-adopting flights from SQLite on disk, pinned to one core; the samples come by a socket, not by a broker; "
        "the burst is from the first sample to the last command. No peer exists"
    )
    report("decide", figures, how, ("numpy",))


if __name__ == "__main__":
    main()
