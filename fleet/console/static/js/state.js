// What is known, as received. Views are the API's own JSON; beside them only what a picture needs: when, and history.

const HISTORY = 3000;

export const state = {
  me: null,
  vehicles: new Map(), // id → {view, heardMs, trail: [[lat, lon]], times: [], temps: [], batteries: []}
  orders: new Map(), // id → view
  alarms: [], // {id, at, text, vehicle_id, order_id}
  sites: [],
  selected: null,
  fleetMs: 0, // the controller's clock at
  fleetAtMs: 0, // this moment of performance.now()
  heardMs: null, // last sign of life of the stream
  connected: false,
};

let alarmId = 0;

/** The controller's present, as far as it can be known here: it stands still while the stream is silent. */
export const fleetNow = () => state.fleetMs;

export function receive(kind, data) {
  state.heardMs = performance.now();
  state.fleetMs = Date.parse(data.at);
  if (kind === "vehicle") vehicle(data.vehicle);
  else if (kind === "order") state.orders.set(data.order.order_id, data.order);
  else if (kind === "alarm") state.alarms.unshift({ id: `alarm-${++alarmId}`, at: data.at, ...data.alarm });
}

/** Seconds since a vehicle was heard, counting on while nothing comes. */
export function heardAge(entry) {
  if (entry.view.heard_age_s === null) return null;
  return entry.view.heard_age_s + (performance.now() - entry.heardMs) / 1000;
}

function vehicle(view) {
  let entry = state.vehicles.get(view.vehicle_id);
  if (!entry) {
    entry = { trail: [], times: [], temps: [], batteries: [], tint: state.vehicles.size % 6 };
    state.vehicles.set(view.vehicle_id, entry);
  }
  entry.view = view;
  entry.heardMs = performance.now();
  if (view.lat_deg !== null && view.link === "up") {
    const last = entry.trail.at(-1);
    if (!last || Math.abs(last[0] - view.lat_deg) + Math.abs(last[1] - view.lon_deg) > 2e-5) {
      entry.trail.push([view.lat_deg, view.lon_deg]);
      if (entry.trail.length > HISTORY) entry.trail.shift();
    }
  }
  if (view.link === "up") plotPoint(entry, state.fleetMs / 1000, view.box_temp_c, view.battery_pct);
}

function plotPoint(entry, time, temperature, battery) {
  const lists = [entry.times, entry.temps, entry.batteries];
  const step = entry.times.length ? time - entry.times.at(-1) : Infinity;
  if (step < 0) for (const list of lists) list.length = 0; // another clock: the controller was started anew
  [time, temperature, battery].forEach((value, i) => {
    if (step >= 0 && step < 0.5) lists[i].pop(); // the newest value of each half second is enough
    lists[i].push(value);
    if (lists[i].length > HISTORY) lists[i].shift();
  });
}

export function clear() {
  state.vehicles.clear();
  state.orders.clear();
  state.alarms.length = 0;
  state.selected = null;
}
