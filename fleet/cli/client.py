"""The API from the command line: outcomes become results or exit codes with a sentence and a fix."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, NoReturn
from urllib.parse import quote, urlsplit

import httpx
import typer

from fleet.cli.output import ExitCode, Output

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--url", envvar="COLDWING_URL", help="The controller's API.")]
Token = Annotated[
    str, typer.Option("--token", envvar="COLDWING_TOKEN", help="Your token.", show_default=False, show_envvar=True)
]
OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="the order's id")]


@dataclass(frozen=True, slots=True)
class ApiReason:
    code: str
    text: str
    fix: str = ""


class Api:
    """One command's connection. Ends the command through `out.fail` where there is no result."""

    def __init__(self, url: str, token: str, out: Output) -> None:
        self._out, self._url = out, url
        if not _usable(url):
            out.fail(ExitCode.USAGE, f"--url {url} is not an address of an API", f"give one like {DEFAULT_URL}")
        # Connecting to a host that is there is quick; an order may wait for a durable write and a plan.
        timeout = httpx.Timeout(30.0, connect=5.0)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)
        except (httpx.InvalidURL, UnicodeError):
            out.fail(ExitCode.USAGE, "--url or --token holds characters that cannot be sent", "check both")

    def __enter__(self) -> Api:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._json(self._send("GET", path, params=query or None))

    def delete(self, path: str, *, again: str = "") -> Any:
        return self._json(self._send("DELETE", path, again=again))

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, again: str = "") -> Any:
        """`again` is the fix to give when no answer came and it is not known whether it happened."""
        return self._json(self._send("POST", path, again=again, json=body, headers=headers))

    @contextmanager
    def events(self, path: str, after: int, read_s: float | None) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """(kind, event) of a server-sent event stream. Raises httpx.TransportError when it breaks."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(5.0, read=read_s)) as response:
            if response.status_code != 200:
                response.read()
                self._json(response)
            yield _events(response)

    def unreachable(self, error: Exception, again: str = "") -> NoReturn:
        """Ends the command: nobody answers."""
        slow = isinstance(error, httpx.TimeoutException)
        what = "did not answer in time" if slow else f"cannot be reached ({error})"
        fix = again or "start it with `fleet serve`, or give its address with --url or COLDWING_URL"
        self._out.fail(ExitCode.UNREACHABLE, f"the controller at {self._url} {what}", fix)

    def _send(self, method: str, path: str, *, again: str = "", **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            self.unreachable(error, again)

    def _json(self, response: httpx.Response) -> Any:
        try:
            body = response.json()
        except ValueError:
            self._not_ours(response)
        if not response.is_success:
            self._refused(response, body)
        return body

    def _refused(self, response: httpx.Response, body: Any) -> NoReturn:
        if not isinstance(body, dict) or "title" not in body:
            self._not_ours(response)
        reasons = [ApiReason(r["code"], r["text"], r.get("fix", "")) for r in body.get("reasons", ())]
        title = str(body["title"])
        if response.status_code in (401, 403):
            has_token = "Authorization" in self._http.headers
            fix = "" if has_token else "give a token with --token or COLDWING_TOKEN"
            self._out.fail(ExitCode.NOT_ALLOWED, title, fix, reasons=reasons)
        code = ExitCode.FAILED if response.status_code == 500 else ExitCode.REFUSED
        self._out.fail(code, title, reasons=reasons)

    def _not_ours(self, response: httpx.Response) -> NoReturn:
        text = f"what answers at {self._url} is not Coldwing's API (status {response.status_code})"
        self._out.fail(ExitCode.UNREACHABLE, text, "check --url or COLDWING_URL")


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # brackets without an address, a port out of range
        return False


def segment(text: str) -> str:
    """An id as one segment of a path."""
    return quote(text, safe="")


def _events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    kind, data = "message", ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            data += line[6:]
        elif not line:
            if data:
                yield kind, json.loads(data)
            kind, data = "message", ""
