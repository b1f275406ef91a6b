"""The newcomer's first command, as it is: everything embedded, three orders, judged by what came of them."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.stack import FLEET

pytestmark = pytest.mark.e2e


def test_the_demo_ends_as_told():
    run = subprocess.run(
        [*FLEET, "demo", "--headless", "--json", "--port", "0", "--speed", "20"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.stdout, run.stderr[-2000:]
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    summary = lines[-1]
    missed = [f for f in summary["findings"] if not f["met"]]
    assert not missed, (missed, run.stderr[-2000:])
    assert run.returncode == 0
    states = {o["name"]: o["state"] for o in summary["orders"]}
    assert states["antibiotics"] == states["blood"] == "received"
    assert states["vaccine"] in ("received", "returned"), "saved by a new pack or by turning back, never spoiled"
    kinds = {line["kind"] for line in lines}
    assert {"order_state", "decision", "phase", "closure", "world"} <= kinds
    assert "Traceback" not in run.stderr
