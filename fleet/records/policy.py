"""The policy of a record: what is hashed, and the event that holds what was hashed."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from fleet.records.codec import canonical_json, to_json
from missions.decision.types import Policy
from missions.world import PlanningNumbers


def hash_of(policy: Any, planning: Any) -> str:
    """SHA-256 over the numbers, as JSON, that decisions and plans depend on; it goes into every record."""
    return sha256(canonical_json({"policy": policy, "planning": planning})).hexdigest()


def policy_body(policy_hash: str, policy: Policy, planning: PlanningNumbers) -> dict[str, Any]:
    """The body of the event of kind `policy`, which stands in an order's record before its first decision."""
    return {"policy_hash": policy_hash, "policy": to_json(policy), "planning": to_json(planning)}
