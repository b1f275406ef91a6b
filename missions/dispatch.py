"""Which vehicle and box fly which order: an assignment solved to optimality by OR-Tools CP-SAT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from missions.boxes import Box
from missions.coldchain.product import Product
from missions.orders import Order, Priority
from missions.plan import Reason
from missions.vehicles import Vehicle

SERVE = {Priority.ROUTINE: 1, Priority.URGENT: 4, Priority.ASAP: 16, Priority.STAT: 64}
"""worth of serving an order now: one of a higher priority outweighs three of the next lower"""
SERVE_SCALE = 1_000_000
"""above all costs of one order, so that an order is never left out to save energy or time"""
DETERMINISTIC_LIMIT = 2.0
"""solver effort, in its own units: not seconds, so that the same input gives the same answer on any machine"""
SOON_S = 3600.0
"""slack below which a near deadline raises an order's worth"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one vehicle needs for one order, from a feasible plan."""

    arrive_s: float
    energy_wh: float
    layer_agl_m: float = 0.0
    """cruise layer the plan was made in; not weighed"""


@dataclass(frozen=True, slots=True)
class Pair:
    order_id: str
    vehicle_id: str
    box_id: str


@dataclass(frozen=True, slots=True)
class Assignments:
    """Every order is in exactly one of the two."""

    pairs: tuple[Pair, ...]
    unassigned: Mapping[str, tuple[Reason, ...]]
    """order id → why not"""


def dispatch(
    orders: Sequence[Order],
    vehicles: Sequence[Vehicle],
    boxes: Sequence[Box],
    costs: Mapping[tuple[str, str], Cost],
    products: Mapping[str, Product],
    now_s: float,
) -> Assignments:
    """Assigns free vehicles and boxes to orders; one order each.

    `costs` holds (order id, vehicle id) for every pair with a feasible plan: a missing pair is out of range or has no
    legal route. First as much priority and urgency as possible is served, then early arrival, little energy and the
    smallest box that will do.
    """
    options: dict[str, list[tuple[Vehicle, Box]]] = {}
    unassigned: dict[str, tuple[Reason, ...]] = {}
    for order in orders:
        fitting, reasons = _options(order, vehicles, boxes, costs, products, now_s)
        if fitting:
            options[order.order_id] = fitting
        else:
            unassigned[order.order_id] = reasons
    chosen = _solve([o for o in orders if o.order_id in options], options, costs, now_s)
    for order_id in options:
        if order_id not in chosen:
            text = "every vehicle or box that could fly it is given to an order that comes first"
            unassigned[order_id] = (Reason("waits_for_vehicle", text, "wait for a vehicle to come back"),)
    pairs = tuple(Pair(o.order_id, *chosen[o.order_id]) for o in orders if o.order_id in chosen)
    return Assignments(pairs, unassigned)


def _options(
    order: Order,
    vehicles: Sequence[Vehicle],
    boxes: Sequence[Box],
    costs: Mapping[tuple[str, str], Cost],
    products: Mapping[str, Product],
    now_s: float,
) -> tuple[list[tuple[Vehicle, Box]], tuple[Reason, ...]]:
    """The vehicle and box pairs that could fly an order now, or why there are none."""
    if order.product_id not in products:
        return [], (Reason("unknown_product", f"there is no profile of {order.product_id}", "add it to the catalogue"),)
    if order.deadline_s <= now_s:
        return [], (Reason("deadline_passed", "the deadline is in the past", "give a later deadline"),)
    suited, why_box = _suitable_boxes(order, boxes)
    able, why_vehicle = _able_vehicles(order, vehicles, costs)
    if not suited or not able:
        return [], (*why_box, *why_vehicle)
    pairs = [(v, b) for v in able for b in suited if order.mass_kg + b.empty_mass_kg <= v.type.max_payload_kg]
    if not pairs:
        most_kg = max(v.type.max_payload_kg for v in able) - min(b.empty_mass_kg for b in suited)
        text = f"{order.mass_kg:g} kg are too heavy: {most_kg:.2f} kg can be lifted besides the box"
        return [], (Reason("too_heavy", text, "split the order"),)
    return pairs, ()


