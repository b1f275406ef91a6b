"""`fleet coldchain`: a logger's file judged by a product's rules, and the catalogue of products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output, check_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.cli.coldchain_report import Judged
    from fleet.loggers import LogFile, Options
    from missions.coldchain.assess import Rules
    from missions.coldchain.product import Product

app = typer.Typer(no_args_is_help=True, help="Judge a logger's file by a product's rules; list the products.")

LONGEST_STEP_S = 1800.0
"""readings further apart say nothing of the time in between, unless --max-gap says that they do"""
BIG_BYTES = 4_000_000
"""a file that takes long enough to show how far it has come"""


@app.command()
def assess(
    file: Annotated[Path, typer.Argument(metavar="LOG.csv", help="a logger's export, as text with columns")],
    product: Annotated[
        str, typer.Option("--product", metavar="P", help="a product of the catalogue, or a profile's .yaml")
    ],
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="time=…,temp=…", help="names of the columns, or #2; date= if apart"),
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", help="hobo, easylog, logtag or generic; default: as the file looks")
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="the logger's clock: Africa/Kampala, +03:00, UTC")
    ] = None,
    dates: Annotated[
        str | None, typer.Option("--dates", metavar="dmy|mdy", help="order of dates like 03/04/2026")
    ] = None,
    unit: Annotated[str | None, typer.Option("--unit", metavar="c|f", help="where the file does not say")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", metavar="BAND=MINUTES", help="stability budget left at the start; may be repeated"),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option("--accuracy", metavar="K", min=0.0, max=10.0, help="of the probe, either way; default 0.5"),
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option("--max-gap", metavar="MIN", min=0.0, help="longest time between readings that counts as measured"),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="OUT", help="write a picture: .png or .html")] = None,
    json: JsonFlag = False,
) -> None:
    """Judge a logger's file: the verdict with its rule and readings, times per band, heat, freezing and budget left.

    Ends with 0 if the product may be used, 3 if not (quarantine, spoiled, unknown), 1 if the file cannot be read.
    """
    from fleet.loggers import LogError, read_log

    out = Output(json)
    check_picture(out, plot, "--plot")
    options = _options(out, columns, layout, tz, dates, unit)
    profile = _product(out, product)
    try:
        with _progress(file, "reading") as step:
            log = read_log(file, options, step)
    except LogError as error:
        out.fail(ExitCode.FAILED, f"{error.place}: {error.text}", error.fix)
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{file} cannot be read: {error.strerror}", "check the path")
    rules, interval_s = _rules(out, profile, log, budget or [], accuracy, max_gap)
    judged = _judge(log, rules, interval_s)
    _tell(out, judged, plot)


def _tell(out: Output, judged: Judged, plot: Path | None) -> None:
    from fleet.cli.coldchain_report import as_json, as_text, notes

    if plot is not None:
        from fleet.maps.record import draw_record

        try:
            draw_record(plot, judged.picture())
        except OSError as error:
            out.fail(ExitCode.FAILED, f"{plot} cannot be written: {error.strerror}", "check the path")
    out.data(as_json(judged), as_text(judged))
    for note in notes(judged):
        out.say(f"note: {note}")
    if plot is not None:
        out.say(f"picture: {plot}")
    if not judged.usable:
        raise typer.Exit(int(ExitCode.REFUSED))


@app.command()
def products(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="profiles of a folder instead of those that come along")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="the table of the documentation")] = False,
    json: JsonFlag = False,
) -> None:
    """List the stability profiles: bands, allowances, rules and sources."""
    from fleet.cli.coldchain_catalogue import catalogue_rows, catalogue_table
    from fleet.config.products import catalogue
    from fleet.config.source import SourceError
    from missions.coldchain.product import product_to_mapping

    out = Output(json)
    try:
        found = catalogue(folder)
    except SourceError as error:
        out.fail(ExitCode.REFUSED, _place(error), error.fix)
    except OSError as error:
        out.fail(ExitCode.FAILED, f"{folder} cannot be read: {error.strerror}", "check the path")
    if markdown and not json:
        print(catalogue_table(found.values()))
        return
    columns, rows = catalogue_rows(found.values())
    out.table([product_to_mapping(p) for p in found.values()], columns, rows, empty="No profiles.")


def _place(error: Any) -> str:
    place = str(error.path) if error.line is None else f"{error.path}:{error.line}"
    return f"{place}: {error.text}"


def _product(out: Output, name: str) -> Product:
    """A profile by its id in the catalogue, or by its file."""
    from fleet.config.problems import did_you_mean
    from fleet.config.products import PROFILE_SUFFIXES, catalogue, read_product
    from fleet.config.source import SourceError

    try:
        if Path(name).suffix in PROFILE_SUFFIXES:
            return read_product(Path(name))[0]
        known = catalogue()
    except SourceError as error:
        out.fail(ExitCode.REFUSED, _place(error), error.fix)
    if name not in known:
        fix = f"{did_you_mean(name, known)} `fleet coldchain products` lists them; a profile's .yaml file does too"
        out.fail(ExitCode.USAGE, f"--product {name}: no such product", fix)
    return known[name]


def _options(
    out: Output, columns: str | None, layout: str | None, tz: str | None, dates: str | None, unit: str | None
) -> Options:
    from fleet.loggers import LAYOUTS, Options
    from fleet.loggers.stamps import zone_of

    if layout is not None and layout not in LAYOUTS:
        out.fail(ExitCode.USAGE, f"--layout {layout}: no such layout", f"one of {', '.join(LAYOUTS)}")
    if tz is not None and zone_of(tz) is None:
        out.fail(ExitCode.USAGE, f"--tz {tz}: no such zone", "give a place (Africa/Kampala), an offset (+03:00) or UTC")
    order: Literal["dmy", "mdy"] | None = None
    if dates is not None:
        if dates not in ("dmy", "mdy"):
            out.fail(ExitCode.USAGE, f"--dates {dates}: no such order", "dmy for day first, mdy for month first")
        order = "dmy" if dates == "dmy" else "mdy"
    if unit is not None and unit.upper() not in ("C", "F"):
        out.fail(ExitCode.USAGE, f"--unit {unit}: no such unit", "c or f")
    return Options(_columns(out, columns), layout, tz, order, None if unit is None else unit.upper())


def _columns(out: Output, text: str | None) -> dict[str, list[str]]:
    """`time=Date Time,temp=Temp, °C` by key; names may hold commas."""
    import re

    named: dict[str, list[str]] = {}
    if text is None:
        return named
    for part in re.split(r",(?=(?:date|time|temp)=)", text):
        key, _, name = part.partition("=")
        if key not in ("date", "time", "temp") or not name.strip():
            fix = "give time=NAME,temp=NAME, and date=NAME where the date is apart; #2 is the 2nd column"
            out.fail(ExitCode.USAGE, f"--columns {part!r}: not KEY=NAME", fix)
        named.setdefault(key, []).append(name.strip())
    if len(named.get("time", ())) != 1 or "temp" not in named or len(named.get("date", ())) > 1:
        out.fail(ExitCode.USAGE, f"--columns {text}: one time and a temp are needed", "give time=NAME,temp=NAME")
    return named


def _rules(
    out: Output, product: Product, log: LogFile, budget: list[str], accuracy: float | None, max_gap_min: float | None
) -> tuple[Rules, float | None]:
    """The rules, and how far apart the readings usually are."""
    import numpy as np

    from missions.coldchain.assess import DEFAULT_ACCURACY_C, rules_for
    from missions.coldchain.product import ProfileError

    left = [_budget(out, text) for text in budget]
    for option, value in (("--accuracy", accuracy), ("--max-gap", max_gap_min)):
        if value is not None and not isfinite(value):
            out.fail(ExitCode.USAGE, f"{option} {value}: not a number", "leave it out, or give one")
    interval_s = float(np.median(np.diff(log.at_s))) if len(log.at_s) > 1 else None
    # A reading stands for the time to the next one; half as long again, and one of them is missing.
    usual_s = min(1.5 * (interval_s or 0.0), LONGEST_STEP_S)
    max_gap_s = max(product.max_gap_s, usual_s) if max_gap_min is None else 60.0 * max_gap_min
    try:
        rules = rules_for(
            product,
            left,
            max_gap_s=max_gap_s,
            accuracy_c=DEFAULT_ACCURACY_C if accuracy is None else accuracy,
        )
    except ProfileError as error:
        out.fail(ExitCode.USAGE, f"--budget: {error.problem}", error.fix)
    return rules, interval_s


def _budget(out: Output, text: str) -> tuple[str, float]:
    band, _, minutes = text.partition("=")
    try:
        left_min = float(minutes)
    except ValueError:
        left_min = -1.0
    if not band or not isfinite(left_min) or left_min < 0.0:
        out.fail(ExitCode.USAGE, f"--budget {text!r} is not BAND=MINUTES", "such as --budget cool=45")
    return band, left_min


def _judge(log: LogFile, rules: Rules, interval_s: float | None) -> Judged:
    from fleet.cli.coldchain_report import Judged
    from missions.coldchain.history import judge_record, probe_temps

    readings = ((float(at_s), probe_temps(temps)) for at_s, temps in zip(log.at_s, log.temp_c.T, strict=True))
    with _progress(log.path, "judging", len(log.at_s)) as step:
        return Judged(log, interval_s, judge_record(rules, readings, step))


@contextmanager
def _progress(file: Path, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for big files where somebody looks on; tells how far to whoever calls it."""
    import sys

    try:
        size = file.stat().st_size
    except OSError:
        size = 0  # whoever opens it says what is wrong
    if size < BIG_BYTES or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import Progress

    from fleet.cli.output import console

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{what} {file.name}", total=size if total is None else total)
        yield lambda done: bar.update(task, completed=done)
