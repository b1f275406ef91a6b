"""Commands on a link that loses half: what was done twice, what was said wrongly, what stayed unknown."""

from __future__ import annotations

from typing import Any

from benchmarks.report import percentile, report, say
from tests.mavlink.command_trials import KINDS, ONCE, judge

COMMANDS = 1_000
LOST = {"acks": "half of all ACKs", "everything": "half of everything, each way"}


def figures(kind: str, lost: str, rtt_s: float) -> dict[str, Any]:
    trials = [judge(kind, lost, rtt_s, seed) for seed in range(COMMANDS)]
    took_s = [trial.took_s for trial in trials]
    return {
        "commands": len(trials),
        "executed_more_than_once": sum(trial.executed > 1 for trial in trials),
        "must_not_be": kind in ONCE,
        "said_wrongly": sum(trial.false for trial in trials),
        "reported_unknown": sum(not trial.known for trial in trials),
        "median_s": round(percentile(took_s, 0.5), 2),
        "p99_s": round(percentile(took_s, 0.99), 2),
    }


def main() -> None:
    out: dict[str, Any] = {}
    for rtt_s in (0.05, 2.0):
        for lost, words in LOST.items():
            say(f"round trip {rtt_s:g} s, {words} lost")
            out[f"round_trip_{rtt_s:g}_s_lost_{lost}"] = {kind: figures(kind, lost, rtt_s) for kind in KINDS}
    rows = [row for case in out.values() for row in case.values()]
    out["executed_twice_where_it_matters"] = sum(r["executed_more_than_once"] for r in rows if r["must_not_be"])
    out["said_wrongly"] = sum(r["said_wrongly"] for r in rows)
    how = (
        "simulated time: the command machine against a scripted vehicle that counts what it carries out; said wrongly: "
        "done and it was not, or refused and it was; times until the outcome, of which a release is sent only once"
    )
    report("link_commands", out, how)


if __name__ == "__main__":
    main()
