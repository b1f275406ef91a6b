"""What somebody else does to a vehicle is told from what we did and what PX4 does by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.mavlink.port import PlanIds
from fleet.mavlink.watch import EventKind, Watch
from missions.snapshot import LinkQuality, MissionState, MissionStatus, Mode, Timed, VehicleState

OURS = PlanIds(11, 22, 33)


def state(
    mode: Mode = Mode.HOLD,
    *,
    armed: bool = True,
    mission: MissionState = MissionState.ACTIVE,
    ids: tuple[int | None, int | None, int | None] = (11, 22, 33),
    failsafe: bool = False,
    at_s: float = 0.0,
    **fields: object,
) -> VehicleState:
    made = VehicleState(
        "cw-1",
        heard_s=at_s,
        armed=Timed(armed, at_s),
        mode=Timed(mode, at_s),
        failsafe=Timed(failsafe, at_s),
        mission=Timed(MissionStatus(mission, 1, 4, *ids), at_s),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


class Story:
    """A watch and its clock: each line is a state a quarter of a second, or `after_s`, later."""

    def __init__(self, *, holds: PlanIds | None = OURS) -> None:
        self.watch = Watch("cw-1")
        self.now_s = 100.0
        self.watch.upload_begins()
        self.watch.upload_ends(holds)

    def sees(self, shown: VehicleState, after_s: float = 0.25) -> list[EventKind]:
        self.now_s += after_s
        return [event.kind for event in self.watch.observe(shown, self.now_s)]

    def commands(self, *modes: Mode, arms: bool = False) -> None:
        self.watch.commanding(frozenset(modes), self.now_s, 5.0, arms=arms)


def test_a_delivery_as_we_command_it_raises_nothing() -> None:
    story = Story()
    assert story.sees(state(armed=False)) == []
    story.commands(Mode.MISSION, Mode.TAKEOFF, arms=True)
    for mode in (Mode.TAKEOFF, Mode.MISSION):
        assert story.sees(state(mode)) == []
    story.commands(Mode.HOLD)
    assert story.sees(state(Mode.HOLD)) == []
    story.commands(Mode.MISSION)
    assert story.sees(state(Mode.MISSION), after_s=4.0) == []
    assert story.sees(state(Mode.HOLD), after_s=20.0) == [], "the end of the mission, which PX4 says a second later"
    assert story.sees(state(Mode.HOLD, mission=MissionState.COMPLETE), after_s=1.0) == []
    assert story.sees(state(Mode.HOLD, mission=MissionState.COMPLETE), after_s=9.0) == []
    story.commands(Mode.RETURN)
    for mode in (Mode.RETURN, Mode.LAND):
        assert story.sees(state(mode), after_s=3.0) == []
    assert story.sees(state(Mode.HOLD, armed=False)) == []


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (Mode.MISSION, Mode.MANUAL),
        (Mode.MISSION, Mode.RETURN),
        (Mode.HOLD, Mode.MISSION),
        (Mode.HOLD, Mode.OFFBOARD),
        (Mode.MISSION, Mode.LAND),
    ],
)
def test_a_mode_that_nobody_of_ours_commanded_is_somebody_taking_over(was: Mode, now: Mode) -> None:
    story = Story()
    assert story.sees(state(was)) == []
    assert story.sees(state(now)) == [EventKind.MODE_TAKEN]
    assert story.sees(state(now)) == [], "told once"


def test_a_hold_in_the_middle_of_a_mission_is_told_when_no_end_of_it_shows() -> None:
    story = Story()
    story.sees(state(Mode.MISSION))
    assert story.sees(state(Mode.HOLD)) == []
    assert story.sees(state(Mode.HOLD), after_s=3.5) == [EventKind.MODE_TAKEN]


def test_px4s_failsafe_is_nobodys_hand() -> None:
    story = Story()
    story.sees(state(Mode.MISSION))
    assert story.sees(state(Mode.RETURN, failsafe=True)) == []


def test_a_commanded_mode_explains_itself_only_while_the_command_may_still_show() -> None:
    story = Story()
    story.sees(state(Mode.HOLD))
    story.commands(Mode.MISSION)
    assert story.sees(state(Mode.HOLD), after_s=30.0) == []
    assert story.sees(state(Mode.MISSION)) == [EventKind.MODE_TAKEN]


def test_a_command_overtaken_by_a_newer_one_may_show_before_it() -> None:
    story = Story()
    story.sees(state(Mode.HOLD))
    story.commands(Mode.MISSION)
    story.commands(Mode.RETURN)
    assert story.sees(state(Mode.MISSION)) == []
    assert story.sees(state(Mode.RETURN)) == []


def test_arming_by_somebody_else_is_told() -> None:
    story = Story()
    story.sees(state(armed=False))
    assert story.sees(state(armed=True)) == [EventKind.ARMED_BY_OTHER]


@pytest.mark.parametrize("ids", [(12, 22, 33), (11, 23, 33), (11, 22, 34), (0, 0, 0)])
def test_any_list_that_is_not_what_we_proved_is_a_rivals(ids: tuple[int, int, int]) -> None:
    story = Story()
    assert story.sees(state()) == []
    assert story.sees(state()) == []
    assert story.sees(state(ids=ids)) == [EventKind.RIVAL_PLAN]
    assert story.sees(state(ids=ids)) == []


def test_our_own_upload_is_no_rivals_also_when_it_fails() -> None:
    story = Story()
    story.sees(state())
    story.watch.upload_begins()
    assert story.sees(state(ids=(11, 99, 33))) == []
    story.watch.upload_ends(PlanIds(98, 99, 33))
    assert story.sees(state(ids=(98, 99, 33))) == []
    story.watch.upload_begins()
    story.watch.upload_ends(None)
    assert story.sees(state(ids=(97, 99, 33))) == [], "what a broken upload left behind is not known"
    assert story.sees(state(ids=(96, 99, 33))) == [EventKind.RIVAL_PLAN]


def test_firmware_that_tells_no_ids_raises_nothing() -> None:
    story = Story(holds=PlanIds(0, 0, 0))
    for _ in range(3):
        assert story.sees(state(ids=(None, None, None))) == []


def test_a_reboot_is_told_and_what_it_changes_is_not_anybodys_doing() -> None:
    story = Story()
    story.sees(state(Mode.MISSION))
    assert story.sees(state(Mode.HOLD, armed=False, ids=(0, 0, 0), boot=1)) == [EventKind.REBOOTED]


def test_another_ground_station_comes_and_goes() -> None:
    story = Story()
    story.sees(state())
    assert story.sees(state(link=LinkQuality(None, None, (255,)))) == [EventKind.OTHER_GCS]
    assert story.sees(state(link=LinkQuality(None, None, (255, 254)))) == [EventKind.OTHER_GCS]
    assert story.sees(state()) == [EventKind.OTHER_GCS_GONE, EventKind.OTHER_GCS_GONE]
