"""The cold boxes as they are now: each box's samples judged against its order, and what they foretell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from fleet.records.codec import from_json, to_json
from fleet.runtime.ledger import Ledger, Note, order_stream
from missions.boxes import Box, BoxSample
from missions.coldchain import thermal
from missions.coldchain.assess import Rules, rules_for, start
from missions.coldchain.forecast import Arrival
from missions.coldchain.forecast import Outlook as Forecasts
from missions.coldchain.monitor import Monitor, observe, view
from missions.coldchain.product import Product, ProfileError
from missions.coldchain.samples import limits_for
from missions.coldchain.thermal import ThermalEstimate
from missions.options import Outlook
from missions.orders import Order
from missions.snapshot import BoxView

log = structlog.get_logger()

UNKNOWN_AMBIENT_C = 25.0
"""where an old record does not say what the air was"""


@dataclass(frozen=True, slots=True)
class Watched:
    """A box that carries an order: what was measured since it was sealed, and the belief about its physics."""

    box: Box
    order_id: str
    rules: Rules
    monitor: Monitor
    pack_left_kj: float | None = None
    sealed_s: float | None = None
    estimate: ThermalEstimate | None = None
    ambient_c: float | None = None
    reice_s: float | None = None


class BoxDesk:
    """Takes samples in, gives views and outlooks out. Samples of a box without an order are not judged."""

    def __init__(
        self,
        boxes: dict[str, Box],
        products: dict[str, Product],
        ledger: Ledger,
        ambient_c: Callable[[str], float],
        air_c: Callable[[float, float], float],
    ) -> None:
        """`ambient_c` gives the air at a box's vehicle by its order's id, `air_c` that at a height (m AMSL) and time,
        as the weather assumes them."""
        self._boxes = boxes
        self._products = products
        self._ledger = ledger
        self._ambient_c = ambient_c
        self._air_c = air_c
        self._watched: dict[str, Watched] = {}
        self.on_sample: Callable[[str], None] = lambda order_id: None

    def resume(self) -> None:
        """After a restart: each open order's box again, from what the record holds."""
        for entry in self._ledger.orders.values():
            if entry.box_id is None or entry.box_id not in self._boxes or (entry.is_final and entry.flight_id is None):
                continue
            if entry.is_final and entry.flight_id not in self._ledger.flights:
                continue
            self.bind(self._boxes[entry.box_id], entry.order, self._products[entry.order.product_id])
            for event in self._ledger.history(order_stream(entry.order.order_id)):
                match event.kind, event.body.get("step"):
                    case "box_sample", _:
                        self._take(from_json(BoxSample, event.body["sample"]), event.at_s, event.body.get("ambient_c"))
                    case "custody", "seal":
                        self.sealed(entry.box_id, event.body.get("detail", {}).get("pack_left_kj"), event.at_s)
                    case "custody", "reiced":
                        self.reiced(entry.box_id, event.at_s, event.body.get("detail", {}))

    # what people do

    def bind(self, box: Box, order: Order, product: Product) -> None:
        """From now on this box's samples are the order's."""
        rules = rules_for(product, order.budget_min, expires_s=order.expires_s)
        monitor = Monitor(box.box_id, rules, limits_for(product))
        self._watched[box.box_id] = Watched(box, order.order_id, rules, monitor)

    def sealed(self, box_id: str, pack_left_kj: float | None, now_s: float) -> None:
        """The pharmacist has packed and sealed it: the record of the product's temperature begins here."""
        watched = self._watched.get(box_id)
        if watched is not None:
            self._watched[box_id] = replace(
                watched,
                monitor=Monitor(box_id, watched.rules, limits_for(watched.rules.product), begins_s=now_s),
                pack_left_kj=pack_left_kj,
                sealed_s=now_s,
                estimate=None,
            )

    def reiced(self, box_id: str, now_s: float, detail: dict[str, Any]) -> None:
        """A fresh pack; `detail` may say `seal: mended`. What the product went through before stays in the record."""
        watched = self._watched.get(box_id)
        if watched is not None and watched.estimate is not None:
            estimate = thermal.reiced(watched.estimate, now_s, mended=detail.get("seal") == "mended")
            self._watched[box_id] = replace(watched, estimate=estimate)

    def free(self, box_id: str) -> None:
        """Its order is over for this box."""
        self._watched.pop(box_id, None)

    def away(self) -> frozenset[str]:
        """Boxes that were handed over and have not come back."""
        return frozenset(e.box_id for e in self._ledger.orders.values() if e.box_id is not None and e.box_away)

    # what the box says

    def take(self, sample: BoxSample, received_s: float) -> None:
        """A sample arrived: it goes into its order's record and into the belief."""
        watched = self._watched.get(sample.box_id)
        if watched is None or watched.sealed_s is None:
            return
        ambient_c = self._ambient_c(watched.order_id)
        body = {"sample": to_json(sample), "ambient_c": ambient_c}
        written = asyncio.ensure_future(self._ledger.note(Note(order_stream(watched.order_id), "box_sample", body)))
        written.add_done_callback(_log_failure)
        self._take(sample, received_s, ambient_c)
        self.on_sample(watched.order_id)

    def _take(self, sample: BoxSample, received_s: float, ambient_c: float | None) -> None:
        watched = self._watched[sample.box_id]
        if watched.sealed_s is None:
            return
        before = watched.monitor.newest
        monitor = observe(watched.monitor, sample, received_s)
        estimate, newest = watched.estimate, monitor.newest
        if (
            newest is not None
            and newest is not before
            and newest.reading.usable
            and newest.assessment.temp_c is not None
        ):
            ambient = ambient_c if ambient_c is not None else UNKNOWN_AMBIENT_C
            temp_c, lid, seal = newest.assessment.temp_c, newest.sample.lid_open, newest.sample.seal_ok
            if estimate is None:
                flagged = lid is True or seal is False
                estimate = thermal.initial(
                    watched.box, temp_c, newest.at_s, pack_left_kj=watched.pack_left_kj, flagged=flagged
                )
            else:
                estimate = thermal.update(estimate, temp_c, ambient, newest.at_s, lid, seal)
        self._watched[sample.box_id] = replace(watched, monitor=monitor, estimate=estimate, ambient_c=ambient_c)

    # what others ask

    def view(self, box_id: str, now_s: float) -> BoxView | None:
        """None for a box that carries no sealed order."""
        watched = self._watched.get(box_id)
        if watched is None or watched.sealed_s is None:
            return None
        return view(watched.monitor, now_s, watched.ambient_c)

    def outlook(self, box_id: str, now_s: float) -> Outlook:
        """The forecasts of this box's order, each in the air of its way."""
        watched = self._watched.get(box_id)
        if watched is None or watched.estimate is None:
            return _no_outlook
        monitor = watched.monitor
        if monitor.newest is None:
            return _no_outlook
        ambient = watched.ambient_c if watched.ambient_c is not None else UNKNOWN_AMBIENT_C
        forecasts = Forecasts(watched.estimate, monitor.newest.assessment, watched.rules, ambient, now_s)

        def at(arrive_s: float, reice_at_s: float | None, amsl_m: float) -> Arrival:
            return forecasts(arrive_s, reice_at_s, self._air_c(amsl_m, (now_s + max(now_s, arrive_s)) / 2.0))

        return at

    def fresh_box_ok(self, order: Order, duration_s: float, ambient_c: float) -> bool | None:
        """For a quote: whether a fresh pack in the best suitable box keeps the product in range for that long."""
        try:
            rules = rules_for(self._products[order.product_id], order.budget_min, expires_s=order.expires_s)
        except ProfileError:
            return None
        fitting = [
            b for b in self._boxes.values() if order.product_id in b.product_ids and b.volume_l >= order.volume_l
        ]
        chances = []
        for box in fitting:
            estimate = thermal.initial(box, box.pack_temp_c, 0.0, pack_left_kj=0.9 * box.pack_latent_kj)
            chances.append(Forecasts(estimate, start(rules), rules, ambient_c, 0.0)(duration_s).p_in_range)
        return max(chances) >= 0.9 if chances else None


def _no_outlook(arrive_s: float, reice_at_s: float | None, amsl_m: float) -> None:
    return None


def _log_failure(written: asyncio.Future[object]) -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        log.error("box sample not recorded", reason=str(error))
