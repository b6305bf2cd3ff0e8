// @ts-check
/** Numbers and moments as people read them. What is not known is a dash, never nought. */

export const UNKNOWN = "–";

/** @param {number} t milliseconds @returns {string} UTC */
export const moment = (t) => Number.isFinite(t) ? new Date(t).toISOString().slice(0, 16).replace("T", " ") : UNKNOWN;

/** The decimals of a step: 0.10 has one. @param {string|null|undefined} tick @returns {number} */
export function decimals(tick) {
  const [, after = ""] = String(tick ?? "0.01").split(".");
  return after.replace(/0+$/, "").length;
}

/** With thousands apart. @param {number|string|null|undefined} value @param {number} [digits] @returns {string} */
export function amount(value, digits) {
  const number = typeof value === "string" ? Number(value) : value;
  if (number === null || number === undefined || !Number.isFinite(number)) return UNKNOWN;
  const shown = Math.abs(number).toLocaleString("en-US", { minimumFractionDigits: digits ?? 0, maximumFractionDigits: digits ?? 8 });
  return `${number < 0 && /[1-9]/.test(shown) ? "−" : ""}${shown}`;
}

/** With how many decimals money is written: dollars have cents, and a coin is divided further. @param {string} asset @returns {number} */
export const cents = (asset) => /USD|EUR|DAI/.test(asset) ? 2 : 8;

/** The same of what a symbol earns, which is a coin where coins are the margin. @param {string} symbol @param {string} market @returns {number} */
export const centsOf = (symbol, market) => market === "cm" ? 8 : cents(symbol.slice(-5));

/** With its sign. @param {number|string|null|undefined} value @param {number} [digits] @returns {string} */
export function signed(value, digits = 2) {
  const text = amount(value, digits);
  return Number(value) > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** A change in percent: its sign, and an arrow. @param {number|null|undefined} value @returns {string} */
export function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const text = signed(value);
  return `${text.startsWith("+") ? "▲" : text.startsWith("−") ? "▼" : ""} ${text} %`.trim();
}

/** How long a candle is, to put several in order. @param {string} code @returns {number} minutes, of a month those of its mean */
export const minutesOf = (code) => parseInt(code, 10) * /** @type {Record<string, number>} */ ({ m: 1, h: 60, d: 1440, w: 10080, M: 43829 })[code.slice(-1)];

/** The class of a change. @param {number|string|null|undefined} value @returns {string} */
export const way = (value) => Number(value) > 0 ? "up" : Number(value) < 0 ? "down" : "";

/** Who changed it last, and why. @param {{changed_at: number|null, changed_by: string|null, changed_why: string|null}} one @returns {string} */
export const changed = (one) => one.changed_at === null ? "" : `; changed ${moment(one.changed_at)} by ${one.changed_by}${one.changed_why ? `: ${one.changed_why}` : ""}`;

/** How long ago. @param {number|null|undefined} t @param {number} [now] @returns {string} */
export function ago(t, now = Date.now()) {
  if (!t) return UNKNOWN;
  return `${span((now - t) / 1000)} ago`;
}

/** @param {number|null|undefined} seconds @returns {string} */
export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}
