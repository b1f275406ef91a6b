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
from sitl.simulation import World
from sitl.spec import BoxSpec, SimSpec
from tests.sitl.helpers import START_S, Station, item, spec_dict, station, takeoff_and

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


# --- sun


@settings(max_examples=20)
@given(st.floats(-10.0, 45.0), st.floats(0.0, 1100.0), st.booleans())
def test_what_flows_in_is_what_is_stored_in_the_sun_too(ambient: float, sun: float, lid: bool) -> None:
    box = heat()
    before = box.stored_kj()
    box.advance(900.0, ambient, sun, seal_failed=False, lid_open=lid)
    assert box.stored_kj() - before == pytest.approx(box.gained_kj, abs=1e-6)


def test_the_suns_heat_enters_as_far_as_skin_and_wall_share_it() -> None:
    def gained_kj(sun_w_m2: float) -> float:
        box = heat()
        box.advance(1800.0, 30.0, sun_w_m2, seal_failed=False, lid_open=False)
        start = box.gained_kj
        box.advance(3600.0, 30.0, sun_w_m2, seal_failed=False, lid_open=False)
        return box.gained_kj - start

    # 1 kW/m² on 0.06 m² at 0.5 is 30 W; the skin is 30 W × 0.15 K/W = 4.5 K warmer, through 1.2 K/W another 3.75 W.
    assert heat().skin_c(30.0, 1000.0) == pytest.approx(34.5)
    assert gained_kj(1000.0) - gained_kj(0.0) == pytest.approx(3.75 * 3.6, rel=0.05)


def test_the_sun_shines_on_a_docked_box_and_not_on_one_that_people_keep() -> None:
    noon_s = 1_700_000_000.0 - 1_700_000_000.0 % 86_400.0 + 9.2 * 3600.0  # local noon at 38.2° E
    raw = spec_dict(world={"sun": True})
    raw["boxes"].append({"box_id": "box-2"})
    ground = World(SimSpec.from_dict(raw), noon_s).ground
    ground.tick(noon_s + 900.0)
    docked, kept = (ground.boxes[name].heat.wall_c for name in ("box-1", "box-2"))
    assert docked > kept + 1.0
    ground.command({"do": "unload", "box": "box-1"})
    ground.tick(noon_s + 3600.0)
    assert ground.boxes["box-1"].heat.wall_c == pytest.approx(ground.boxes["box-2"].heat.wall_c, abs=0.2)


# --- a link that comes and goes


def seqs(raw: list[bytes]) -> list[int]:
    return [json.loads(sample)["seq"] for sample in raw]


def test_a_box_that_was_offline_sends_what_it_took_meanwhile_oldest_first_with_its_own_times() -> None:
    fault = {"kind": "box_offline", "on": "box-1", "when": {"at_s": 20.0}, "duration_s": 60.0}
    gcs = station(box={"sample_s": 2.0}, faults=[fault])
    device = gcs.world.ground.boxes["box-1"].device
    gcs.run(13.0)
    before = device.take()
    gcs.run(2.0)
    device.take()
    gcs.run(56.0)
    assert device.take() == []
    assert device.peek() is None
    gcs.run(5.0)
    late = [json.loads(raw) for raw in device.take()]
    times = [datetime.fromisoformat(s["box_time"]).timestamp() for s in late]
    assert len(late) >= 29
    assert times[0] < gcs.world.now_s - 55.0
    assert times == pytest.approx([times[0] + 2.0 * n for n in range(len(times))], abs=0.002)
    assert [s["seq"] for s in late] == list(range(late[0]["seq"], late[0]["seq"] + len(late)))
    assert late[0]["seq"] - seqs(before)[-1] <= 2


def test_while_the_broker_is_down_samples_wait_in_order_and_a_full_box_drops_its_oldest() -> None:
    gcs = station(box={"sample_s": 1.0, "buffer_samples": 10})
    device = gcs.world.ground.boxes["box-1"].device
    gcs.run(60.0)
    last = device.seq - 1
    first_four, rest = device.take(4), device.take()
    assert seqs(first_four) == list(range(last - 9, last - 5))
    assert seqs(rest) == list(range(last - 5, last + 1))
    assert device.take() == []


def test_a_sample_leaves_the_box_only_once_it_is_acknowledged() -> None:
    gcs = station(box={"sample_s": 1.0, "buffer_samples": 3})
    device = gcs.world.ground.boxes["box-1"].device
    gcs.run(10.0)
    oldest = device.peek()
    assert oldest is not None
    assert device.peek() is oldest
    device.sent(oldest)
    assert device.peek() is not oldest
    late = device.peek()
    gcs.run(10.0)  # the buffer has overflown: what is acknowledged now is gone already
    waiting = list(device.queue)
    device.sent(late or b"")
    assert list(device.queue) == waiting


# --- probes and clock


@pytest.mark.parametrize(("probe", "off"), [("first", (3.0, 0.0)), ("second", (0.0, 3.0)), ("both", (3.0, 3.0))])
def test_a_wrong_probe_is_off_by_its_offset_and_the_other_right(probe: str, off: tuple[float, float]) -> None:
    gcs = station(
        box={"sample_s": 2.0}, faults=[{"kind": "box_probe_wrong", "on": "box-1", "offset_c": 3.0, "probe": probe}]
    )
    gcs.run(20.0)
    box = gcs.world.ground.boxes["box-1"]
    shown = samples(gcs)[-1]["temp_c"]
    assert [t - truth for t, truth in zip(shown, box.heat.probes_c, strict=True)] == pytest.approx(off, abs=0.2)


def test_a_drifting_probe_goes_astray_by_so_much_an_hour_and_is_right_again_when_it_ends() -> None:
    fault = {"kind": "box_probe_drift", "on": "box-1", "drift_c_h": 60.0, "probe": "second"}
    gcs = station(box={"sample_s": 2.0}, faults=[fault | {"when": {"at_s": 60.0}, "duration_s": 120.0}])
    box = gcs.world.ground.boxes["box-1"]

    def error() -> list[float]:
        return [t - truth for t, truth in zip(samples(gcs)[-1]["temp_c"], box.heat.probes_c, strict=True)]

    gcs.run(53.0)
    assert error() == pytest.approx([0.0, 0.0], abs=0.2)
    gcs.run(60.0)
    assert error() == pytest.approx([0.0, 1.0], abs=0.25)
    gcs.run(60.0)
    assert error() == pytest.approx([0.0, 2.0], abs=0.25)
    gcs.run(10.0)
    assert error() == pytest.approx([0.0, 0.0], abs=0.2)


def test_a_clock_that_drifts_gains_by_the_time_since_the_start() -> None:
    gcs = station(box={"sample_s": 1.0, "clock_drift_ppm": 100_000.0, "clock_skew_s": -2.0})
    gcs.run(54.0)
    ahead_s = datetime.fromisoformat(samples(gcs)[-1]["box_time"]).timestamp() - gcs.world.now_s
    assert ahead_s == pytest.approx(60.0 * 0.1 - 2.0, abs=1.2)
    taken = gcs.world.ground.boxes["box-1"].device.seq
    assert taken == pytest.approx(60, abs=2), "it is only its clock that is wrong"
