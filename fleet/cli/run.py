"""`fleet demo`, `serve`, `sim` and `scenario`: the commands that run something until it ends or is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.output import ExitCode, JsonFlag, Output

if TYPE_CHECKING:
    from fleet.simulate.scenario import Scenario

Headless = Annotated[bool, typer.Option("--headless", help="lines instead of a live table; for CI")]
Speed = Annotated[
    float | None,
    typer.Option("--speed", min=0.1, max=50.0, help="times as fast as the wall clock; default: the scenario's"),
]
Stay = Annotated[bool, typer.Option("--stay", help="keep serving the console afterwards, until Ctrl-C")]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", min=0, max=65535, help="of the API and console; default: 8080, or a free one if it is taken"
    ),
]
Picture = Annotated[
    Path | None, typer.Option("--picture", metavar="OUT", help="write a PNG of the flights and box temperatures")
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="OUT", help="write an HTML report: verdicts, map, time-lapse, plots, story"),
]
Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="FOLDER", help="keep the store and logs there; default: thrown away at the end"),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, max=2**31, help="of all chance; default: the scenario's")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root command."""
    app.command("demo")(demo)
    app.command("serve")(serve)
    app.command("sim")(sim)
    scenario = typer.Typer(no_args_is_help=True, help="Run a scenario and check how it ends.")
    scenario.command("run")(scenario_run)
    scenario.command("random")(scenario_random)
    scenario.command("check")(scenario_check)
    scenario.command("faults")(scenario_faults)
    app.add_typer(scenario, name="scenario")


def demo(
    headless: Headless = False,
    speed: Speed = None,
    stay: Stay = False,
    port: Port = None,
    keep: Keep = None,
    picture: Picture = None,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Fly the demonstration: three orders in an invented valley, with everything embedded and nothing to install."""
    from fleet.config import data_dir

    out = Output(json)
    scenario = _load(data_dir() / "scenarios" / "demo", out)
    asked = {"speed": speed, "table": not headless, "port": port, "stay": stay, "report": report, "picture": picture}
    raise typer.Exit(_run_scenario(scenario, "live", keep, asked, out))


def scenario_run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="a scenario file, or the folder that holds scenario.yaml")
    ],
    px4: Annotated[bool, typer.Option("--px4", help="fly it with real PX4 SITL instances")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="against the wall clock over real sockets, with the console")
    ] = False,
    seed: Seed = None,
    speed: Speed = None,
    port: Port = None,
    keep: Keep = None,
    report: Report = None,
    picture: Picture = None,
    json: JsonFlag = False,
) -> None:
    """Run a scenario, with a verdict per expectation; exit code 0 only if all were met.

    In virtual time unless --live or --px4 is given: an hour's flight takes seconds, and a seed gives the same run.
    """
    out = Output(json)
    if px4 and live:
        out.fail(ExitCode.USAGE, "--px4 and --live exclude each other", "real PX4s always fly against the wall clock")
    kind = "px4" if px4 else "live" if live else "virtual"
    if kind == "virtual" and (speed is not None or port is not None):
        out.fail(ExitCode.USAGE, "--speed and --port need a wall clock", "add --live or --px4, or leave them out")
    asked = {"seed": seed, "speed": speed, "port": port, "report": report, "picture": picture}
    raise typer.Exit(_run_scenario(_load(file, out), kind, keep, asked, out))


def scenario_random(
    seed: Annotated[int, typer.Argument(metavar="SEED", min=0, max=2**31, help="of the scenario and of all chance")],
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="write the scenario there, and run nothing")
    ] = None,
    keep: Keep = None,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Run a scenario by chance: random orders, weather and faults. Exit code 0 if what must always hold holds.

    A seed gives the same run. `--write` makes a file of it, to be changed and run like any other.
    """
    from fleet.simulate.chance import random_scenario, scenario_text

    out = Output(json)
    if write is None:
        raise typer.Exit(_run_scenario(random_scenario(seed), "virtual", keep, {"seed": seed, "report": report}, out))
    try:
        write.write_text(scenario_text(seed, write.resolve().parent), encoding="utf-8")
    except OSError as e:
        out.fail(ExitCode.FAILED, f"--write {write}: cannot be written: {e.strerror}", "name another file")
    out.line({"file": str(write), "seed": seed}, f"{write}: seed {seed}; run it with `fleet scenario run {write}`")


def scenario_check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="scenario files")], json: JsonFlag = False
) -> None:
    """Check scenario files without running them: each problem with its line, field and fix."""
    out = Output(json)
    for file in files:
        scenario = _load(file, out)
        orders, faults = len(scenario.file.orders), len(scenario.happenings)
        data = {"file": str(file), "title": scenario.file.title, "orders": orders, "faults": faults}
        out.line(data, f"{file}: {scenario.file.title} ({orders} orders, {faults} faults)")


