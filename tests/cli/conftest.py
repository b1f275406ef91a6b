import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fleet.cli import main
from tests.support.fake_service import FakeFleet
from tests.support.serving import Served, served


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def fleet_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> Run:
    """Runs `fleet ARGS` in this process, with a token in the environment, and tells how it ended."""
    monkeypatch.setenv("COLDWING_TOKEN", "op-token")
    monkeypatch.setenv("COLDWING_LOG", str(tmp_path / "fleet.log"))
    monkeypatch.delenv("COLDWING_DEBUG", raising=False)

    def run(*args: str, url: str | None = None) -> Ended:
        if url:
            monkeypatch.setenv("COLDWING_URL", url)
        monkeypatch.setattr(sys, "argv", ["fleet", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        text = capsys.readouterr()
        return Ended(int(ended.value.code or 0), text.out, text.err)

    return run


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def server(fleet: FakeFleet) -> Iterator[Served]:
    with served(fleet) as running:
        yield running
