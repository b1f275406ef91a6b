"""Commands: what is repeated, what never is, and what proves that one was carried out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleet.mavlink import px4
from fleet.mavlink.command import Command, MavResult, Repeat
from fleet.mavlink.exchange import Parties
from fleet.mavlink.messages import CommandAck, CommandLong, Heartbeat, Message, TimeSync
from fleet.mavlink.timing import RoundTrip
from missions.snapshot import Mode
from tests.mavlink.command_trials import KINDS, ONCE, judge
from tests.mavlink.converse import converse
from tests.mavlink.fake_px4 import FakePx4

US = Parties(245, 190, 1)


def long(command: int, *params: float) -> CommandLong:
    values = [*params, *[0.0] * (7 - len(params))]
    return CommandLong(*values, command, 0, 0)  # type: ignore[misc]


def in_mode(mode: Mode) -> object:
    return lambda beat: px4.mode_of(beat.custom_mode) is mode


def set_mode(mode: Mode) -> Command:
    message = long(176, 1.0, 4.0, float(px4.auto_sub_mode(mode)))
    return Command(US, message, RoundTrip(), repeat=Repeat.FREELY, effect=in_mode(mode))  # type: ignore[arg-type]


def start() -> Command:
    return Command(
        US,
        long(300),
        RoundTrip(),
        repeat=Repeat.IF_NO_EFFECT,
        effect=lambda beat: bool(beat.base_mode & px4.ARMED),
    )


def start_in(mode: Mode) -> Command:
    return Command(US, long(300), RoundTrip(), repeat=Repeat.IF_NO_EFFECT, effect=in_mode(mode))  # type: ignore[arg-type]


def release() -> Command:
    return Command(US, long(211, 1.0, 0.0), RoundTrip(), repeat=Repeat.NEVER)


def count(vehicle: FakePx4, command: int) -> int:
    return sum(isinstance(m, CommandLong) and m.command == command for m in vehicle.log)


def is_ack(message: Message) -> bool:
    return isinstance(message, CommandAck)


def test_a_mode_counts_when_the_heartbeat_shows_it() -> None:
    vehicle = FakePx4()
    answer, took_s = converse(set_mode(Mode.RETURN), vehicle, telemetry=True)
    assert answer is not None
    assert answer.seen
    assert took_s < 1.5


def test_an_accepted_mode_that_does_not_take_is_commanded_again() -> None:
    vehicle = FakePx4(ignore_modes=2)
    answer, took_s = converse(set_mode(Mode.MISSION), vehicle, telemetry=True)
    assert answer is not None
    assert answer.seen
    assert count(vehicle, 176) == 3
    assert took_s < 10


def test_a_mode_that_never_takes_ends_as_accepted_and_not_seen() -> None:
    answer, _ = converse(set_mode(Mode.LAND), FakePx4(ignore_modes=99), telemetry=True)
    assert answer is not None
    assert (answer.accepted, answer.seen) == (True, False)


def test_a_mode_is_repeated_with_a_rising_confirmation_when_acks_are_lost() -> None:
    vehicle = FakePx4()
    command = set_mode(Mode.HOLD)
    vehicle.mode = 0x05040000
    answer, _ = converse(command, vehicle, loss=0.5, seed=5, telemetry=True)
    assert answer is not None
    assert answer.seen


def test_a_refusal_ends_it_at_once_with_the_vehicles_word() -> None:
    vehicle = FakePx4()
    vehicle.lists[0] = []
    answer, took_s = converse(start(), vehicle, telemetry=True)
    assert answer is not None
    assert (answer.refused, answer.word) == (True, "DENIED")
    assert took_s < 0.5


def test_a_start_whose_ack_is_lost_is_seen_and_not_sent_again() -> None:
    vehicle = FakePx4(mission_state=2)
    vehicle.lists[0] = [None]  # type: ignore[list-item]
    answer, _ = converse(start(), vehicle, telemetry=True, drop=is_ack)
    assert answer is not None
    assert answer.seen
    assert vehicle.starts == 1


def test_a_start_that_was_lost_itself_is_sent_again_once_heartbeats_show_it() -> None:
    vehicle = FakePx4(mission_state=2)
    vehicle.lists[0] = [None]  # type: ignore[list-item]
    answer, took_s = converse(start(), vehicle, telemetry=True, drop=lose_the_first_start())
    assert answer is not None
    assert answer.seen
    assert vehicle.starts == 1
    assert took_s > 1.0


def test_with_half_of_all_acks_lost_nothing_starts_twice() -> None:
    for seed in range(200):
        vehicle = FakePx4(mission_state=2)
        vehicle.lists[0] = [None]  # type: ignore[list-item]
        answer, _ = converse(start(), vehicle, telemetry=True, loss=0.5, seed=seed)
        assert answer is not None
        assert vehicle.starts <= 1
        assert not answer.seen or vehicle.armed


def lose_the_first_start() -> Callable[[Message], bool]:
    lost: list[Message] = []

    def first(message: Message) -> bool:
        if isinstance(message, CommandLong) and not lost:
            lost.append(message)
            return True
        return False

    return first


@pytest.mark.parametrize("rtt_s", [0.3, 2.0, 5.0, 9.0])
def test_a_start_is_not_repeated_because_the_round_trip_is_longer_than_anybody_measured(rtt_s: float) -> None:
    vehicle = FakePx4(mission_state=2)
    vehicle.lists[0] = [None]  # type: ignore[list-item]
    answer, _ = converse(start(), vehicle, rtt_s=rtt_s, telemetry=True, drop=is_ack)
    assert answer is not None
    assert answer.seen
    assert vehicle.starts == 1


@pytest.mark.parametrize("rtt_s", [0.3, 2.0, 5.0])
def test_but_it_is_repeated_on_such_a_link_when_it_was_lost(rtt_s: float) -> None:
    vehicle = FakePx4(mission_state=2)
    vehicle.lists[0] = [None]  # type: ignore[list-item]
    answer, _ = converse(start(), vehicle, rtt_s=rtt_s, telemetry=True, drop=lose_the_first_start())
    assert answer is not None
    assert (answer.seen, answer.sent, vehicle.starts) == (True, 2, 1)


def test_a_start_is_not_repeated_into_the_mode_of_somebody_who_took_over() -> None:
    command = start_in(Mode.MISSION)
    command.start(0.0)
    command.receive(TimeSync(1, 0), 0.1)
    command.receive(Heartbeat(0x05040000, 2, 12, 157, 4), 2.0)
    assert not command.receive(Heartbeat(0x05040000, 2, 12, 157, 4), 3.0)
    disarmed = Heartbeat(0x03040000, 2, 12, 29, 3)
    assert not command.receive(disarmed, 11.0), "it may have been armed and have disarmed itself since"


def test_an_accepted_start_that_does_not_show_is_told_by_the_heartbeats_and_not_sent_again() -> None:
    vehicle = FakePx4(mission_state=2)
    vehicle.lists[0] = [None]  # type: ignore[list-item]
    vehicle.heartbeat = lambda: Heartbeat(0x03040000, 2, 12, 29, 3)  # type: ignore[method-assign]
    answer, took_s = converse(start(), vehicle, telemetry=True)
    assert answer is not None
    assert (answer.accepted, answer.seen, answer.sent) == (True, False, 1)
    assert 3.0 < took_s < 5.0


def test_a_release_whose_progress_was_lost_is_still_known_by_its_final_ack() -> None:
    vehicle = FakePx4()

    def progress(message: Message) -> bool:
        return isinstance(message, CommandAck) and message.result == MavResult.IN_PROGRESS

    answer, _ = converse(release(), vehicle, rtt_s=1.0, drop=progress)
    assert answer is not None
    assert answer.accepted


@pytest.mark.parametrize("rtt_s", [0.05, 2.0])
@pytest.mark.parametrize("lost", ["acks", "everything"])
@pytest.mark.parametrize("kind", KINDS)
def test_with_half_of_it_lost_nothing_is_done_twice_and_what_is_said_is_true(
    kind: str, lost: str, rtt_s: float
) -> None:
    tally = [judge(kind, lost, rtt_s, seed) for seed in range(60)]
    assert not any(trial.false for trial in tally)
    if kind in ONCE:
        assert max(trial.executed for trial in tally) == 1
    unknown = sum(not trial.known for trial in tally)
    # A release is sent once and told by one ACK: on such a link half or a quarter of them are known.
    expected = {"release": 30 if lost == "acks" else 45, "interval": 6}.get(kind, 3)
    assert unknown <= 1.4 * expected + 2, f"{unknown} of 60 not known"


def test_a_release_waits_for_the_final_ack_after_progress() -> None:
    vehicle = FakePx4()
    answer, took_s = converse(release(), vehicle)
    assert answer is not None
    assert answer.accepted
    assert 1.0 <= took_s < 1.5


def test_a_release_is_sent_once_whatever_is_lost() -> None:
    unknown = 0
    for seed in range(200):
        vehicle = FakePx4()
        answer, _ = converse(release(), vehicle, loss=0.5, seed=seed)
        assert answer is not None
        assert count(vehicle, 211) <= 1
        assert answer.sent == 1
        assert not answer.accepted or vehicle.grips == 1
        unknown += answer.ack is None
    assert 100 < unknown < 200, "what is not known is said to be unknown"


def test_a_release_cancelled_by_another_one_says_so() -> None:
    command = release()
    command.start(0.0)
    command.receive(CommandAck(211, int(MavResult.IN_PROGRESS), 0, 0, 245, 190), 0.1)
    command.receive(CommandAck(211, int(MavResult.CANCELLED), 0, 0, 245, 190), 0.5)
    assert command.result is not None
    assert command.result.word == "CANCELLED"


def test_acks_of_other_commands_and_stations_are_not_ours() -> None:
    command = release()
    command.start(0.0)
    command.receive(CommandAck(176, 0, 0, 0, 245, 190), 0.1)
    command.receive(CommandAck(211, 0, 0, 0, 99, 190), 0.1)
    assert command.result is None


def test_patience_grows_with_the_measured_round_trip() -> None:
    rtt = RoundTrip()
    for _ in range(20):
        rtt.sample(2.0)
    message = long(512, 148.0)
    answer, took_s = converse(Command(US, message, rtt, repeat=Repeat.FREELY), FakePx4(), rtt_s=2.0)
    assert answer is not None
    assert answer.accepted
    assert answer.sent == 1
    assert took_s < 2.1


def test_a_heartbeat_from_before_a_start_could_arrive_repeats_nothing() -> None:
    command = start()
    command.start(0.0)
    assert not command.receive(Heartbeat(0, 2, 12, 29, 3), 0.5)
