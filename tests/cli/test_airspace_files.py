"""`fleet airspace info`, `convert` and `diff`: what a file holds, in another format, and what a change breaks."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.cli.output import ExitCode
from fleet.config import load_airspace, load_config
from fleet.records.codec import to_json
from fleet.runtime.ledger import OrderEntry
from fleet.store import Put, Store
from geofences.airspace import Airspace
from geofences.formats import CODECS, load_airspace_text
from geofences.geodesy import LatLon
from geofences.heights import Datum, Height
from geofences.volumes import Circle, Restriction, Volume, Zone
from missions.decision.types import FlightPhase
from missions.delivery import Flight, Intent
from missions.energy import STILL
from missions.orders import Order, OrderState, Priority
from missions.plan import Ending, Plan
from missions.world import World, plan_to
from tests.cli.conftest import Run

CONFIG = Path("configs/fleet.yaml").resolve()
VALLEY = Path("configs/airspace/valley.ed318.json").resolve()
NOW = 1_773_133_200.0


def valley() -> dict[str, Zone]:
    return {z.zone_id: z for z in load_airspace_text(VALLEY.read_text(), "valley").zones}


def written(path: Path, zones: dict[str, Zone]) -> str:
    path.write_text(CODECS["geojson"].dump_text(tuple(zones.values())).text)
    return str(path)


def fire_over(site: str) -> Zone:
    at = load_config(CONFIG).sites[site].position
    return Zone("FIRE", "Grass fire", Restriction.PROHIBITED, (Volume(Circle(at, 500.0)),))


def test_info_counts_what_a_file_holds_and_draws_it(fleet_command: Run, tmp_path: Path) -> None:
    done = fleet_command("airspace", "info", str(VALLEY), "--json", "--map", str(tmp_path / "a.html"))
    assert done.code == ExitCode.DONE
    told = done.json
    assert (told["zones"], told["volumes"]) == (14, 15)
    assert told["roles"] == {"keep_out": 13, "keep_in": 1}
    assert told["datums"] == {"AGL": 21, "none": 4, "AMSL": 4, "WGS84": 1}
    assert told["times"] == {"always": 11, "schedule": 3}
    assert told["box"]["south_deg"] < 7.44 < 7.55 < told["box"]["north_deg"]
    assert (tmp_path / "a.html").stat().st_size > 1000
    assert "6 PROHIBITED" in fleet_command("airspace", "info", str(VALLEY)).out


def test_a_file_in_another_format_holds_the_same_and_what_it_cannot_say_is_told(
    fleet_command: Run, tmp_path: Path
) -> None:
    there, back = tmp_path / "valley.geojson", tmp_path / "valley.txt"
    done = fleet_command("airspace", "convert", str(VALLEY), str(there), "--json")
    assert (done.code, done.json["zones_written"], done.json["not_said"]) == (ExitCode.DONE, 14, [])
    assert {z.zone_id: z for z in load_airspace_text(there.read_text(), "there").zones} == valley()
    assert fleet_command("airspace", "diff", str(VALLEY), str(there)).code == ExitCode.DONE
    cut = fleet_command("airspace", "convert", str(there), str(back), "--to", "openair", "--json")
    assert {p["feature"] for p in cut.json["not_said"]} >= {"GLIDER"}
    assert len(load_airspace_text(back.read_text(), "back").zones) == cut.json["zones_written"]


def test_a_feature_that_cannot_be_used_is_told_and_ends_with_refused(fleet_command: Run, tmp_path: Path) -> None:
    document = json.loads(CODECS["geojson"].dump_text(tuple(valley().values())).text)
    document["features"][3]["geometry"] = None
    bad = tmp_path / "bad.geojson"
    bad.write_text(json.dumps(document))
    for words in (("info", str(bad)), ("convert", str(bad), str(tmp_path / "o.kml"))):
        done = fleet_command("airspace", *words)
        assert done.code == ExitCode.REFUSED
        assert "PARK: geometry" in done.err
    assert fleet_command("airspace", "diff", str(bad), str(VALLEY)).code == ExitCode.REFUSED


@pytest.mark.parametrize(
    "words",
    [("convert", str(VALLEY), "x.unknown"), ("convert", str(VALLEY), "x", "--to", "shape"),
     ("convert", str(VALLEY), str(VALLEY)), ("info", str(VALLEY), "--map", "x.svg")],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_matter_of_usage(fleet_command: Run, words: tuple[str, ...]) -> None:
    assert fleet_command("airspace", *words).code == ExitCode.USAGE


def test_a_difference_names_each_zone_and_what_is_other_about_it(fleet_command: Run, tmp_path: Path) -> None:
    zones = valley()
    del zones["MAST"]
    park, school = zones["PARK"], zones["SCHOOL"]
    zones["PARK"] = replace(park, volumes=(replace(park.volumes[0], upper=Height(80.0, Datum.AGL)),))
    zones["HELI"] = replace(zones["HELI"], restriction=Restriction.CONDITIONAL)
    moved = replace(school.volumes[0], outline=Circle(LatLon(7.531, 38.2425), 300.0))
    zones["SCHOOL"] = replace(school, volumes=(moved,), applicability=())
    zones["FIRE"] = fire_over("salme")
    done = fleet_command("airspace", "diff", str(VALLEY), written(tmp_path / "new.geojson", zones), "--json")
    assert done.code == ExitCode.DONE, "a difference that breaks no plan is no failure"
    told = done.json
    assert (told["added"], told["withdrawn"], told["same"]) == (["FIRE"], ["MAST"], 10)
    changed = {c["id"]: {f["field"]: f for f in c["fields"]} for c in told["changed"]}
    assert {zone: set(fields) for zone, fields in changed.items()} == {
        "PARK": {"heights"}, "HELI": {"restriction"}, "SCHOOL": {"outline", "times"},
    }  # fmt: skip
    assert changed["PARK"]["heights"]["text"] == "0 m AGL – 300 m AGL → 0 m AGL – 80 m AGL"
    assert changed["SCHOOL"]["outline"]["closes"]
    assert "all around" in changed["SCHOOL"]["outline"]["text"] or "in the" in changed["SCHOOL"]["outline"]["text"]


def stored(folder: Path) -> Path:
    """A configuration whose store holds a flight to Salme and an order for Koru that has not flown."""
    config = load_config(CONFIG)
    airspace = Airspace(1, load_airspace(config).zones)
    world = World(config.sites, airspace, frozenset(), config.terrain, config.planning)
    hub, vehicle = config.sites["teral"], next(iter(config.vehicles.values()))
    made = plan_to(
        world, vehicle, plan_id="p", start=hub.position, start_amsl_m=hub.elevation_amsl_m, take_off=True,
        goal=config.sites["salme"], ending=Ending.HOLD_AT_DROP, home=hub, payload_kg=2.0, battery_pct=100.0,
        wind=STILL, layer_agl_m=80.0, depart_s=NOW,
    )  # fmt: skip
    assert isinstance(made, Plan)
    orders = [
        Order(f"o-{goal}", "red_cells", "teral", goal, "ward", 0.8, 1.5, Priority.URGENT, NOW + 3600.0, NOW)
        for goal in ("salme", "koru")
    ]
    flight = Flight(
        "o-salme-1", "o-salme", vehicle.vehicle_id, next(iter(config.boxes.values())), 0.8, "teral", 80.0,
        FlightPhase.OUTBOUND, Intent.FLY, made, "salme",
    )  # fmt: skip
    puts = [Put("flights", flight.flight_id, to_json(flight))]
    puts += [Put("orders", o.order_id, to_json(OrderEntry(o, OrderState.ACCEPTED, "ward"))) for o in orders]

    async def write() -> None:
        async with Store.open(folder / "store.sqlite3") as store:
            await store.commit(puts=puts)

    asyncio.run(write())
    own = folder / "fleet.yaml"
    text = CONFIG.read_text().replace("path: var/coldwing.sqlite3", f"path: {folder / 'store.sqlite3'}")
    for name in ("vehicles/", "[products]", "[airspace/"):
        text = text.replace(name, name[0] * (name[0] == "[") + f"{CONFIG.parent}/" + name.removeprefix("["))
    own.write_text(text)
    return own


@pytest.mark.parametrize(("site", "broken"), [("salme", "o-salme-1"), ("koru", "o-koru"), (None, None)])
def test_a_difference_tells_which_stored_plans_it_breaks(
    fleet_command: Run, tmp_path: Path, site: str | None, broken: str | None
) -> None:
    config, zones = stored(tmp_path), valley()
    if site is not None:
        zones["FIRE"] = fire_over(site)
    new = written(tmp_path / "new.geojson", zones)
    done = fleet_command("airspace", "diff", str(VALLEY), new, "--config", str(config), "--json")
    assert done.code == (ExitCode.REFUSED if broken else ExitCode.DONE), done.err
    plans = {p["name"].split()[0]: p["broken"] for p in done.json["plans"]}
    assert set(plans) == {"o-salme-1", "o-koru"}
    assert {name for name, reasons in plans.items() if reasons} == ({broken} if broken else set())
    if broken is not None:
        assert "FIRE" in plans[broken][0]["text"]
        assert broken in done.err


def test_a_difference_tells_which_plan_files_it_breaks(fleet_command: Run, tmp_path: Path) -> None:
    plan = Path("../shared/data/plans/qgroundcontrol_sample.plan")
    if not plan.exists():
        pytest.skip("needs the shared data folder")
    lat, lon = json.loads(plan.read_text())["mission"]["plannedHomePosition"][:2]
    near = Zone("FIRE", "", Restriction.PROHIBITED, (Volume(Circle(LatLon(lat, lon), 3000.0)),))
    old, new = written(tmp_path / "old.geojson", {}), written(tmp_path / "new.geojson", {"FIRE": near})
    done = fleet_command("airspace", "diff", old, new, "--plans", str(plan), "--json")
    assert done.code == ExitCode.REFUSED
    assert {r["code"] for r in done.json["plans"][0]["broken"]} >= {"zone"}
    assert fleet_command("airspace", "diff", new, new, "--plans", str(plan)).code == ExitCode.DONE