def _suitable_boxes(order: Order, boxes: Sequence[Box]) -> tuple[list[Box], tuple[Reason, ...]]:
    if not boxes:
        return [], (Reason("no_free_box", "no box is free", "wait for a box to come back"),)
    qualified = [b for b in boxes if order.product_id in b.product_ids]
    if not qualified:
        text = f"no free box is qualified for {order.product_id}"
        return [], (Reason("no_suitable_box", text, "wait for one that is, or qualify another"),)
    roomy = [b for b in qualified if b.volume_l >= order.volume_l]
    if not roomy:
        largest_l = max(b.volume_l for b in qualified)
        text = f"{order.volume_l:g} l do not fit: the largest free suitable box holds {largest_l:g} l"
        return [], (Reason("box_too_small", text, "split the order or wait for a larger box"),)
    return roomy, ()


def _able_vehicles(
    order: Order, vehicles: Sequence[Vehicle], costs: Mapping[tuple[str, str], Cost]
) -> tuple[list[Vehicle], tuple[Reason, ...]]:
    if not vehicles:
        return [], (Reason("no_free_vehicle", "no vehicle is free", "wait for one to come back"),)
    in_range = [v for v in vehicles if (order.order_id, v.vehicle_id) in costs]
    if not in_range:
        text = f"no free vehicle has a legal route with reserve to {order.destination_site}"
        return [], (Reason("out_of_range", text, "wait for a charged vehicle, or relay by another hub"),)
    in_time = [v for v in in_range if costs[order.order_id, v.vehicle_id].arrive_s <= order.deadline_s]
    if not in_time:
        late_s = min(costs[order.order_id, v.vehicle_id].arrive_s for v in in_range) - order.deadline_s
        text = f"the earliest arrival is {late_s / 60:.0f} min after the deadline"
        return [], (Reason("too_late", text, "give a later deadline"),)
    return in_time, ()


def _solve(
    orders: Sequence[Order],
    options: Mapping[str, Sequence[tuple[Vehicle, Box]]],
    costs: Mapping[tuple[str, str], Cost],
    now_s: float,
) -> dict[str, tuple[str, str]]:
    """order id → (vehicle id, box id) of the best assignment.

    Vehicle and box are chosen by variables of their own, tied together per order: a variable for each triple would be
    thousands where hundreds do.
    """
    if not orders:
        return {}
    # Here because importing the solver takes a second or two, which `fleet --help` need not wait for.
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    flies: dict[tuple[str, str], Any] = {}
    rides: dict[tuple[str, str], Any] = {}
    terms = []
    for order in orders:
        pairs = set()
        vehicles: dict[str, Vehicle] = {}
        boxes: dict[str, Box] = {}
        for vehicle, box in options[order.order_id]:
            pairs.add((vehicle.vehicle_id, box.box_id))
            vehicles[vehicle.vehicle_id], boxes[box.box_id] = vehicle, box
        for v in vehicles:
            flies[order.order_id, v] = x = model.new_bool_var(f"{order.order_id}/{v}")
            terms.append(_worth(order, costs[order.order_id, v], now_s) * x)
        for b, box in boxes.items():
            rides[order.order_id, b] = x = model.new_bool_var(f"{order.order_id}/{b}")
            terms.append(-round(10.0 * (box.volume_l - order.volume_l)) * x)
        served = model.new_bool_var(order.order_id)
        model.add_exactly_one([*(flies[order.order_id, v] for v in vehicles), ~served])
        model.add_exactly_one([*(rides[order.order_id, b] for b in boxes), ~served])
        for v in vehicles:
            for b in boxes:
                if (v, b) not in pairs:
                    model.add_at_most_one([flies[order.order_id, v], rides[order.order_id, b]])
    for table in (flies, rides):
        for taken in {thing: None for _, thing in table}:
            model.add_at_most_one([x for (_, thing), x in table.items() if thing == taken])
    for x in (*flies.values(), *rides.values()):
        model.add_hint(x, 0)  # nobody flies: always allowed, so that there is an answer within any limit
    model.maximize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = DETERMINISTIC_LIMIT
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise RuntimeError(f"an assignment always exists, yet the solver says {solver.status_name(status)}")
    by_order = {o: v for (o, v), x in flies.items() if solver.value(x)}
    return {o: (by_order[o], b) for (o, b), x in rides.items() if solver.value(x)}


def _worth(order: Order, cost: Cost, now_s: float) -> int:
    """Integer worth of serving an order with a vehicle: priority and nearness of the deadline, less what it takes."""
    slack_s = order.deadline_s - cost.arrive_s
    urgency = 1.0 + max(0.0, 1.0 - slack_s / SOON_S)
    spent = (cost.arrive_s - now_s) + cost.energy_wh
    return round(SERVE[order.priority] * urgency * SERVE_SCALE - min(max(0.0, spent), 0.4 * SERVE_SCALE))
