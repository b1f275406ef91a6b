"""A zone that closes: who is asked first, who plans first, and what is flown before all else is planned."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from fleet.runtime.turns import MOST_PASSED, Turns
from fleet.virtual import run_virtual
from geofences.geodesy import LatLon, distance_m
from geofences.volumes import Circle, Restriction, Volume, Zone
from tests.runtime.rig import demo_config, rig


def test_turns_go_by_what_is_due_first_and_the_loop_turns_in_between():
    async def story():
        turns, served, others = Turns(), [], []

        async def piece(name, due_s):
            async with turns.take(due_s):
                served.append(name)
                others.append(asyncio.get_running_loop().call_soon(lambda: served.append("loop")))

        async def twice(name, due_s):
            await piece(name, due_s)
            await piece(name, due_s)

        async with asyncio.TaskGroup() as tasks:
            for name, due_s in (("late", 9.0), ("never", 5.0), ("soon", 1.0), ("next", 2.0)):
                task = tasks.create_task(twice(name, due_s))
                if name == "never":
                    tasks.create_task(_cancel(task))
        return [name for name in served if name != "loop"], served

    async def _cancel(task):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    order, served = asyncio.run(story())
    assert order == ["soon", "soon", "next", "next", "late", "late"], "whoever asks again is no later for it"
    assert "loop" in served[1:2], "others run between two pieces"


def test_between_two_plans_the_loop_takes_what_has_come_in():
    """One message of a broker a turn of the loop, here: eight are heard between two routes."""

    async def story():
        looks = Turns()
        plans, served = Turns(first=looks), []

        async def route():
            async with plans.take(0.0):
                served.append("route")

        async def broker():
            for _ in range(20):
                served.append("sample")
                await asyncio.sleep(0.0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(route())
            tasks.create_task(route())
            tasks.create_task(broker())
        first = served.index("route")
        return served[first + 1 :].index("route")

    assert asyncio.run(story()) >= 8


def test_a_piece_that_fails_or_is_cancelled_gives_its_turn_away():
    async def story():
        turns = Turns()

        async def failing():
            async with turns.take(1.0):
                raise ValueError

        async def hanging():
            async with turns.take(2.0):
                await asyncio.sleep(1000.0)

        with suppress(ValueError):
            await failing()
        task = asyncio.create_task(hanging())
        await asyncio.sleep(0.01)
        task.cancel()
        async with asyncio.timeout(5.0), turns.take(3.0):
            return True

    assert asyncio.run(story())


def test_plans_wait_for_looks_and_for_a_command_on_its_way_but_not_for_ever():
    async def story():
        looks = Turns()
        plans, served = Turns(first=looks), []

        async def piece(turns, name, due_s):
            async with turns.take(due_s):
                served.append(name)

        with plans.quiet():
            planning = asyncio.create_task(piece(plans, "plan", 0.0))
            await asyncio.sleep(0.01)
            assert served == [], "a command is being written down"
            looking = [asyncio.create_task(piece(looks, "look", 1.0)) for _ in range(10)]
        await asyncio.gather(planning, *looking)
        assert served == [*["look"] * 10, "plan"], "what is due first is no reason to keep a look waiting"
        served.clear()
        flood = [asyncio.create_task(piece(looks, "look", 1.0)) for _ in range(10 * MOST_PASSED)]
        await asyncio.gather(asyncio.create_task(piece(plans, "plan", 2.0)), *flood)
        assert 0 < served.index("plan") < 5 * MOST_PASSED

    asyncio.run(story())


def test_when_a_zone_closes_the_nearest_flight_is_asked_first_and_has_its_route_first():
    async def story():
        config = demo_config()
        sites = {**config.sites, "salme": replace(config.sites["salme"], pads=2)}
        async with rig(replace(config, sites=sites)) as r:
            orders = [(await r.place("salme")).order.order_id for _ in range(2)]
            for order_id in orders:
                await r.until_state(order_id, "in_flight")
            await r.clock.sleep(45.0)  # both fly the same way, the one some hundred metres after the other
            first, second = (r.vehicle_of(order_id) for order_id in orders)
            goal = r.config.sites["salme"].position
            if distance_m(first.at, goal) > distance_m(second.at, goal):
                first, second = second, first
            middle = LatLon((first.at.lat_deg + goal.lat_deg) / 2, (first.at.lon_deg + goal.lon_deg) / 2)
            asked, planned = [], []
            for vehicle_id, session in r.supervisor.sessions.items():
                _noting(session, "look_ahead", asked, vehicle_id)
            changed = r.ledger.changed

            def noted(kind, key):
                changed(kind, key)
                flight = r.ledger.flight_of_vehicle(key) if kind == "vehicle" else None
                if flight is not None and flight.plan is not None and flight.plan.airspace_version == version:
                    planned.append(key)

            version = r.ledger.airspace.version + 1
            r.ledger.changed = noted
            zone = Zone("fire", "Grass fire", Restriction.PROHIBITED, (Volume(Circle(middle, 250.0)),))
            await r.service.add_zone(zone, actor="authority")
            assert asked == [first.vehicle_id, second.vehicle_id]
            await r.until(lambda: len(set(planned)) == 2, 30.0)
            assert list(dict.fromkeys(planned)) == asked
            for order_id in orders:
                await r.until_state(order_id, "released")

    run_virtual(story())


def _noting(session, name, into, what):
    inner = getattr(session, name)

    def noted(*arguments):
        into.append(what)
        return inner(*arguments)

    setattr(session, name, noted)
