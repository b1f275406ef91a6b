"""What fails by a fault of ours: tried ever more slowly, told once per kind of fault, and not without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fleet.clock import LoopClock
from fleet.runtime.again import Again
from fleet.runtime.dispatcher import Dispatcher
from fleet.runtime.session import Session
from fleet.service import VehicleCommand
from fleet.virtual import run_virtual
from tests.runtime.rig import START_S, Rig, rig


def play(runs: Callable[[int], tuple[float, Exception | None]], until_s: float, mark: Callable[[], object]) -> Any:
    """`runs(n)`: how long the n-th try runs and what it raises. → when tries began, and what was reported when."""
    clock = LoopClock(START_S)
    tries: list[float] = []
    told: list[tuple[float, str, str, dict[str, Any]]] = []

    async def run() -> None:
        tries.append(clock.now_s() - START_S)
        lasts_s, fault = runs(len(tries) - 1)
        await clock.sleep(lasts_s)
        if fault is not None:
            raise fault

    async def report(kind: str, text: str, body: dict[str, Any]) -> None:
        told.append((clock.now_s() - START_S, kind, text, body))

    async def main() -> str | None:
        again = Again("flight f-1 of cw-01", clock, report)
        try:
            async with asyncio.timeout(until_s):
                await again.keep(run, mark)
        except TimeoutError:
            pass
        return again.trouble

    trouble = run_virtual(main())
    return tries, told, trouble


def test_what_fails_for_good_is_tried_after_2_4_8_and_so_on_to_60_s_and_told_once():
    tries, told, trouble = play(lambda n: (0.0, ZeroDivisionError(f"at step {n}")), 200.0, lambda: None)
    assert tries == pytest.approx([0, 2, 6, 14, 30, 62, 122, 182], abs=0.01)
    ((at_s, kind, text, body),) = told
    assert (at_s, kind) == (0.0, "fault")
    assert text == "a fault of the controller in flight f-1 of cw-01 (ZeroDivisionError: at step 0): again in 2 s"
    assert body["what"] == "flight f-1 of cw-01"
    assert body["text"] == "ZeroDivisionError: at step 0"
    assert body["kind"].startswith("ZeroDivisionError at test_again.py:")
    assert trouble.endswith("(ZeroDivisionError: at step 7), 8 times: again in 42 s")


def test_another_kind_of_fault_is_told_too_and_waits_its_turn():
    def runs(n: int) -> tuple[float, Exception | None]:
        return 0.0, (KeyError("box") if n % 2 else ValueError("nan"))

    _, told, _ = play(runs, 100.0, lambda: None)
    assert [(at_s, body["text"]) for at_s, _, _, body in told] == [(0.0, "ValueError: nan"), (2.0, "KeyError: 'box'")]
    assert told[1][2].endswith(", 2 times: again in 4 s")


def test_who_ran_well_for_a_minute_begins_anew_and_the_count_is_told():
    runs = [(0.0, ValueError("a")), (59.0, ValueError("b")), (0.0, ValueError("c")), (61.0, ValueError("d"))]
    tries, told, trouble = play(lambda n: runs[n] if n < 4 else (1000.0, None), 400.0, lambda: None)
    # A minute less one second was no recovery: the third wait is 8 s. After a whole minute the count begins anew.
    assert tries == pytest.approx([0, 2, 65, 73, 136], abs=0.01)
    assert [(round(at_s), kind) for at_s, kind, _, _ in told] == [
        (0, "fault"),
        (133, "fault_over"),
        (134, "fault"),
        (196, "fault_over"),
    ]
    counts = told[1][3]["counts"]
    assert list(counts.values()) == [3]
    assert told[1][3]["how"] == "it runs well"
    assert trouble is None


def test_what_ends_by_itself_after_its_faults_is_over():
    tries, told, trouble = play(lambda n: (1.0, ValueError("x") if n < 2 else None), 100.0, lambda: None)
    assert tries == pytest.approx([0, 3, 8], abs=0.01)
    assert [kind for _, kind, _, _ in told] == ["fault", "fault_over"]
    assert told[1][3]["how"] == "it has ended"
    assert trouble is None


def test_a_wait_ends_within_a_second_when_there_is_something_new_to_try():
    marks = iter([object()] * 40 + ["new"] * 1000)
    tries, _, _ = play(lambda n: (0.0, ValueError("x")), 60.0, lambda: next(marks))
    assert tries[:5] == pytest.approx([0, 2, 6, 14, 30], abs=0.01)  # 34 looks at it, at most one each second
    assert tries[5] == pytest.approx(36, abs=1.01)  # not 62


def broken(r: Rig, monkeypatch: pytest.MonkeyPatch, vehicle_id: str, until_s: float) -> None:
    looked = Session._look

    async def look(session: Session) -> None:
        if session.vehicle.vehicle_id == vehicle_id and r.clock.now_s() < until_s:
            raise ZeroDivisionError("nobody thought of this")
        await looked(session)

    monkeypatch.setattr(Session, "_look", look)


def test_a_fault_in_one_flight_is_told_once_and_taken_up_again_while_the_others_fly_on(monkeypatch):
    async def main() -> None:
        async with rig() as r:
            first, other = [(await r.place(to)).order.order_id for to in ("salme", "ndeba")]
            await r.until_state(first, "in_flight")
            await r.until_state(other, "in_flight")
            vehicle, alarms = r.vehicle_of(first), []
            monkeypatch.setattr(r.supervisor, "alarm", lambda *told: alarms.append(told))
            broken(r, monkeypatch, vehicle.vehicle_id, r.clock.now_s() + 20.0)
            await r.clock.sleep(10.0)
            shown = r.service.vehicle(vehicle.vehicle_id).faults[0]
            assert "ZeroDivisionError: nobody thought of this), 3 times: again in " in shown
            await r.until_state(first, "released")
            await r.until_state(other, "released")
            await r.until_phase(first, None)
            told = [e for e in r.service.record("fleet") if e.kind.startswith("fault")]
            assert [e.kind for e in told] == ["fault", "fault_over"]
            assert vehicle.vehicle_id in told[0].body["what"]
            assert told[0].body["text"] == "ZeroDivisionError: nobody thought of this"
            assert list(told[1].body["counts"].values()) == [4]  # at 0.5, 3, 7.5 and 16 s
            ((text, vehicle_id, order_id),) = alarms
            assert text.endswith("again in 2 s")
            assert (vehicle_id, order_id) == (vehicle.vehicle_id, first)
            assert vehicle.releases == 1
            assert r.service.vehicle(vehicle.vehicle_id).faults == ()

    run_virtual(main())


def test_a_flight_that_waits_after_its_faults_does_what_an_operator_commands_at_once(monkeypatch):
    async def main() -> None:
        async with rig() as r:
            order_id = (await r.place("ndeba")).order.order_id
            await r.until_state(order_id, "in_flight")
            vehicle = r.vehicle_of(order_id)
            broken(r, monkeypatch, vehicle.vehicle_id, r.clock.now_s() + 40.0)
            await r.clock.sleep(45.0)  # its fifth fault was at about 32 s: it waits until 64 s
            assert "again in" in r.service.vehicle(vehicle.vehicle_id).faults[0]
            before = list(vehicle.commands)
            await r.service.command(vehicle.vehicle_id, VehicleCommand.HOLD, actor="olga")
            await r.until(lambda: vehicle.commands != before, 3.0)
            assert vehicle.commands[len(before)] == "hold"

    run_virtual(main())


def test_a_dispatch_that_fails_is_told_shown_and_tried_again(monkeypatch):
    async def main() -> None:
        async with rig() as r:
            dispatch, began_s = Dispatcher._dispatch, r.clock.now_s()

            async def failing(dispatcher: Dispatcher, start: Any) -> None:
                if r.clock.now_s() < began_s + 30.0:
                    raise RuntimeError("no solver")
                await dispatch(dispatcher, start)

            monkeypatch.setattr(Dispatcher, "_dispatch", failing)
            order_id = (await r.place()).order.order_id
            await r.clock.sleep(20.0)
            assert "dispatch (RuntimeError: no solver)" in r.service.health().checks["dispatch"]
            assert r.service.health().ready
            await r.until_state(order_id, "in_flight", 120.0)
            assert len([e for e in r.service.record("fleet") if e.kind == "fault"]) == 1
            await r.clock.sleep(60.0)
            assert r.service.health().checks["dispatch"] == "ok"

    run_virtual(main())


def test_an_order_that_cannot_be_assigned_by_a_fault_of_ours_does_not_stop_the_others(monkeypatch):
    async def main() -> None:
        async with rig() as r:
            assign = Dispatcher._assign

            async def failing(dispatcher: Dispatcher, order_id: str, *more: Any) -> Any:
                if order_id == bad:
                    raise RuntimeError("nobody thought of this order")
                return await assign(dispatcher, order_id, *more)

            monkeypatch.setattr(Dispatcher, "_assign", failing)
            bad = (await r.place("salme", deadline_s=START_S + 1500.0)).order.order_id
            good = (await r.place("ndeba")).order.order_id
            await r.until_state(good, "in_flight", 200.0)
            assert r.order(bad).state == "accepted"
            assert "nobody thought of this order" in r.service.health().checks["dispatch"]

    run_virtual(main())
