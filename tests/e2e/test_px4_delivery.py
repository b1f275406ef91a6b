"""A whole delivery with `fleet serve` and a real PX4 (its own SITL process): `make test-px4`.

The flight goes 300 m out and back at 1×, since the controller lives on the wall clock: about four minutes. There is no
cold box and SIH has no payload, so nothing but PX4's word tells of the release: the honest ends are a release
`unconfirmed` and a verdict `unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fleet.clock import ScaledClock
from fleet.config import data_dir
from geofences.geodesy import LatLon, destination, distance_m
from sitl.px4 import Px4Instance, find_px4, start_px4
from tests.e2e.stack import WARD, BrokerThread, Stack, free_port, wait_for, write_config
from tests.mavlink.flight import controlled, until

INSTANCE = 6
"""away from 0…3, which people use, and from the other px4 tests"""
HUB = LatLon(7.5, 38.2)
GROUND_M = 420.0
CLINIC = destination(HUB, 60.0, 300.0)
PARAMS = {"PD_GRIPPER_EN": 1, "PD_GRIPPER_TYPE": 0, "SIM_BAT_DRAIN": 3600.0, "COM_DISARM_PRFLT": 60.0}
"""PX4 starts its gripper at boot only; SIH's battery is empty after a minute unless told otherwise"""
FAILED = frozenset({"refused", "cancelled", "lost", "returned", "quarantined"})
OUT_AND_BACK = ["upload", "start", "release", "upload", "fly"]
"""every command the vehicle took, in order: it holds by itself at the drop"""

pytestmark = [pytest.mark.px4, pytest.mark.e2e, pytest.mark.xdist_group("px4")]


@pytest.fixture(autouse=True)
def _a_px4() -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")


@asynccontextmanager
async def flying_px4(folder: Path) -> AsyncIterator[Px4Instance]:
    """Started twice: the first time to be given its parameters."""
    home = [(HUB.lat_deg, HUB.lon_deg, GROUND_M)]
    async with start_px4(home, first_index=INSTANCE, folder=folder) as (px4,):
        url = f"udpout://127.0.0.1:{px4.gcs_local_port}"
        async with controlled(url, px4.system_id, ScaledClock(1.0)) as vehicle:
            await until(vehicle, "it is heard", lambda s: s.mode is not None, 60.0)
            assert (await vehicle.ensure_params(PARAMS)).ok
            await asyncio.sleep(3.0)  # it saves a changed parameter a moment later
    async with start_px4(home, first_index=INSTANCE, folder=folder) as (px4,):
        yield px4


def config_for(folder: Path, px4: Px4Instance, broker: Any, api_port: int) -> Path:
    """The demo fleet with one vehicle, the real one, and one more clinic within sight of the hub."""
    demo = YAML(typ="safe", pure=True).load((data_dir() / "fleet.yaml").read_text(encoding="utf-8"))
    near = {"id": "near", "name": "Near Clinic", "kind": "clinic", "lat": CLINIC.lat_deg, "lon": CLINIC.lon_deg}
    link = f"udpout://127.0.0.1:{px4.gcs_local_port}"
    vehicle = {"id": "cw-1", "type": "courier-x8", "home": "teral", "system_id": px4.system_id, "link": link}
    path = write_config(
        folder,
        link_port=px4.gcs_local_port,
        api_port=api_port,
        broker=broker,
        sites=[*demo["sites"], near],
        planning=demo["planning"] | {"layers_agl_m": [40]},
    )
    yaml = YAML(typ="safe", pure=True)
    raw = yaml.load(path.read_text(encoding="utf-8")) | {"vehicles": [vehicle]}
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(raw, file)
    return path


def bodies(stack: Stack, order_id: str, kind: str) -> list[dict[str, Any]]:
    events = stack.get(f"/v1/orders/{order_id}/record")["events"]
    return [event["body"] for event in events if event["kind"] == kind]


async def test_a_real_px4_carries_an_order_to_a_clinic_and_comes_home(tmp_path: Path) -> None:
    async with flying_px4(tmp_path) as px4:
        with BrokerThread() as broker:
            api_port = free_port()
            stack = Stack(
                tmp_path,
                config_for(tmp_path, px4, broker, api_port),
                f"http://127.0.0.1:{api_port}",
                tap=None,
                sim=None,
            )
            stack.start()
            try:
                deliver(stack)
                assert stack.stop() == 0
            finally:
                if stack.controller is not None and stack.controller.poll() is None:
                    stack.kill()


def deliver(stack: Stack) -> None:
    stack.wait_ready()
    wait_for(lambda: stack.get("/v1/vehicles/cw-1")["link"] == "up", "the vehicle is heard")
    order_id = stack.order("near")

    def order() -> dict[str, Any]:
        return stack.get(f"/v1/orders/{order_id}", WARD)

    def reaches(state: str, limit_s: float) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            seen = order()
            assert seen["state"] not in FAILED or seen["state"] == state, seen
            return seen if seen["state"] == state else None

        return wait_for(there, f"the order is {state}", limit_s)

    reaches("in_flight", 90.0)
    reaches("at_drop", 150.0)
    reaches("released", 60.0)
    wait_for(lambda: order()["phase"] == "landed" or order()["phase"] is None, "it is home again", 200.0)
    wait_for(lambda: stack.get("/v1/vehicles/cw-1")["armed"] is False, "it is disarmed", 60.0)

    vehicle = stack.get("/v1/vehicles/cw-1")
    here = LatLon(vehicle["lat_deg"], vehicle["lon_deg"])
    assert distance_m(here, HUB) < 15.0
    outcomes = [(o["step"], o["verdict"]) for o in bodies(stack, order_id, "outcome")]
    assert [step for step, verdict in outcomes if verdict == "done"] == OUT_AND_BACK
    uploads = [o for o in bodies(stack, order_id, "outcome") if o["step"] == "upload"]
    assert all(u["text"] == "verified by opaque_id" for u in uploads), uploads
    released = [c for c in bodies(stack, order_id, "custody") if c["step"] == "release"]
    assert [c["confirmed"] for c in released] == ["unconfirmed"]
    assert distance_m(LatLon(released[0]["state"]["lat_deg"], released[0]["state"]["lon_deg"]), CLINIC) < 6.0
    assert not bodies(stack, order_id, "alarm")

    seen = order()
    verdict = seen["verdict"] or "unknown"
    assert verdict == "unknown"
    receipt = {"code": seen["confirmation_code"], "verdict_seen": verdict}
    answer = stack.post(f"/v1/orders/{order_id}/receipt", receipt, WARD)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "received"
