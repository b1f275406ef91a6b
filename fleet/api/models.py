"""What the API takes. Strict: unknown fields, numbers in quotes, NaN and times without an offset are refused."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fleet.service import CustodyStep, OrderRequest, VehicleCommand
from missions.orders import Priority
from missions.snapshot import BoxVerdict

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


def epoch_s(text: Any) -> float:
    """An RFC 3339 time as seconds since the Unix epoch. Raises ValueError with a sentence for anything else."""
    if not isinstance(text, str) or not RFC3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time with an offset, like 2026-03-01T09:30:00Z")
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists") from None


Id = Annotated[str, Field(pattern=ID_PATTERN)]
EpochTime = Annotated[
    float,
    BeforeValidator(epoch_s),
    Field(json_schema_extra={"type": "string", "format": "date-time", "pattern": f"^{RFC3339.pattern}$"}),
]
Minutes = Annotated[float, Field(strict=True, ge=0, le=1e7, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class QuoteIn(Strict):
    """A delivery to be judged: nothing is stored or reserved."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "product_id": "antibiotics",
                    "destination_site": "ndeba",
                    "mass_kg": 0.8,
                    "volume_l": 2.0,
                    "deadline": "2030-03-01T09:30:00Z",
                }
            ]
        }
    )
    product_id: Id = Field(description="a stability profile of the configuration")
    destination_site: Id
    mass_kg: float = Field(strict=True, gt=0, le=1000, description="of the medicine, without the box")
    volume_l: float = Field(strict=True, gt=0, le=1000)
    deadline: EpochTime = Field(description="latest arrival, RFC 3339")
    priority: Priority = Priority.ROUTINE
    origin_site: Id | None = Field(default=None, description="default: the hub nearest to the destination")
    lot: str = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9 ._/-]*$")
    budget_min: dict[Id, Minutes] = Field(
        default={}, max_length=16, description="stability budget left: minutes per band of the product's profile"
    )
    single_patient: bool = Field(default=False, strict=True, description="N=1 medicine: cannot be replaced")
    expires: EpochTime | None = Field(default=None, description="the lot's expiry, RFC 3339; not before the deadline")

    def to_request(self, recipient_ref: str = "") -> OrderRequest:
        return OrderRequest(
            product_id=self.product_id,
            destination_site=self.destination_site,
            recipient_ref=recipient_ref,
            mass_kg=self.mass_kg,
            volume_l=self.volume_l,
            deadline_s=self.deadline,
            priority=self.priority,
            origin_site=self.origin_site,
            lot=self.lot,
            budget_min=tuple(sorted(self.budget_min.items())),
            single_patient=self.single_patient,
            expires_s=self.expires,
        )


class OrderIn(QuoteIn):
    """An order for one delivery."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "product_id": "antibiotics",
                    "destination_site": "ndeba",
                    "recipient_ref": "req-2041",
                    "mass_kg": 0.8,
                    "volume_l": 2.0,
                    "deadline": "2030-03-01T09:30:00Z",
                    "priority": "routine",
                }
            ]
        }
    )
    recipient_ref: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$",
        description="your own opaque reference of who receives it. Never a name, birth date, patient number or "
        "anything else that says who the patient is: Coldwing carries no patient data.",
    )

    def fingerprint(self) -> str:
        """SHA-256 of the order's meaning: the same for the same fields in any order and spacing."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class ReceiptIn(Strict):
    """The recipient has read the cold verdict and takes the medicine over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "481923", "verdict_seen": "in_range"}]})
    code: str = Field(min_length=1, max_length=64, description="the order's one-time confirmation code")
    verdict_seen: BoxVerdict = Field(
        description="the verdict as `GET /v1/orders/{order_id}` showed it to you (`unknown` where it was null)"
    )


class CustodyIn(Strict):
    """A custody step that a person did."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"step": "seal", "detail": {"seal": "S-20411"}}]})
    step: CustodyStep
    detail: dict[Id, Annotated[str, Field(max_length=200)] | bool | int | float] = Field(
        default={}, max_length=16, description="what was noted, like a seal's number; no patient data"
    )


class CommandIn(Strict):
    model_config = ConfigDict(json_schema_extra={"examples": [{"command": "hold"}]})
    command: VehicleCommand = Field(description="resume also hands authority back after a takeover")
