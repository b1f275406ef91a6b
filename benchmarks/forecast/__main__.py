"""`python -m benchmarks.forecast [--boxes N] [--flights N] [--plot FILE]`: the calibration report.

What was tuned – the noises of thermal model and draw, the width of the persistence forecast – was tuned on
TUNING_SEEDS; the report is of REPORT_SEEDS, which nothing was tuned on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.forecast import battery, coldchain
from benchmarks.forecast.plot import draw_plot
from benchmarks.report import report, say

TUNING_SEEDS = (11, 12)
REPORT_SEEDS = (201, 202)
FITTED_SEEDS = (204, 205)
FITTED_FLIGHTS = 30
BATTERY_SEED = 206
"""21 to 23 served for tuning, 203 for a report of what was tuned then"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("--boxes", type=int, default=600, help="box histories, four forecasts each")
    parser.add_argument("--flights", type=int, default=600, help="flights whose battery is foretold")
    parser.add_argument("--plot", type=Path, help="a PNG of what came true")
    args = parser.parse_args()
    start_s = time.process_time()
    share = args.boxes // len(REPORT_SEEDS)
    say("truths of the tuning seeds, for the width of persistence")
    persistence = coldchain.tuned([coldchain.truths(seed, 1000) for seed in TUNING_SEEDS])
    made = coldchain.joined([coldchain.make(seed, share, say) for seed in REPORT_SEEDS])
    say(f"once more, with priors fitted to {FITTED_FLIGHTS} flights of another seed")
    priors = coldchain.learnt(TUNING_SEEDS[0], FITTED_FLIGHTS)
    again = coldchain.joined([coldchain.make(seed, share // 2, say, priors) for seed in FITTED_SEEDS])
    say(f"{args.flights} flights")
    flown = battery.make(BATTERY_SEED, args.flights)
    figures = {
        "cold_chain": coldchain.figures(made, persistence),
        "cold_chain_with_fitted_priors": coldchain.figures(again, persistence),
        "battery": battery.figures(flown),
        "cpu_s": round(time.process_time() - start_s, 1),
    }
    if args.plot is not None:
        draw_plot(made, persistence, flown, args.plot)
    how = (
        f"{len(made.truth_c)} forecasts of {args.boxes} boxes of six thermal nodes with parameters drawn per flight, "
        f"seeds {REPORT_SEEDS}; persistence calibrated on seeds {TUNING_SEEDS}; {len(np.atleast_1d(flown['fault']))} "
        f"flights by the simulator's dynamics and power model, seed {BATTERY_SEED}"
    )
    report("forecast", figures, how, ("numpy",))


if __name__ == "__main__":
    main()
