"""SIGKILL at random instants while three vehicles fly at real-time speed: what is found again, and what is not said."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.records.chain import verify
from fleet.store import Store
from tests.e2e.stack import Stack, stack, wait_for

pytestmark = pytest.mark.e2e

KILLS = 20
COMMAND_KILLS = 6
"""of them as soon as a command is in the record, before its answer can be"""
READOPTED_WITHIN_S = 5.0


def events(s: Stack, kind: str) -> list[Any]:
    with Store.open_readonly(s.folder / "fleet.sqlite3") as reader:
        return [e for stream in reader.streams() for e in reader.events(stream) if e.kind == kind]


def readopted_since(s: Stack, since_s: float) -> dict[str, float]:
    return {e.body["vehicle_id"]: e.at_s for e in events(s, "readopted") if e.at_s >= since_s}


def kill_between_command_and_answer(s: Stack, rng: random.Random) -> str:
    """Asks for a hold (or to go on) and kills when the command is in the record without an outcome."""
    vehicle_id = rng.choice(["cw-1", "cw-2", "cw-3"])
    mode = s.get(f"/v1/vehicles/{vehicle_id}")["mode"]
    before = len(events(s, "command"))
    s.post(f"/v1/vehicles/{vehicle_id}/commands", {"command": "resume" if mode == "hold" else "hold"})
    wait_for(lambda: len(events(s, "command")) > before, "the command is recorded", 10)
    s.kill()
    return vehicle_id


def test_killed_twenty_times_in_flight_nothing_is_lost_and_nobody_is_told_what_he_knows(tmp_path: Path):
    rng = random.Random(20260310)
    with stack(tmp_path) as s:
        s.start()
        s.wait_ready()
        wait_for(lambda: sum(v["link"] == "up" for v in s.get("/v1/vehicles")["vehicles"]) == 3, "vehicles are heard")
        orders = {to: s.order(to) for to in ("ndeba", "koru", "salme")}
        wait_for(
            lambda: all(o["phase"] == "outbound" for o in s.get("/v1/orders")["orders"]),
            "all three are on their way",
            180,
        )
        slowest = 0.0
        for n in range(KILLS):
            touched = None
            if n % 3 == 2 and n // 3 < COMMAND_KILLS:
                touched = kill_between_command_and_answer(s, rng)
            else:
                time.sleep(rng.uniform(0.0, 1.5))
                s.kill()
            down_s = time.monotonic()
            s.start()
            found = wait_for(
                lambda: len(r := readopted_since(s, s.started_s)) == 3 and r, f"all re-adopted after kill {n + 1}", 30
            )
            slowest = max(slowest, *(at_s - s.started_s for at_s in found.values()))
            s.wait_ready()
            spared = [w for w in s.tap.writes(down_s) if w.system != (int(touched[-1]) if touched else 0)]
            assert not spared, f"kill {n + 1}: told what they knew: {[(w.system, str(w.message)) for w in spared]}"
            for v in s.get("/v1/vehicles")["vehicles"]:
                if v["mode"] == "hold":
                    s.post(f"/v1/vehicles/{v['vehicle_id']}/commands", {"command": "resume"})
                    wait_for(lambda i=v["vehicle_id"]: s.get(f"/v1/vehicles/{i}")["mode"] == "mission", "it flies on")
        assert slowest < READOPTED_WITHIN_S, f"re-adopted after {slowest:.2f} s from exec"
        print(f"slowest re-adoption {slowest:.2f} s from exec, of {KILLS} kills")
        listed = s.get("/v1/orders")["orders"]
        assert sorted(o["order_id"] for o in listed) == sorted(orders.values()), "none lost, none doubled"
        assert all(o["phase"] in ("outbound", "at_drop", "releasing", "inbound") for o in listed)
        assert s.stop() == 0
        with Store.open_readonly(tmp_path / "fleet.sqlite3") as reader:
            assert all(verify(reader.events(stream), stream=stream).ok for stream in reader.streams())
