"""The drivers keep what the vehicle port promises, on a real PX4: `make test-px4`."""

from __future__ import annotations

import pytest

from sitl.px4 import find_px4
from tests.conformance.scenarios import Conformance
from tests.conformance.subjects import real_px4

pytestmark = [pytest.mark.px4]


@pytest.fixture(autouse=True)
def _a_px4() -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")


class TestNativeDriverOnPx4(Conformance):
    driver = "native"
    subjects = staticmethod(real_px4)


class TestMavsdkDriverOnPx4(Conformance):
    driver = "mavsdk"
    subjects = staticmethod(real_px4)
