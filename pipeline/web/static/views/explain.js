// @ts-check
/** Why live did not earn what a backtest of the same signals says: causes with their costs, each position, and the rest. */
import { get } from "../api.js";
import { fill, h, table } from "../dom.js";
import { cents, moment, signed, way } from "../format.js";

const DAYS = [1, 2, 7, 14, 31];

/** @param {HTMLElement} root @param {import("../main.js").App} app */
export function explainView(root, app) {
  let ended = false;
  const result = h("div"), status = h("span", { role: "status" });
  const days = /** @type {HTMLSelectElement} */ (h("select", { name: "days", "aria-label": "Days" }, ...DAYS.map((one) => h("option", { value: one }, one === 1 ? "the last day" : `the last ${one} days`))));
  const form = /** @type {HTMLFormElement} */ (h("form", { class: "bar", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void load(); } }, days, h("button", {}, "Explain"), status));
  root.append(h("div", { class: "page" }, h("h1", {}, "Explain"), form, result));

  async function load() {
    status.textContent = "the signals are traded once more …";
    try {
      const found = await get("explain", { ...app.query, days: days.value });
      if (ended) return;
      status.textContent = "";
      fill(result, ...(found.length ? found.flatMap(account) : [h("p", { class: "empty" }, "Nothing was traded then, by neither of the two.")]));
    } catch (error) {
      status.textContent = error instanceof Error ? error.message : String(error);
    }
    document.documentElement.dataset.ready = "yes";
  }

  void load();
  return { end: () => { ended = true; } };
}

/** @param {any} found */
function account(found) {
  const money = (/** @type {any} */ value) => signed(value, cents(found.asset));
  return [
    h("p", {}, `${moment(found.start)} to ${moment(found.end)} UTC: live ${money(found.live)} ${found.asset}, the backtest ${money(found.backtest)}; ${found.alike} of ${found.signals} signals had the same verdict. A cost is negative where live lost by it.`),
    h("h2", {}, `Causes, ${found.asset}`), h("div", { class: "scroll" }, table([
      { name: "cause", class: "text strong", cell: (one) => one.cause },
      { name: "money", class: (one) => way(one.money), cell: (one) => money(one.money) },
      { name: "basis points", cell: (one) => signed(one.points) },
      { name: "positions", cell: (one) => one.positions },
      { name: "what it is", class: "text", cell: (one) => one.means },
    ], [...found.causes, rest(found)], "")),
    h("h2", {}, "Positions"), h("div", { class: "scroll" }, table([
      { name: "opened, UTC", class: "text", cell: (one) => moment(one.opened_at) },
      { name: "symbol", class: "text strong", cell: (one) => one.symbol },
      { name: "side", class: "text", cell: (one) => one.side },
      { name: "strategy", class: "text", cell: (one) => `${one.strategy} ${one.interval}` },
      { name: "live", class: (one) => way(one.live), cell: (one) => money(one.live) },
      { name: "backtest", class: (one) => way(one.backtest), cell: (one) => money(one.backtest) },
      { name: "causes, basis points", class: "why", cell: (one) => h("span", { title: one.causes.map((/** @type {any} */ each) => each.words).join("; ") }, one.causes.map((/** @type {any} */ each) => `${each.cause} ${signed(each.points)}`).join(", ") || "none") },
      { name: "rest", class: (one) => Number(one.rest) ? "wrong" : "", cell: (one) => money(one.rest) },
    ], found.trades, "")),
    ...found.notes.map((/** @type {string} */ one) => h("p", { class: "note" }, one)),
  ];
}

/** @param {any} found */
const rest = (found) => ({
  cause: "rest", money: found.rest, points: found.rest_points, means: "nothing explains it",
  positions: found.trades.filter((/** @type {any} */ one) => Number(one.rest)).length,
});
