"""The airspace files of a configuration as they lie on a disk: in other encodings, or packed."""

from pathlib import Path

import pytest

from fleet.config import ConfigError, load_airspace

VALLEY = Path(__file__).resolve().parents[2] / "configs" / "airspace" / "valley.ed318.json"


def test_a_file_in_utf_16_is_read_as_its_editor_saved_it(sandbox):
    target = sandbox.folder / "airspace" / VALLEY.name
    target.write_text(VALLEY.read_text(encoding="utf-8"), encoding="utf-16")
    assert load_airspace(sandbox.load()).zone("PARK") is not None


def test_a_packed_file_is_refused_by_name(sandbox):
    (sandbox.folder / "airspace" / VALLEY.name).write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ConfigError, match=r"valley\.ed318\.json.*compressed"):
        load_airspace(sandbox.load())
