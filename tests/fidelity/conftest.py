"""Each check runs twice: on the bundled simulator in every test run, and with `make test-px4` on a real PX4."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sitl.px4 import find_px4
from tests.fidelity.subjects import COMMON, Simulated, meet, real_px4
from tests.fidelity.wire import Wire

REAL = pytest.param("px4", marks=[pytest.mark.px4, pytest.mark.xdist_group("px4")])


@pytest.fixture(scope="module", params=["simulator", REAL])
def vehicle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """One vehicle for the checks of a file; `wire` hands it out restored."""
    if request.param == "simulator":
        yield prepared(meet(Simulated()))
        return
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    with real_px4(tmp_path_factory.mktemp("px4")) as subject:
        yield prepared(meet(subject))


def prepared(wire: Wire) -> Wire:
    for name, value in COMMON.items():
        wire.set_param(name, value)
    wire.keep()
    return wire


@pytest.fixture
def wire(vehicle: Wire) -> Iterator[Wire]:
    """On the ground, disarmed, in HOLD, without plans, parameters at their defaults."""
    vehicle.to_ground()
    vehicle.restore()
    vehicle.next("SYS_STATUS")
    vehicle.until_ready()
    vehicle.heard.clear()
    yield vehicle
    vehicle.restore()


@pytest.fixture
def air(vehicle: Wire) -> Iterator[Wire]:
    """The same vehicle ten metres over home in HOLD. It stays in the air for the next check that wants it there."""
    vehicle.restore()
    vehicle.next("HEARTBEAT")
    vehicle.to_air()
    vehicle.heard.clear()
    yield vehicle
    vehicle.restore()
