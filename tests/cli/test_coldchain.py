"""`fleet coldchain`: a logger's file judged, drawn and explained; the catalogue listed."""

import re
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fleet.cli.coldchain_catalogue import catalogue_table
from fleet.cli.output import ExitCode
from fleet.config.products import catalogue
from fleet.maps.record import COLUMNS, thinned
from tests.cli.conftest import Run

START = datetime(2026, 3, 9, 5, 0, tzinfo=UTC)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "coldchain.md"


def log(path: Path, temps: list[float], *, left_out: range = range(0), every_min: int = 10) -> str:
    """An EasyLog file with a clock three hours ahead of UTC."""
    rows = ["Ndeba,Time,Celsius(°C),Serial Number"]
    for n, temp in enumerate(temps):
        shown = START + timedelta(hours=3, minutes=every_min * n)
        if n not in left_out:
            rows.append(f"{n + 1},{shown:%Y-%m-%d %H:%M:%S},{temp:.1f}{',010032184' if n == 0 else ''}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


WARM = [5.0] * 20 + [12.0] * 6 + [5.0] * 20


def test_a_log_with_an_hour_out_of_the_refrigerator_may_be_used_and_says_what_it_cost(
    fleet_command: Run, tmp_path: Path
) -> None:
    file = log(tmp_path / "a.txt", WARM)
    done = fleet_command("coldchain", "assess", "--product", "cct_biologic", "--tz", "+03:00", file, "--json")
    assert done.code == ExitCode.DONE
    told = done.json
    assert (told["verdict"], told["rule"], told["usable"]) == ("excursion_allowed", "allowance", True)
    assert (told["layout"], told["readings"], told["interval_s"], told["max_gap_s"]) == ("easylog", 46, 600.0, 900.0)
    assert told["samples"][0] == {"line": 22, "at": "2026-03-09T08:20:00Z", "temp_c": [12.0]}
    assert told["from"]["at"] == "2026-03-09T05:00:00Z"
    (cool,) = (b for b in told["bands"] if b["name"] == "cool")
    assert cool["minutes"] == {"least": 60.0, "read": 60.0, "most": 60.0}
    assert (cool["longest_min"], cool["allowed_min"]) == (60.0, 1440.0)
    assert told["budget"] == [{"name": "cool", "left_min": {"least": 1380.0, "read": 1380.0, "most": 1380.0}}]
    assert told["freeze"] == {"at_or_below_c": -0.5, "minutes": 0.0, "readings": 0, "lowest_c": 5.0}
    assert sum(b["minutes"]["read"] for b in told["bands"]) == told["measured_min"] == 450.0
    least, read, most = (told["mkt_c"][k] for k in ("least", "read", "most"))
    assert least < read < most < told["highest_c"]
    assert told["highest_mkt"]["limit_c"] == 8.0


def test_the_order_s_budget_shortens_what_is_allowed(fleet_command: Run, tmp_path: Path) -> None:
    file = log(tmp_path / "a.txt", WARM)
    done = fleet_command(
        "coldchain", "assess", "--product", "cct_biologic", "--tz", "+03:00", "--budget", "cool=45", file
    )
    assert done.code == ExitCode.REFUSED
    assert "QUARANTINE" in done.out
    assert "45 min allowed" in done.out
    assert re.search(r"rule budget.cool: lines 22 to 27 of \S*a.txt", done.out)


def test_a_verdict_that_forbids_use_ends_with_refused_and_names_the_line(fleet_command: Run, tmp_path: Path) -> None:
    file = log(tmp_path / "a.txt", [5.0] * 6 + [-1.0] * 9)
    done = fleet_command("coldchain", "assess", "--product", "vaccine_freeze_sensitive", "--tz", "Africa/Kampala", file)
    assert done.code == ExitCode.REFUSED
    assert done.out.startswith("SPOILED  freeze: 60.0 min consecutive at ≤ -0.5 °C")
    assert "rule alarm.freeze: lines 8 to 14 of" in done.out
    assert re.search(r"Freezing\s+80.0 min at or below -0.5 °C", done.out)


def test_gaps_are_told_by_their_lines_and_make_the_verdict_unknown(fleet_command: Run, tmp_path: Path) -> None:
    file = log(tmp_path / "a.txt", [5.0] * 40, left_out=range(10, 18))
    done = fleet_command("coldchain", "assess", "--product", "oxytocin", "--tz", "UTC", file)
    assert done.code == ExitCode.REFUSED
    assert done.out.startswith("UNKNOWN  5400 s of the record are missing")
    assert "note: gap of 90 min between lines 11 and 12" in done.err
    believed = fleet_command("coldchain", "assess", "--product", "oxytocin", "--tz", "UTC", file, "--max-gap", "90")
    assert believed.code == ExitCode.DONE


def test_readings_an_hour_apart_say_nothing_of_the_time_between(fleet_command: Run, tmp_path: Path) -> None:
    file = log(tmp_path / "a.txt", [5.0] * 9, every_min=60)
    done = fleet_command("coldchain", "assess", "--product", "oxytocin", "--tz", "UTC", file)
    assert done.code == ExitCode.REFUSED
    assert "readings 60 min apart say nothing of the time between: 30 min is the limit" in done.err


def test_a_profile_of_one_s_own_is_given_by_its_file(fleet_command: Run, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("product_id: mine\nname: Mine\nsource: label of 2026\nband: {lower_c: 2, upper_c: 15}\n")
    words = ("coldchain", "assess", "--tz", "UTC", log(tmp_path / "a.txt", WARM), "--product", str(profile))
    assert fleet_command(*words).code == ExitCode.DONE
    profile.write_text("product_id: mine\nname: Mine\nband: {lower_c: 2, upper_c: 15}\n")
    done = fleet_command(*words)
    assert done.code == ExitCode.REFUSED
    assert "mine.yaml:1: source is missing" in done.err
    assert "Give the standard, regulation or label" in done.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--product", "insuline"), ExitCode.USAGE, "Did you mean `insulin`?"),
        (("--product", "insulin", "--layout", "hob"), ExitCode.USAGE, "one of hobo, easylog, logtag, generic"),
        (("--product", "insulin", "--tz", "Kampala"), ExitCode.USAGE, "no such zone"),
        (("--product", "insulin", "--dates", "ymd"), ExitCode.USAGE, "dmy for day first"),
        (("--product", "insulin", "--unit", "k"), ExitCode.USAGE, "no such unit"),
        (("--product", "insulin", "--columns", "temp=T"), ExitCode.USAGE, "one time and a temp are needed"),
        (("--product", "insulin", "--columns", "zeit=T"), ExitCode.USAGE, "not KEY=NAME"),
        (("--product", "insulin", "--plot", "a.pdf"), ExitCode.USAGE, "--plot a.pdf: unknown kind of picture"),
        (("--product", "insulin", "--tz", "UTC", "--budget", "room"), ExitCode.USAGE, "not BAND=MINUTES"),
        (("--product", "insulin", "--tz", "UTC", "--budget", "room=nan"), ExitCode.USAGE, "not BAND=MINUTES"),
        (("--product", "insulin", "--tz", "UTC", "--max-gap", "inf"), ExitCode.USAGE, "--max-gap inf: not a number"),
        (("--product", "insulin", "--tz", "UTC", "--budget", "cool=1"), ExitCode.USAGE, "no such excursion"),
        (("--product", "insulin"), ExitCode.FAILED, "a.txt:2: the times have no offset"),
        (("--product", "insulin", "--layout", "hobo"), ExitCode.FAILED, "is not of the layout hobo"),
    ],
)
def test_what_is_wrong_is_said_with_the_fix(
    fleet_command: Run, tmp_path: Path, words: tuple[str, ...], code: ExitCode, says: str
) -> None:
    done = fleet_command("coldchain", "assess", log(tmp_path / "a.txt", WARM), *words)
    assert done.code == code
    assert says in done.err
    assert "fix: " in done.err


