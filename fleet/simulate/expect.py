"""What must come of a scenario, as its file says it; `fleet.simulate.judge` has a row for each of these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fleet.mavlink.watch import EventKind
from missions.decision.faults import BY_NAME
from missions.orders import OrderState
from missions.snapshot import BoxVerdict

ANY = "any"
"""in `no_alarm`: none at all"""
ALARMS = frozenset({*BY_NAME, *EventKind, "abandoned", ANY})
"""what an alarm may be called by; else it is meant as part of its text"""
LEAVE_WITHIN_S = 60.0
"""to notice a closure around it (a second), to hold, plan and upload (15 s) and to fly 500 m at 12 m/s"""


class Choice(StrEnum):
    """What a decision can choose: a candidate's route (missions.decision CandidateKind) or a safety action (Action)."""

    REROUTE = "reroute"
    REICE = "reice"
    RETURN = "return"
    ALTERNATE = "alternate"
    DELIVER = "deliver"
    HOLD = "hold"
    DIVERT_AND_LAND = "divert_and_land"
    LAND_NOW = "land_now"
    STAND_DOWN = "stand_down"


def _ascending(band: tuple[float, float]) -> tuple[float, float]:
    if not band[0] <= band[1]:
        raise ValueError("two temperatures, the lower one first")
    return band


Percent = Annotated[float, Field(ge=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set and type(self) is Expect:
            raise ValueError("at least one expectation, such as `state: [received]`")
        return self


class DecisionWithin(_Strict):
    """The first decision for `kind` comes at most `s` seconds after the fault named `after` began."""

    kind: Choice
    after: str
    s: float = Field(gt=0)


class AlarmWithin(_Strict):
    """The alarm (a row of the fault table, or part of a text) is raised, and at most `s` seconds after the fault named
    `after` began."""

    alarm: str
    after: str
    s: float = Field(gt=0)


class Between(_Strict):
    """From the beginning of the fault named `after` to that of the one named `before`; none: to the end."""

    after: str
    before: str | None = None


class Expect(_Strict):
    """Of one order. Each that is given must be met; a list means one of these, unless it says otherwise."""

    state: list[OrderState] = Field(default_factory=list, description="it ends in one of these")
    refusal: str | None = Field(default=None, min_length=1, description="it is refused, and the reason has these words")
    verdict: list[BoxVerdict] = Field(default_factory=list, description="the cold verdict at the end; empty: any")
    decision: list[Choice] = Field(default_factory=list, description="one of these was chosen in flight")
    decision_within_s: DecisionWithin | None = Field(
        default=None, description="the first decision for `kind` comes at most `s` seconds after `after` began"
    )
    never_inside: list[str] = Field(default_factory=list, description="zones the vehicle must never have flown in")
    leave_within_s: float = Field(
        default=LEAVE_WITHIN_S, gt=0, description="how soon one must be left that appeared around the vehicle"
    )
    never_below_reserve: Percent | None = Field(default=None, description="least battery at the drop and each landing")
    lands_at: str | None = Field(default=None, description="the site at which it lands, within 15 m")
    released: int | None = Field(default=None, ge=0, le=1, description="how often the box left the vehicle")
    released_at: str | None = Field(default=None, description="the site at which the box was set down, within 15 m")
    alarm: list[str] = Field(default_factory=list, description="rows of the fault table or parts of texts: all of them")
    alarm_within_s: list[AlarmWithin] = Field(default_factory=list, description="all of these, each in its time")
    no_alarm: list[str] = Field(default_factory=list, description="none of these; `any`: none at all")
    delivered_within_min: float | None = Field(default=None, gt=0, description="from the order to the receipt")
    temperature_at_hand_over_c: Annotated[tuple[float, float], AfterValidator(_ascending)] | None = Field(
        default=None, description="of the payload itself, lowest and highest"
    )
    no_commands_between: Between | None = Field(
        default=None, description="from the beginning of `after` to that of `before`, else to the end of `after`"
    )
    grounded_during: list[str] = Field(
        default_factory=list, description="faults: from the beginning of each to its end its vehicle does not take off"
    )

    def names(self) -> Iterator[tuple[str, str, str]]:
        """(field, `zone`, `site`, `fault` or `alarm`, name) of what it speaks of, to be looked up."""
        yield from (("never_inside", "zone", z) for z in self.never_inside)
        for field in ("lands_at", "released_at"):
            if (site := getattr(self, field)) is not None:
                yield field, "site", site
        if self.decision_within_s is not None:
            yield "decision_within_s", "fault", self.decision_within_s.after
        if self.no_commands_between is not None:
            ends = (self.no_commands_between.after, self.no_commands_between.before)
            yield from (("no_commands_between", "fault", name) for name in ends if name is not None)
        yield from (("alarm_within_s", "fault", wanted.after) for wanted in self.alarm_within_s)
        yield from (("grounded_during", "fault", name) for name in self.grounded_during)
        yield from (("alarm_within_s", "alarm", wanted.alarm) for wanted in self.alarm_within_s)
        yield from ((field, "alarm", words) for field in ("alarm", "no_alarm") for words in getattr(self, field))


class ExpectRun(_Strict):
    """Of the whole run, all vehicles. What every run must keep holds unless the file says otherwise."""

    never_inside_prohibited: bool = Field(default=True, description="no vehicle flies in any prohibited zone in force")
    leave_within_s: float = Field(
        default=LEAVE_WITHIN_S, gt=0, description="how soon one must be left that appeared around a vehicle"
    )
    record_intact: bool = Field(default=True, description="the hash chain of every record stream holds")
    released_once: bool = Field(default=True, description="no box leaves a vehicle twice, or without an order")
    faults_begin: bool = Field(default=True, description="each fault of the file has begun: its time or place came")
    sound: bool = Field(
        default=False, description="what must hold whatever goes wrong: docs/random-flights.md has the rules"
    )

    def names(self) -> Iterator[tuple[str, str, str]]:
        """As of Expect."""
        yield from ()


def is_text(words: str) -> bool:
    """Whether this can be part of an alarm's text. A misspelt name is not: `no_alarm` of it would always be met."""
    name = re.fullmatch("[a-z_]+", words) is not None
    return not name or ("_" not in words and not get_close_matches(words, ALARMS, n=1, cutoff=0.8))


def is_given(expect: Expect | ExpectRun, field: str) -> Any:
    """What the field asks for; None where it asks for nothing."""
    value = getattr(expect, field)
    return None if value is None or value is False or value == [] else value
