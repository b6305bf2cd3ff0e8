// @ts-check
/** Would it have earned? A form from the strategy's own parameters, progress, results by their address, and runs beside each other. */
import { get } from "../api.js";
import { curves } from "../curves.js";
import { fill, h, table } from "../dom.js";
import { amount, changed, moment, percent, signed, UNKNOWN, way } from "../format.js";
import { jobBar } from "../job.js";
import { whyOf } from "../why.js";

/** @typedef {import("../main.js").App} App */

const SHOWN = 500;
const share = (/** @type {number|null} */ value) => value === null ? UNKNOWN : `${amount(value, 2)} %`;
const FIGURES = /** @type {[string, string, (value: any, decimals: number) => string][]} */ ([
  ["return", "return_pct", percent], ["the symbols themselves", "market_return_pct", percent], ["return a year", "yearly_return_pct", percent],
  ["deepest drawdown", "max_drawdown_pct", share], ["Sharpe", "sharpe", (value) => amount(value, 2)], ["Sortino", "sortino", (value) => amount(value, 2)],
  ["trades", "trades", (value) => amount(value, 0)], ["won", "won_pct", share], ["profit factor", "profit_factor", (value) => amount(value, 2)],
  ["a trade brings", "expectancy", signed], ["in the market", "exposure_pct", share], ["fees", "fees", (value, decimals) => signed(value === null ? null : -value, decimals)],
  ["funding", "funding", signed], ["equity at the end", "equity_end", amount], ["signals", "signals", (value) => amount(value, 0)], ["taken", "taken", (value) => amount(value, 0)],
  ["trades that hang on an assumption", "on_an_assumption", (value) => amount(value, 0)],
]);

/** @param {HTMLElement} root @param {App} app @param {string[]} rest */
export function backtestView(root, app, rest) {
  let ended = false;
  const page = h("div", { class: "page" });
  root.append(page);
  const shown = rest[0] && rest[0] !== "new" ? results(app, page, rest[0].split(",")) : list(app, page, rest.slice(1), () => ended);
  shown.then(() => { document.documentElement.dataset.ready = "yes"; }).catch((error) => { if (!ended) fill(page, h("p", { class: "wrong" }, error.message)); });
  return { end: () => { ended = true; } };
}

/** @param {App} app @param {HTMLElement} page @param {string[]} given symbol and interval @param {() => boolean} ended */
async function list(app, page, [symbol, interval], ended) {
  const [strategies, coins, runs, slippage] = await Promise.all(["strategies", "coins", "runs", "slippage"].map((path) => get(path, app.query)));
  if (ended()) return;
  const symbols = coins.filter((/** @type {any} */ one) => one.stored.includes("1m")).map((/** @type {any} */ one) => one.symbol);
  const lengths = [...new Set(coins.flatMap((/** @type {any} */ one) => one.stored))];
  const option = (/** @type {string} */ name, /** @type {string|undefined} */ chosen) => h("option", { value: name, selected: name === chosen }, name);
  const strategy = /** @type {HTMLSelectElement} */ (h("select", { name: "strategy", onchange: () => parameters() }, ...strategies.map((/** @type {any} */ one) => option(one.name, undefined))));
  const own = h("div", { class: "fields" }), job = jobBar(app, "backtests", "days", "Run", ended);
  const form = /** @type {HTMLFormElement} */ (h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void begin(); } },
    h("div", { class: "fields" }, h("label", {}, "Strategy", strategy), h("label", {}, "Symbol", h("select", { name: "symbol" }, ...symbols.map((/** @type {string} */ name) => option(name, symbol)))),
      h("label", {}, "Candles", h("select", { name: "interval" }, ...lengths.map((/** @type {any} */ code) => option(code, interval ?? "1h")))), h("label", {}, "Days", h("input", { name: "days", value: "300", inputmode: "decimal", size: 6 })),
      h("label", {}, "By the executor itself, slower", h("input", { type: "checkbox", name: "exact" })),
      h("label", { title: "also where a position was held over them: what its stop would have done there, nobody can say" }, "Through minutes that are not stored", h("input", { type: "checkbox", name: "through_holes" }))),
    own, h("p", { "aria-label": "Slippage" }, `Assumed: ${slippage.words}${changed(slippage)}.`), job.element));

  function parameters() {
    const one = strategies.find((/** @type {any} */ known) => known.name === strategy.value);
    fill(own, ...Object.entries(one?.parameters ?? {}).map(([name, value]) => h("label", { title: `as shipped: ${one.defaults[name]}` }, name,
      typeof value === "boolean" ? h("input", { type: "checkbox", name: `p:${name}`, checked: value }) : h("input", { name: `p:${name}`, value: String(value), inputmode: "decimal" }))));
  }

  async function begin() {
    const fields = new FormData(form), one = strategies.find((/** @type {any} */ known) => known.name === strategy.value);
    /** @type {Record<string, any>} */
    const changed = {};
    for (const [name, value] of Object.entries(one.parameters)) {
      const text = typeof value === "boolean" ? fields.get(`p:${name}`) === "on" : String(fields.get(`p:${name}`)).trim();
      if (String(text) !== String(value)) changed[name] = text;
    }
    const days = Number(String(fields.get("days")).replace(",", "."));
    const found = await job.begin({ strategies: [strategy.value], symbols: [fields.get("symbol")], intervals: [fields.get("interval")], parameters: changed, days, exact: fields.get("exact") === "on", through_holes: fields.get("through_holes") === "on" });
    if (found?.state === "done" && found.run) app.go("backtest", found.run);
  }

  /** @type {Set<string>} */
  const chosen = new Set();
  const compare = /** @type {HTMLButtonElement} */ (h("button", { type: "button", disabled: true, onclick: () => app.go("backtest", [...chosen].join(",")) }, "Compare chosen"));
  parameters();
  fill(page, h("h1", {}, "Backtest"), symbols.length ? form : h("p", { class: "empty" }, "Fills are decided on 1m candles, and none are stored: `tidemark backfill BTCUSDT --interval 1m`."),
    h("h2", {}, "Kept runs"), h("div", { class: "bar" }, compare),
    h("div", { class: "scroll" }, table([
      { name: "", cell: (one) => h("input", { type: "checkbox", "aria-label": `Choose ${one.id}`, onchange: () => { if (!chosen.delete(one.id)) chosen.add(one.id); compare.disabled = !chosen.size; } }) },
      { name: "run", class: "text", cell: (one) => h("a", { href: app.href("backtest", one.id) }, one.id) },
      { name: "at (UTC)", class: "text", cell: (one) => moment(one.at) },
      { name: "return", class: (one) => way(one.return_pct), cell: (one) => percent(one.return_pct) },
      { name: "drawdown", cell: (one) => share(one.max_drawdown_pct) },
      { name: "Sharpe", cell: (one) => amount(one.sharpe, 2) },
      { name: "trades", cell: (one) => amount(one.ended, 0) },
      { name: "candles", class: "text", cell: (one) => one.stale ? "changed since" : "as then" },
      { name: "of", class: "why", cell: (one) => one.title },
    ], runs, "No backtest was kept yet.")));
}

