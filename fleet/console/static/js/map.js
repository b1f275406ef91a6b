// The map: no tiles, nothing from the internet. Background GeoJSON, graticule, zones, sites, routes, trails, vehicles.

import { h, svg } from "./dom.js";
import { heardAge, state } from "./state.js";
import { age, number } from "./format.js";
import { ZONE_KINDS, zoneKind, zoneLayers } from "./zones.js";

const TINTS = ["#4cc9d8", "#f48fd0", "#b7e36a", "#a99bff", "#e9c49a", "#e6edf4"];
const SITES = { hub: ["▣", "hub"], clinic: ["✚", "clinic"], reicing: ["❄", "re-icing"], alternate: ["◇", "alternate"] };
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

export const tint = (entry) => TINTS[entry.tint];

export class FleetMap {
  constructor(element, onSelect) {
    this.onSelect = onSelect;
    this.map = L.map(element, {
      zoomControl: false, attributionControl: false, zoomSnap: 0.25, minZoom: 4, maxZoom: 19,
      zoomAnimation: !still, fadeAnimation: false, markerZoomAnimation: !still,
    }).setView([0, 0], 4);
    for (const [index, name] of ["base", "graticule", "zones", "routes", "trails"].entries()) {
      this.map.createPane(name).style.zIndex = 210 + index * 10;
    }
    this.layers = {};
    for (const name of ["graticule", "zones", "sites"]) this.layers[name] = L.layerGroup().addTo(this.map);
    this.drawn = new Map(); // vehicle id → {marker, trail, route}
    L.control.zoom({ position: "topright" }).addTo(this.map);
    L.control.scale({ imperial: false, position: "bottomright" }).addTo(this.map);
    this.#fitControl();
    this.#legend();
    this.map.on("moveend", () => this.#graticule());
    this.map.on("dragstart zoomstart", () => {
      this.moved ||= !this.fitting;
    });
  }

  base(collection) {
    // kind: [line colour, line width, fill]
    const looks = { river: ["#27516e", 2.4], lake: ["#27516e", 1, "#163247"], road: ["#3b4855", 2], track: ["#2b3641", 1.2],
      settlement: ["#33404c", 1, "#28333e"], forest: ["#14261c", 0, "#14261c"], ridge: ["#202a34", 0, "#202a34"],
      contour: ["#1c252e", 0.6, "#151d25"], field: ["#131c1c", 0, "#151f1d"] };
    const other = ["#2b3641", 1, "#1c252e"];
    L.geoJSON(collection, {
      pane: "base",
      interactive: false,
      style: (feature) => {
        const [color, weight, fillColor] = looks[feature.properties?.kind] ?? other;
        const area = feature.geometry.type.endsWith("Polygon");
        return { color, weight, stroke: weight > 0, fill: area, fillColor, fillOpacity: 0.8 };
      },
      pointToLayer: (feature, at) => this.#label(at, feature.properties?.name ?? "", "place"),
    }).addTo(this.map);
  }

  zones(collection) {
    this.layers.zones.clearLayers();
    for (const feature of collection.features) {
      for (const layer of zoneLayers(feature)) this.layers.zones.addLayer(layer);
    }
    this.#kinds = new Set(collection.features.map(zoneKind));
    this.#fillLegend();
    this.fit(false);
  }

  sites(sites) {
    this.layers.sites.clearLayers();
    for (const site of sites) {
      const [sign, what] = SITES[site.kind] ?? ["•", site.kind];
      const icon = L.divIcon({ className: `site ${site.kind}`, html: h("span", {}, sign), iconSize: [22, 22] });
      const text = `${site.name} (${site.site_id}), ${what}, ${number(site.elevation_amsl_m, 0, "m")} AMSL`;
      L.marker([site.lat_deg, site.lon_deg], { icon, keyboard: false, alt: text }).bindTooltip(text)
        .addTo(this.layers.sites);
      this.layers.sites.addLayer(this.#label([site.lat_deg, site.lon_deg], site.name, "site-name"));
    }
    this.fit(false);
  }

  vehicles() {
    for (const [id, entry] of state.vehicles) this.#vehicle(id, entry);
    for (const [id, drawn] of this.drawn) {
      if (state.vehicles.has(id)) continue;
      for (const layer of Object.values(drawn)) layer.remove?.();
      this.drawn.delete(id);
    }
  }

  /** Shows all of the area of operation: once by itself, later when asked. */
  fit(asked = true) {
    if (this.fitted && !asked) return;
    const points = [...state.sites.map((s) => [s.lat_deg, s.lon_deg])];
    for (const { view } of state.vehicles.values()) if (view.lat_deg !== null) points.push([view.lat_deg, view.lon_deg]);
    if (!points.length) return;
    this.fitting = true;
    // Room for the names at the right and for the legend at the bottom.
    const bottom = this.legend.offsetHeight + 24;
    this.map.fitBounds(points, { animate: false, paddingTopLeft: [40, 30], paddingBottomRight: [100, bottom] });
    this.fitting = false;
    this.fitted = state.sites.length > 0;
    this.moved = false;
  }

  show(id) {
    const view = state.vehicles.get(id)?.view;
    if (!view || view.lat_deg === null) return;
    const at = L.latLng(view.lat_deg, view.lon_deg);
    if (!this.map.getBounds().pad(-0.05).contains(at)) this.map.panTo(at, { animate: !still });
  }

  resized() {
    this.map.invalidateSize({ animate: false });
    if (!this.moved) this.fit();
  }

  #kinds = new Set();

  #vehicle(id, entry) {
    const { view } = entry;
    if (view.lat_deg === null || view.lon_deg === null) return;
    const at = [view.lat_deg, view.lon_deg];
    const drawn = this.drawn.get(id) ?? this.#newVehicle(id, entry, at);
    const selected = state.selected === id;
    const stale = view.link !== "up" || !state.connected;
    drawn.marker.setLatLng(at);
    drawn.marker.setZIndexOffset(selected ? 2000 : 1000);
    drawn.body.classList.toggle("selected", selected);
    drawn.body.classList.toggle("stale", stale);
    drawn.body.classList.toggle("alarmed", view.faults.length > 0);
    drawn.arrow.setAttribute("transform", `rotate(${view.heading_deg ?? 0} 18 18)`);
    const name = stale ? `${id} · ${age(heardAge(entry))}` : id;
    if (drawn.name.textContent !== name) drawn.name.textContent = name;
    drawn.trail.setLatLngs(entry.trail);
    drawn.trail.setStyle({ opacity: selected ? 0.95 : 0.6, weight: selected ? 3 : 2 });
    const route = JSON.stringify(view.route);
    if (drawn.routeText !== route) {
      drawn.routeText = route;
      drawn.route.setLatLngs(view.route.map(([lat, lon]) => [lat, lon]));
    }
    drawn.route.setStyle({ opacity: selected ? 1 : 0.55, weight: selected ? 2.5 : 1.5 });
  }

  #newVehicle(id, entry, at) {
    const color = tint(entry);
    const arrow = svg("path", { d: "M18 6 L26 28 L18 23 L10 28 Z", fill: color, stroke: "#0b1016", "stroke-width": 1.6,
      "stroke-linejoin": "round" });
    const ring = svg("circle", { class: "ring", cx: 18, cy: 18, r: 16, fill: "none", stroke: color });
    const name = h("b", {}, id);
    const body = h("div", { class: "vehicle" }, svg("svg", { viewBox: "0 0 36 36", width: 36, height: 36 }, ring, arrow), name);
    const icon = L.divIcon({ className: "vehicle-icon", html: body, iconSize: [36, 36] });
    const marker = L.marker(at, { icon, title: `Select ${id}`, alt: `Vehicle ${id}`, riseOnHover: true }).addTo(this.map);
    marker.on("click keypress", (event) => {
      if (event.type === "click" || event.originalEvent.key === "Enter") this.onSelect(id);
    });
    marker.getElement().dataset.vehicle = id;
    const line = { color, interactive: false, smoothFactor: 1 };
    const route = L.polyline([], { ...line, pane: "routes", dashArray: "1 7", lineCap: "round" }).addTo(this.map);
    const trail = L.polyline([], { ...line, pane: "trails" }).addTo(this.map);
    const drawn = { marker, arrow, name, body, route, trail, routeText: "[]" };
    this.drawn.set(id, drawn);
    return drawn;
  }

