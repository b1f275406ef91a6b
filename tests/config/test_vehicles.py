"""What a configuration says about a vehicle's link and autopilot."""

import json

import jsonschema
import pytest
from ruamel.yaml import YAML

from fleet.config import AuthenticatedLink, Driver, Profile, RecordingConfig, data_dir
from fleet.config.schema import schema_text
from fleet.mavlink.contract import Demand, judge_firmware
from fleet.mavlink.port import Verdict

LINK = 'link: "udpin://127.0.0.1:14550"}'


def vehicle(index, **keys):
    return lambda data: data["vehicles"][index].update(keys)


def with_contract(sandbox, **contract):
    """An inline vehicle type with this contract for the first vehicle."""

    def edit(data):
        data["vehicle_types"].append(
            {
                "name": "wing", "airframe": "vtol", "cruise_m_s": 28, "climb_m_s": 3, "descent_m_s": 2,
                "hover_power_w": 1400, "cruise_power_w": 350, "empty_mass_kg": 14, "max_payload_kg": 4,
                "battery_wh": 1100, "max_wind_m_s": 14, "min_turn_radius_m": 80, "contract": contract,
            }
        )  # fmt: skip
        data["vehicles"][0]["type"] = "wing"

    sandbox.change(edit)


def test_a_vehicle_has_one_link_or_several_the_first_preferred(sandbox):
    sandbox.change(vehicle(1, link=["udpin://0.0.0.0:14551", "udpout://10.0.0.7:14550"]))
    links = sandbox.load().links
    assert links["cw-1"] == ("udpin://127.0.0.1:14550",)
    assert links["cw-2"] == ("udpin://0.0.0.0:14551", "udpout://10.0.0.7:14550")


def test_what_is_not_said_has_a_sensible_default(sandbox):
    config = sandbox.load()
    assert config.uids == {}
    assert set(config.drivers.values()) == {Driver.NATIVE}
    assert config.profile is Profile.DEVELOPMENT
    assert config.authenticated_links == ()
    assert (config.recording.max_mb, config.recording.keep_gb) == (64.0, 10.0)
    assert config.mavlink_keys == {}


@pytest.mark.parametrize("written", ['"0x3233510f002c001b"', "0x3233510f002c001b", "3617324050577883163"])
def test_a_hardware_id_may_be_written_in_either_base(sandbox, written):
    sandbox.replace(LINK, LINK.replace("}", f", uid: {written}}}"))
    assert sandbox.load().uids == {"cw-1": 0x3233510F002C001B}


def test_the_profile_authenticated_links_and_recording_are_read(sandbox):
    def edit(data):
        data["profile"] = "development"
        data["authenticated_links"] = [{"url": "udpin://127.0.0.1:14550", "by": "WireGuard wg0"}]
        data["recording"] = {"folder": None, "max_mb": 8}

    sandbox.change(edit)
    config = sandbox.load()
    assert config.authenticated_links == (AuthenticatedLink("udpin://127.0.0.1:14550", "WireGuard wg0"),)
    assert config.recording == RecordingConfig(None, 8.0, 10.0)


def test_a_contract_belongs_to_the_vehicles_of_its_type(sandbox):
    with_contract(
        sandbox,
        may_set=True,
        parameters={
            "GF_ACTION": 2,
            "RTL_RETURN_ALT": {"min": 40, "max": 90.5},
            "COM_DL_LOSS_T": {"min": 10},
            "PD_GRIPPER_TYPE": {"value": 0, "reboot": True},
        },
        firmware={"minimum": "1.15.0", "deny": [{"versions": "1.16.0", "reason": "it fell down"}]},
    )
    contracts = sandbox.load().contracts
    assert contracts["cw-1"].may_set
    assert contracts["cw-1"].parameters == {
        "GF_ACTION": Demand(2, 2),
        "RTL_RETURN_ALT": Demand(40, 90.5),
        "COM_DL_LOSS_T": Demand(10, None),
        "PD_GRIPPER_TYPE": Demand(0, 0, reboot=True),
    }
    verdicts = {text: judge_firmware(contracts["cw-1"], text).verdict for text in ("1.14.0", "1.16.0", "1.17.0")}
    assert verdicts == {"1.14.0": Verdict.REFUSED, "1.16.0": Verdict.REFUSED, "1.17.0": Verdict.DONE}
    assert "NAV_DLL_ACT" in contracts["cw-2"].parameters, "the courier's own"


def test_a_contract_changes_the_configuration_s_hash(sandbox):
    with_contract(sandbox, parameters={"GF_ACTION": 2})
    before = sandbox.load().config_hash
    sandbox.change(lambda data: data["vehicle_types"][1]["contract"].update(parameters={"GF_ACTION": 3}))
    assert sandbox.load().config_hash != before


