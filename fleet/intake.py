"""A wish becomes an order, or is refused for what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.service import OrderRequest, Refused, refused
from missions.coldchain.assess import rules_for
from missions.coldchain.product import Product, ProfileError
from missions.options import nearest_hub
from missions.orders import Order
from missions.sites import Site


def order_from(
    request: OrderRequest, sites: Mapping[str, Site], products: Mapping[str, Product], *, order_id: str, now_s: float
) -> Order | Refused:
    """The order it asks for, with the nearest hub where it names no origin."""
    if request.product_id not in products:
        known = ", ".join(sorted(products))
        return refused(
            422,
            "Unknown product",
            "product_unknown",
            f"There is no product {request.product_id!r}.",
            f"Known: {known}.",
        )
    try:
        rules_for(products[request.product_id], request.budget_min)
    except ProfileError as e:
        return refused(
            422, "Unknown excursion", "budget_unknown", f"{e.field}: {e.problem}.", f"{e.fix[:1].upper()}{e.fix[1:]}."
        )
    for site_id in (request.destination_site, request.origin_site):
        if site_id is not None and site_id not in sites:
            known = ", ".join(sorted(sites))
            return refused(422, "Unknown site", "site_unknown", f"There is no site {site_id!r}.", f"Known: {known}.")
    origin = request.origin_site
    if origin is None:
        hub = nearest_hub(sites, sites[request.destination_site].position)
        if hub is None:
            return refused(422, "No hub", "no_hub", "The fleet has no hub.", "Configure one under sites:.")
        origin = hub.site_id
    if origin == request.destination_site:
        return refused(422, "Nothing to fly", "same_site", "Origin and destination are the same site.", "Change one.")
    return Order(
        order_id=order_id,
        product_id=request.product_id,
        origin_site=origin,
        destination_site=request.destination_site,
        recipient_ref=request.recipient_ref,
        mass_kg=request.mass_kg,
        volume_l=request.volume_l,
        priority=request.priority,
        deadline_s=request.deadline_s,
        requested_at_s=now_s,
        lot=request.lot,
        budget_min=request.budget_min,
        single_patient=request.single_patient,
        expires_s=request.expires_s,
    )
