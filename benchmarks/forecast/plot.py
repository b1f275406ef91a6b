"""One picture: coverage by horizon, reliability of p_in_range, and the battery's errors beside their intervals."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.forecast.boxes import HORIZONS_S, Array
from benchmarks.forecast.coldchain import Forecasts, Persistence, reliability
from benchmarks.forecast.scores import Z90


def draw_plot(made: Forecasts, persistence: Persistence, flown: dict[str, Array], path: Path) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.0, 3.8), layout="constrained")
    minutes = [h / 60.0 for h in HORIZONS_S]
    widths = [float(np.mean((made.high_c - made.low_c)[made.horizon_s == h])) for h in HORIZONS_S]
    level = [persistence.high_c[h] - persistence.low_c[h] for h in HORIZONS_S]
    left.plot(minutes, level, "o--", color="tab:gray", label="persistence")
    left.plot(minutes, widths, "o-", color="tab:blue", label="forecast")
    for x, h in zip(minutes, HORIZONS_S, strict=True):
        of = made.horizon_s == h
        inside = 100.0 * float(np.mean((made.truth_c >= made.low_c)[of] & (made.truth_c <= made.high_c)[of]))
        left.annotate(f"{inside:.0f} %", (x, widths[HORIZONS_S.index(h)]), (4, -12), textcoords="offset points")
    left.set(xlabel="minutes ahead", ylabel="mean width of the 90 % interval, K", title="Product temperature")
    left.set_ylim(bottom=0.0)
    left.legend()
    rows = reliability(made)
    middle.plot([0, 1], [0, 1], color="tab:gray", linewidth=1)
    middle.scatter(
        [r["mean_p"] for r in rows], [r["stayed"] for r in rows], s=[8 + r["forecasts"] ** 0.5 * 4 for r in rows]
    )
    middle.set(xlabel="chance foretold", ylabel="share that stayed", title="In range on arrival", aspect="equal")
    error, sd = flown["truth_pct"] - flown["mean_pct"], flown["sd_pct"]
    fixed = flown["truth_pct"] - flown["fixed_mean_pct"]
    right.hist(
        fixed / flown["fixed_sd_pct"],
        bins=np.linspace(-8, 8, 49).tolist(),
        alpha=0.5,
        color="tab:gray",
        label="nothing learnt",
    )
    right.hist(error / sd, bins=np.linspace(-8, 8, 49).tolist(), alpha=0.6, color="tab:blue", label="learnt in flight")
    for x in (-Z90, Z90):
        right.axvline(x, color="black", linewidth=1, linestyle=":")
    right.set(xlabel="error, standard deviations foretold", ylabel="flights", title="Battery at the end")
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
