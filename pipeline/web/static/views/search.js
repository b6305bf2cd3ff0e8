// @ts-check
/** Which parameters would have earned? A form from the strategy's own parameters, progress, and what was found by its address. */
import { get, order } from "../api.js";
import { curves } from "../curves.js";
import { fill, h, table } from "../dom.js";
import { amount, moment, percent, UNKNOWN, way } from "../format.js";
import { jobBar } from "../job.js";
import { size, spread } from "../space.js";

/** @typedef {import("../main.js").App} App */

const TRADED = /** @type {[string, string][]} */ ([["stop", "stop, ATR"], ["target", "target, ATR"], ["leverage", "leverage"], ["unit", "unit, %"]]);
const FIGURES = /** @type {[string, string, (value: any) => string][]} */ ([
  ["return", "return_pct", percent], ["drawdown", "max_drawdown_pct", (value) => share(value)], ["Sharpe", "sharpe", (value) => amount(value, 2)],
  ["trades", "trades", (value) => amount(value, 0)], ["profit factor", "profit_factor", (value) => amount(value, 2)],
]);
const OBJECTIVES = ["sharpe", "return_pct", "sortino", "calmar", "profit_factor", "expectancy", "max_drawdown_pct"];
const SAMPLERS = ["random", "qmc", "tpe", "grid"];
const share = (/** @type {number|null} */ value) => value === null || value === undefined ? UNKNOWN : `${amount(value, 2)} %`;
const day = (/** @type {number} */ t) => moment(t).slice(0, 10);
const words = (/** @type {Record<string, any>} */ point) => Object.entries(point).map(([name, value]) => `${name}=${value}`).join(" ");
/** @param {string} word */
const tone = (word) => word === "holds up" ? "good" : word === "fragile" ? "warn" : "wrong";

/** @param {HTMLElement} root @param {App} app @param {string[]} rest */
export function searchView(root, app, rest) {
  let over = false;
  const ended = () => over, page = h("div", { class: "page" });
  root.append(page);
  const shown = rest[0] && rest[0] !== "new" ? result(app, page, rest[0], ended) : list(app, page, rest.slice(1), ended);
  shown.then(() => { document.documentElement.dataset.ready = "yes"; }).catch((error) => { if (!over) fill(page, h("p", { class: "wrong" }, error.message)); });
  return { end: () => { over = true; } };
}

