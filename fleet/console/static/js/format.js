// Values as people read them. Unknown is an en dash, never a number.

const DASH = "–";

export const number = (value, digits = 0, unit = "") =>
  value === null || value === undefined ? DASH : `${value.toFixed(digits)}${unit && `\u202f${unit}`}`;

export const clock = (iso) => (iso ? iso.slice(11, 19) : DASH);

export const words = (name) => (name ? name.replaceAll("_", " ") : DASH);

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 1.95) return "now";
  if (seconds < 120) return `${Math.round(seconds)}\u202fs ago`;
  return `${Math.round(seconds / 60)}\u202fmin ago`;
}

/** "in 4 min", by the controller's own clock. */
export function until(iso, nowMs) {
  if (!iso) return DASH;
  const seconds = (Date.parse(iso) - nowMs) / 1000;
  if (seconds < 0) return "due";
  return seconds < 90 ? `${Math.round(seconds)}\u202fs` : `${Math.round(seconds / 60)}\u202fmin`;
}

const ASKS = { reice: "take a new pack at", return: "return to", alternate: "land at" };

/** What a vehicle asks an operator, "reice midway", as the rest of "it would …"; null if it asks nothing. */
export function asked(view) {
  if (!view?.awaits) return null;
  const [kind, ...site] = view.awaits.split(" ");
  return `${ASKS[kind] ?? words(kind)} ${site.join(" ")}`;
}

// A sign and words beside each colour: colour is never the only difference.
export const VERDICTS = {
  in_range: ["✓", "in range", "good"],
  excursion_allowed: ["△", "excursion allowed", "warn"],
  quarantine: ["⊘", "quarantine", "bad"],
  spoiled: ["✕", "spoiled", "bad"],
  unknown: ["?", "verdict unknown", "warn"],
};

export const LINKS = {
  up: ["●", "link up", "good"],
  stale: ["◐", "link stale", "bad"],
  never: ["○", "not heard yet", "dim"],
};

const STATES = { received: "good", released: "good", in_flight: "live", at_drop: "live", refused: "bad", lost: "bad",
  quarantined: "bad", returned: "warn", cancelled: "dim" };
export const stateTone = (state) => STATES[state] ?? "plain";
