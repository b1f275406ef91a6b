"""Small words for API calls in tests."""

from __future__ import annotations

from typing import Any

OPERATOR = {"Authorization": "Bearer op-token"}
CLINIC = {"Authorization": "Bearer clinic-token"}
OTHER = {"Authorization": "Bearer other-token"}
VIEWER = {"Authorization": "Bearer view-token"}

ORDER: dict[str, Any] = {
    "product_id": "antibiotics",
    "destination_site": "ndeba",
    "recipient_ref": "req-2041",
    "mass_kg": 0.8,
    "volume_l": 2.0,
    "deadline": "2030-01-01T01:00:00Z",
}
QUOTE = {name: value for name, value in ORDER.items() if name != "recipient_ref"}


def key(text: str = "k-1") -> dict[str, str]:
    return {"Idempotency-Key": f'"{text}"'}


def codes(response: Any) -> list[str]:
    """The reasons' codes of a problem document."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    assert all(reason["text"] and reason["fix"] for reason in body["reasons"])
    return [reason["code"] for reason in body["reasons"]]
