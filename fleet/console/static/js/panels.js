// The lists at the side: alarms, vehicles, orders.

import { $, h, keyed, refill } from "./dom.js";
import { LINKS, VERDICTS, age, asked, clock, number, stateTone, until, words } from "./format.js";
import { tint } from "./map.js";
import { fleetNow, heardAge, state } from "./state.js";

export function verdictChip(verdict) {
  if (!verdict) return null;
  const [sign, text, tone] = VERDICTS[verdict] ?? ["?", verdict, "warn"];
  return h("span", { class: `chip ${tone}` }, `${sign} ${text}`);
}

export function linkChip(entry) {
  const [sign, text, tone] = LINKS[entry.view.link] ?? ["?", entry.view.link, "warn"];
  const when = entry.view.link === "up" ? "" : `, ${age(heardAge(entry))}`;
  return h("span", { class: `chip ${tone}` }, `${sign} ${text}${when}`);
}

export const faultLines = (faults) => faults.map((text) => h("span", { class: "fault" }, `⚠ ${text}`));

const fact = (name, value) => h("span", { class: "fact" }, h("i", {}, name), h("b", {}, value));

export function alarms(onDismiss) {
  keyed($("alarms"), state.alarms.slice(0, 5), (alarm) => alarm.id,
    (alarm) => h("div", { class: "alarm" },
      h("span", {}, "⚠ "), h("span", { class: "grow" },
        h("b", {}, [alarm.vehicle_id, alarm.order_id].filter(Boolean).join(" · ") || "Fleet"), ` ${alarm.text} `,
        h("time", { class: "muted" }, clock(alarm.at))),
      h("button", { class: "quiet", "aria-label": `Dismiss alarm: ${alarm.text}`, onclick: () => onDismiss(alarm.id) }, "✕")),
    () => {});
}

/** What a vehicle asks, with the buttons to answer. They stay the same elements while it asks: a click is never lost. */
export function question(id, onCommand) {
  const answer = (command, name, tone) => h("button", { class: tone, "data-command": command, onclick: () => onCommand(id, command) }, name);
  return h("div", { class: "question", "data-asks": id }, h("p", {}),
    state.me?.role === "operator"
      ? h("p", { class: "commands" }, answer("confirm", "Confirm", "primary"), answer("decline", "Decline", ""))
      : h("p", { class: "muted small" }, "Only an operator can answer."));
}

export function fillQuestion(element, { view }) {
  const left = until(view.awaits_until, fleetNow());
  refill(element.firstChild, [view.awaits, left], () => [
    h("b", {}, `${view.vehicle_id} would ${asked(view)}.`), ` Without an answer it does at ${clock(view.awaits_until)} (${left}).`]);
}

export function questions(onCommand) {
  const asking = [...state.vehicles.values()].filter(({ view }) => view.awaits);
  keyed($("questions"), asking, ({ view }) => view.vehicle_id, ({ view }) => question(view.vehicle_id, onCommand), fillQuestion);
  document.title = `${asking.length ? `${asking.map(({ view }) => view.vehicle_id).join(", ")} asks · ` : ""}Coldwing console`;
}

export function vehicles(onSelect) {
  const entries = [...state.vehicles.values()].sort((a, b) => a.view.vehicle_id.localeCompare(b.view.vehicle_id, "en", { numeric: true }));
  keyed($("vehicles"), entries, (entry) => entry.view.vehicle_id,
    (entry) => h("button", { class: "card", "data-vehicle": entry.view.vehicle_id, onclick: () => onSelect(entry.view.vehicle_id) }),
    (card, entry) => {
      const v = entry.view;
      card.setAttribute("aria-pressed", state.selected === v.vehicle_id);
      card.classList.toggle("stale", v.link !== "up");
      const eta = v.eta ? `${clock(v.eta)} (${until(v.eta, fleetNow())})` : "–";
      const stale = v.link === "up" ? "" : age(heardAge(entry));
      refill(card, [v.link, stale, v.phase, v.mode, v.armed, v.order_id, eta, number(v.battery_pct), number(v.box_temp_c, 1),
        v.verdict, v.faults, v.decision, v.authority], () => [
        h("span", { class: "row" },
          swatch(entry), h("b", { class: "name" }, v.vehicle_id),
          h("span", { class: "grow" }, words(v.phase ?? (v.armed ? "armed" : "idle")),
            v.order_id && h("span", { class: "muted" }, ` · ${v.order_id}`)),
          v.authority ? null : h("span", { class: "chip bad" }, "✋ stood down"),
          linkChip(entry)),
        h("span", { class: "facts" },
          fact("ETA", eta), fact("Battery", number(v.battery_pct, 0, "%")), fact("Box", number(v.box_temp_c, 1, "°C")),
          verdictChip(v.verdict)),
        ...faultLines(v.faults),
        v.decision && h("span", { class: "decision" }, v.decision),
      ]);
    });
  $("no-vehicles").hidden = entries.length > 0;
}

function swatch(entry) {
  const mark = h("span", { class: "swatch", "aria-hidden": "true" }, "▲");
  mark.style.color = tint(entry);
  return mark;
}

export function orders(onSelect) {
  const list = [...state.orders.values()]
    .sort((a, b) => Number(a.final) - Number(b.final) || b.requested_at.localeCompare(a.requested_at))
    .slice(0, 60);
  $("no-orders").hidden = list.length > 0;
  keyed($("orders"), list, (order) => order.order_id,
    (order) => h("button", { class: "card order", "data-order": order.order_id,
      onclick: () => onSelect(state.orders.get(order.order_id)?.vehicle_id) }),
    (card, o) => {
      const eta = o.eta && !o.final ? `${clock(o.eta)} (${until(o.eta, fleetNow())})` : "–";
      card.disabled = !o.vehicle_id;
      refill(card, [o.state, o.phase, eta, o.verdict, o.vehicle_id, o.decision, o.reasons], () => [
        h("span", { class: "row" },
          h("b", { class: "name" }, o.order_id),
          h("span", { class: "grow" }),
          o.priority === "routine" ? null : h("span", { class: "chip warn" }, `▲ ${o.priority}`),
          h("span", { class: `chip ${stateTone(o.state)}` }, words(o.state))),
        h("span", {}, `${o.product_id} → ${o.destination_site}`),
        h("span", { class: "facts" },
          fact("ETA", eta), fact("Due", clock(o.deadline)),
          fact("Vehicle", o.vehicle_id ? `${o.vehicle_id}${o.phase ? `, ${words(o.phase)}` : ""}` : "–"),
          verdictChip(o.verdict)),
        ...o.reasons.map((reason) => h("span", { class: "fault" }, `⚠ ${reason.text}${reason.fix ? ` ${reason.fix}` : ""}`)),
        o.decision && h("span", { class: "decision" }, o.decision),
      ]);
    });
}