/** @param {App} app @param {HTMLElement} page @param {string[]} given symbol and interval @param {() => boolean} ended */
async function list(app, page, [symbol, interval], ended) {
  const [strategies, coins, searches] = await Promise.all([get("strategies", app.query), get("coins", app.query), get("searches", app.query)]);
  if (ended()) return;
  const symbols = coins.filter((/** @type {any} */ one) => one.stored.includes("1m")).map((/** @type {any} */ one) => one.symbol);
  const lengths = [...new Set(coins.flatMap((/** @type {any} */ one) => one.stored))];
  const choice = (/** @type {string} */ label, /** @type {string} */ name, /** @type {string[]} */ values, /** @type {string|undefined} */ chosen) =>
    h("label", {}, label, h("select", { name }, ...values.map((one) => h("option", { value: one, selected: one === chosen }, one))));
  const number = (/** @type {string} */ label, /** @type {string} */ name, /** @type {string} */ value) => h("label", {}, label, h("input", { name, value, inputmode: "decimal" }));
  const strategy = /** @type {HTMLSelectElement} */ (h("select", { name: "strategy", onchange: () => axes() }, ...strategies.map((/** @type {any} */ one) => h("option", { value: one.name }, one.name))));
  const own = h("div", { class: "fields" }), count = h("p", {}), job = jobBar(app, "searching", "trials", "Search", ended);
  const form = /** @type {HTMLFormElement} */ (h("form", { oninput: counted, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void begin(); } },
    h("div", { class: "fields" }, h("label", {}, "Strategy", strategy), choice("Symbol", "symbol", symbols, symbol), choice("Candles", "interval", lengths, interval ?? "1h"),
      number("Days", "days", "300"), number("Trials", "trials", "200"), choice("Sets", "sampler", SAMPLERS, undefined), number("Seed", "seed", "1"), choice("Best by", "objective", OBJECTIVES, undefined),
      number("Folds", "folds", "6"), number("Sealed, %", "sealed", "15"),
      h("label", { title: "minutes over which a position may be held: what its stop would have done there, nobody can say" }, "Through minutes that are not stored", h("input", { type: "checkbox", name: "through_holes" }))),
    h("h2", {}, "What is searched"), own, count, job.element));
  const known = () => strategies.find((/** @type {any} */ one) => one.name === strategy.value);

  /** A parameter, or how it is traded: searched over values, or as it is. @param {string} name @param {string} label @param {string} values @param {string} usual */
  function axis(name, label, values, usual) {
    const text = /** @type {HTMLInputElement} */ (h("input", { name: `p:${name}`, value: values || usual, "aria-label": label, autocomplete: "off" }));
    const box = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", name: `s:${name}`, checked: Boolean(values), "aria-label": `Search ${label}`, onchange: () => { text.value = box.checked ? values : usual; } }));
    return h("label", { title: usual ? `now: ${usual}` : "now: as in the settings" }, h("span", {}, box, ` ${label}`), text);
  }

  function axes() {
    const one = known();
    if (!one) return;
    fill(own, ...Object.entries(one.parameters).map(([name, value]) => axis(name, name, spread(one.searched[name] ?? []), String(value))),
      ...TRADED.map(([name, label]) => axis(name, label, "", "")));
    counted();
  }

  /** The axes that are chosen, as they are written. @returns {string[]} */
  function space() {
    const fields = new FormData(form);
    return [...fields.keys()].filter((name) => name.startsWith("s:")).map((name) => `${name.slice(2)}=${String(fields.get(`p:${name.slice(2)}`)).trim()}`);
  }

  function counted() {
    const sets = space().reduce((all, one) => all * size(one.slice(one.indexOf("=") + 1)), 1);
    count.textContent = space().length ? `${amount(sets)} sets there are; from each axis FIRST..LAST:STEP, or values with commas` : "Choose what is searched.";
  }

  async function begin() {
    const fields = new FormData(form), one = known();
    /** @type {Record<string, any>} */
    const fixed = {};
    for (const [name, value] of Object.entries(one.parameters)) {
      const text = String(fields.get(`p:${name}`)).trim();
      if (!fields.has(`s:${name}`) && text !== String(value)) fixed[name] = text;
    }
    const found = await job.begin({
      strategy: one.name, symbols: [fields.get("symbol")], interval: fields.get("interval"), parameters: fixed, space: space(), days: Number(fields.get("days")), trials: Number(fields.get("trials")),
      sampler: fields.get("sampler"), seed: Number(fields.get("seed")), objectives: [fields.get("objective")], folds: Number(fields.get("folds")), sealed: Number(fields.get("sealed")) / 100,
      through_holes: fields.get("through_holes") === "on",
    });
    if (found?.run) app.go("search", found.run);
  }

  fill(page, h("h1", {}, "Search"), symbols.length ? form : h("p", { class: "empty" }, "Fills are decided on 1m candles, and none are stored: `tidemark backfill BTCUSDT --interval 1m`."),
    h("h2", {}, "Kept searches"), h("div", { class: "scroll" }, table([
      { name: "search", class: "text", cell: (one) => h("a", { href: app.href("search", one.id) }, one.id) },
      { name: "at (UTC)", class: "text", cell: (one) => moment(one.at) },
      { name: "strategy", class: "text strong", cell: (one) => one.strategy },
      { name: "of", class: "text", cell: (one) => `${one.symbols.join(" ")} ${one.intervals.join(" ")}` },
      { name: "days", class: "text", cell: (one) => `${day(one.start)} to ${day(one.end)}` },
      { name: "tried", cell: (one) => `${amount(one.tried)} of ${amount(one.wanted)}` },
      { name: "verdict", class: (one) => one.word ? `text ${tone(one.word)}` : "text", cell: (one) => one.word ?? "not ended" },
    ], searches, "No search was kept yet.")));
  axes();
}

