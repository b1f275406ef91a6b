"""Vehicles, records, configurations and the root command: results, exit codes, no traces."""

import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.cli import app as root
from fleet.cli.output import ExitCode
from tests.cli.conftest import Run
from tests.support.serving import Served, request


def test_vehicles_are_listed_with_the_age_of_what_is_stale(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.set_vehicle("cw-2", link="stale", heard_age_s=42.4, faults=("Link silent.",)))
    listed = fleet_command("vehicle", "list", url=server.url)
    rows = [line.split() for line in listed.out.splitlines()]
    assert [row[:2] for row in rows] == [["vehicle", "link"], ["cw-1", "up"], ["cw-2", "stale"], ["cw-3", "up"]]
    assert "stale (42 s)" in listed.out
    assert "Link silent." in listed.out
    assert len(fleet_command("vehicle", "list", "--json", url=server.url).json["vehicles"]) == 3


def test_a_vehicle_is_shown_for_people_and_programs(server: Served, fleet_command: Run) -> None:
    shown = fleet_command("vehicle", "show", "cw-1", url=server.url).out
    assert re.search(r"^if link dies +Hold 10 s, then return to Teral Hub\.$", shown, re.MULTILINE)
    assert fleet_command("vehicle", "show", "cw-1", "--json", url=server.url).json["home_site"] == "teral"
    assert fleet_command("vehicle", "show", "cw-9", url=server.url).code == ExitCode.REFUSED


@pytest.mark.parametrize("command", ["hold", "resume", "return", "land"])
def test_each_command_is_given_once(server: Served, fleet_command: Run, command: str) -> None:
    given = fleet_command("vehicle", command, "cw-3", url=server.url)
    assert (given.code, given.out.split()[:2]) == (ExitCode.DONE, ["cw-3", command])
    assert [(v, c.value, who) for v, c, who in server.fleet.commands] == [("cw-3", command, "olga")]


