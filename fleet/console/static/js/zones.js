// Airspace zones as Leaflet layers: colour and line pattern by restriction, heights and times in the tooltip.

import { h } from "./dom.js";

export const ZONE_KINDS = {
  PROHIBITED: { color: "#ff6b60", dash: null, fill: 0.2, label: "prohibited" },
  REQ_AUTHORISATION: { color: "#ff9f45", dash: "10 5", fill: 0.12, label: "authorisation" },
  CONDITIONAL: { color: "#f2d14b", dash: "2 5", fill: 0.1, label: "conditional" },
  USPACE: { color: "#6aa8ff", dash: "12 4 2 4", fill: 0.1, label: "U-space" },
  NO_RESTRICTION: { color: "#8493a3", dash: "4 8", fill: 0.03, label: "no restriction" },
  KEEP_IN: { color: "#52d08a", dash: "16 7", fill: 0, label: "keep-in" },
};

export function zoneKind(feature) {
  const { role, restriction } = feature.properties;
  return role === "keep_in" ? "KEEP_IN" : restriction;
}

function limit(properties, name, open) {
  const value = properties[`${name}_m`];
  return value === undefined || value === null ? open : `${+value.toFixed(1)} m ${properties[`${name}_datum`]}`;
}

function times(list) {
  if (!list?.length) return "always";
  return list.map(({ start, end, daily }) => {
    const span = [start && `from ${start.slice(0, 16).replace("T", " ")}`, end && `to ${end.slice(0, 16).replace("T", " ")}`];
    const hours = (daily ?? []).map((d) => `${[d.day ?? []].flat().join(" ")} ${d.startTime ?? ""}–${d.endTime ?? ""}`.trim());
    return [...span, ...hours].filter(Boolean).join(" ");
  }).join("; ");
}

function tooltip(feature) {
  const p = feature.properties;
  const kind = ZONE_KINDS[zoneKind(feature)];
  return h("div", {}, h("b", {}, p.name ?? p.id), h("div", { class: "muted" }, `${kind?.label ?? p.restriction} · ${p.id}`),
    h("div", {}, `${limit(p, "lower", "ground")} to ${limit(p, "upper", "no upper limit")}`),
    h("div", { class: "muted" }, `applies ${times(p.times)}`), p.message && h("div", {}, p.message));
}

/** The layers of one feature: an outline that can be pointed at and reached by keyboard for its tooltip. */
export function zoneLayers(feature) {
  const kind = zoneKind(feature);
  const look = ZONE_KINDS[kind] ?? ZONE_KINDS.PROHIBITED;
  const style = { pane: "zones", color: look.color, weight: kind === "KEEP_IN" ? 2.2 : 1.8, dashArray: look.dash,
    fillColor: look.color, fillOpacity: look.fill, fill: look.fill > 0, className: `zone zone-${kind}` };
  const layer = L.geoJSON(feature, {
    style,
    pointToLayer: (point, at) => L.circle(at, { ...style, radius: point.properties.radius_m }),
  });
  layer.bindTooltip(() => tooltip(feature), { sticky: true });
  return [layer];
}
