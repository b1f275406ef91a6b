"""Each recorded decision decided again, from what was known and remembered then: the same, or otherwise by a policy.

By the policy of the record every decision must come out as it was, numbers to 1e-9. By another policy the question is
what it would have done *then*: choices and places are those of the record, and so is what was remembered of the fault
table, with the rows added that only the other policy sees. After the first decision that differs the vehicle would have
been elsewhere: what follows tells how the policy judges those moments, not how the flight would have gone on. Between
two recorded decisions nothing is known of it at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isclose
from typing import Any

from fleet.records.codec import CodecError, from_json, to_json
from fleet.records.policy import hash_of
from fleet.service import RecordedEvent
from missions.decision.bare import bare_decision, whole
from missions.decision.engine import decide
from missions.decision.types import Decision, FaultMemory, Memory, Policy, Snapshot
from missions.plan import Plan

NUMBERS_TO = 1e-9
"""relative, and absolute near zero: what another machine's mathematics may differ by"""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision of a record. `again` None: it cannot be decided again, and `problem` says why."""

    seq: int
    at_s: float
    vehicle_id: str
    policy_hash: str
    recorded: Decision | None
    again: Decision | None = None
    differs: tuple[str, ...] = ()
    """fields of the decision that did not come out the same by the record's policy, with both values"""
    instead: Decision | None = None
    """what the policy asked about decides; None where none was asked about"""
    problem: str = ""

    @property
    def same(self) -> bool:
        return self.again is not None and not self.differs

    @property
    def otherwise(self) -> bool:
        """Whether the policy asked about does another thing, not only with other numbers."""
        return self.instead is not None and self.again is not None and deed(self.instead) != deed(self.again)


def policies(events: Iterable[RecordedEvent]) -> dict[str, Policy]:
    """The policies of a record by their hashes; one that is not what its hash says is none."""
    found: dict[str, Policy] = {}
    for e in events:
        if e.kind == "policy":
            with suppress(KeyError, CodecError):
                if hash_of(e.body["policy"], e.body["planning"]) == e.body["policy_hash"]:
                    found[e.body["policy_hash"]] = from_json(Policy, e.body["policy"])
    return found


def replay(events: Iterable[RecordedEvent], other: Policy | None = None) -> Iterator[Replayed]:
    """Every decision of an order's record in order, decided again by its own policy and, if given, by another one."""
    held = tuple(events)
    known = policies(held)
    plans: dict[str, Plan] = {}
    for event in held:
        if event.kind == "planned":
            with suppress(KeyError, CodecError):  # a decision that needs it says that it is not there
                plan = from_json(Plan, event.body["plan"])
                plans[plan.plan_id] = plan
    own: tuple[FaultMemory, ...] = ()
    for event in held:
        if event.kind == "decision":
            made, own = _again(event, known, plans, other, own)
            yield made


def deed(decision: Decision) -> tuple[Any, ...]:
    """What is done, apart from the reasons and numbers."""
    c = decision.candidate
    awaits = decision.awaits
    return (
        decision.action,
        None if c is None else (c.kind, c.site_id),
        None if awaits is None else (awaits.kind, awaits.site_id),
        decision.stand_down,
        decision.link_silent,
    )


def _again(
    event: RecordedEvent,
    known: Mapping[str, Policy],
    plans: Mapping[str, Plan],
    other: Policy | None,
    own: tuple[FaultMemory, ...],
) -> tuple[Replayed, tuple[FaultMemory, ...]]:
    body = event.body
    found = Replayed(event.seq, event.at_s, str(body.get("vehicle_id", "")), str(body.get("policy_hash", "")), None)
    try:
        found = replace(found, recorded=from_json(Decision, body["decision"]))
        memory, now_s = from_json(Memory, body["memory"]), float(body["now_s"])
        snapshot = from_json(Snapshot, body["snapshot"])
    except KeyError as missing:
        return replace(found, problem=f"the record does not hold its {missing.args[0]}"), own
    except CodecError as error:
        return replace(found, problem=f"it was written by another version: {error}"), own
    policy, plan = known.get(found.policy_hash), plans.get(snapshot.plan.plan_id)
    if policy is None:
        return replace(found, problem=f"the record does not hold its policy {found.policy_hash[:12]}"), own
    if plan is None:
        return replace(found, problem=f"the record does not hold the plan that was flown, {snapshot.plan.plan_id}"), own
    snapshot = whole(snapshot, plan)
    _, again = decide(memory, snapshot, policy, now_s)
    differs = tuple(_differences("", body["decision"], to_json(bare_decision(again))))
    found = replace(found, again=again, differs=differs)
    if other is None:
        return found, own
    seen = {f.name for f in memory.faults}
    followed = replace(memory, faults=(*memory.faults, *(f for f in own if f.name not in seen)))
    after, instead = decide(followed, snapshot, other, now_s)
    return replace(found, instead=instead), after.faults


def _differences(path: str, then: Any, now: Any) -> Iterator[str]:
    """Where two JSON values are not the same, with both."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in (*then, *(k for k in now if k not in then)):
            if key not in then and _is_default(now[key]):
                continue  # a field that was not known yet
            yield from _differences(f"{path}.{key}" if path else key, then.get(key), now.get(key))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, (a, b) in enumerate(zip(then, now, strict=True)):
            yield from _differences(f"{path}[{i}]", a, b)
    elif not _equal(then, now):
        yield f"{path}: recorded {_short(then)}, now {_short(now)}"


def _equal(then: Any, now: Any) -> bool:
    numbers = (int, float)
    if isinstance(then, numbers) and isinstance(now, numbers) and bool not in (type(then), type(now)):
        return isclose(then, now, rel_tol=NUMBERS_TO, abs_tol=NUMBERS_TO)
    return bool(then == now)


def _is_default(value: Any) -> bool:
    return value is None or value == [] or value is False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
