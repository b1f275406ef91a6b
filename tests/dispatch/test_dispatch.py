"""Dispatch: every order gets a vehicle and a box or a reason, the pressing ones first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missions.boxes import Box
from missions.coldchain.product import Product
from missions.dispatch import Assignments, Cost, dispatch
from missions.orders import Order, Priority
from missions.vehicles import Airframe, Vehicle, VehicleType

NOW = 1_773_140_400.0
X8 = VehicleType("courier-x8", Airframe.MULTIROTOR, 20.0, 3.0, 2.0, 900.0, 700.0, 9.0, 3.0, 710.0, 12.0)
VACCINE = Product("vaccine", "Vaccine", "label", 2.0, 8.0)
PRODUCTS = {"vaccine": VACCINE, "blood": replace(VACCINE, product_id="blood")}


def vehicle(n: int) -> Vehicle:
    return Vehicle(f"cw-{n}", X8, "teral", n)


def box(n: int, volume_l: float = 6.0, products: tuple[str, ...] = ("vaccine",)) -> Box:
    return Box(f"box-{n}", volume_l, 1.2, frozenset(products), 4.0, 150.0, 1.2, 7.0)


def order(n: int, **more: object) -> Order:
    made = Order(f"o-{n}", "vaccine", "teral", "koru", "r", 0.6, 1.5, Priority.ROUTINE, NOW + 7200.0, NOW - 60.0)
    return replace(made, **more)  # type: ignore[arg-type]


def costs(orders: list[Order], vehicles: list[Vehicle], arrive_s: float = 400.0) -> dict[tuple[str, str], Cost]:
    return {(o.order_id, v.vehicle_id): Cost(NOW + arrive_s, 120.0, 80.0) for o in orders for v in vehicles}


def solve(orders: list[Order], vehicles: list[Vehicle], boxes: list[Box], **more: object) -> Assignments:
    table = more.pop("costs", None) or costs(orders, vehicles)
    return dispatch(orders, vehicles, boxes, table, PRODUCTS, NOW)  # type: ignore[arg-type]


def code(result: Assignments, n: int = 1) -> list[str]:
    return [r.code for r in result.unassigned[f"o-{n}"]]


def test_one_order_one_vehicle_one_box() -> None:
    result = solve([order(1)], [vehicle(1)], [box(1)])
    assert [(p.order_id, p.vehicle_id, p.box_id) for p in result.pairs] == [("o-1", "cw-1", "box-1")]
    assert result.unassigned == {}


def test_nothing_to_do_is_nothing_done() -> None:
    assert solve([], [vehicle(1)], [box(1)]) == Assignments((), {})


def test_with_one_vehicle_the_emergency_flies_and_the_routine_order_waits_with_a_reason() -> None:
    result = solve([order(1), order(2, priority=Priority.STAT)], [vehicle(1)], [box(1), box(2)])
    assert [p.order_id for p in result.pairs] == ["o-2"]
    assert code(result) == ["waits_for_vehicle"]


def test_of_two_equal_orders_the_one_whose_deadline_is_nearer_flies() -> None:
    near = order(2, deadline_s=NOW + 900.0)
    assert [p.order_id for p in solve([order(1), near], [vehicle(1)], [box(1)]).pairs] == ["o-2"]


def test_two_routine_orders_do_not_outweigh_one_emergency() -> None:
    orders = [order(1), order(2), order(3, priority=Priority.STAT, product_id="blood")]
    result = solve(orders, [vehicle(1)], [box(1), box(2, products=("blood",))])
    assert [p.order_id for p in result.pairs] == ["o-3"]


def test_the_vehicle_that_arrives_first_is_taken() -> None:
    o, vs = order(1), [vehicle(1), vehicle(2)]
    table = {("o-1", "cw-1"): Cost(NOW + 900.0, 100.0), ("o-1", "cw-2"): Cost(NOW + 300.0, 100.0)}
    assert solve([o], vs, [box(1)], costs=table).pairs[0].vehicle_id == "cw-2"


def test_the_smallest_box_that_will_do_is_taken() -> None:
    result = solve([order(1)], [vehicle(1)], [box(1, 12.0), box(2, 2.0), box(3, 1.0)])
    assert result.pairs[0].box_id == "box-2"


def test_the_only_suitable_box_goes_to_the_order_that_needs_it() -> None:
    orders = [order(1), order(2, product_id="blood")]
    result = solve(orders, [vehicle(1), vehicle(2)], [box(1), box(2, products=("vaccine", "blood"))])
    assert {p.order_id: p.box_id for p in result.pairs} == {"o-1": "box-1", "o-2": "box-2"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"product_id": "nectar"}, "unknown_product"),
        ({"product_id": "blood"}, "no_suitable_box"),
        ({"volume_l": 7.0}, "box_too_small"),
        ({"mass_kg": 1.9}, "too_heavy"),
        ({"deadline_s": NOW - 1.0}, "deadline_passed"),
        ({"deadline_s": NOW + 300.0}, "too_late"),
    ],
)
def test_an_order_that_cannot_be_flown_says_why_and_what_would_help(bad: dict[str, object], reason: str) -> None:
    result = solve([order(1, **bad)], [vehicle(1)], [box(1)])
    assert result.pairs == ()
    assert code(result) == [reason]
    assert all(r.text and r.fix for r in result.unassigned["o-1"])


def test_no_free_vehicle_and_no_free_box_are_both_named() -> None:
    assert code(solve([order(1)], [], [])) == ["no_free_box", "no_free_vehicle"]


def test_a_vehicle_without_a_feasible_plan_is_out_of_range() -> None:
    result = solve([order(1)], [vehicle(1)], [box(1)], costs={("o-9", "cw-1"): Cost(NOW, 1.0)})
    assert code(result) == ["out_of_range"]


def test_a_mass_that_just_fits_with_the_box_flies() -> None:
    assert solve([order(1, mass_kg=1.8)], [vehicle(1)], [box(1)]).pairs


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(Priority), st.floats(0.1, 3.0), st.floats(0.5, 8.0)), max_size=8),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_every_order_is_in_exactly_one_list_and_nothing_is_used_twice(
    wishes: list[tuple[Priority, float, float]], vehicles: int, boxes: int
) -> None:
    orders = [order(i, priority=p, mass_kg=m, volume_l=v) for i, (p, m, v) in enumerate(wishes)]
    vs, bs = [vehicle(i) for i in range(vehicles)], [box(i) for i in range(boxes)]
    result = solve(orders, vs, bs)
    assigned = [p.order_id for p in result.pairs]
    assert sorted([*assigned, *result.unassigned]) == sorted(o.order_id for o in orders)
    assert len({p.vehicle_id for p in result.pairs}) == len({p.box_id for p in result.pairs}) == len(assigned)
    able = [o for o in orders if o.mass_kg + 1.2 <= 3.0 and o.volume_l <= 6.0]
    assert len(assigned) == min(len(able), vehicles, boxes)
    assert solve(orders, vs, bs) == result
