// @ts-check
/** The account: what it is worth, day by day and month by month, what is held, and which limits have tripped. */
import { get } from "../api.js";
import { curves } from "../curves.js";
import { fill, h, table } from "../dom.js";
import { amount, cents, changed, moment, percent, signed, UNKNOWN, way } from "../format.js";
import { whyOf } from "../why.js";
import { ordersTable, positionsTable } from "./dock.js";

/** @param {HTMLElement} root @param {import("../main.js").App} app */
export function accountView(root, app) {
  let ended = false;
  const page = h("div", { class: "page" }), open = h("div", { class: "of-executor" }), together = h("div", { class: "of-executor" });
  /** @type {string|null} */
  let held = null;
  root.append(page);

  function cards(/** @type {any} */ worth) {
    const digits = cents(worth.asset);
    /** @type {[string, string, string][]} */
    const shown = [
      [`equity, ${worth.asset}`, amount(worth.equity, digits), ""], ["wallet", amount(worth.wallet, digits), ""], ["available", amount(worth.available, digits), ""],
      ["unrealised", signed(worth.unrealized, digits), way(worth.unrealized)], ["today", percent(worth.day_return_pct), way(worth.day_return_pct)],
      ["this month", percent(worth.month_return_pct), way(worth.month_return_pct)], ["fees today", amount(worth.fees_today, digits), ""], ["funding today", signed(worth.funding_today, digits), way(worth.funding_today)],
    ];
    return h("div", { class: "cards of-executor" }, ...shown.map(([name, value, kind]) => h("div", { class: "card" }, name, h("b", { class: kind }, value))));
  }

  /** In one asset. @param {any} one @param {boolean} several */
  const of = (one, several) => h("section", { "aria-label": `In ${one.asset}` }, several ? h("h2", {}, one.asset) : null,
    ...one.latest ? [cards(one.latest), h("p", {}, `as of ${moment(one.latest.at)} UTC`)] : [],
    h("h2", {}, "Equity at the end of each day"), equity(one.days),
    h("h2", {}, "Days, UTC"), calendar(one.days, cents(one.asset)), h("h2", {}, "Months, UTC"), h("div", { class: "scroll" }, periods(one.months, one.asset)),
    h("h2", {}, "Days as a table"), h("div", { class: "scroll" }, periods(one.days.slice().reverse(), one.asset)));

  async function caps() {
    const found = await get("portfolio", app.query);
    if (!ended) fill(together, ...found.map(capsOf));
  }

  async function load() {
    const [found, allocated] = await Promise.all([get("account", app.query), get("allocation", app.query), caps()]);
    if (ended) return;
    if (!found.some((/** @type {any} */ one) => one.latest)) {
      fill(page, h("h1", {}, "Account"), h("p", { class: "empty" }, "Nobody has looked at the account yet: an executor does (`tidemark execute`), or `tidemark balance`."), open);
    } else {
      fill(page, h("h1", {}, "Account"), ...found.map((/** @type {any} */ one) => of(one, found.length > 1)), whyOf(app, "account/why"), sharesOf(allocated), together, open);
    }
    document.documentElement.dataset.ready = "yes";
  }

  function trading(/** @type {any} */ data) {
    const now = data.positions.map((/** @type {any} */ one) => `${one.symbol} ${one.quantity}`).join();
    if (held !== null && now !== held) caps().catch((error) => app.say(error.message));
    held = now;
    fill(open,
      h("h2", {}, "Positions"), h("div", { class: "scroll" }, positionsTable(data.positions, app.place.market)), h("h2", {}, "Open orders"), h("div", { class: "scroll" }, ordersTable(data.orders)),
      h("h2", {}, "Limits that have tripped"), data.breakers.length ? h("ul", {}, ...data.breakers.map((/** @type {any} */ one) => h("li", { class: "wrong" }, `${one.name} ${one.symbol ?? ""}: ${one.reason} (${moment(one.at)})`))) : h("p", {}, "none"));
  }

  const ends = [app.live.on("again", () => void load().catch((error) => app.say(error.message))), app.live.on(`trading/${app.place.name}`, trading)];
  load().catch((error) => { if (!ended) fill(page, h("p", { class: "wrong" }, error.message)); });
  return { end: () => { ended = true; for (const end of ends) end(); } };
}

/** How the equity is shared out, who said so last, and why. @param {any} found */
const sharesOf = (found) => h("section", { "aria-label": "Shares of the equity" }, h("h2", {}, "Shares of the equity"),
  found.shares ? table([
    { name: "strategy", class: "text strong", cell: (name) => name }, { name: "% of the equity", cell: (name) => found.shares[name] ?? "0" },
    ...found.newest ? [{ name: "by the newest", cell: (/** @type {string} */ name) => found.newest[name] ?? "0" }] : [],
  ], Object.keys({ ...found.shares, ...found.newest }), "") : null,
  h("p", {}, `${found.rule}${changed(found)}`), found.next ? h("p", {}, found.next) : null);

/** What all positions come to together in one asset, beside what they may. @param {any} found */
const capsOf = (found) => h("section", { "aria-label": `All positions together, in ${found.asset}` }, h("h2", {}, `All positions together, in ${found.asset}`),
  h("div", { class: "scroll" }, table([
    { name: "in % of the equity", class: "text strong", cell: (one) => one.counts },
    { name: "now", class: (one) => one.is_over ? "wrong" : "", cell: (one) => amount(one.now, 2) },
    { name: "at most", cell: (one) => amount(one.most) },
    { name: "would refuse", class: "why", cell: (one) => one.refuses },
  ], found.caps.filter((/** @type {any} */ one) => one.most !== null), "No cap is set: [portfolio] in the settings says what all positions may come to together.")),
  found.position ? h("p", {}, `One position is worth at most ${amount(found.position)} %: an order for more is made smaller.`) : null,
  ...found.over.map((/** @type {string} */ one) => h("p", { class: "wrong" }, one)));

/** @param {any[]} rows @param {string} asset */
const periods = (rows, asset) => table([
  { name: "", class: "text strong", cell: (one) => one.name },
  { name: "days known", cell: (one) => one.days },
  { name: `equity, ${asset}`, cell: (one) => amount(one.equity, cents(asset)) },
  { name: "return", class: (one) => way(one.return_pct), cell: (one) => percent(one.return_pct) },
  { name: "realised", class: (one) => way(one.realized), cell: (one) => signed(one.realized, cents(asset)) },
  { name: "fees", cell: (one) => amount(one.fees, cents(asset)) },
  { name: "funding", class: (one) => way(one.funding), cell: (one) => signed(one.funding, cents(asset)) },
  { name: "paid in or out", cell: (one) => signed(one.transfers, cents(asset)) },
], rows, "No day is known yet.");

/** @param {any[]} days @param {number} digits */
const calendar = (days, digits) => days.length ? h("div", { class: "days" }, ...days.slice(-62).map((one) => h("div", { class: way(one.return_pct), title: `${amount(one.equity, digits)}, realised ${signed(one.realized, digits)}` }, one.name.slice(5), h("b", {}, one.return_pct === null ? UNKNOWN : percent(one.return_pct))))) : h("p", {}, "No day is known yet.");

/** @param {any[]} days */
const equity = (days) => curves([{ name: "equity", days: days.map((one) => Date.parse(one.name)), values: days.map((one) => Number(one.equity)) }]);
