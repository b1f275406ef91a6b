"""Many deliveries: flown once each, kept in a file of JSON lines, and gone on with where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.outcomes.clairvoyant import clairvoyant
from benchmarks.outcomes.drawing import draw, fleet, model, model_hash
from benchmarks.outcomes.judging import SAVED, Outcome, is_good_to_the_last_digit, judge
from benchmarks.outcomes.policies import AlwaysContinue, Engine, ThresholdAlarm
from benchmarks.outcomes.run import Run, Shared
from benchmarks.outcomes.seen import Policy
from benchmarks.report import say

TUNED_FILE = Path(__file__).with_name("tuned.yaml")
ROOT = Path(__file__).parents[2]
SOURCES = ("geofences", "missions", "sitl", "configs", "benchmarks/outcomes")
POLICIES = ("engine", "threshold", "continue", "clairvoyant")
SEEING = "seeing"
"""the clairvoyant that does not turn before the first fault: a second yardstick, not a policy of the comparison"""
TELL_EVERY = 50

EXCESS_C, DELAY_S, BATTERY_PCT = (0.0, 0.5, 1.0), (0.0, 60.0, 180.0), (25.0, 35.0)
"""alarms that are in use: at the label's edge or up to a kelvin beyond, at once or after up to three minutes"""


class OtherVersionError(Exception):
    """The file holds deliveries of another version of model or code."""


@dataclass(frozen=True, slots=True)
class Flown:
    """One delivery under all policies."""

    seed: int
    faults: tuple[str, ...]
    product_id: str
    outcomes: dict[str, Outcome]
    at_the_edge: tuple[str, ...]
    """policies whose dose counts as good, though it left its rules by less than a probe can tell"""
    cpu_s: float


def fly_seed(seed: int, threshold: ThresholdAlarm) -> Flown:
    began = time.process_time()
    shared = Shared.of(draw(seed))
    outcomes: dict[str, Outcome] = {}
    edge = []
    policies: tuple[Policy, ...] = (Engine(fleet().policy), threshold, AlwaysContinue())
    for policy in policies:
        run = Run(shared, policy).fly()
        outcomes[policy.name] = judge(run)
        if outcomes[policy.name].end in SAVED and not is_good_to_the_last_digit(run):
            edge.append(policy.name)
    outcomes["clairvoyant"], outcomes[SEEING] = clairvoyant(shared)
    d = shared.delivery
    return Flown(seed, d.faults, d.order.product_id, outcomes, tuple(edge), round(time.process_time() - began, 3))


# the threshold alarm's numbers


def tuned() -> dict[str, Any]:
    found = YAML(typ="safe", pure=True).load(TUNED_FILE.read_text(encoding="utf-8"))
    if found["model"] != model_hash():
        raise OtherVersionError(f"{TUNED_FILE.name} was tuned on another model.yaml: run with --tune")
    return dict(found)


def tuned_alarm() -> ThresholdAlarm:
    t = tuned()
    return ThresholdAlarm(t["excess_c"], t["delay_s"], t["battery_pct"])


def tune() -> dict[str, Any]:
    """The alarm's numbers with the least mean loss on the tuning seeds, written to `tuned.yaml`."""
    seeds = model()["seeds"]
    grid = list(product(EXCESS_C, DELAY_S, BATTERY_PCT))
    losses = dict.fromkeys(grid, 0.0)
    count = seeds["tuning_deliveries"]
    for n in range(count):
        shared = Shared.of(draw(seeds["tuning_from"] + n))
        for numbers in grid:
            losses[numbers] += judge(Run(shared, ThresholdAlarm(*numbers)).fly()).loss / count
        if (n + 1) % TELL_EVERY == 0:
            say(f"{n + 1} of {count} tuning deliveries")
    best = min(grid, key=lambda numbers: losses[numbers])
    found = {
        "model": model_hash(),
        "excess_c": best[0],
        "delay_s": best[1],
        "battery_pct": best[2],
        "mean_loss": round(losses[best], 4),
        "mean_loss_of_the_worst": round(max(losses.values()), 4),
        "deliveries": count,
    }
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    with TUNED_FILE.open("w", encoding="utf-8") as file:
        file.write("# The threshold alarm's numbers, written by `python -m benchmarks.outcomes --tune`.\n")
        yaml.dump(found, file)
    return found


# the file


@cache
def version() -> str:
    """Of everything that an outcome depends on: lines of two versions do not add up to one result."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".json") and path.is_file():
                digest.update(path.relative_to(ROOT).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def read(path: Path) -> list[dict[str, Any]]:
    """The deliveries in the file, each as one JSON object; a line that was cut short by a kill is cut off."""
    if not path.exists():
        return []
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        path.write_bytes(whole)
    lines = [json.loads(line) for line in whole.splitlines()]
    others = sorted({line["version"] for line in lines} - {version()})
    if others:
        fix = "give another --file, or remove it"
        raise OtherVersionError(f"{path}: it holds deliveries of version {others[0]}, this is {version()}; {fix}")
    return lines


def fly_all(runs: int, path: Path, minutes: float = inf) -> Iterator[dict[str, Any]]:
    """The first `runs` deliveries of the report: read where they are in the file, else flown and added to it.

    After so many minutes no other is begun: what there is then is a shorter series, and a later call goes on with it.
    """
    ends_s = time.monotonic() + 60.0 * minutes
    seeds = model()["seeds"]
    if seeds["report_from"] + runs > seeds["tuning_from"]:
        raise ValueError(f"--runs {runs}: the report's seeds would run into those of the tuning; take fewer")
    known = {line["seed"]: line for line in read(path)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for n in range(runs):
            seed = seeds["report_from"] + n
            if seed not in known:
                if time.monotonic() > ends_s:
                    say(f"{n} of {runs} deliveries in the time given")
                    return
                known[seed] = as_line(fly_seed(seed, tuned_alarm()))
                file.write(json.dumps(known[seed], ensure_ascii=False) + "\n")
                file.flush()
            if (n + 1) % TELL_EVERY == 0:
                say(f"{n + 1} of {runs} deliveries")
            yield known[seed]


def as_line(flown: Flown) -> dict[str, Any]:
    return {
        "seed": flown.seed,
        "version": version(),
        "faults": flown.faults,
        "product": flown.product_id,
        "outcomes": {name: o.as_json() for name, o in flown.outcomes.items()},
        "at_the_edge": flown.at_the_edge,
        "cpu_s": flown.cpu_s,
    }
