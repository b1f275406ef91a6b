"""Finding and starting a real PX4."""

import os
from pathlib import Path

import pytest

from sitl.px4 import Px4Error, command_for, find_px4, start_px4


def program(folder: Path, text: str = "#!/bin/sh\n") -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "etc" / "init.d-posix").mkdir(parents=True)
    (folder / "etc" / "init.d-posix" / "rcS").touch()
    path = folder / "bin" / "px4"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_px4_sitl_bin_comes_first_and_its_start_up_scripts_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = program(tmp_path / "a"), program(tmp_path / "b")
    monkeypatch.setenv("PATH", str(other.parent))
    found = find_px4()
    assert found is not None
    assert found.path == other
    monkeypatch.setenv("PX4_SITL_BIN", str(named))
    found = find_px4()
    assert found is not None
    assert (found.path, found.etc) == (named, tmp_path / "a" / "etc")
    assert command_for(found, 3)[-4:] == ["-i", "3", "-d", str(tmp_path / "a" / "etc")]


def test_a_wrapper_script_leads_to_the_scripts_of_the_program_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = program(tmp_path / "build")
    wrapper = tmp_path / "px4"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PX4_SITL_BIN", str(wrapper))
    found = find_px4()
    assert found is not None
    assert found.etc == tmp_path / "build" / "etc"


async def test_no_px4_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PX4_SITL_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sitl.px4.PACKAGE_PLACE", tmp_path / "none")
    with pytest.raises(Px4Error, match="set PX4_SITL_BIN"):
        async with start_px4([(7.5, 38.2, 420.0)]):
            pass
    monkeypatch.setenv("PX4_SITL_BIN", str(tmp_path / "missing"))
    with pytest.raises(Px4Error, match="is no executable file"):
        find_px4()


async def test_a_px4_that_dies_is_reported_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "a", "#!/bin/sh\necho no such airframe\nexit 1\n")
    monkeypatch.setenv("PX4_SITL_BIN", str(path))
    with pytest.raises(Px4Error, match="no such airframe"):
        async with start_px4([(7.5, 38.2, 420.0)], first_index=90, folder=tmp_path):
            pass


@pytest.mark.px4
async def test_two_real_instances_start_get_ready_and_are_gone_afterwards(tmp_path: Path) -> None:
    if find_px4() is None:
        pytest.skip("needs a real PX4: set PX4_SITL_BIN, or put `px4` on PATH")
    homes = [(7.5, 38.2, 420.0), (7.5, 38.2001, 420.0)]
    async with start_px4(homes, speed=2.0, first_index=8, folder=tmp_path) as instances:
        assert [i.system_id for i in instances] == [9, 10]
        assert all(i.log.stat().st_size > 0 for i in instances)
    for instance in instances:
        with pytest.raises(ProcessLookupError):
            os.kill(instance.pid, 0)
