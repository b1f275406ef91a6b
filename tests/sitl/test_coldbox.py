"""Cold boxes: the energy balance of the truth, and what the samples say of it."""

import hashlib
import hmac
import json
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitl.coldbox import BoxHeat, canonical
from sitl.spec import BoxSpec
from tests.sitl.helpers import START_S, Station, item, station, takeoff_and

SCHEMA = json.loads((Path(__file__).parents[2] / "configs/schemas/box_sample.schema.json").read_text())
KEY = "the box's secret"


def heat(pack_left_kj: float = 150.0, temp_c: float = 5.0) -> BoxHeat:
    return BoxHeat(BoxSpec("box-1", pack_left_kj=pack_left_kj, temp_c=temp_c))


def samples(gcs: Station) -> list[dict]:
    queue = gcs.world.ground.boxes["box-1"].device.queue
    taken = [json.loads(raw) for raw in queue]
    queue.clear()
    return taken


@settings(max_examples=40)
@given(st.floats(-10.0, 45.0), st.floats(0.0, 150.0), st.floats(2.0, 30.0), st.booleans(), st.booleans())
def test_what_flows_in_is_what_is_stored(ambient: float, left: float, temp: float, seal: bool, lid: bool) -> None:
    box = heat(left, temp)
    before = box.stored_kj()
    box.advance(1800.0, ambient, seal_failed=seal, lid_open=lid)
    assert box.stored_kj() - before == pytest.approx(box.gained_kj, abs=1e-6)
    assert 0.0 <= box.latent_kj <= 150.0


def test_an_intact_box_stays_in_range_while_its_pack_melts_by_what_the_wall_lets_in() -> None:
    box = heat()
    box.advance(3600.0, 38.0, seal_failed=False, lid_open=False)
    assert 4.0 < box.payload_c < 6.5
    # (38 − 5.5) K / 1.2 K/W · 3600 s ≈ 97 kJ, less what the warming wall keeps for itself.
    assert 150.0 - box.latent_kj == pytest.approx(97.0, abs=20.0)


def test_a_failed_seal_lets_in_eight_times_the_heat() -> None:
    def melted(seal_failed: bool) -> float:
        box = heat()
        box.advance(1200.0, 5.0, seal_failed=seal_failed, lid_open=False)  # first the same steady state
        start_kj, start = box.gained_kj, box.air_c
        box.advance(1.0, start + 10.0, seal_failed=seal_failed, lid_open=False)
        return box.gained_kj - start_kj

    # The wall needs time to warm, the leak does not: 7/8 of the eightfold flow comes at once.
    assert melted(True) > 3.0 * melted(False)


def test_with_a_spent_pack_and_a_failed_seal_the_payload_is_soon_too_warm_and_with_an_intact_seal_much_later() -> None:
    def minutes_to_8_c(seal_failed: bool) -> float:
        box = heat(pack_left_kj=20.0)
        for minute in range(600):
            if box.payload_c > 8.0:
                return minute
            box.advance(60.0, 38.0, seal_failed=seal_failed, lid_open=False)
        return 600.0

    assert minutes_to_8_c(True) < 15
    assert minutes_to_8_c(False) > 25


def test_a_pack_below_its_melting_point_warms_first_and_refreezing_gives_latent_heat_back() -> None:
    box = heat(temp_c=-5.0)
    assert box.pack_c == -5.0
    box.advance(7200.0, 20.0, seal_failed=False, lid_open=False)
    assert box.pack_c == pytest.approx(4.0, abs=0.3)


def test_samples_follow_the_schema_count_without_gaps_and_are_signed() -> None:
    gcs = station(box={"key": KEY, "sample_s": 2.0})
    gcs.run(60.0)
    got = samples(gcs)
    assert [s["seq"] for s in got] == list(range(len(got)))
    assert len(got) == pytest.approx(33, abs=1)
    for sample in got:
        jsonschema.validate(sample, SCHEMA)
        signature = sample.pop("hmac")
        assert signature == hmac.new(KEY.encode(), canonical(sample), hashlib.sha256).hexdigest()
    assert {s["boot_id"] for s in got} == {got[0]["boot_id"]}
    assert got[-1]["docked"] is True
    assert got[-1]["temp_c"][0] == pytest.approx(5.0, abs=0.5)


def test_a_skewed_clock_shows_in_box_time_alone() -> None:
    gcs = station(box={"clock_skew_s": -120.0})
    gcs.run(10.0)
    box_s = datetime.fromisoformat(samples(gcs)[-1]["box_time"]).timestamp()
    assert box_s == pytest.approx(gcs.world.now_s - 120.0, abs=6.0)


