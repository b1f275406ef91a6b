"""A whole delivery with `fleet serve` and a real PX4 (its own SITL process): `make test-px4`.

The flight goes 300 m out and back at 1×, since the controller lives on the wall clock: about four minutes. There is no
cold box and SIH has no payload, so nothing but PX4's word tells of the release: the honest ends are a release
`unconfirmed` and a verdict `unknown`.
"""

from __future__ import annotations

import asyncio
import time
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
GROUND_M, LAYER_M = 420.0, 40
CLINIC = destination(HUB, 60.0, 300.0)
PARAMS = {"SIM_BAT_DRAIN": 3600.0, "COM_DISARM_PRFLT": 60.0}
"""SIH's battery is empty after a minute unless told otherwise"""
FLIGHT_S = 300.0
FAILED = frozenset({"refused", "cancelled", "lost", "returned", "quarantined"})
COMMANDS = ["upload", "start", "release", "upload", "fly"]
"""every command the vehicle took, in order: it holds by itself at the drop"""

pytestmark = [pytest.mark.px4, pytest.mark.e2e]


@pytest.fixture(autouse=True)
def _a_px4() -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")


@asynccontextmanager
async def flying_px4(folder: Path) -> AsyncIterator[Px4Instance]:
    """Started twice, first to be given its parameters: PX4 keeps to the first peer of a link until it boots."""
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
        planning=demo["planning"] | {"layers_agl_m": [LAYER_M]},
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
    way_home = watch_until_home(stack, order_id)

    states = [event["state"] for event in bodies(stack, order_id, "order_state")]
    assert states[-3:] == ["in_flight", "at_drop", "released"]
    phases = [event["phase"] for event in bodies(stack, order_id, "phase")]
    assert phases == ["ready", "launching", "outbound", "at_drop", "releasing", "landed"]
    outcomes = bodies(stack, order_id, "outcome")
    assert [o["step"] for o in outcomes if o["verdict"] == "done"] == COMMANDS
    assert {o["text"] for o in outcomes if o["step"] == "upload"} == {"verified by opaque_id"}
    # No box is on board to tell by its mount: the vehicle's word alone is worth an alarm, and nothing else went wrong.
    (alarm,) = [event["text"] for event in bodies(stack, order_id, "alarm")]
    assert alarm.startswith("released by the vehicle's own answer alone")

    (release,) = [step for step in bodies(stack, order_id, "custody") if step["step"] == "release"]
    assert (release["confirmed"], release["verdict"]) == ("unconfirmed", "unknown")
    assert distance_m(place(release["state"]), CLINIC) < 3.0
    assert max(seen["alt_amsl_m"] for seen in way_home) > GROUND_M + LAYER_M - 3.0, (
        "home at its layer, not straight down"
    )
    assert distance_m(place(way_home[-1]), HUB) < 3.0

    order = stack.get(f"/v1/orders/{order_id}", WARD)
    receipt = {"code": order["confirmation_code"], "verdict_seen": order["verdict"]}
    answer = stack.post(f"/v1/orders/{order_id}/receipt", receipt, WARD)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "received"


def watch_until_home(stack: Stack, order_id: str) -> list[dict[str, Any]]:
    """Follows the flight to its end; gives the vehicle's views since the release."""
    end_s = time.monotonic() + FLIGHT_S
    views: list[dict[str, Any]] = []
    while True:
        order = stack.get(f"/v1/orders/{order_id}", WARD)
        vehicle = stack.get("/v1/vehicles/cw-1")
        assert order["state"] not in FAILED, order
        assert vehicle["authority"], vehicle
        if order["state"] == "released":
            views.append(vehicle)
            if vehicle["armed"] is False and vehicle["phase"] is None:
                return views
        assert time.monotonic() < end_s, (order, vehicle)
        time.sleep(0.5)


def place(seen: dict[str, Any]) -> LatLon:
    return LatLon(seen["lat_deg"], seen["lon_deg"])