def test_a_viewer_may_not_command_and_a_stranger_may_nothing(
    server: Served, fleet_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = fleet_command("vehicle", "land", "cw-1", "--token", "view-token", "--json", url=server.url)
    assert (denied.code, denied.json["error"]["exit_code"]) == (ExitCode.NOT_ALLOWED, 4)
    assert "Use an operator's token." in denied.err
    monkeypatch.delenv("COLDWING_TOKEN")
    stranger = fleet_command("order", "list", url=server.url)
    assert stranger.code == ExitCode.NOT_ALLOWED
    assert "COLDWING_TOKEN" in stranger.err
    assert not server.fleet.commands


def test_a_record_is_shown_and_verified_against_a_hash_noted_earlier(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    shown = fleet_command("record", "show", "ord-1", url=server.url)
    assert [line.split()[:3:2] for line in shown.out.splitlines()[1:]] == [["1", "requested"], ["2", "accept"]]
    noted = fleet_command("record", "verify", "ord-1", "--json", url=server.url).json
    assert (noted["ok"], noted["checked"]) == (True, 2)
    server.do(lambda fleet: fleet.deliver("ord-1"))
    whole = fleet_command("record", "verify", "ord-1", "--anchor", noted["head_hash"], url=server.url)
    assert (whole.code, "is whole: 8 events" in whole.out) == (ExitCode.DONE, True)


def test_a_tampered_or_cut_record_fails_and_names_the_event(server: Served, fleet_command: Run) -> None:
    server.do(lambda fleet: fleet.put_order(request()))
    events = server.fleet.records["order/ord-1"]
    head = events[-1].hash

    changed, events[0] = events[0], replace(events[0], body={**events[0].body, "mass_kg": 0.1})
    tampered = fleet_command("record", "verify", "ord-1", url=server.url)
    assert (tampered.code, "event 1 (requested) was changed" in tampered.err) == (ExitCode.FAILED, True)

    events[:] = [changed]
    cut = fleet_command("record", "verify", "ord-1", "--anchor", head, url=server.url)
    assert (cut.code, "the end was cut off" in cut.err) == (ExitCode.FAILED, True)


def test_a_store_that_is_not_there_is_named(fleet_command: Run, tmp_path: Path) -> None:
    ended = fleet_command("record", "show", "ord-1", "--store", str(tmp_path / "none.sqlite3"))
    assert ended.code == ExitCode.UNREACHABLE
    assert "there is no store at" in ended.err


def test_a_record_is_read_from_the_stores_file_too(server: Served, fleet_command: Run, tmp_path: Path) -> None:
    import asyncio

    from fleet.store import NewEvent, Store

    async def write(path: Path) -> None:
        async with Store.open(path) as store:
            await store.commit(events=[NewEvent("order/ord-1", 1.5, "requested", {"mass_kg": 0.8})])

    path = tmp_path / "fleet.sqlite3"
    asyncio.run(write(path))
    verified = fleet_command("record", "verify", "ord-1", "--store", str(path))
    assert (verified.code, "is whole: 1 events" in verified.out) == (ExitCode.DONE, True)
    unknown = fleet_command("record", "verify", "ord-2", "--store", str(path))
    assert (unknown.code, "has no order 'ord-2'" in unknown.err) == (ExitCode.REFUSED, True)


def test_a_broken_configuration_is_refused_with_file_line_and_fix(fleet_command: Run, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("sites: 7\nvehicles:\n  - nonsense\n")
    checked = fleet_command("config", "check", str(file), "--json")
    assert checked.code == ExitCode.REFUSED
    reasons = checked.json["error"]["reasons"]
    assert any(f"{file}:1: sites" in reason["text"] for reason in reasons)
    assert all(reason["fix"] for reason in reasons)
    missing = fleet_command("config", "check", str(tmp_path / "none.yaml"))
    assert (missing.code, "none.yaml" in missing.err) == (ExitCode.REFUSED, True)


def test_nobody_there_is_5_with_what_to_do(fleet_command: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    ended = fleet_command("vehicle", "list", "--json", url=url)
    assert ended.code == ended.json["error"]["exit_code"] == ExitCode.UNREACHABLE
    assert "fleet serve" in ended.err


@pytest.mark.parametrize("url", ["nonsense", "http://[", "ftp://127.0.0.1", "http://127.0.0.1:99999999"])
def test_an_address_that_is_none_is_a_usage_error(fleet_command: Run, url: str) -> None:
    ended = fleet_command("vehicle", "list", "--url", url)
    assert ended.code == ExitCode.USAGE
    assert "--url" in ended.err


def test_a_fault_on_the_servers_side_is_1(server: Served, fleet_command: Run) -> None:
    server.fleet.crash = RuntimeError("inner")
    ended = fleet_command("vehicle", "list", url=server.url)
    assert ended.code == ExitCode.FAILED
    assert "controller's log" in ended.err


def test_an_unexpected_error_is_one_line_and_its_trace_goes_to_the_log(
    fleet_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("fleet.cli.vehicles.Api", broken)
    ended = fleet_command("vehicle", "list", "--token", "sesame")
    assert ended.code == ExitCode.FAILED
    assert "ZeroDivisionError: a bug" in ended.err
    assert "Traceback" not in ended.err
    log = Path(os.environ["COLDWING_LOG"])
    assert str(log) in ended.err
    assert "Traceback" in log.read_text()
    assert "sesame" not in log.read_text()
    assert "Traceback" in fleet_command("--debug", "vehicle", "list").err


def test_a_command_that_does_not_exist_is_a_usage_error_with_a_suggestion(fleet_command: Run) -> None:
    ended = fleet_command("vehicel", "list")
    assert ended.code == ExitCode.USAGE
    assert "Did you mean 'vehicle'" in ended.err


def fleet_process(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from fleet.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=os.environ | environment, timeout=30
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(fleet_command: Run, shell: str) -> None:
    printed = fleet_command("completion", shell)
    assert printed.code == ExitCode.DONE
    assert "_FLEET_COMPLETE" in printed.out


@pytest.mark.parametrize(("words", "expected"), [("fleet ve", {"vehicle"}), ("fleet vehicle re", {"resume", "return"})])
def test_the_shell_completes_commands_and_subcommands(words: str, expected: set[str]) -> None:
    completed = fleet_process(_FLEET_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert set(completed.stdout.split()) == expected


def test_help_imports_nothing_heavy_and_lists_every_command_that_is_there() -> None:
    code = (
        "import sys\nfrom fleet.cli import main\nsys.argv = ['fleet', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'httpx', 'numpy', 'fastapi', 'shapely', 'pydantic', 'rich.markdown'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    for name in ("order", "vehicle", "record", "config", "completion"):
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", [n for n, lazy in root.COMMANDS.items() if root.find_spec(lazy.module)])
def test_every_listed_command_loads_and_explains_itself(fleet_command: Run, name: str) -> None:
    helped = fleet_command(name, "--help")
    assert helped.code == ExitCode.DONE
    assert f"Usage: fleet {name}" in helped.out


def test_the_version_is_printed(fleet_command: Run) -> None:
    from importlib.metadata import version

    assert fleet_command("--version").out.strip() == version("coldwing")
