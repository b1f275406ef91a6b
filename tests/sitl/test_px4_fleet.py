"""`fleet sim --px4 N`: which vehicles N real PX4s are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cli.output import Output
from fleet.config import data_dir, load_config
from fleet.simulate.processes import SimulatorError
from fleet.simulate.standalone import of_size, run_px4

DEMO = load_config(data_dir() / "fleet.yaml")


def test_fewer_than_configured_are_the_first_ones() -> None:
    assert list(of_size(DEMO, 2).vehicles) == ["cw-1", "cw-2"]


def test_more_than_configured_are_of_their_kind_under_system_ids_that_nobody_has() -> None:
    sized = of_size(DEMO, 5).vehicles
    assert list(sized) == ["cw-1", "cw-2", "cw-3", "px4-4", "px4-5"]
    assert [v.system_id for v in sized.values()] == [1, 2, 3, 4, 5]
    assert sized["px4-4"].type is DEMO.vehicles["cw-1"].type


async def test_without_a_px4_a_person_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PX4_SITL_BIN", str(tmp_path / "px4"))
    monkeypatch.setattr("fleet.simulate.standalone._answers", lambda host, port: True)
    with pytest.raises(SimulatorError, match="is no executable file; name PX4's bin/px4, or unset it"):
        await run_px4(1, None, 1.0, Output(False))
