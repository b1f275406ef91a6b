// Starts the console: signs in, follows the live stream, and draws what changed.

import { Problem, Unauthorised, get, post, setToken, stream, token } from "./api.js";
import { ANSWERS, COMMANDS, Detail } from "./detail.js";
import { $, h } from "./dom.js";
import { asked } from "./format.js";
import { FleetMap } from "./map.js";
import * as panels from "./panels.js";
import { clear, receive, state } from "./state.js";

const DRAW_MS = 200;
const SILENT_MS = 10_000; // the server says something every 3 s; after three misses the connection counts as lost
const PRESENT_MS = 5000; // what is proposed waits only while an operator is known to be here
const RETRY_MS = [500, 1000, 2000, 5000];

let map, detail, wish, drawn = 0, dirty = true, streaming = null, present = null;

function select(id) {
  if (!id || !state.vehicles.has(id)) return;
  state.selected = state.selected === id ? null : id;
  draw();
  map.resized();
  if (state.selected) map.show(id);
}

function close() {
  state.selected = null;
  draw();
  map.resized();
}

function draw() {
  dirty = false;
  drawn = performance.now();
  map.vehicles();
  panels.questions(command);
  panels.alarms((id) => {
    state.alarms = state.alarms.filter((alarm) => alarm.id !== id);
    draw();
  });
  panels.vehicles(select);
  panels.orders(select);
  detail.render();
  const flying = [...state.vehicles.values()].filter(({ view }) => view.armed).length;
  const open = [...state.orders.values()].filter((order) => !order.final).length;
  $("counts").textContent = `${flying} of ${state.vehicles.size} flying · ${open} open orders`;
  $("clock").textContent = state.fleetMs ? `${new Date(state.fleetMs).toISOString().slice(11, 19)} UTC` : "";
}

function tick() {
  const silent = state.heardMs === null ? null : performance.now() - state.heardMs;
  if (silent > SILENT_MS && streaming) streaming.abort();
  connection();
  if (dirty || performance.now() - drawn > 1000) draw();
}

function connection() {
  const link = $("link");
  link.className = `chip ${state.connected ? "good" : "bad"}`;
  const text = state.connected ? "● live" : "○ not connected";
  if (link.textContent !== text) link.textContent = text;
  const banner = $("banner");
  banner.hidden = state.connected || state.heardMs === null;
  if (!banner.hidden) {
    const seconds = Math.round((performance.now() - state.heardMs) / 1000);
    banner.textContent = `⚠ Connection lost. What you see is ${seconds} s old. Trying again…`;
  }
  document.body.classList.toggle("lost", !banner.hidden);
}

async function airspace() {
  map.zones(await get("/v1/airspace/zones"));
}

async function follow() {
  for (let failures = 0; wish === follow; failures++) {
    streaming = new AbortController();
    try {
      await stream("/v1/live", streaming.signal, (kind, data) => {
        failures = 0;
        state.connected = true;
        receive(kind, data);
        if (kind === "airspace") airspace().catch(complain);
        dirty = true;
      });
    } catch (error) {
      if (error instanceof Unauthorised || error instanceof Problem) return signIn(error.message);
    }
    state.connected = false;
    dirty = true;
    connection();
    await new Promise((done) => setTimeout(done, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
  }
}

function confirmed(title, text, yes) {
  const dialog = $("confirm");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

async function command(id, name) {
  const [title, meaning] = COMMANDS[name] ?? ANSWERS[name];
  const proposed = () => (name in ANSWERS ? asked(state.vehicles.get(id)?.view) : null);
  const answers = proposed();
  const about = answers ? `: ${id} would ${answers}` : ` ${id}`;
  if (!(await confirmed(`${title}${about}?`, meaning, `${title} ${id}`))) return;
  if (proposed() !== answers) return toast(`⚠ Not sent: ${id} does not propose to ${answers} any more.`, "bad");
  try {
    await post(`/v1/vehicles/${encodeURIComponent(id)}/commands`, { command: name });
    toast(`${title} was sent to ${id}.`);
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  const reasons = error.reasons?.map((reason) => `${reason.text} ${reason.fix}`).join(" ");
  toast(`⚠ ${reasons || error.message}`, "bad");
}

function toast(text, tone = "plain") {
  const note = h("div", { class: `toast ${tone}` }, text);
  $("toasts").append(note);
  setTimeout(() => note.remove(), 8000);
}

function signIn(message = "") {
  wish = signIn;
  streaming?.abort();
  setToken(null);
  clear();
  $("questions").replaceChildren(); // whoever signs in next may have another role
  document.title = "Coldwing console";
  $("main").hidden = true;
  $("sign-out").hidden = true;
  $("who").textContent = $("counts").textContent = $("clock").textContent = "";
  $("link").className = "chip dim";
  $("link").textContent = "signed out";
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = message;
  $("token").focus();
}

async function start() {
  $("sign-in").hidden = true;
  try {
    state.me = await get("/v1/me");
    if (state.me.role === "requester") throw new Problem(403, { detail: "A requester's token shows no fleet. Use a viewer's or an operator's." });
  } catch (error) {
    if (error instanceof Unauthorised || error instanceof Problem) return signIn(error.message);
    $("banner").textContent = "⚠ The controller cannot be reached. Trying again…";
    $("banner").hidden = false;
    return setTimeout(start, 2000);
  }
  $("banner").hidden = true;
  $("who").textContent = `${state.me.name} (${state.me.role})`;
  $("sign-out").hidden = false;
  $("main").hidden = false;
  state.heardMs = null;
  map ??= new FleetMap($("map"), select);
  detail ??= new Detail(command, close);
  map.resized();
  const drawBase = map.hasBase ? null : get("/console/base.geojson").then((base) => map.base(base)).catch(complain);
  map.hasBase = true;
  get("/v1/sites").then((answer) => {
    state.sites = answer.sites;
    map.sites(answer.sites);
  }).catch(complain);
  wish = follow;
  follow();
  present ??= setInterval(() => { if (state.me?.role === "operator") get("/v1/me").catch(() => {}); }, PRESENT_MS);
  return drawBase;
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value.trim());
  $("token").value = "";
  start();
});
$("sign-out").addEventListener("click", () => signIn());
addEventListener("hashchange", () => {
  if (token() && wish !== follow) start();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.selected && !$("confirm").open) close();
});
setInterval(() => wish === follow && map && tick(), DRAW_MS);

if (token()) start();
else signIn();
