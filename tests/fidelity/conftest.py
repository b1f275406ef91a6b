"""Each check runs twice: on the bundled simulator in every test run, and with `make test-px4` on a real PX4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from sitl.px4 import find_px4
from tests.fidelity.subjects import PX4_SPEED, Hangar, Simulated, real_px4
from tests.fidelity.wire import Wire

REAL = pytest.param("px4", marks=[pytest.mark.px4])


@pytest.fixture(scope="module", params=["simulator", REAL])
def hangar(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hangar]:
    """One vehicle for the checks of a file, which may ask for its own PX4_SPEED."""
    if request.param == "simulator":
        with Hangar(lambda: nullcontext(Simulated())) as simulated:
            yield simulated
        return
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    speed = getattr(request.module, "PX4_SPEED", PX4_SPEED)
    with Hangar(lambda: real_px4(tmp_path_factory.mktemp("px4"), speed)) as real:
        yield real


def brought(hangar: Hangar, to: Callable[[Wire], None]) -> Wire:
    """Now and then a PX4 that has to wait for the processor counts its sensors as lost for good: a new one is taken."""
    try:
        to(hangar.vehicle)
    except AssertionError:
        if not hangar.vehicle.subject.is_real:
            raise
        to(hangar.renew())
    hangar.vehicle.heard.clear()
    return hangar.vehicle


def to_ground(vehicle: Wire) -> None:
    vehicle.to_ground()
    vehicle.restore()
    vehicle.next("SYS_STATUS")
    vehicle.until_ready()


def to_air(vehicle: Wire) -> None:
    vehicle.restore()
    vehicle.next("HEARTBEAT")
    vehicle.to_air()


@pytest.fixture
def wire(hangar: Hangar) -> Iterator[Wire]:
    """On the ground, disarmed, in HOLD, without plans, parameters at their defaults."""
    vehicle = brought(hangar, to_ground)
    yield vehicle
    vehicle.restore()


@pytest.fixture
def air(hangar: Hangar) -> Iterator[Wire]:
    """The same vehicle ten metres over home in HOLD. It stays in the air for the next check that wants it there."""
    vehicle = brought(hangar, to_air)
    yield vehicle
    vehicle.restore()
