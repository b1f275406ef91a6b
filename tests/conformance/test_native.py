"""The native driver keeps what the vehicle port promises, on the bundled simulator."""

from __future__ import annotations

import pytest

from tests.conformance.scenarios import SimulatorConformance
from tests.conformance.subjects import simulated

pytestmark = pytest.mark.processes


class TestNativeDriver(SimulatorConformance):
    driver = "native"
    subjects = staticmethod(simulated)
