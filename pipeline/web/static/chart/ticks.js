// @ts-check
/** Round values for scales, and what they say. */

const MINUTE = 60e3, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((k) => k * 1e3),
  ...[1, 2, 5, 10, 15, 30].map((k) => k * MINUTE),
  ...[1, 2, 4, 6, 12].map((k) => k * HOUR),
  ...[1, 2, 7, 14, 30, 91, 365].map((k) => k * DAY),
];

/** Round values between low and high, about `count` of them, and the decimals that tell them apart. @param {number} low @param {number} high @param {number} count @returns {{values: number[], digits: number}} */
export function priceTicks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return { values: [], digits: 2 };
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 2.5, 5, 10].find((k) => k * magnitude >= rough) ?? 10);
  const digits = Math.max(0, Math.min(8, Math.ceil(-Math.log10(step) + 1e-9) + (step / magnitude === 2.5 ? 1 : 0)));
  const values = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) values.push(k * step);
  return { values, digits };
}

/** How far apart marks of time are. @param {number} milliseconds @param {number} count @returns {number} */
export const timeStep = (milliseconds, count) => STEPS.find((step) => milliseconds / step <= count) ?? STEPS[STEPS.length - 1];

/** What a mark says: the day where a day begins, else the time; UTC, as the exchange counts. @param {number} t @param {number} step @returns {string} */
export function timeLabel(t, step) {
  const iso = new Date(t).toISOString();
  if (step >= 91 * DAY) return iso.slice(0, 7);
  if (step >= DAY || t % DAY === 0) return iso.slice(5, 10);
  return step < MINUTE ? iso.slice(11, 19) : iso.slice(11, 16);
}