/** @param {App} app @param {HTMLElement} page @param {string} name @param {() => boolean} ended */
async function result(app, page, name, ended) {
  const found = await get(`searches/${encodeURIComponent(name)}`, app.query);
  if (ended()) return;
  const may = app.me.role === "trade", said = h("p", { role: "status" });
  const lines = [{ name: "best trial, in sample", days: found.days, values: found.equity }];
  if (found.forward) lines.push({ name: "what was chosen, out of sample", days: found.forward.days, values: found.forward.equity });
  const again = () => result(app, page, name, ended);
  fill(page, h("h1", {}, `${found.strategy} on ${found.symbols.join(" ")} ${found.intervals.join(" ")}, ${day(found.start)} to ${day(found.end)}`), h("p", {}, h("a", { href: app.href("search") }, "all searches"), ` · ${found.id}`),
    verdict(found), found.ended ? null : goOn(), curves(lines.filter((line) => line.values.length)),
    h("p", {}, `Searched: ${Object.entries(found.space).map(([axis, values]) => `${axis}=${spread(/** @type {any} */ (values))}`).join(" ")} by ${found.sampler}, seed ${found.seed}, best by ${found.objectives.join(", ")}. ${Object.keys(found.fixed).length ? `Fixed: ${words(found.fixed)}.` : ""}`),
    found.forward ? h("h2", {}, "Out of sample, fold by fold") : null, found.forward ? h("div", { class: "scroll" }, folds(found)) : null,
    found.sealed ? sealed() : null, said,
    h("h2", {}, `Trials, the best first${found.tried > found.trials.length ? `: ${found.trials.length} of ${amount(found.tried)}` : ""}`), h("div", { class: "scroll" }, trials()),
    ...found.notes.map((/** @type {string} */ text) => h("p", {}, text)));

  function goOn() {
    const job = jobBar(app, "searching", "trials", "Go on", ended);
    job.element.querySelector("button")?.addEventListener("click", async () => { if (await job.begin({ resume: found.id })) await again(); });
    return h("section", {}, h("p", { class: "warn" }, `It was interrupted, or runs: ${found.tried} of ${found.wanted} trials are kept.`), job.element);
  }

  function sealed() {
    const one = found.sealed;
    return h("section", {}, h("h2", {}, `Sealed days, ${day(one.start)} to ${day(one.end)}`),
      one.figures ? h("p", {}, `Trial ${one.trial} there: ${FIGURES.map(([label, key, form]) => `${label} ${form(one.figures[key] ?? null)}`).join(", ")}; opened ${moment(one.opened_at)}.`)
        : h("p", {}, "No trial saw them. They open once. ", may && found.ended ? h("button", { type: "button", "data-orders": true, onclick: () => void open() }, "Open them for the best") : null));
  }

  async function open() {
    const given = await app.confirm({ title: "Open the sealed days?", text: "Once, for the best trial: open them when you have decided, not to decide.", button: "Open" });
    if (!given) return;
    await act(() => order("POST", `searches/${encodeURIComponent(name)}/open`, app.query, {}), "opened");
  }

  /** @param {any} one */
  async function adopt(one) {
    const symbol = h("label", {}, "Symbol", h("input", { name: "symbol", value: found.symbols[0], required: true, autocomplete: "off" }));
    const given = await app.confirm({ title: `Adopt trial ${one.number}?`, button: "Adopt", text: `The symbol is traded as it was: ${words(one.parameters)}. The verdict is ${found.word ?? "not known yet"}.`, fields: [symbol, h("label", {}, "Why", h("input", { name: "reason", maxlength: 300 }))] });
    if (!given) return;
    await act(async () => {
      const done = await order("POST", "adopt", app.query, { trial: one.id, symbol: given.get("symbol"), reason: given.get("reason") || null });
      return `${done.symbol}: ${Object.entries(done.changes).map(([key, value]) => `${key} ${value}`).join(", ")}`;
    });
  }

  /** @param {() => Promise<any>} what @param {string} [done] */
  async function act(what, done) {
    said.className = "";
    said.textContent = "…";
    try {
      const told = await what();
      if (done) await again();
      else said.textContent = told;
    } catch (error) {
      said.className = "wrong";
      said.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  function trials() {
    return table([
      { name: "trial", class: "text strong", cell: (one) => one.number },
      { name: "parameters", class: "text", cell: (one) => words(one.parameters) },
      ...FIGURES.map(([label, key, form]) => ({ name: label, class: (/** @type {any} */ one) => key === "return_pct" ? way(one.figures[key]) : "", cell: (/** @type {any} */ one) => form(one.figures[key] ?? null) })),
      { name: "", class: "text", cell: (one) => one.state !== "done" ? `${one.state}: ${one.reason ?? ""}` : may ? h("button", { type: "button", "data-orders": true, "aria-label": `Adopt trial ${one.number}`, onclick: () => void adopt(one) }, "Adopt") : "" },
    ], found.trials, "Nothing was tried yet.");
  }
}

/** @param {any} found */
const verdict = (found) => found.verdict ? h("section", { "aria-label": "Verdict" },
  h("p", {}, h("b", { class: tone(found.verdict.word) }, found.verdict.word)),
  h("ul", {}, ...found.verdict.because.map((/** @type {string} */ text) => h("li", {}, text))),
  found.verdict.would_change.length ? h("p", {}, `What would change it: ${found.verdict.would_change.join("; ")}.`) : null) : null;

/** @param {any} found */
const folds = (found) => table([
  { name: "chosen on", class: "text", cell: (one) => `${day(one.train[0])} to ${day(one.train[1])}` },
  { name: "trial", cell: (one) => one.chosen },
  { name: "parameters", class: "text", cell: (one) => words(one.point) },
  { name: "return there", class: (one) => way(one.trained.return_pct), cell: (one) => percent(one.trained.return_pct ?? null) },
  { name: "traded on", class: "text", cell: (one) => `${day(one.test[0])} to ${day(one.test[1])}` },
  { name: "return behind", class: (one) => way(one.brought.return_pct), cell: (one) => percent(one.brought.return_pct ?? null) },
  { name: "trades", cell: (one) => amount(one.brought.trades, 0) },
], found.forward.steps, "");
