// @ts-check
/** Why did these months earn, and those not? Months with what was different about the market, and what trades had in common. */
import { get } from "./api.js";
import { fill, h, table } from "./dom.js";
import { percent, signed, UNKNOWN, way } from "./format.js";

const BY = /** @type {[string, string][]} */ ([["strategy", "strategy"], ["symbol", "symbol"], ["side", "side"], ["hour", "hour, UTC"], ["regime", "market"]]);

/** A button that asks, for it takes the server a while. @param {import("./main.js").App} app @param {string} path what answers once, or once for each asset */
export function whyOf(app, path) {
  const place = h("div", { class: "why-of" });
  let by = "strategy";

  /** @param {any[]} answers */
  function draw(answers) {
    fill(place, ...answers.map((one) => h("section", { "aria-label": `Why, in ${one.asset}` }, answers.length > 1 ? h("h3", {}, one.asset) : null, ...told(one, () => draw(answers)))));
  }

  /** @param {any} found @param {() => void} again */
  function told(found, again) {
    const cells = found.cells.filter((/** @type {any} */ one) => one.by === by);
    const names = [...new Set(cells.map((/** @type {any} */ one) => one.name))].sort();
    /** @type {Map<string, any>} */
    const at = new Map(cells.map((/** @type {any} */ one) => [`${one.month} ${one.name}`, one]));
    return [h("p", {}, `${found.verdict}.`),
      h("div", { class: "scroll" }, table([
        { name: "month", class: "text strong", cell: (one) => one.month },
        { name: "return", class: (one) => way(one.return_pct), cell: (one) => percent(one.return_pct) },
        { name: "nine of ten", cell: between },
        { name: "trades", cell: (one) => one.trades },
        { name: "the market", class: "why", cell: (one) => one.because },
      ], found.months, "No month is known yet.")),
      h("div", { class: "bar" }, "By ", ...BY.map(([id, name]) => h("button", { type: "button", "aria-pressed": String(id === by), onclick: () => { by = id; again(); } }, name))),
      h("div", { class: "scroll" }, table([
        { name: "month", class: "text strong", cell: (one) => one.month },
        ...names.map((name) => ({ name: String(name), class: (/** @type {any} */ one) => way(at.get(`${one.month} ${name}`)?.return_pct), cell: (/** @type {any} */ one) => cell(at.get(`${one.month} ${name}`), found.decimals) })),
      ], names.length ? found.months : [], "No trade has ended.")),
      h("p", {}, "* nine of ten draws of its trades lie on one side of nothing"),
      ...found.notes.map((/** @type {string} */ text) => h("p", { class: "warn" }, text))];
  }

  async function ask() {
    fill(place, h("p", { role: "status" }, "reading …"));
    try {
      draw([await get(path, app.query)].flat());
    } catch (error) {
      fill(place, h("p", { class: "wrong", role: "status" }, error instanceof Error ? error.message : String(error)));
    }
  }

  fill(place, h("button", { type: "button", onclick: () => void ask() }, "Why these months?"));
  return place;
}

/** @param {any} one */
const between = (one) => one.low_pct === null ? "too few" : `${signed(one.low_pct)} to ${signed(one.high_pct)} %`;

/** @param {any} one @param {number} digits of what was earned */
const cell = (one, digits) => one ? h("span", { title: `${one.trades} trades, ${signed(one.profit, digits)}; nine of ten: ${between(one)}` }, `${percent(one.return_pct)}${one.is_clear ? " *" : ""}`) : UNKNOWN;
