"""`fleet record tlog`: what was recorded of an order's flights."""

from pathlib import Path

import pytest

from fleet.cli.output import ExitCode
from fleet.config import data_dir, load_config
from fleet.mavlink import tlog
from fleet.mavlink.codec import encode
from fleet.mavlink.messages import Heartbeat, Ping
from tests.cli.conftest import Run

START_S = 1_800_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two flights of ord-5, the first in two parts, with a PING each second and a HEARTBEAT of ours at its start."""
    beat = encode(Heartbeat(0, 6, 8, 0, 4), seq=0, system=245, component=190)
    pings = [encode(Ping(n + 1, n, 0, 0), seq=n, system=3, component=1) for n in range(60)]
    for vehicle_id, flight_id, number in (("cw-1", "ord-5-1", 1), ("cw-1", "ord-5-1", 2), ("cw-2", "ord-5-2", 1)):
        path = tlog.part_path(tmp_path, vehicle_id, flight_id, number)
        path.parent.mkdir(exist_ok=True)
        data = [tlog.entry(START_S, beat), *(tlog.entry(START_S + n, raw) for n, raw in enumerate(pings))]
        path.write_bytes(b"".join(data))
    return tmp_path


def test_the_recordings_of_an_order_are_listed_with_size_span_and_messages(fleet_command: Run, folder: Path) -> None:
    listed = fleet_command("record", "tlog", "ord-5", "--folder", str(folder))
    assert listed.code == ExitCode.DONE
    rows = listed.out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["cw-1", "cw-1", "cw-2"]
    assert all("2027-01-15T08:00:00Z" in row and "59 s" in row and "PING 60, HEARTBEAT 1" in row for row in rows)


def test_one_flights_recordings_for_programs(fleet_command: Run, folder: Path) -> None:
    told = fleet_command("record", "tlog", "ord-5-1", "--folder", str(folder), "--json").json
    assert [(f["part"], Path(f["path"]).name) for f in told["files"]] == [(1, "ord-5-1.tlog"), (2, "ord-5-1.2.tlog")]
    first = told["files"][0]
    assert first["size_bytes"] == Path(first["path"]).stat().st_size
    assert (first["from"], first["to"], first["span_s"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:59Z", 59.0)
    assert (first["frames"], first["unread_bytes"]) == (61, 0)
    assert first["by_message"] == {"PING": 60, "HEARTBEAT": 1}
    assert first["by_system"] == {"3": 60, "245": 1}


def test_a_cut_off_tail_and_an_empty_file_are_listed_for_what_they_are(fleet_command: Run, folder: Path) -> None:
    path = tlog.part_path(folder, "cw-2", "ord-5-2")
    path.write_bytes(path.read_bytes()[:-5])
    tlog.part_path(folder, "cw-2", "ord-5-2", 2).write_bytes(b"")
    listed = fleet_command("record", "tlog", "ord-5-2", "--folder", str(folder)).out
    assert "bytes unreadable" in listed
    cut, empty = fleet_command("record", "tlog", "ord-5-2", "--folder", str(folder), "--json").json["files"]
    assert (cut["frames"], cut["unread_bytes"] > 0) == (60, True)
    assert (empty["frames"], empty["from"], empty["span_s"]) == (0, None, 0.0)


@pytest.mark.parametrize("there", [True, False])
def test_where_there_is_none_it_says_so_and_where_to_look(fleet_command: Run, folder: Path, there: bool) -> None:
    where = folder if there else folder / "none"
    ended = fleet_command("record", "tlog", "ord-9", "--folder", str(where), "--json")
    assert ended.code == ExitCode.REFUSED
    error = ended.json["error"]
    assert error["text"] == f"{where} {'holds' if there else 'does not exist, so there is'} no recording of 'ord-9'"
    assert "recording.folder" in error["fix"]


def test_a_recording_that_cannot_be_read_is_a_sentence(fleet_command: Run, folder: Path) -> None:
    tlog.part_path(folder, "cw-3", "ord-6-1").mkdir(parents=True)
    ended = fleet_command("record", "tlog", "ord-6", "--folder", str(folder))
    assert ended.code == ExitCode.FAILED
    assert "ord-6-1.tlog cannot be read: Is a directory" in ended.err


def test_it_looks_where_an_unchanged_configuration_records(
    fleet_command: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = load_config(data_dir() / "fleet.yaml").recording.folder
    assert recorded is not None
    (tmp_path / recorded).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / recorded).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    assert fleet_command("record", "tlog", "ord-5-2").code == ExitCode.DONE
