"""Every mistake gets a file, a line, a field, what is wrong and what to do; all of them at once."""

import pytest

from fleet.config import ConfigError, load_config


def drop(section, index):
    return lambda data: data[section].pop(index)


def put(*path_and_value):
    *path, last, value = path_and_value

    def edit(data):
        for part in path:
            data = data[part]
        data[last] = value

    return edit


CASES = {
    "an unknown key": (put("vehicles", 0, "hom", "x"), "vehicles[0].hom", "not a known key", "`home`?"),
    "an unknown section": (put("vehicels", []), "vehicels", "not a known key", "`vehicles`?"),
    "an unknown key of the policy": (put("policy", "reserve", 20), "policy.reserve", "not a known", "`reserve_pct`?"),
    "a missing key": (lambda d: d["sites"][1].pop("lat"), "sites[1].lat", "is missing", "Add `lat:`"),
    "a misspelled kind": (put("sites", 1, "kind", "clinik"), "sites[1].kind", "'clinik'", "`clinic`?"),
    "text for a number": (put("sites", 1, "lat", "7.5N"), "sites[1].lat", "'7.5N'", "valid number"),
    "a number as text": (put("boxes", 0, "volume_l", "6"), "boxes[0].volume_l", "'6'", "valid number"),
    "yes for a number": (put("sites", 1, "pads", True), "sites[1].pads", "True", "valid integer"),
    "a negative mass": (put("boxes", 1, "empty_mass_kg", -1), "boxes[1].empty_mass_kg", "-1", "greater than 0"),
    "a percentage over 100": (put("policy", "reserve_pct", 120), "policy.reserve_pct", "120", "or equal to 100"),
    "a probability over 1": (put("policy", "min_p_reach", 95), "policy.min_p_reach", "95", "or equal to 1"),
    "an id with a slash": (put("boxes", 0, "id", "a/b"), "boxes[0].id", "'a/b'", "letters, digits"),
    "a bad link": (put("vehicles", 0, "link", "udp:14550"), "vehicles[0].link", "'udp:14550'", "udpin://127.0.0.1:14550"),
    "a bad broker": (put("mqtt", "url", "tcp://x"), "mqtt.url", "'tcp://x'", "mqtt://user:password@host:1883"),
    "a list for a mapping": (put("policy", []), "policy", "[]", "mapping"),
    "the same site twice": (put("sites", 1, "id", "koru"), "sites[2].id", "'koru' is already used in line", "its own"),
    "the same vehicle twice": (put("vehicles", 1, "id", "cw-1"), "vehicles[1].id", "'cw-1' is already used", "its own"),
    "an unknown home": (put("vehicles", 2, "home", "terall"), "vehicles[2].home", "'terall' is no site", "`teral`?"),
    "a clinic as home": (put("vehicles", 2, "home", "koru"), "vehicles[2].home", "'koru' is not a hub", "teral"),
    "an unknown type": (put("vehicles", 2, "type", "courier"), "vehicles[2].type", "no vehicle type", "`courier-x8`?"),
    "a system id twice on a link": (put("vehicles", 2, "system_id", 1), "vehicles[2].system_id", "as cw-1's", "own"),
    "our own system id": (put("vehicles", 2, "system_id", 250), "vehicles[2].system_id", "controller's own", "another"),
    "QGroundControl's id": (put("gcs", "system_id", 255), "gcs.system_id", "QGroundControl's", "250"),
    "an unknown product": (
        lambda d: d["boxes"][0]["products"].append("vaccine_freeze_sensitve"),
        "boxes[0].products", "'vaccine_freeze_sensitve'", "`vaccine_freeze_sensitive`?",
    ),
    "a box too heavy": (put("boxes", 0, "empty_mass_kg", 3.5), "boxes[0].empty_mass_kg", "3.5 kg", "max_payload_kg"),
    "an unknown home of a box": (put("boxes", 0, "home", "depot"), "boxes[0].home", "'depot' is no site", "Known: "),
    "too few pads": (put("sites", 0, "pads", 2), "vehicles[0].home", "2 pads for 3 vehicles", "Raise its `pads`"),
    "a site far away": (put("sites", 1, "lat", 38.2), "sites[1].lat", "km from teral", "swapped"),
    "a pad above the ground": (put("sites", 1, "elevation_amsl_m", 480), "sites[1].elevation_amsl_m", "at 420 m", ""),
    "no airspace file": (put("airspace", ["air/x.json"]), "airspace[0]", "air/x.json does not exist", ""),
    "no product folder": (put("products", ["products", "p"]), "products[1]", "does not exist", "relative to this file"),
    "no type file": (put("vehicle_types", 0, "file", "vehicles/x.yaml"), "vehicle_types[0].file", "not exist", "path"),
    "a type file and more": (put("vehicle_types", 0, "name", "x"), "vehicle_types[0].file", "only key", "either"),
    "a layer over the ceiling": (put("planning", "layers_agl_m", [80, 130]), "planning.layers_agl_m", "130 m", ""),
    "two names for one variable": (
        put("api", "tokens", 1, "name", "OPERATOR"), "api.tokens[1].name", "COLDWING_API_TOKEN_OPERATOR", "its own",
    ),
    "no token": (put("api", "tokens", []), "api.tokens", "nobody could use the API", "Add one"),
    "one value for two tokens": (
        put("api", "tokens", 1, "token", "demo-operator-token"), "api.tokens[1].token", "the same value", "its own",
    ),
    "a short token": (put("api", "tokens", 0, "token", "hello"), "api.tokens[0].token", "guessed", "at least 16"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "field", "text", "fix"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_its_line_and_a_fix(sandbox, edit, field, text, fix):
    sandbox.change(edit)
    problem = sandbox.problem()
    assert problem.field == field
    assert text in problem.text
    assert fix in problem.fix
    assert problem.file == str(sandbox.path)
    assert problem.line is not None


def test_the_line_is_that_of_the_key(sandbox):
    sandbox.replace("lon: 38.261606", "lon: east")
    sandbox.replace("reserve_pct: 20", "reserve_pct: -1")
    found = {p.field: p.line for p in sandbox.problems()}
    assert found == {
        "sites[2].lon": sandbox.line_of("lon: east"),
        "policy.reserve_pct": sandbox.line_of("reserve_pct: -1"),
    }


def test_all_problems_come_at_once_also_those_between_the_parts(sandbox):
    sandbox.replace("kind: alternate, lat: 7.5325511", "kind: alternative, lat: 7.5325511")
    sandbox.replace("home: teral, system_id: 2", "home: teral, system_id: 1")
    sandbox.replace("airspace: [airspace/", "airspace: [elsewhere/")
    sandbox.replace("margin_m: 30", "margin: 30")
    sandbox.replace("port: 8080", "port: 80800")
    sandbox.replace("products: [antibiotic_crt,", "products: [antibiotic,")
    fields = [p.field for p in sandbox.problems()]
    assert fields == [
        "sites[6].kind",
        "vehicles[1].system_id",
        *(f"boxes[{n}].products" for n in range(3)),
        "airspace[0]",
        "planning.margin",
        "api.port",
    ]


def test_a_wrong_item_does_not_make_messages_about_the_items_that_name_it(sandbox):
    sandbox.replace("kind: hub,", "kind: hubb,")
    assert sandbox.problem().field == "sites[0].kind"


def test_a_problem_in_a_vehicle_type_s_file_names_that_file(sandbox):
    path = sandbox.folder / "vehicles" / "courier-x8.yaml"
    path.write_text(path.read_text().replace("climb_m_s: 3", "climb_m_s: 0\nclimbs: 3"))
    first, second = sandbox.problems()
    assert (first.file, first.line, first.field) == (str(path), 5, "climb_m_s")
    assert (second.file, second.line, second.field) == (str(path), 6, "climbs")


def test_a_vehicle_type_may_stand_in_the_file_itself(sandbox):
    def inline(data):
        data["vehicle_types"].append(
            {
                "name": "wing", "airframe": "vtol", "cruise_m_s": 28, "climb_m_s": 3, "descent_m_s": 2,
                "hover_power_w": 1400, "cruise_power_w": 350, "empty_mass_kg": 14, "max_payload_kg": 4,
                "battery_wh": 1100, "max_wind_m_s": 14, "min_turn_radius_m": 80,
            }
        )  # fmt: skip
        data["vehicles"][1]["type"] = "wing"

    sandbox.change(inline)
    assert sandbox.load().vehicles["cw-2"].type.min_turn_radius_m == 80.0


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("product_id: insulin\n", 1, "band is missing. Give the label's range"),
        (
            "product_id: insulin\nname: Insulin\nsource: a label\nband: {lower_c: 2, upper_c: 8}\nexcursions:\n"
            "  - {name: room, lower_c: 7, upper_c: 30, allowed_min: 1}\n",
            5,
            "excursions band and room overlap from 7 to 8 °C. Let one end where the other starts",
        ),
        ("product_id: insulin\nband: {lower_c: 2, upper_c: 8}\ntypo: 1\n", 3, "typo is not known here. Use one of"),
        ("product_id: insulin\n  band: 1\n", 2, "is not YAML"),
    ],
)
def test_a_product_that_cannot_be_used_is_named_with_its_file_line_and_field(sandbox, text, line, says):
    (sandbox.folder / "products" / "insulin.yaml").write_text(text)
    problem = next(p for p in sandbox.problems() if p.file.endswith("insulin.yaml"))
    assert problem.line == line
    assert says in str(problem)


