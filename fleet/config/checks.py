"""What the parts of a configuration must say about each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fleet.config.models import FleetFile, SiteModel
from fleet.config.problems import Problems, did_you_mean
from fleet.config.secrets import env_name
from fleet.config.source import Document
from fleet.config.values import Driver
from geofences.geodesy import LatLon, distance_m
from geofences.heights import Terrain
from missions.coldchain.product import Product
from missions.sites import SiteKind

QGC_SYSTEM_ID = 255
MAX_AREA_M = 150_000.0
"""radius of an area of operation: beyond it the local frame's error is more than 11 m"""
PAD_TOLERANCE_M = 2.0
"""a pad may differ this much from the terrain: a quarter of the usual drop height"""


def check(
    model: FleetFile, document: Document, products: Mapping[str, Product], terrain: Terrain | None, problems: Problems
) -> None:
    """Adds a problem for each contradiction. Items that are wrong in themselves are no longer in `model`.

    Without a `terrain`, since it could not be read, pads are not compared with it.
    """
    _Check(model, document, terrain, problems).run(products)


class _Check:
    def __init__(self, model: FleetFile, document: Document, terrain: Terrain | None, problems: Problems) -> None:
        self.model = model
        self.terrain = terrain
        self.document = document
        self.problems = problems
        self.hubs = {s.id for s in model.sites if s.kind is SiteKind.HUB}

    def run(self, products: Mapping[str, Product]) -> None:
        for section, key in (("sites", "id"), ("vehicle_types", "name"), ("vehicles", "id"), ("boxes", "id")):
            self._unique(section, key)
        self._sites()
        self._vehicles()
        self._system_ids()
        self._links()
        self._boxes(products)
        self._tokens()
        self._planning()

    def _add(self, section: str, ident: str, key: str, text: str, fix: str) -> None:
        item = self.document.item((section,), "id", ident)
        self.problems.add(self.document, (*item, key), text, fix)

    def _named(self, section: str, key: str = "id") -> set[str]:
        """Every name the file gives, those of refused items too: one cause, one message."""
        return {str(item[key]) for _, item in self.document.items((section,)) if key in item}

    def _unique(self, section: str, key: str) -> None:
        seen: dict[str, int] = {}
        for i, item in self.document.items((section,)):
            name = item.get(key)
            if isinstance(name, str) and name in seen:
                line = self.document.locate((section, seen[name]))[2]
                text = f"{name!r} is already used in line {line}"
                self.problems.add(self.document, (section, i, key), text, "Give each its own")
            elif isinstance(name, str):
                seen[name] = i

    def _sites(self) -> None:
        if not self.hubs and len(self.model.sites) == len(self.document.items(("sites",))):
            self.problems.add(self.document, ("sites",), "has no hub", "Give at least one site `kind: hub`")
        hub = next((s for s in self.model.sites if s.kind is SiteKind.HUB), None)
        for site in self.model.sites:
            if self.terrain is not None:
                self._ground(site, self.terrain)
            if hub is None:
                continue
            away_m = distance_m(LatLon(hub.lat, hub.lon), LatLon(site.lat, site.lon))
            if away_m > MAX_AREA_M:
                text = f"puts {site.id} {away_m / 1000:.0f} km from {hub.id}; an area of operation reaches 150 km"
                self._add(
                    "sites", site.id, "lat", text, "Look whether lat and lon are swapped, or use a second fleet.yaml"
                )

    def _ground(self, site: SiteModel, terrain: Terrain) -> None:
        ground = terrain.ground_amsl_m(LatLon(site.lat, site.lon))
        if ground is None:
            text = f"puts {site.id} where the terrain is not known"
            self._add("sites", site.id, "lat", text, "Add a tile or a larger grid that holds it (see `terrain`)")
        elif site.elevation_amsl_m is not None and abs(site.elevation_amsl_m - ground) > PAD_TOLERANCE_M:
            text = f"is {site.elevation_amsl_m:g} m, but the terrain there is at {ground:g} m"
            self._add("sites", site.id, "elevation_amsl_m", text, "Correct it or `terrain`, or leave it out")

    def _vehicles(self) -> None:
        types = self._named("vehicle_types", "name")
        unread = any("file" in item for _, item in self.document.items(("vehicle_types",)))  # its name is not known
        for vehicle in self.model.vehicles:
            if vehicle.type not in types and not unread:
                fix = did_you_mean(vehicle.type, types)
                self._add("vehicles", vehicle.id, "type", f"{vehicle.type!r} is no vehicle type", fix)
            self._home("vehicles", vehicle.id, vehicle.home)
        pads = {s.id: s.pads for s in self.model.sites}
        for home, count in Counter(v.home for v in self.model.vehicles).items():
            if count > pads.get(home, count):
                first = next(v.id for v in self.model.vehicles if v.home == home)
                text = f"{home!r} has {pads[home]} pads for {count} vehicles"
                self._add("vehicles", first, "home", text, "Raise its `pads` or move a vehicle")

    def _home(self, section: str, ident: str, home: str) -> None:
        if home not in self._named("sites"):
            self._add(section, ident, "home", f"{home!r} is no site", did_you_mean(home, self._named("sites")))
        elif home in {s.id for s in self.model.sites} and home not in self.hubs:
            self._add(section, ident, "home", f"{home!r} is not a hub", did_you_mean(home, self.hubs))

    def _system_ids(self) -> None:
        ours = self.model.gcs.system_id
        if ours == QGC_SYSTEM_ID:
            text = "is 255, which is QGroundControl's: a vehicle could not tell the two apart"
            self.problems.add(self.document, ("gcs", "system_id"), text, "Use another, such as 250")
        taken: dict[tuple[str, int], str] = {}
        for vehicle in self.model.vehicles:
            if vehicle.system_id == ours:
                text = f"is {ours}, which is the controller's own (gcs.system_id)"
                self._add("vehicles", vehicle.id, "system_id", text, "Give the vehicle another MAV_SYS_ID")
            others = [taken.setdefault((url, vehicle.system_id), vehicle.id) for url in vehicle.link]
            other = next((name for name in others if name != vehicle.id), None)
            if other is not None:
                text = f"is {vehicle.system_id}, as {other}'s on the same link"
                self._add("vehicles", vehicle.id, "system_id", text, "Give each vehicle on a link its own MAV_SYS_ID")

    def _links(self) -> None:
        drivers: dict[str, tuple[str, Driver]] = {}
        uids: dict[int, str] = {}
        for vehicle in self.model.vehicles:
            if len(set(vehicle.link)) < len(vehicle.link):
                self._add("vehicles", vehicle.id, "link", "names a link twice", "Keep one of them")
            if vehicle.driver is Driver.MAVSDK and len(vehicle.link) > 1:
                text = "names several links, and the mavsdk driver uses one"
                self._add("vehicles", vehicle.id, "link", text, "Keep one, or use `driver: native`")
            for url in vehicle.link:
                other, driver = drivers.setdefault(url, (vehicle.id, vehicle.driver))
                if driver is not vehicle.driver:
                    text = f"is {vehicle.driver}, and {other} on the same link has {driver}: only one can open it"
                    self._add("vehicles", vehicle.id, "driver", text, "Give one of the two a link of its own")
            if vehicle.uid is not None and uids.setdefault(vehicle.uid, vehicle.id) != vehicle.id:
                text = f"is that of {uids[vehicle.uid]}"
                self._add("vehicles", vehicle.id, "uid", text, "Correct it: one autopilot flies one vehicle")
        for i, link in enumerate(self.model.authenticated_links):
            if link.url not in drivers:
                text = f"{link.url!r} is no vehicle's link"
                self.problems.add(
                    self.document, ("authenticated_links", i, "url"), text, did_you_mean(link.url, drivers)
                )

    def _boxes(self, products: Mapping[str, Product]) -> None:
        payload_kg = max((t.max_payload_kg for t in self.model.vehicle_types), default=None)
        for box in self.model.boxes:
            for product in box.products:
                if product not in products:
                    fix = did_you_mean(product, products)
                    self._add("boxes", box.id, "products", f"names {product!r}, which is no product", fix)
            if box.home is not None:
                self._home("boxes", box.id, box.home)
            elif len(self.hubs) > 1:
                self._add(
                    "boxes", box.id, "home", "is missing", f"There are several hubs: {did_you_mean('', self.hubs)}"
                )
            if payload_kg is not None and box.empty_mass_kg >= payload_kg:
                text = f"is {box.empty_mass_kg:g} kg, and no vehicle carries more than {payload_kg:g} kg"
                self._add("boxes", box.id, "empty_mass_kg", text, "Correct it, or the type's max_payload_kg")

    def _tokens(self) -> None:
        tokens = self.document.items(("api", "tokens"))
        if not tokens:
            fix = "Add one, such as `- {name: ward, role: requester}`; its value comes from the environment"
            self.problems.add(self.document, ("api", "tokens"), "is empty: nobody could use the API", fix)
        seen: dict[str, str] = {}
        for i, token in tokens:
            name = str(token.get("name"))
            variable = env_name("COLDWING_API_TOKEN", name)
            if variable in seen:
                text = f"{name!r} is the same as {seen[variable]!r} in the environment ({variable})"
                self.problems.add(self.document, ("api", "tokens", i, "name"), text, "Give each its own")
            seen.setdefault(variable, name)

    def _planning(self) -> None:
        planning: Any = self.model.planning
        for layer in planning.layers_agl_m:
            if not planning.drop_height_agl_m < layer <= planning.ceiling_agl_m:
                text = f"has {layer:g} m, which is not above drop_height_agl_m and up to ceiling_agl_m"
                self.problems.add(self.document, ("planning", "layers_agl_m"), text, "Choose heights between the two")
        hub = next((s for s in self.model.sites if s.kind is SiteKind.HUB), None)
        if hub is None:
            return
        for i, corridor in enumerate(planning.corridors):
            for j, point in enumerate(corridor.points):
                away_m = distance_m(LatLon(hub.lat, hub.lon), LatLon(point.lat, point.lon))
                if away_m > MAX_AREA_M:
                    text = f"puts corridor {corridor.name} {away_m / 1000:.0f} km from {hub.id}; an area reaches 150 km"
                    place = ("planning", "corridors", i, "points", j)
                    self.problems.add(self.document, place, text, "Look whether lat and lon are swapped")