@pytest.mark.parametrize("kind", ["box_silent", "box_stuck", "box_nan", "box_skewed", "box_replayed", "lid_open"])
def test_each_sensor_fault_shows_while_it_lasts_and_then_ends(kind: str) -> None:
    args = {"skew_s": 600.0} if kind == "box_skewed" else {}
    fault = {"kind": kind, "on": "box-1", "when": {"at_s": 60.0}, "duration_s": 60.0, **args}
    gcs = station(box={"sample_s": 2.0}, faults=[fault])
    gcs.run(54.0)
    samples(gcs)
    gcs.run(58.0)
    during = samples(gcs)
    temps = [tuple(s["temp_c"]) for s in during]
    seqs = [s["seq"] for s in during]
    shown = {
        "box_silent": not during,
        "box_stuck": len(set(temps[1:])) == 1,
        "box_nan": set(temps[1:]) == {(None, None)},
        "box_skewed": bool(during)
        and datetime.fromisoformat(during[-1]["box_time"]).timestamp() > gcs.world.now_s + 500.0,
        "box_replayed": sorted(set(seqs)) != seqs,
        "lid_open": {s["lid"] for s in during[1:]} == {"open"},
    }
    assert shown[kind]
    gcs.run(10.0)
    samples(gcs)
    gcs.run(20.0)
    after = samples(gcs)
    assert len(after) == 10
    assert [s["seq"] for s in after] == list(range(after[0]["seq"], after[0]["seq"] + 10))
    assert len({tuple(s["temp_c"]) for s in after}) > 1
    assert {s["lid"] for s in after} == {"closed"}


def test_a_docked_box_gets_a_fresh_pack_and_a_mended_seal_at_a_station() -> None:
    events: list[dict] = []
    lat, lon = 7.5 + 300 / 110_600.0, 38.2
    gcs = station(
        box={"pack_left_kj": 30.0},
        stations=[{"site_id": "midway", "lat_deg": lat, "lon_deg": lon, "reice_s": 120.0}],
        faults=[{"kind": "seal_failure", "on": "box-1", "when": {"vehicle": "cw-1", "flown_m": 100.0}}],
    )
    gcs.world.emit = events.append
    gcs.start(takeoff_and(item(21, 300, z=0.0)))
    gcs.until(lambda: not gcs.armed())
    landed_s = gcs.world.now_s
    box = gcs.world.ground.boxes["box-1"]
    assert box.heat.latent_kj < 30.0
    gcs.run(115.0)
    assert "reiced" not in [e["event"] for e in events]
    gcs.run(10.0)
    reiced = next(e for e in events if e["event"] == "reiced")
    assert reiced["site"] == "midway"
    assert reiced["at_s"] == pytest.approx(landed_s + 120.0, abs=2.0)
    assert box.heat.latent_kj == pytest.approx(150.0, abs=2.0)
    melting = box.heat.latent_kj
    gcs.run(120.0)
    assert melting - box.heat.latent_kj < 8.0, "the seal is mended: 27 W, not 220 W"
    assert [e["event"] for e in events].count("reiced") == 1


def test_people_load_and_unload_and_are_refused_with_the_reason() -> None:
    events: list[dict] = []
    gcs = station(vehicle={"box": None})
    gcs.world.emit = events.append
    ground = gcs.world.ground
    load = {"do": "load", "box": "box-1", "vehicle": "cw-1", "payload_kg": 0.8, "payload_c": 6.0, "pack_left_kj": 30}
    for refused, reason in [
        (load | {"box": "box-9"}, "no box 'box-9'"),
        (load | {"vehicle": "cw-9"}, "no vehicle 'cw-9'"),
        (load | {"payload_kg": 2.5}, "take less"),
        (load | {"payload": 1}, "unknown field"),
        ({"do": "unload", "box": "box-1"}, "nothing to unload"),
        ({"do": "fly"}, "use one of"),
        ("load", "give an object"),
    ]:
        ground.command(refused)
        assert events[-1]["event"] == "refused"
        assert reason in events[-1]["reason"]
    ground.command(load)
    assert events[-1]["event"] == "loaded"
    assert events[-1]["mass_kg"] == 2.0
    assert gcs.world.fleet.payload_kg[0] == 2.0
    assert ground.boxes["box-1"].heat.latent_kj == 30.0
    gcs.command(400, 1)
    ground.command({"do": "unload", "box": "box-1"})
    assert "is armed" in events[-1]["reason"]
    gcs.command(400, 0)
    ground.command({"do": "unload", "box": "box-1"})
    assert events[-1]["event"] == "unloaded"


def test_the_start_time_is_the_specs() -> None:
    assert station().world.start_s == START_S
