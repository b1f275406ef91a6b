// The selected vehicle: what it does, its commands, and its temperature and battery over time.

import { $, h, refill } from "./dom.js";
import { clock, number, words } from "./format.js";
import { faultLines, fillQuestion, linkChip, question, verdictChip } from "./panels.js";
import { state } from "./state.js";

export const COMMANDS = {
  hold: ["Hold", "It stops and hovers where it is until told otherwise. Hovering uses battery."],
  resume: ["Resume", "It goes on with its plan. After a takeover this also hands authority back to the controller."],
  return: ["Return", "It flies home with its payload. The delivery is given up."],
  land: ["Land", "It lands where it is now, whatever is below. For emergencies."],
};
export const ANSWERS = {
  confirm: ["Confirm", "It does so at once instead of waiting for an answer."],
  decline: ["Decline", "It flies on, and does not propose this again while anything is wrong. It may propose another way."],
};

const AXIS = { stroke: "#93a4b5", grid: { stroke: "#202b36", width: 1 }, ticks: { stroke: "#202b36" }, font: "11px system-ui" };

export class Detail {
  constructor(onCommand, onClose) {
    this.element = $("detail");
    this.asks = h("div", {});
    this.text = h("div", { class: "detail-text" });
    this.buttons = h("div", { class: "commands", role: "group", "aria-label": "Commands" });
    this.plots = h("div", { class: "plots" });
    this.element.append(
      h("button", { class: "quiet close", "aria-label": "Close", title: "Close (Esc)", onclick: onClose }, "✕"),
      h("div", { class: "detail-side" }, this.asks, this.text, this.buttons), this.plots);
    this.onCommand = onCommand;
    this.shown = null;
    new ResizeObserver(() => this.#size()).observe(this.plots);
  }

  render() {
    const entry = state.vehicles.get(state.selected);
    this.element.hidden = !entry;
    if (!entry) {
      this.shown = null;
      return;
    }
    const v = entry.view;
    if (this.shown !== v.vehicle_id) this.#open(entry);
    refill(this.text, [v, linkChip(entry).textContent], () => [
      h("h2", {}, v.vehicle_id, " ", h("small", { class: "muted" }, `${v.type_name} · ${words(v.phase ?? "idle")} · mode ${words(v.mode)}`)),
      h("p", { class: "chips" }, linkChip(entry), verdictChip(v.verdict),
        h("span", { class: `chip ${v.plan_verified ? "good" : "dim"}` }, v.plan_verified ? "✓ plan verified on board" : "○ no verified plan"),
        v.signing === "off" ? null : h("span", { class: `chip ${v.signing === "verified" ? "good" : "bad"}` }, v.signing === "verified" ? "✓ signed" : "✕ nothing signed heard"),
        v.other_gcs.length ? h("span", { class: "chip bad" }, `⚠ other ground station ${v.other_gcs.join(", ")}`) : null,
        v.authority ? null : h("span", { class: "chip bad" }, "✋ somebody else flies")),
      ...faultLines([...v.faults, ...(v.unfit ? [v.unfit] : []), ...v.not_ready]),
      v.decision && h("p", { class: "decision" }, v.decision),
      v.no_return_m !== null && h("p", { class: "muted" }, `Home stays in reach for another ${number(v.no_return_m / 1000, 1, "km")}, until ${clock(v.no_return)}`),
      v.if_link_dies && h("p", { class: "muted" }, `If the link dies: ${v.if_link_dies}`),
      h("p", { class: "muted small" }, [
        `height ${number(v.alt_agl_m, 0, "m")} AGL`, `${number(v.alt_amsl_m, 0, "m")} AMSL`, `speed ${number(v.ground_speed_m_s, 0, "m/s")}`,
        `last message ${number(v.heard_age_s, 1, "s")} ago`, `round trip ${v.rtt_s === null ? "–" : number(v.rtt_s * 1000, 0, "ms")}`, `loss ${number(v.loss_pct, 1, "%")}`,
        `heading ${number(v.heading_deg, 0, "°")}`, `ETA ${clock(v.eta)}`,
        `PX4 ${v.firmware ?? "–"}`, v.uid && `uid ${v.uid}`, `driver ${v.driver}`,
        v.plan_ids && `plan ids ${["mission", "fence", "rally"].map((list) => v.plan_ids[list].toString(16).padStart(8, "0")).join(" / ")}`,
      ].filter(Boolean).join(" · ")),
      (v.links.length > 1 || v.links.some((path) => path.trouble)) && h("ul", { class: "muted small links" }, v.links.map((path) => h("li", {},
        `${path.link}: ${path.trouble ?? (path.in_use ? "in use" : path.up ? "stands by" : "down")}` +
        (path.rtt_s === null ? "" : `, ${number(path.rtt_s * 1000, 0, "ms")}`) + (path.loss_pct === null ? "" : `, loss ${number(path.loss_pct, 1, "%")}`)))),
    ]);
    this.asks.hidden = !v.awaits;
    if (v.awaits) fillQuestion(this.asks.firstChild, entry);
    this.#data(entry);
  }

  #open(entry) {
    const v = entry.view;
    this.shown = v.vehicle_id;
    this.buttons.replaceChildren(...(state.me?.role === "operator"
      ? Object.entries(COMMANDS).map(([command, [name]]) =>
          h("button", { class: `command ${command}`, "data-command": command, onclick: () => this.onCommand(v.vehicle_id, command) }, name))
      : [h("span", { class: "muted small" }, "Commands need an operator's token.")]));
    this.asks.replaceChildren(question(v.vehicle_id, this.onCommand));
    this.plots.replaceChildren();
    this.temperature = this.#plot("Box temperature", "°C", "#4cc9d8");
    this.battery = this.#plot("Battery", "%", "#b7e36a", [0, 100]);
    this.#size();
  }

  #plot(title, unit, stroke, range = null) {
    const holder = h("figure", { class: "plot", "data-plot": title }, h("figcaption", {}, title, " ", h("b")),
      h("span", { class: "empty" }, "no readings since this page was opened"));
    this.plots.append(holder);
    const plot = new uPlot({
      width: 320, height: 150, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time: true }, y: range ? { range } : { range: (_, low, high) => padded(low, high) } },
      axes: [{ ...AXIS, space: 56, values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toISOString().slice(11, 19)) }, { ...AXIS, size: 44, values: (_, ticks) => ticks.map((t) => `${+t.toFixed(2)}`) }],
      series: [{}, { stroke, width: 2, fill: `${stroke}22`, points: { show: false }, spanGaps: false }],
    }, [[], []], holder);
    return { plot, holder, unit, now: holder.querySelector("b") };
  }

  #data(entry) {
    for (const [{ plot, holder, now, unit }, values, digits] of [[this.temperature, entry.temps, 1], [this.battery, entry.batteries, 0]]) {
      plot.setData([entry.times, values]);
      now.textContent = number(values.at(-1) ?? null, digits, unit);
      holder.querySelector(".empty").hidden = values.some((value) => value !== null);
    }
  }

  #size() {
    if (!this.shown) return;
    for (const { plot, holder } of [this.temperature, this.battery]) {
      const width = Math.floor(holder.clientWidth);
      const height = Math.max(96, Math.floor(holder.clientHeight - 22));
      if (width > 60 && (plot.width !== width || plot.height !== height)) plot.setSize({ width, height });
    }
  }
}

/** At least 2 °C high, so that a sensor's noise does not look like an excursion. */
function padded(low, high) {
  if (low === null || high === null) return [0, 10];
  const middle = (low + high) / 2;
  const half = Math.max(1, (high - low) * 0.6);
  return [middle - half, middle + half];
}