def scenario_faults(json: JsonFlag = False) -> None:
    """The kinds of fault that a scenario can have."""
    from fleet.simulate.happenings import fault_table

    out = Output(json)
    rows = fault_table()
    columns = ["kind", "of", "text", "arguments"]
    out.table(rows, columns, [[row[c] for c in columns] for row in rows])


def _load(file: Path, out: Output) -> Scenario:
    from fleet.cli.config import refuse
    from fleet.config import ConfigError
    from fleet.simulate.scenario import load_scenario

    try:
        return load_scenario(file)
    except ConfigError as e:
        refuse(out, e, "the scenario")


def _run_scenario(scenario: Scenario, kind: str, keep: Path | None, asked: dict[str, Any], out: Output) -> int:
    from fleet.cli.story import Telling, show_live, show_px4, show_virtual
    from fleet.logs import configure_logs

    with tempfile.TemporaryDirectory(prefix="coldwing-") as temporary, contextlib.ExitStack() as stack:
        # Each run has a folder of its own: on an old store it would resume the flights of that run.
        folder = keep / f"{datetime.now(UTC):%Y%m%d-%H%M%S}" if keep is not None else Path(temporary)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context((folder / "controller.log").open("w", encoding="utf-8"))
        except OSError as e:
            out.fail(ExitCode.FAILED, f"--keep {keep}: {folder} cannot be written: {e.strerror}", "name another folder")
        configure_logs(json=True, stream=log)  # the terminal shows the story, not the log
        how = Telling(folder, **asked)
        show = {"virtual": show_virtual, "live": show_live, "px4": show_px4}[kind]
        return _until_signal(show(scenario, out, how), out, virtual=kind == "virtual")


def serve(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="the fleet's fleet.yaml")],
    json: JsonFlag = False,
) -> None:
    """Run the controller until Ctrl-C. Vehicles in the air are re-adopted without a word to them.

    The log goes to stderr: lines on a terminal, else (and with --json) one JSON value per line.
    """
    from fleet.logs import configure_logs

    out = Output(json)
    configure_logs(json=json)

    async def run() -> int:
        from fleet.app import running
        from fleet.clock import ScaledClock
        from fleet.config import load_config
        from fleet.heap import steady_heap

        async with running(load_config(config), ScaledClock()) as app:
            out.line({"event": "serving", "url": app.url}, f"serving {app.url}  (console: {app.url}/console/)")
            with steady_heap():
                await asyncio.Event().wait()
        return ExitCode.DONE

    raise typer.Exit(_until_signal(run(), out))


def sim(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="the fleet to simulate; default: the demo's")
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0.1, max=50.0, help="times as fast as the wall clock; `serve` runs at 1")
    ] = 1.0,
    px4: Annotated[
        int, typer.Option("--px4", metavar="N", min=0, help="start this many real PX4 SITL instances instead")
    ] = 0,
    json: JsonFlag = False,
) -> None:
    """Run simulated vehicles and their boxes for a controller started apart, until Ctrl-C.

    Starts a broker too where none answers at the configuration's mqtt.url.

    Each line on stdin is a command of the people on the ground as JSON, such as
    {"do": "load", "box": "box-1", "vehicle": "cw-1", "payload_kg": 0.5, "payload_c": 5}.
    """
    from fleet.logs import configure_logs
    from fleet.simulate.standalone import run_px4, run_sim

    out = Output(json)
    configure_logs(json=json)
    work = run_px4(px4, config, speed, out) if px4 else run_sim(config, speed, out)
    raise typer.Exit(_until_signal(work, out))


def _until_signal(work: Coroutine[Any, Any, int], out: Output, *, virtual: bool = False) -> int:
    """Runs it, on virtual time if asked; Ctrl-C and SIGTERM end it in order. Mistakes of the user become a sentence and
    an exit code."""
    from fleet.api.server import ListenError
    from fleet.cli.config import refuse
    from fleet.config import ConfigError
    from fleet.mavlink.signing_store import SigningStoreError
    from fleet.mavlink.urls import LinkError
    from fleet.simulate.processes import SimulatorError
    from fleet.store import StoreOpenError
    from fleet.virtual import VirtualLoop

    async def main() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return ExitCode.DONE

    try:
        with _flat_groups(), asyncio.Runner(loop_factory=VirtualLoop if virtual else None) as runner:
            return runner.run(main())
    except ConfigError as e:
        refuse(out, e)
    except (ListenError, LinkError, SigningStoreError, StoreOpenError, SimulatorError) as e:
        out.fail(ExitCode.UNREACHABLE, str(e))


@contextlib.contextmanager
def _flat_groups() -> Any:
    """A single error from inside task groups is raised as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