def test_a_file_that_is_not_there_is_told_in_json_too(fleet_command: Run, tmp_path: Path) -> None:
    done = fleet_command("coldchain", "assess", "--product", "insulin", str(tmp_path / "no.csv"), "--json")
    assert done.code == ExitCode.FAILED
    assert "no.csv cannot be read: No such file" in done.json["error"]["text"]


@pytest.mark.parametrize("product", ["cct_biologic", "vaccine_freeze_sensitive", "vaccine_frozen"])
def test_a_picture_is_drawn_of_any_verdict(fleet_command: Run, tmp_path: Path, product: str) -> None:
    file = log(tmp_path / "a.txt", WARM, left_out=range(30, 36))
    words = ("coldchain", "assess", "--product", product, "--tz", "UTC", file, "--plot")
    png, html = tmp_path / "a.png", tmp_path / "a.html"
    assert f"picture: {png}" in fleet_command(*words, str(png)).err
    assert struct.unpack(">II", png.read_bytes()[16:24]) == (1690, 858)
    fleet_command(*words, str(html))
    page = html.read_text(encoding="utf-8")
    assert "<svg" in page
    assert page.count("<td>") >= 10
    assert "http" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_a_spike_of_one_reading_survives_the_thinning_of_a_picture() -> None:
    at_s = np.arange(100_000.0)
    temps = np.full(100_000, 5.0)
    temps[[43_210, 77_777]] = 30.0, -9.0
    thin_s, thin_c = thinned(at_s, temps)
    assert len(thin_s) <= 2 * COLUMNS
    assert (thin_c.max(), thin_c.min()) == (30.0, -9.0)
    assert thin_s[int(np.argmax(thin_c))] == 43_210.0
    assert np.all(np.diff(thin_s) > 0)


def test_the_catalogue_is_listed_and_its_json_can_be_read_again(fleet_command: Run) -> None:
    listed = fleet_command("coldchain", "products")
    assert listed.code == ExitCode.DONE
    assert all(name in listed.out for name in catalogue())
    profiles = fleet_command("coldchain", "products", "--json").json
    assert {p["product_id"] for p in profiles} == set(catalogue())
    assert all(p["source"] for p in profiles)


def test_the_catalogue_in_the_documentation_is_what_the_files_say(fleet_command: Run) -> None:
    table = catalogue_table(catalogue().values())
    assert table in DOCS.read_text(encoding="utf-8"), "make it anew: fleet coldchain products --markdown"
    assert fleet_command("coldchain", "products", "--markdown").out.strip() == table
