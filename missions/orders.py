"""Orders and their life cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Priority(StrEnum):
    """FHIR request priority."""

    ROUTINE = "routine"
    URGENT = "urgent"
    ASAP = "asap"
    STAT = "stat"


class OrderState(StrEnum):
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ASSIGNED = "assigned"
    LOADING = "loading"
    READY = "ready"
    IN_FLIGHT = "in_flight"
    AT_DROP = "at_drop"
    RELEASED = "released"
    RECEIVED = "received"
    RETURNED = "returned"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"
    LOST = "lost"


class OrderEvent(StrEnum):
    """The one cause of each transition."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    BEGIN_LOADING = "begin_loading"
    SEALED = "sealed"
    DEPART = "depart"
    ARRIVE = "arrive"
    LEAVE_DROP = "leave_drop"
    RELEASE = "release"
    RECEIVE = "receive"
    COME_BACK = "come_back"
    QUARANTINE = "quarantine"
    CANCEL = "cancel"
    LOSE = "lose"


_S, _E = OrderState, OrderEvent

ORDER_TRANSITIONS: Mapping[tuple[OrderState, OrderEvent], OrderState] = MappingProxyType(
    {
        (_S.REQUESTED, _E.ACCEPT): _S.ACCEPTED,
        (_S.REQUESTED, _E.REFUSE): _S.REFUSED,
        (_S.REQUESTED, _E.CANCEL): _S.CANCELLED,
        (_S.ACCEPTED, _E.ASSIGN): _S.ASSIGNED,
        (_S.ACCEPTED, _E.REFUSE): _S.REFUSED,
        (_S.ACCEPTED, _E.CANCEL): _S.CANCELLED,
        (_S.ASSIGNED, _E.UNASSIGN): _S.ACCEPTED,
        (_S.ASSIGNED, _E.BEGIN_LOADING): _S.LOADING,
        (_S.ASSIGNED, _E.CANCEL): _S.CANCELLED,
        (_S.LOADING, _E.UNASSIGN): _S.ACCEPTED,
        (_S.LOADING, _E.SEALED): _S.READY,
        (_S.LOADING, _E.CANCEL): _S.CANCELLED,
        (_S.READY, _E.DEPART): _S.IN_FLIGHT,
        (_S.READY, _E.UNASSIGN): _S.ACCEPTED,
        (_S.READY, _E.CANCEL): _S.CANCELLED,
        (_S.READY, _E.QUARANTINE): _S.QUARANTINED,
        (_S.IN_FLIGHT, _E.ARRIVE): _S.AT_DROP,
        (_S.IN_FLIGHT, _E.COME_BACK): _S.RETURNED,
        (_S.IN_FLIGHT, _E.QUARANTINE): _S.QUARANTINED,
        (_S.IN_FLIGHT, _E.LOSE): _S.LOST,
        (_S.AT_DROP, _E.LEAVE_DROP): _S.IN_FLIGHT,
        (_S.AT_DROP, _E.RELEASE): _S.RELEASED,
        (_S.AT_DROP, _E.LOSE): _S.LOST,
        (_S.RELEASED, _E.RECEIVE): _S.RECEIVED,
        (_S.RELEASED, _E.QUARANTINE): _S.QUARANTINED,
        (_S.RELEASED, _E.LOSE): _S.LOST,
    }
)

FINAL_ORDER_STATES = frozenset({_S.REFUSED, _S.RECEIVED, _S.RETURNED, _S.QUARANTINED, _S.CANCELLED, _S.LOST})


class IllegalTransitionError(Exception):
    """An event that the state's row of the table does not allow; nothing was changed."""


def next_order_state(state: OrderState, event: OrderEvent) -> OrderState:
    """The table's answer. Raises IllegalTransitionError and changes nothing if there is none."""
    try:
        return ORDER_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"an order that is {state} cannot {event}") from None


@dataclass(frozen=True, slots=True)
class Order:
    """What a health system asks for. `recipient_ref` is opaque to us: no patient data is ever carried."""

    order_id: str
    product_id: str
    origin_site: str
    destination_site: str
    recipient_ref: str
    mass_kg: float
    volume_l: float
    priority: Priority
    deadline_s: float
    """latest arrival, seconds since the Unix epoch"""
    requested_at_s: float
    lot: str = ""
    budget_min: tuple[tuple[str, float], ...] = ()
    """stability budget left per band of the product profile, minutes; empty: the profile's whole allowance"""
    single_patient: bool = False
    """N=1 medicine: cannot be replaced"""
    expires_s: float | None = None
    """the lot's expiry, seconds since the Unix epoch; from then on it is never delivered as good"""
