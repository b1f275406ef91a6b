import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_service import START_S, FakeFleet, east_north
from tests.support.serving import Served, request, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, headless. One per module: Playwright holds the event loop until it is closed."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def fleet() -> FakeFleet:
    """cw-1 flies ord-1; the others stand at the hub."""
    fleet = FakeFleet()
    fleet.put_order(request())
    at = east_north(2000, 1000)
    fleet.set_vehicle(
        "cw-1",
        lat_deg=at.lat_deg,
        lon_deg=at.lon_deg,
        armed=True,
        mode="mission",
        phase="outbound",
        order_id="ord-1",
        box_temp_c=4.2,
        battery_pct=88.0,
        verdict="in_range",
        eta_s=START_S + 300,
        decision="On plan to Ndeba Health Post.",
        route=((7.5, 38.2, 500.0), (7.5235, 38.2471, 500.0)),
    )
    return fleet


@pytest.fixture
def server(fleet: FakeFleet, tmp_path: Path) -> Iterator[Served]:
    base = tmp_path / "base.geojson"
    base.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"kind": "river"}, "geometry": '
        '{"type": "LineString", "coordinates": [[38.1, 7.45], [38.3, 7.55]]}}]}'
    )
    with served(fleet, base_map=base) as running:
        yield running


class Console:
    """A tab of the console, and everything it complained about or asked of others."""

    def __init__(self, browser: Any, server: Served, **options: Any) -> None:
        self.server = server
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._asked)

    def _asked(self, asked: Any) -> None:
        if not asked.url.startswith((self.server.url, "data:", "blob:")):
            self.foreign.append(asked.url)

    def open(self, token: str | None = "op-token") -> Any:
        """The page, signed in and with the fleet on the map unless there is no token."""
        self.page.goto(f"{self.server.url}/console/" + (f"#token={token}" if token else ""))
        if token:
            self.page.wait_for_selector("[data-vehicle=cw-3] .vehicle")
        return self.page


@pytest.fixture
def console(browser: Any, server: Served) -> Iterator[Console]:
    tab = Console(browser, server)
    yield tab
    tab.context.close()
    assert tab.errors == []
    assert tab.foreign == [], "the console asked others for something"