@pytest.mark.parametrize(
    ("demand", "text"),
    [
        ({"GF_ACTION_AND_MORE": 2}, "at most 16 capitals, digits and _"),
        ({"gf_action": 2}, "which 'gf_action' is none of"),
        ({"GF_ACTION": "2"}, "GF_ACTION: give a number, or {min: …, max: …}"),
        ({"GF_ACTION": True}, "GF_ACTION: give a number"),
        ({"GF_ACTION": None}, "GF_ACTION: it demands nothing"),
        ({"GF_ACTION": {}}, "GF_ACTION: it demands nothing"),
        ({"GF_ACTION": {"min": 3, "max": 2}}, "GF_ACTION: min 3 is more than max 2"),
        ({"GF_ACTION": {"least": 3}}, "GF_ACTION: 'least' is not a known key"),
        ({"GF_ACTION": {"value": 3, "min": 2}}, "either a value or min and max"),
        ({"GF_ACTION": {"value": 3, "reboot": 1}}, "reboot is true or false"),
        ({"GF_ACTION": 2**31}, "does not fit into 32 bits"),
        ({"RTL_RETURN_ALT": 1e39}, "is not a finite 32-bit number"),
        ([], "a mapping such as {GF_ACTION: 2"),
    ],
)
def test_a_demand_that_no_autopilot_can_meet_is_a_message(sandbox, demand, text):
    with_contract(sandbox, parameters=demand)
    problem = sandbox.problem()
    assert problem.field == "vehicle_types[1].contract.parameters"
    assert text in problem.fix
    assert problem.line is not None


@pytest.mark.parametrize("number", [".nan", ".inf"])
def test_a_demand_for_no_number_is_a_message_in_the_type_s_own_file(sandbox, number):
    path = sandbox.folder / "vehicles" / "courier-x8.yaml"
    path.write_text(path.read_text().replace("GF_ACTION: 2", f"GF_ACTION: {number}"))
    problem = sandbox.problem()
    assert (problem.file, problem.field) == (str(path), "contract.parameters")
    assert "GF_ACTION: " in problem.fix


@pytest.mark.parametrize(
    ("firmware", "field", "text"),
    [
        ({"minimum": "new"}, "minimum", "which 'new' is not"),
        ({"minimum": 1.15}, "minimum", "valid string"),
        ({"deny": [{"versions": ">=1.14,<x", "reason": "r"}]}, "deny[0].versions", "which 'x' is not"),
        ({"deny": [{"versions": "1.16.0"}]}, "deny[0].reason", "Add `reason:`"),
        ({"deny": [{"versions": "1.16.0", "reason": ""}]}, "deny[0].reason", "at least 1 character"),
    ],
)
def test_firmware_rules_that_are_none_are_messages(sandbox, firmware, field, text):
    with_contract(sandbox, firmware=firmware)
    problem = sandbox.problem()
    assert problem.field == f"vehicle_types[1].contract.firmware.{field}"
    assert text in problem.fix


CASES = {
    "no link": (vehicle(0, link=[]), "vehicles[0].link", "a link such as udpin"),
    "a bad link among good ones": (
        vehicle(0, link=["udpin://127.0.0.1:14550", "udp:1"]), "vehicles[0].link", "udpin://127.0.0.1:14550",
    ),
    "a link twice": (vehicle(0, link=["udpin://127.0.0.1:1"] * 2), "vehicles[0].link", "Keep one of them"),
    "a system id taken on the second link": (
        vehicle(1, system_id=1, link=["udpin://127.0.0.1:1", "udpin://127.0.0.1:14550"]), "vehicles[1].system_id",
        "its own MAV_SYS_ID",
    ),
    "a hardware id that is none": (vehicle(0, uid="0xpixhawk"), "vehicles[0].uid", "AUTOPILOT_VERSION"),
    "a hardware id of nothing": (vehicle(0, uid=0), "vehicles[0].uid", "AUTOPILOT_VERSION"),
    "an unknown driver": (vehicle(0, driver="mavros"), "vehicles[0].driver", "`mavsdk`?"),
    "two drivers on one link": (vehicle(1, driver="mavsdk"), "vehicles[1].driver", "a link of its own"),
    "mavsdk with two links": (
        vehicle(1, driver="mavsdk", link=["udpin://127.0.0.1:1", "udpin://127.0.0.1:2"]), "vehicles[1].link", "native",
    ),
    "an unknown profile": (lambda d: d.update(profile="prod"), "profile", "Known: development, production"),
    "a link authenticated that nobody has": (
        lambda d: d.update(authenticated_links=[{"url": "udpin://127.0.0.1:14551", "by": "wg0"}]),
        "authenticated_links[0].url", "`udpin://127.0.0.1:14550`?",
    ),
    "no room for recordings": (lambda d: d.update(recording={"keep_gb": 0}), "recording.keep_gb", "greater than 0"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "field", "fix"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_a_fix(sandbox, edit, field, fix):
    sandbox.change(edit)
    problem = sandbox.problem()
    assert problem.field == field
    assert fix in problem.fix
    assert problem.line is not None


def test_one_autopilot_cannot_fly_two_vehicles(sandbox):
    def edit(data):
        for item in data["vehicles"][:2]:
            item["uid"] = 77

    sandbox.change(edit)
    problem = sandbox.problem()
    assert (problem.field, problem.text) == ("vehicles[1].uid", "is that of cw-1")


def test_the_contract_in_the_repository_fits_the_schema_that_editors_use():
    schema = json.loads(schema_text())
    data = YAML(typ="safe", pure=True).load(data_dir() / "vehicles" / "courier-x8.yaml")
    check = jsonschema.Draft202012Validator({"$ref": "#/$defs/VehicleTypeModel", "$defs": schema["$defs"]})
    check.validate(data)
    data["contract"]["parameters"]["GF_ACTION"] = {"least": 1}
    assert not check.is_valid(data)
