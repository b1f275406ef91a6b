"""The picture of the documentation."""

from __future__ import annotations

from pathlib import Path

from benchmarks.outcomes.judging import End
from benchmarks.outcomes.series import POLICIES
from benchmarks.outcomes.table import Lines, counts, gap_closed, mean_loss

COLOURS = (
    ((End.DELIVERED_GOOD,), "delivered good", "#2a7f62"),
    ((End.BACK_GOOD,), "back, good", "#9ccfb4"),
    ((End.DELIVERED_GOOD_FLAGGED, End.BACK_GOOD_FLAGGED), "good, but flagged", "#e0c068"),
    ((End.DELIVERED_SPOILED_FLAGGED, End.BACK_SPOILED_FLAGGED), "spoiled, flagged", "#c8743c"),
    ((End.DELIVERED_SPOILED_AS_GOOD, End.BACK_SPOILED_AS_GOOD), "spoiled, as good", "#a01c2c"),
    ((End.LOST,), "lost with its vehicle", "#404048"),
)
NAMES = {
    "engine": "engine",
    "threshold": "threshold alarm",
    "continue": "always continue",
    "clairvoyant": "clairvoyant",
}
ORDER = ("continue", "threshold", "engine", "clairvoyant")


def draw(lines: Lines, path: Path) -> None:
    """What became of the doses, and what it cost, by policy."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    assert set(ORDER) == set(POLICIES)
    n = len(lines)
    figure, (doses, losses) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(3, 2), constrained_layout=True)
    rows = list(range(len(ORDER)))[::-1]
    left = [0.0] * len(ORDER)
    for ends, label, colour in COLOURS:
        share = [100 * sum(counts(lines, p)[e.value] for e in ends) / n for p in ORDER]
        doses.barh(rows, share, left=left, color=colour, label=label, height=0.62)
        for row, at, width in zip(rows, left, share, strict=True):
            if width >= 3.0:
                doses.text(at + width / 2, row, f"{width:.1f}", ha="center", va="center", color="white", fontsize=9)
        left = [a + b for a, b in zip(left, share, strict=True)]
    doses.set_yticks(rows, [NAMES[p] for p in ORDER])
    doses.set_xlim(0, 100)
    doses.set_xlabel(f"% of {n:,} deliveries")
    doses.legend(loc="upper center", bbox_to_anchor=(0.5, 1.24), ncols=3, frameon=False, fontsize=9)
    means = [mean_loss(lines, p) for p in ORDER]
    losses.barh(rows, [m for m, _ in means], xerr=[h for _, h in means], color="#5b7fa6", height=0.62, capsize=3)
    losses.set_yticks(rows, [""] * len(rows))
    losses.set_xlim(left=0)
    losses.set_xlabel("mean loss of a delivery, in values of one dose")
    closed, low, high = gap_closed(lines)
    losses.set_title(
        f"the engine closes {100 * closed:.0f} % ({100 * low:.0f}–{100 * high:.0f} %) of the gap\n"
        "between threshold alarm and clairvoyant",
        fontsize=10,
    )
    for axes in (doses, losses):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