def test_a_box_with_several_hubs_to_choose_from_must_say_its_home(sandbox):
    sandbox.change(put("sites", 1, "kind", "hub"))
    problems = sandbox.problems()
    assert [p.field for p in problems] == ["boxes[0].home", "boxes[1].home", "boxes[2].home"]
    assert "ndeba, teral" in problems[0].fix


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("sites: [\n  {id: a\n", 3, "is not YAML"),
        ("sites:\n  - id: a\n bad: 1\n", 3, "is not YAML"),
        ("name: a\nname: b\n", 2, 'found duplicate key "name"'),
        ("- just\n- a list\n", 1, "is not a mapping"),
        ("", 1, "is not a mapping"),
        ("b: 1\na: \x01\n", 2, "is not YAML"),
    ],
    ids=["an open bracket", "wrong indentation", "a key twice", "a list", "nothing", "a control character"],
)
def test_broken_yaml_is_a_message_with_a_line(tmp_path, text, line, complaint):
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(path, {})
    (problem,) = refused.value.problems
    assert complaint in problem.text
    assert problem.line == line
    assert problem.fix


def test_a_missing_file_is_a_message(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: does not exist\. Check the path\."):
        load_config(tmp_path / "none.yaml", {})


def test_a_file_of_nothing_but_a_name_is_told_what_it_lacks(tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text("name: empty\n")
    with pytest.raises(ConfigError) as refused:
        load_config(path, {})
    assert {p.field for p in refused.value.problems} == {"sites", "api.tokens"}
