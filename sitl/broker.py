"""`python -m sitl.broker`: amqtt as the demonstration's MQTT broker, in a process of its own, with authentication.

Not for service: amqtt speaks MQTT 3.1.1 only and leaks retained messages. Its shutdown can hang, so the process ends
itself after a bound.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass

PASSWORD_VARIABLE = "COLDWING_BROKER_PASSWORD"
STOP_S = 0.8
"""amqtt's own shutdown may take this long; then the process ends all the same"""
ORPHAN_S = 1.0
"""between looks at who our parent is"""
READY_S = 20.0
"""amqtt imports and binds in about a second; a loaded machine takes longer"""


class BrokerError(RuntimeError):
    """The broker did not start; the message carries what it said."""


@dataclass(frozen=True, slots=True)
class RunningBroker:
    process: asyncio.subprocess.Process
    host: str
    port: int
    username: str
    password: str


@contextlib.asynccontextmanager
async def start_broker(
    *, host: str = "127.0.0.1", port: int = 0, username: str | None = None, password: str | None = None
) -> AsyncIterator[RunningBroker]:
    """Starts a broker as a child process, waits until it accepts connections, and ends it on leaving.

    Port 0 takes a free one; without a name or password it makes them up. Raises BrokerError with the child's words.
    """
    username = username or "coldwing"
    password = password or secrets.token_urlsafe(16)
    chosen = port or _free_port(host)
    command = ["-m", "sitl.broker", "--host", host, "--port", str(chosen), "--user", username]
    command += ["--parent", str(os.getpid())]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # By the environment, so that the password does not show in the process list.
        env=os.environ | {PASSWORD_VARIABLE: password},
    )
    try:
        await _until_ready(process, f"{host}:{chosen}")
        yield RunningBroker(process, host, chosen, username, password)
    finally:
        await _end(process)


async def _until_ready(process: asyncio.subprocess.Process, where: str) -> None:
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(READY_S):
            async for line in process.stdout:
                if line.startswith(b"{") and json.loads(line).get("event") == "ready":
                    return
                said += line.decode(errors="replace")
    except TimeoutError:
        said += f"no word within {READY_S:.0f} s"
    raise BrokerError(f"the MQTT broker did not start on {where}: {said.strip() or 'it ended without a word'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    for end in (process.terminate, process.kill):
        with contextlib.suppress(ProcessLookupError):
            end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S + 1.0):
                await process.wait()
                return


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def _until_stopped(stop: asyncio.Event, parent: int | None) -> None:
    """Or orphaned: a starter that is killed cannot end its broker, so the broker looks after itself."""
    while parent is None or os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ORPHAN_S):
                await stop.wait()
                return


async def _serve(host: str, port: int, username: str, password: str, parent: int | None) -> None:
    from amqtt.broker import Broker

    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 1000}},
        "plugins": {"sitl.broker_auth.OnePassword": {"username": username, "password": password}},
    }
    broker = Broker(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await broker.start()
    print(json.dumps({"event": "ready", "host": host, "port": port}), flush=True)
    await _until_stopped(stop, parent)
    loop.call_later(STOP_S, os._exit, 0)
    await broker.shutdown()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sitl.broker", description="The demonstration's MQTT broker.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", help=f"better given as {PASSWORD_VARIABLE}")
    parser.add_argument("--parent", type=int, help="end when the process with this id, which started us, is gone")
    options = parser.parse_args(arguments)
    password = options.password or os.environ.get(PASSWORD_VARIABLE)
    if not password:
        parser.error(f"no password: set {PASSWORD_VARIABLE} or give --password")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    try:
        asyncio.run(_serve(options.host, options.port, options.user, password, options.parent))
    except Exception as error:  # whatever amqtt raises: the parent needs the words, not the stack
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    sys.stdout.flush()
    # amqtt leaves threads and tasks that keep the interpreter.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
