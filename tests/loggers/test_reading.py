"""Logger exports in their makers' shapes are read as they are meant; what cannot be meant is refused with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.loggers import LogError, LogFile, Options, read_log

HOBO = """\
"Plot Title: box 7"
"#","Date Time, GMT+03:00","Temp, °F (LGR S/N: 10360568, SEN S/N: 10360568)","Coupler Detached (LGR S/N: 10360568)",\
"End Of File (LGR S/N: 10360568)"
1,03/09/26 11:50:00 AM,41.000,Logged,
2,03/09/26 12:00:00 PM,41.900,,
3,03/09/26 12:10:00 PM,42.800,,
4,03/09/26 12:20:00 PM,,,Logged
"""
EASYLOG = """\
box 7,Time,Celsius(°C),High Alarm(°C),Humidity(%rh),Dew Point(°C),Serial Number
1,09/03/2026 11:50:00,5.0,8.0,50.5,-4.4,010032184
2,09/03/2026 12:00:00,5.5,8.0,50.5,-4.0
3,09/03/2026 12:10:00,6.0,8.0,50.0,-3.7
"""
LOGTAG = """\
1,13/03/2026,11:50:00,5.0,68.1,
2,13/03/2026,12:00:00,5.5,68.1,
3,13/03/2026,12:10:00,6.0,73.6, Inspection Mark
"""
PLAIN = """\
Logger: fridge 2
Serial;4711
Datum/Zeit;Temperatur [°C];Feuchte
09.03.2026 11:50;5,0;40
09.03.2026 12:00;5,5;41
"""


def at(*time: int, ahead_h: float = 0.0) -> float:
    return datetime(*time, tzinfo=timezone(timedelta(hours=ahead_h))).timestamp()  # type: ignore[misc]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def read(folder: Path, text: str | bytes, **options: object) -> LogFile:
    path = folder / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(path, Options(**options))  # type: ignore[arg-type]


def refused(folder: Path, text: str | bytes, **options: object) -> str:
    with pytest.raises(LogError) as caught:
        read(folder, text, **options)
    return str(caught.value).replace(f"{folder}/", "")


def test_hoboware_says_unit_and_offset_in_its_header_and_marks_the_end_without_a_reading(folder: Path) -> None:
    log = read(folder, HOBO)
    assert (log.layout, log.unit, log.zone, log.events) == ("hobo", "F", "+03:00", 1)
    assert log.at_s.tolist() == [at(2026, 3, 9, 8, 50), at(2026, 3, 9, 9, 0), at(2026, 3, 9, 9, 10)]
    assert log.temp_c[0].tolist() == pytest.approx([5.0, 5.5, 6.0])
    assert log.lines.tolist() == [3, 4, 5]


def test_easylog_has_a_column_for_the_alarm_that_is_no_temperature_and_needs_a_zone(folder: Path) -> None:
    log = read(folder, EASYLOG, zone="Africa/Kampala")
    assert (log.layout, log.unit, log.probes) == ("easylog", "C", ("Celsius(°C)",))
    assert log.at_s[0] == at(2026, 3, 9, 11, 50, ahead_h=3.0)
    assert log.temp_c[0].tolist() == [5.0, 5.5, 6.0]


def test_easylog_in_windows_own_encoding_is_read(folder: Path) -> None:
    assert read(folder, EASYLOG.encode("cp1252"), zone="UTC").unit == "C"


def test_logtag_has_no_header_so_the_unit_must_be_said(folder: Path) -> None:
    log = read(folder, LOGTAG, zone="+03:00", unit="C")
    assert (log.layout, log.temp_c[0].tolist()) == ("logtag", [5.0, 5.5, 6.0])
    assert log.at_s[0] == at(2026, 3, 13, 11, 50, ahead_h=3.0)
    assert log.lines.tolist() == [1, 2, 3]
    assert "log.csv:1: nothing says whether that is °C or °F; say it: --unit c" in refused(folder, LOGTAG, zone="UTC")


def test_decimal_commas_semicolons_and_words_of_another_language_are_read(folder: Path) -> None:
    log = read(folder, PLAIN, zone="Europe/Berlin")
    assert (log.layout, log.temp_c[0].tolist()) == ("generic", [5.0, 5.5])
    assert log.at_s[0] == at(2026, 3, 9, 11, 50, ahead_h=1.0)


def test_columns_can_be_named_numbered_or_begun(folder: Path) -> None:
    text = "Tag;Uhr;T1;T2\n09.03.2026;11:50;5,0;6,0\n09.03.2026;12:00;5,5;\n"
    named = read(folder, text, zone="UTC", unit="C", columns={"date": ["Tag"], "time": ["Uhr"], "temp": ["T1", "T2"]})
    assert named.probes == ("T1", "T2")
    assert np.array_equal(named.temp_c, [[5.0, 5.5], [6.0, np.nan]], equal_nan=True)
    numbered = read(folder, text, zone="UTC", unit="C", columns={"date": ["#1"], "time": ["#2"], "temp": ["#4"]})
    assert (numbered.temp_c.tolist(), numbered.events) == ([[6.0]], 1)
    begun = read(folder, HOBO, columns={"time": ["date time"], "temp": ["Temp, °F"]})
    assert begun.temp_c[0].tolist() == pytest.approx([5.0, 5.5, 6.0])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_windows_adds_to_a_file_changes_nothing(folder: Path, encoding: str, end: str) -> None:
    log = read(folder, HOBO.replace("\n", end).encode(encoding))
    assert (log.temp_c.shape, log.lines.tolist()) == ((1, 3), [3, 4, 5])


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-03-09T11:50:00Z", at(2026, 3, 9, 11, 50)),
        ("2026-03-09 11:50:00.250+03:00", at(2026, 3, 9, 8, 50) + 0.25),
        ("2026/03/09 11:50:07 UTC", at(2026, 3, 9, 11, 50, 7)),
        ("09-Mar-2026 11:50:00 +0530", at(2026, 3, 9, 6, 20)),
        ("1773057000", at(2026, 3, 9, 11, 50)),
        ("1773057000123", at(2026, 3, 9, 11, 50) + 0.123),
    ],
)
def test_times_are_read_in_the_forms_that_loggers_write(folder: Path, stamp: str, expected: float) -> None:
    assert read(folder, f"time,temp (°C)\n{stamp},5.0\n").at_s.tolist() == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize(("text", "hour"), [("12:05:00 AM", 0), ("12:05:00 PM", 12), ("1:05:00 p.m.", 13)])
def test_noon_and_midnight_of_a_clock_of_twelve_hours_are_told_apart(folder: Path, text: str, hour: int) -> None:
    log = read(folder, f"time,temp (°C)\n2026-03-09 {text},5.0\n", zone="UTC")
    assert log.at_s[0] == at(2026, 3, 9, hour, 5)


def test_the_newest_first_is_turned_round(folder: Path) -> None:
    head, *rows = HOBO.splitlines()[1:5]
    log = read(folder, "\n".join([head, *rows[::-1]]))
    assert (log.newest_first, log.lines.tolist()) == (True, [4, 3, 2])
    assert np.all(np.diff(log.at_s) > 0)


def test_a_row_that_comes_twice_counts_once(folder: Path) -> None:
    text = "time,temp (°C)\n" + "2026-03-09T11:50Z,5.0\n" * 3 + "2026-03-09T12:00Z,5.5\n"
    log = read(folder, text)
    assert (log.duplicates, log.lines.tolist()) == (2, [2, 5])


def test_a_failed_probe_is_no_number_and_no_event(folder: Path) -> None:
    text = "time,temp (°C)\n2026-03-09T11:50Z,---\n2026-03-09T12:00Z,5.5 °C\n2026-03-09T12:10Z,NaN\n"
    log = read(folder, text)
    assert np.array_equal(log.temp_c, [[np.nan, 5.5, np.nan]], equal_nan=True)
    assert log.events == 0


def test_the_hour_that_comes_twice_in_autumn_is_told_apart_by_what_is_before_it(folder: Path) -> None:
    shown = ["02:30", "02:50", "02:10", "02:30", "02:50", "03:10"]
    text = "time,temp (°C)\n" + "".join(f"2026-10-25 {t},5.{n}\n" for n, t in enumerate(shown))
    log = read(folder, text, zone="Europe/Berlin")
    first = at(2026, 10, 25, 0, 30)
    assert (log.at_s - first).tolist() == [0.0, 1200.0, 2400.0, 3600.0, 4800.0, 6000.0]


def test_offsets_that_follow_daylight_saving_are_believed_where_the_place_says_so(folder: Path) -> None:
    text = "time,temp (°C)\n2026-10-25T02:50+02:00,5.0\n2026-10-25T02:10+01:00,5.1\n"
    assert np.diff(read(folder, text, zone="Europe/Berlin").at_s).tolist() == [1200.0]
    message = refused(folder, text)
    assert message.startswith("log.csv:3: has the offset +01:00, and line 2 +02:00; name the place")
    message = refused(folder, text, zone="Africa/Kampala")
    assert message.startswith("log.csv:2: has the offset +02:00, which the zone of --tz did not have then")


GOOD = "time,temp (°C)\n2026-03-09T11:50Z,5.0\n"


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("", {}, "log.csv: is empty; export the logger again"),
        ("\n\n", {}, "log.csv: is empty"),
        ("time,temp (°C)\n", {}, "log.csv: holds no readings; was the logger started?"),
        ("a,b\n1,2\n", {}, "log.csv: has no time and temperature column in its first 200 lines; say"),
        (b"PK\x03\x04\0\0\0", {}, "log.csv: is not text; export the readings as CSV"),
        (
            "time,temp (°C),temp outside (°C)\n2026-03-09T11:50Z,5.0,30\n", {},
            "log.csv:1: has several temperatures: temp (°C), temp outside (°C); choose one with --columns",
        ),
        (
            "time,temp (°C),temp 2 (°F)\n2026-03-09T11:50Z,5.0,41\n",
            {"columns": {"time": ["time"], "temp": ["temp (", "temp 2"]}},
            "log.csv:1: has columns in °C and °F: temp (°C), temp 2 (°F); choose those of one unit",
        ),
        (GOOD + "2026-03-09T12:00Z,41.9 °F\n", {}, "log.csv:3: '41.9 °F' is in °F, and line 1 says °C; export"),
        (
            "time,temp\n2026-03-09T11:50Z,5.0 °C\n2026-03-09T12:00Z,41.9°F\n", {},
            "log.csv:3: '41.9°F' is in °F, and line 2 says °C; export the file again with one unit",
        ),
        ("time,temp\n2026-03-09T11:50Z,5.0\n", {}, "log.csv:2: nothing says whether that is °C or °F; say it: --unit"),
        (GOOD, {"unit": "F"}, "log.csv:1: says °C; leave --unit F out"),
        (
            "time,temp (°C)\n2026-03-09 11:50,5.0\n", {},
            "log.csv:2: the times have no offset; say where the logger's clock is set: --tz Africa/Kampala",
        ),
        (
            GOOD + "2026-03-09 12:00,5.0\n", {"zone": "UTC"},
            "log.csv:3: has a time without offset, and line 2 one with; export",
        ),
        (HOBO, {"zone": "Europe/Berlin"}, "log.csv:2: says +03:00, which Europe/Berlin was not at line 3; leave"),
        (
            "time,temp (°C)\n2026-03-29 02:30,5.0\n", {"zone": "Europe/Berlin"},
            "log.csv:2: 2026-03-29 02:30:00 never was in Europe/Berlin; the logger does not follow daylight saving",
        ),
        (
            "time,temp (°C)\n03/04/2026 11:50,5.0\n", {"zone": "UTC"},
            "log.csv:2: 03/04/2026 may have the day or the month first; say which: --dates dmy",
        ),
        (
            "time,temp (°C)\n13/04/2026 11:50,5.0\n04/15/2026 11:50,5.0\n", {"zone": "UTC"},
            "log.csv:3: 13/04/2026 has the day first and 04/15/2026 the month; export",
        ),
        ("time,temp (°C)\n2026-02-30 11:50,5.0\n", {"zone": "UTC"}, "log.csv:2: 2026-02-30 is no date; mend"),
        ("time,temp (°C)\n0001-01-01 00:00+03:00,5.0\n", {}, "log.csv:2: 0001-01-01 is no date"),
        ("time,temp (°C)\n9999-12-31 23:59-03:00,5.0\n", {}, "log.csv:2: 9999-12-31 is no date"),
        (GOOD + "2026-03-09T12:00+99:00,5.0\n", {}, "log.csv:3: '2026-03-09T12:00+99:00' is no date and time"),
        (GOOD + "yesterday,5.0\n", {}, "log.csv:3: 'yesterday' is no date and time; mend it"),
        (GOOD + "2026-03-09T24:10Z,5.0\n", {}, "log.csv:3: '2026-03-09T24:10Z' is no date and time"),
        (GOOD + "2026-03-09T12:00Z,warm\n", {}, "log.csv:3: 'warm' is no temperature; mend it"),
        (GOOD + "2026-03-09T12:00Z,5.0 bar\n", {}, "log.csv:3: '5.0 bar' is no temperature"),
        (GOOD + "2026-03-09T12:00Z,5,4\n", {}, "log.csv:3: has 3 cells under a header of 2: decimal commas?; export"),
        (GOOD + "2026-03-09T12:0", {}, "log.csv:3: has 1 cells, too few for a reading: cut off?; export"),
        (GOOD + "2026-03-09T11:40Z,5.0\n2026-03-09T12:00Z,5\n2026-03-09T12:10Z,5\n", {},
         "log.csv:3: goes back in time: 2026-03-09 11:40:00Z after 2026-03-09 11:50:00Z; was the clock set?"),
        (GOOD + "2026-03-09T11:50Z,5.5\n", {}, "log.csv:3: has another temperature than line 2 at the same time"),
        (GOOD, {"layout": "hobo"}, "log.csv: is not of the layout hobo; that is: Onset HOBO"),
        (GOOD, {"columns": {"time": ["Zeit"], "temp": ["T"]}}, "log.csv: has no header with Zeit, T; give the"),
        (GOOD + '2026-03-09T12:00Z,"5.0\n' + "x" * 140_000, {}, "log.csv:4: is not CSV: field larger than field limit"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_certain_is_refused_with_its_line_and_the_fix(
    folder: Path, text: str | bytes, options: dict[str, object], says: str
) -> None:
    assert refused(folder, text, **options).startswith(says)


TEMPS = st.lists(st.integers(-400, 600).map(lambda n: n / 10), min_size=1, max_size=40)


@settings(deadline=None)
@given(
    TEMPS,
    st.sampled_from(("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")),
    st.sampled_from((",", ";", "\t")),
    st.sampled_from(("C", "F")), st.integers(0, 100_000_000), st.booleans(), st.integers(7, 3000), st.booleans(),
)  # fmt: skip
def test_any_series_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    temps: list[float],
    zone: str,
    delimiter: str,
    unit: str,
    start_s: int,
    comma: bool,
    step_s: int,
    newest_first: bool,
) -> None:
    times = [1_700_000_000 + start_s + step_s * n for n in range(len(temps))]
    decimal = "," if comma and delimiter != "," else "."
    rows = []
    for at_s, temp_c in zip(times, temps, strict=True):
        shown = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(zone)).isoformat(" ")
        value = temp_c if unit == "C" else temp_c * 1.8 + 32.0
        rows.append(f"{shown}{delimiter}{value:.6f}".replace(".", decimal))
    header = f"Serial 12{delimiter}\nDate/Time{delimiter}Temperature (°{unit})"
    path = tmp_path_factory.mktemp("any") / "log.csv"
    path.write_text("\n".join([header, *(rows[::-1] if newest_first else rows)]), encoding="utf-8")
    log = read_log(path, Options(zone=zone))
    assert log.at_s.tolist() == times
    assert log.temp_c[0].tolist() == pytest.approx(temps, abs=1e-5)
    assert log.newest_first is (newest_first and len(temps) > 1)


@settings(deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet='0123456789-:;,./ TZ"°CF\n\rtimep+', max_size=400).map(str.encode))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("odd") / "log.csv"
    path.write_bytes(b"time,temp (C)\n" + content if len(content) % 2 else content)
    try:
        log = read_log(path, Options(zone="UTC"))
    except LogError:
        return  # its text is what the other tests are about
    assert np.all(np.diff(log.at_s) > 0)
    assert log.temp_c.shape[1] == len(log.at_s) == len(log.lines) > 0
