"""When a flight's telemetry is recorded: from the assignment to the end of the session, and on after a restart."""

from __future__ import annotations

from fleet.service import Refused
from fleet.virtual import run_virtual
from tests.runtime.rig import Rig, alive, restarted, rig


class Journal:
    """A recorder that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def begin(self, vehicle_id: str, flight_id: str) -> None:
        self.told.append(("begin", vehicle_id, flight_id))

    def end(self, vehicle_id: str) -> None:
        self.told.append(("end", vehicle_id))


def test_a_flight_is_recorded_from_before_its_first_command_until_it_is_over() -> None:
    async def story(r: Rig, journal: Journal) -> None:
        order_id = (await r.place()).order.order_id
        assert journal.told == []
        await r.until(lambda: bool(journal.told))
        vehicle = r.vehicle_of(order_id)
        begun = ("begin", vehicle.vehicle_id, f"{order_id}-1")
        assert (journal.told, vehicle.commands) == ([begun], [])
        await r.until_state(order_id, "released")
        assert not isinstance(await r.receive(order_id), Refused)
        assert journal.told == [begun]
        await r.until_phase(order_id, None)
        await r.until(lambda: len(journal.told) > 1, 5.0)
        assert journal.told == [begun, ("end", vehicle.vehicle_id)]

    async def main() -> None:
        journal = Journal()
        async with rig(recorder=journal) as r:
            await story(r, journal)

    run_virtual(main())


def test_after_a_restart_the_flight_is_recorded_on() -> None:
    async def main() -> None:
        async with rig() as before:
            order_id = (await before.place()).order.order_id
            await before.until_state(order_id, "in_flight")
            vehicle_id = before.vehicle_of(order_id).vehicle_id
        journal = Journal()
        async with alive(restarted(before, journal)):
            await before.clock.sleep(1.0)
            assert journal.told == [("begin", vehicle_id, f"{order_id}-1")]

    run_virtual(main())
