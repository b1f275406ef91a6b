"use strict";
// Moves everything on the page that has a time: vehicles, their trails, the plots' cursors, the zones, the story.
(() => {
  const run = JSON.parse(document.getElementById("data").textContent);
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const time = find("#time"), clock = find("#clock"), play = find("#play"), speed = find("#speed");
  const rows = all(".story tr[data-t]").map((row) => [Number(row.dataset.t), row]);
  const zones = all("[data-zone]").map((shape) => [run.zones[Number(shape.dataset.zone)], shape]);
  let now = run.end, playing = 0;

  /** Index of the last entry whose first number is not after t; -1 if there is none. */
  function last(entries, t) {
    let low = 0, high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (entries[middle][0] <= t) low = middle + 1; else high = middle;
    }
    return low - 1;
  }
  const step = (entries, t) => entries[last(entries, t)]?.[1] ?? "";

  class Vehicle {
    constructor(name, seen) {
      this.seen = seen;
      this.marker = find(`[data-vehicle="${CSS.escape(name)}"]`);
      this.arrow = this.marker.querySelector("svg");
      this.trail = find(`[data-trail="${CSS.escape(name)}"]`);
      this.cells = find(`[data-now="${CSS.escape(name)}"]`).cells;
      this.points = seen.track.map(([, x, y]) => `${x / 10},${(y * run.aspect) / 10}`);
      this.heading = 0;
    }

    show(t) {
      const track = this.seen.track, i = last(track, t * 10);
      this.marker.hidden = i < 0;
      if (i < 0) return;
      const a = track[i], b = track[Math.min(i + 1, track.length - 1)];
      const share = b[0] > a[0] ? (t * 10 - a[0]) / (b[0] - a[0]) : 0;
      const [, x, y, height, ground] = a.map((from, k) => from + (b[k] - from) * Math.min(1, share));
      if (Math.hypot(b[1] - a[1], b[2] - a[2]) > 2)
        this.heading = (Math.atan2(b[1] - a[1], -(b[2] - a[2]) * run.aspect) * 180) / Math.PI;
      this.marker.style.left = `${x / 100}%`;
      this.marker.style.top = `${y / 100}%`;
      this.arrow.style.transform = `rotate(${this.heading}deg)`;
      this.trail.setAttribute("points", this.points.slice(0, i + 1).join(" "));
      const order = this.seen.orders.find(([since, until]) => since <= t && t <= until);
      const battery = step(this.seen.battery, t);
      const said = [order?.[2] ?? "", step(this.seen.modes, t), `${Math.round(height / 10) || 0} m`,
        `${(ground / 10).toFixed(1)} m/s`, battery === "" ? "" : `${battery} %`];
      said.forEach((text, k) => { this.cells[k + 1].textContent = text; });
    }
  }
  const vehicles = Object.entries(run.vehicles).map(([name, seen]) => new Vehicle(name, seen));

  function show(t) {
    now = Math.max(0, Math.min(run.end, t));
    time.value = now;
    clock.textContent = new Date((run.start + now) * 1000).toISOString().slice(11, 19);
    document.documentElement.style.setProperty("--now", `${(100 * now) / run.end}%`);
    for (const vehicle of vehicles) vehicle.show(now);
    for (const [[since, until], shape] of zones)
      shape.classList.toggle("absent", now < since || (until !== null && now >= until));
    const at = last(rows, now);
    rows.forEach(([, row], i) => {
      row.classList.toggle("later", i > at);
      row.classList.toggle("present", i === at);
    });
  }

  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play");
  }

  function start() {
    if (now >= run.end) show(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
    let before = performance.now();
    const frame = (at) => {
      show(now + ((at - before) / 1000) * Number(speed.value));
      before = at;
      if (now >= run.end) stop(); else playing = requestAnimationFrame(frame);
    };
    playing = requestAnimationFrame(frame);
  }

  play.addEventListener("click", () => (playing ? stop() : start()));
  time.addEventListener("input", () => { stop(); show(Number(time.value)); });
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-t]");
    if (target && !event.target.closest("summary")) { stop(); show(Number(target.dataset.t)); }
    const canvas = event.target.closest(".canvas");
    if (canvas) {
      const box = canvas.getBoundingClientRect();
      stop();
      show((run.end * (event.clientX - box.left)) / box.width);
    }
  });
  find("#every").addEventListener("change", (event) => find(".story").classList.toggle("whole", event.target.checked));
  show(run.end);
})();
