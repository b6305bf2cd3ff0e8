// @ts-check
/** Lines over time, drawn as SVG: equity curves laid over each other, each as a share of what it began with. */
import { h } from "./dom.js";
import { moment, percent } from "./format.js";

const SVG = "http://www.w3.org/2000/svg", WIDE = 900, TALL = 200, EDGE = 6;
export const COLOURS = ["var(--rise)", "var(--fall)", "var(--good)", "var(--accent)", "var(--warn)"];

/** @param {string} name @param {Record<string, string|number>} given */
function made(name, given) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) one.setAttribute(key, String(value));
  return one;
}

const SMALL = [96, 18];

/** Where a small line goes: its known stretches, each as points. @param {(number|null)[]} values @returns {string[]} */
export function stretches(values) {
  const known = /** @type {number[]} */ (values.filter((one) => one !== null)), low = Math.min(...known), high = Math.max(...known);
  const point = (/** @type {number} */ value, /** @type {number} */ k) =>
    `${((k / Math.max(1, values.length - 1)) * SMALL[0]).toFixed(1)},${(high > low ? 1 + (1 - (value - low) / (high - low)) * (SMALL[1] - 2) : SMALL[1] / 2).toFixed(1)}`;
  /** @type {string[][]} */
  const found = [[]];
  values.forEach((value, k) => value === null ? found.push([]) : found[found.length - 1].push(point(value, k)));
  return found.filter((one) => one.length > 1).map((one) => one.join(" "));
}

/** What something was lately, without an axis. @param {(number|null)[]} values @param {string} said in words @returns {Node|string} */
export function spark(values, said) {
  const lines = stretches(values);
  if (!lines.length) return "";
  const picture = made("svg", { viewBox: `0 0 ${SMALL[0]} ${SMALL[1]}`, width: SMALL[0], height: SMALL[1], role: "img", "aria-label": said });
  for (const points of lines) picture.append(made("polyline", { points, fill: "none", stroke: "var(--accent)" }));
  return picture;
}

/** @param {{name: string, days: number[], values: number[]}[]} lines @returns {HTMLElement} */
export function curves(lines) {
  const drawn = lines.filter((line) => line.values.length > 1).map((line) => ({ ...line, shares: line.values.map((value) => (value / line.values[0] - 1) * 100) }));
  if (!drawn.length) return h("p", {}, "There is a curve from the second day on.");
  const first = Math.min(...drawn.map((line) => line.days[0])), last = Math.max(...drawn.map((line) => line.days[line.days.length - 1]));
  const all = drawn.flatMap((line) => line.shares), low = Math.min(0, ...all), high = Math.max(0, ...all);
  const x = (/** @type {number} */ t) => ((t - first) / (last - first || 1)) * WIDE;
  const y = (/** @type {number} */ share) => EDGE + (1 - (share - low) / (high - low || 1)) * (TALL - 2 * EDGE);
  const said = drawn.map((line) => `${line.name} ${percent(line.shares[line.shares.length - 1])}`).join(", ");
  const picture = made("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, width: "100%", height: TALL, preserveAspectRatio: "none", role: "img", "aria-label": `Equity from ${moment(first)} to ${moment(last)}: ${said}` });
  picture.append(made("line", { x1: 0, x2: WIDE, y1: y(0), y2: y(0), stroke: "currentColor", "stroke-dasharray": "4 4", "vector-effect": "non-scaling-stroke" }));
  drawn.forEach((line, i) => picture.append(made("polyline", { points: line.shares.map((share, k) => `${x(line.days[k]).toFixed(1)},${y(share).toFixed(1)}`).join(" "), fill: "none", stroke: COLOURS[i % COLOURS.length], "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" })));
  return h("figure", { class: "curves" }, picture,
    h("figcaption", {}, `${moment(first).slice(0, 10)} to ${moment(last).slice(0, 10)}, from ${percent(low)} to ${percent(high)}. `,
      ...drawn.map((line, i) => h("span", { class: `line-${i % COLOURS.length}` }, `━ ${line.name} ${percent(line.shares[line.shares.length - 1])}  `))));
}