/** @param {App} app @param {HTMLElement} page @param {string[]} names */
async function results(app, page, names) {
  const found = await Promise.all(names.map((name) => get(`runs/${encodeURIComponent(name)}`, app.query)));
  const [one] = found;
  fill(page, h("h1", {}, found.length > 1 ? `${found.length} runs` : one.title), h("p", {}, h("a", { href: app.href("backtest") }, "all runs")),
    ...found.filter((run) => run.stale).map((run) => h("p", { class: "warn" }, `${run.id} is stale: candles of ${run.changed.join(", ")} changed since. \`tidemark rerun ${run.id}\` runs it again.`)),
    curves(found.map((run) => ({ name: run.id, days: run.days, values: run.equity }))),
    h("div", { class: "scroll" }, found.length > 1 ? compared(found) : readings(one)));
  if (found.length > 1) return;
  page.append(h("h2", {}, "Months, UTC"), months(one), whyOf(app, `runs/${encodeURIComponent(one.id)}/why`), h("h2", {}, `Trades${one.trades.length > SHOWN ? `, the last ${SHOWN} of ${one.trades.length}` : ""}`), h("div", { class: "scroll" }, trades(app, one)),
    h("h2", {}, "What was assumed"), h("table", {}, ...Object.entries(one.assumptions).map(([name, text]) => h("tr", {}, h("td", { class: "text strong" }, name), h("td", { class: "why" }, String(text))))),
    ...one.notes.map((/** @type {string} */ text) => h("p", {}, text)));
}

/** @param {any} run */
const readings = (run) => table([
  { name: "figure", class: "text strong", cell: (row) => row[0] },
  ...run.readings.map((/** @type {any} */ reading) => ({ name: `${reading.inside}`, class: (/** @type {any} */ row) => row[1].endsWith("return_pct") ? way(reading.figures[row[1]]) : "", cell: (/** @type {any} */ row) => row[2](reading.figures[row[1]] ?? null, run.decimals) })),
], FIGURES, "");

/** @param {any[]} runs */
const compared = (runs) => table([
  { name: "figure", class: "text strong", cell: (row) => row[0] },
  ...runs.map((run) => ({ name: run.id, cell: (/** @type {any} */ row) => row[2](run.readings[0].figures[row[1]] ?? null, run.decimals) })),
], FIGURES, "");

/** What each month brought, from the equity at its midnights. @param {any} run */
function months(run) {
  /** @type {Map<string, {first: number, last: number}>} */
  const found = new Map();
  run.days.forEach((/** @type {number} */ t, /** @type {number} */ i) => {
    if (!i) return;
    const name = moment(t - 1).slice(0, 7), known = found.get(name);
    found.set(name, { first: known?.first ?? run.equity[i - 1], last: run.equity[i] });
  });
  return h("div", { class: "days" }, ...[...found].map(([name, { first, last }]) => {
    const share = (last / first - 1) * 100;
    return h("div", { class: way(share) }, name, h("b", {}, percent(share)));
  }));
}

/** @param {App} app @param {any} run */
const trades = (app, run) => table([
  { name: "opened (UTC)", class: "text", cell: (one) => h("button", { type: "button", title: "its minutes", onclick: () => app.go("chart", one.symbol, "1m", String(one.opened_at), run.id, String(run.trades.indexOf(one))) }, moment(one.opened_at)) },
  { name: "closed", class: "text", cell: (one) => moment(one.closed_at) },
  { name: "symbol", class: "text strong", cell: (one) => one.symbol },
  { name: "side", class: (one) => one.side === "long" ? "text up" : "text down", cell: (one) => one.side === "long" ? "▲ long" : "▼ short" },
  { name: "quantity", cell: (one) => amount(one.quantity) },
  { name: "entry", cell: (one) => amount(one.entry_price) },
  { name: "exit", cell: (one) => amount(one.exit_price) },
  { name: "profit", class: (one) => way(one.profit), cell: (one) => signed(one.profit, run.decimals) },
  { name: "fees", cell: (one) => amount(one.fees, run.decimals) },
  { name: "funding", cell: (one) => signed(one.funding, run.decimals) },
  { name: "ended by", class: "text", cell: (one) => one.reason ?? "" },
  { name: "decided by", class: "why", cell: (one) => one.decided_by ?? "" },
], run.trades.slice(-SHOWN).reverse(), "No trade.");