  #label(at, text, className) {
    const icon = L.divIcon({ className: `label ${className}`, html: h("span", {}, text), iconSize: [0, 0] });
    return L.marker(at, { icon, interactive: false, keyboard: false });
  }

  #fitControl() {
    const control = L.control({ position: "topright" });
    control.onAdd = () => {
      const frame = svg("path", { d: "M1 5V1h4M9 1h4v4M13 9v4H9M5 13H1V9", fill: "none", stroke: "currentColor", "stroke-width": 1.8 });
      const button = h("button", { class: "fit", title: "Show the whole area", "aria-label": "Show the whole area" },
        svg("svg", { viewBox: "0 0 14 14", width: 14, height: 14 }, frame));
      L.DomEvent.disableClickPropagation(button);
      button.addEventListener("click", () => this.fit());
      return h("div", { class: "leaflet-bar" }, button);
    };
    control.addTo(this.map);
  }

  #legend() {
    const control = L.control({ position: "bottomleft" });
    control.onAdd = () => {
      this.legend = h("details", { class: "legend", open: innerWidth > 800 }, h("summary", {}, "Zones"), h("ul"));
      L.DomEvent.disableClickPropagation(this.legend);
      return this.legend;
    };
    control.addTo(this.map);
  }

  #fillLegend() {
    const rows = Object.entries(ZONE_KINDS).filter(([kind]) => this.#kinds.has(kind)).map(([, { color, dash, label }]) =>
      h("li", {}, svg("svg", { viewBox: "0 0 34 10", width: 28, height: 10, "aria-hidden": "true" },
        svg("line", { x1: 1, y1: 5, x2: 33, y2: 5, stroke: color, "stroke-width": 2.6, "stroke-dasharray": dash ?? "none" })),
      label));
    this.legend.querySelector("ul").replaceChildren(...rows);
  }

  #graticule() {
    const group = this.layers.graticule.clearLayers();
    const bounds = this.map.getBounds();
    const degrees_per_px = (bounds.getEast() - bounds.getWest()) / this.map.getSize().x;
    const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
    const step = steps.find((s) => s / degrees_per_px >= 90) ?? 90;
    this.map.getContainer().classList.toggle("far", this.map.getZoom() < 11.5);
    const digits = Math.max(0, Math.ceil(-Math.log10(step)));
    const style = { pane: "graticule", color: "#1d2731", weight: 1, interactive: false };
    const lines = (from, to, draw) => {
      for (let i = Math.ceil(from / step); i * step <= to; i++) draw(i * step);
    };
    const [west, south] = [bounds.getWest(), bounds.getSouth()];
    lines(south, bounds.getNorth(), (lat) => {
      group.addLayer(L.polyline([[lat, west], [lat, bounds.getEast()]], style));
      group.addLayer(this.#label([lat, west], `${lat.toFixed(digits)}°`, "grid lat"));
    });
    lines(west, bounds.getEast(), (lon) => {
      group.addLayer(L.polyline([[south, lon], [bounds.getNorth(), lon]], style));
      group.addLayer(this.#label([south, lon], `${lon.toFixed(digits)}°`, "grid lon"));
    });
  }
}
