"""Bad specs: the message names the field and the fix."""

from typing import Any

import pytest

from sitl.spec import SimSpec, SpecError
from tests.sitl.helpers import spec_dict


def test_defaults_are_px4s_ports() -> None:
    raw = spec_dict()
    raw["vehicles"].append(raw["vehicles"][0] | {"vehicle_id": "cw-2", "system_id": 2, "box": None})
    spec = SimSpec.from_dict(raw)
    assert [(v.gcs.local_port, v.gcs.port) for v in spec.vehicles] == [(18570, 14550), (18571, 14550)]
    assert spec.vehicles[0].onboard is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vehicles": []}, "vehicles: is empty; add at least one vehicle"),
        ({"speed": 0}, "speed: 0 is out of range; give a number from 0.01 to 1000"),
        ({"speed": "fast"}, "speed: is str 'fast'; give a number"),
        ({"epoch": 1}, "epoch: unknown field; did you mean 'epoch_s'?"),
        ({"vehicle": {"lat_deg": 95}}, "vehicles[0].lat_deg: 95 is out of range"),
        ({"vehicle": {"system_id": 255}}, "vehicles[0].system_id: 255 is out of range"),
        ({"vehicle": {"model": "zeppelin"}}, "vehicles[0].model: 'zeppelin' is unknown; use one of quad"),
        ({"vehicle": {"box": "box-9"}}, "vehicles[0].box: no box 'box-9'; declare it in boxes"),
        ({"vehicle": {"performance": {"cruse_m_s": 3}}}, "did you mean 'cruise_m_s'?"),
        ({"vehicle": {"gcs": 14550}}, "vehicles[0].gcs: is int '14550'; give an object"),
        ({"box": {"pack_left_kj": 200}}, "boxes[0].pack_left_kj: 200 is out of range; give a number from 0 to 150"),
        ({"world": {"ambient_c": float("nan")}}, "world.ambient_c: nan is not finite"),
        ({"mqtt": {"host": "x"}}, "mqtt.port: missing; add 'port'"),
        ({"stations": [{"site": "a"}]}, "stations[0].site_id: missing; rename 'site' to 'site_id'"),
    ],
)
def test_a_mistake_is_answered_with_its_place_and_the_fix(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as error:
        SimSpec.from_dict(spec_dict(**change))
    assert words in str(error.value)


def test_two_vehicles_with_the_same_identity_are_refused() -> None:
    raw = spec_dict()
    raw["vehicles"].append(raw["vehicles"][0] | {"vehicle_id": "cw-2", "box": None})
    with pytest.raises(SpecError, match="system_id 1 is used twice"):
        SimSpec.from_dict(raw)
