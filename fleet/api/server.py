"""The HTTP server inside an asyncio loop that is already running."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from fleet.api.deps import Context

STOP_S = 3.0
"""how long answers that are being sent may take when the server stops; event streams end at once"""


class ListenError(Exception):
    """The address cannot be listened on. The text names it and the fix."""


@asynccontextmanager
async def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8080) -> AsyncIterator[str]:
    """Serves `app` while the context is open and gives its URL. Port 0 takes a free one.

    Signals stay with the caller. Raises ListenError where the address is taken or not ours.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(STOP_S),
    )
    server = _Embedded(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http-server")
    context: Context = app.state.context
    try:
        while not server.started:
            if task.done():
                task.result()
                raise ListenError(f"the HTTP server on {host}:{port} ended while starting")
            await asyncio.sleep(0.005)
        yield _url(listener)
    finally:
        context.stopping.set()
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


class _Embedded(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process's signals belong to whoever runs the loop


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ListenError(f"api: the host {host!r} cannot be resolved ({error.strerror}): use 127.0.0.1") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ListenError(_why(error, host, port)) from None
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    at = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        fix = "stop it, or choose another port under `api:` (a demo: --port); 0 takes a free one"
        return f"api: port in use: something else listens on {at}; {fix}"
    if error.errno == errno.EACCES:
        return f"api: not allowed to listen on {at}; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"api: {host} is not an address of this machine; use 127.0.0.1, or 0.0.0.0 for all addresses"
    return f"api: cannot listen on {at} ({error.strerror}); choose another address or port"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
