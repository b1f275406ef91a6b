// Talks to the API: JSON requests and the live stream. EventSource cannot send a token, so the stream is a fetch.

const KEY = "coldwing-token";

export class Unauthorised extends Error {}
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.reasons = problem.reasons ?? [];
  }
}

/** The token of this tab: from the address (#token=…, taken out of it at once) or as entered before. */
export function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    setToken(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}

export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

function headers(more = {}) {
  return { Authorization: `Bearer ${sessionStorage.getItem(KEY)}`, ...more };
}

async function check(response) {
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) throw new Unauthorised(problem.detail || "The token is not known.");
  throw new Problem(response.status, problem);
}

export async function get(path) {
  return (await check(await fetch(path, { headers: headers() }))).json();
}

export async function post(path, body) {
  const init = { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) };
  return (await check(await fetch(path, init))).json();
}

/** Calls onEvent(kind, data) for each event until the stream ends or `signal` aborts. */
export async function stream(path, signal, onEvent) {
  const response = await check(await fetch(path, { headers: headers({ Accept: "text/event-stream" }), signal }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let kind = "message";
      let data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) kind = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) onEvent(kind, JSON.parse(data));
    }
  }
}
