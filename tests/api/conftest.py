from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.fake_service import FakeFleet
from tests.support.serving import make_app


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
async def api(fleet: FakeFleet) -> AsyncIterator[httpx.AsyncClient]:
    """The API called in process; nobody is signed in."""
    transport = httpx.ASGITransport(make_app(fleet))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet") as client:
        yield client
