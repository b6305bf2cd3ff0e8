// @ts-check
/** One monitor a symbol: how fresh its series are, and start and stop, all or chosen. What was let go can be taken up again. */
import { get, order, Refused } from "../api.js";
import { fill, h } from "../dom.js";
import { minutesOf, moment, span } from "../format.js";

/** @typedef {{done: string[], failed: Set<string>}} Outcome what was done of several, and why the rest was not */

const EVERY = 2_000, NOT_SO = 422;

/** @param {HTMLElement} root @param {import("../main.js").App} app */
export function monitorsView(root, app) {
  let ended = false, timer = 0, trading = /** @type {any} */ (null), health = /** @type {any} */ (null), coins = /** @type {any[]} */ ([]);
  const may = app.me.role === "trade";
  /** @type {Set<string>} */
  const chosen = new Set();
  const rows = h("div", { class: "scroll" }), said = h("p", { role: "status" });
  const names = /** @type {HTMLInputElement} */ (h("input", { placeholder: "BTCUSDT ETHUSDT", "aria-label": "Symbols to start" }));
  const intervals = /** @type {HTMLInputElement} */ (h("input", { placeholder: "1m 1h (as in the settings)", "aria-label": "Intervals" }));
  const words = (/** @type {HTMLInputElement} */ input) => input.value.split(/[\s,]+/).filter(Boolean);
  const press = (/** @type {string} */ name, /** @type {() => void} */ act) => h("button", { type: "button", "data-orders": true, onclick: act }, name);
  root.append(h("div", { class: "page" }, h("h1", {}, "Monitors"),
    may ? h("div", { class: "bar" }, names, intervals, press("Start", () => void start(words(names), () => [])),
      press("Start chosen", () => void start([...chosen], stored)), press("Stop chosen", () => void (chosen.size ? stop([...chosen]) : name())),
      press("Start all", () => void start(letGo().map((one) => one.symbol), stored)), press("Stop all", () => void stop([]))) : null, said, rows));

  /** @param {string} symbol @returns {string[]} */
  const stored = (symbol) => coins.find((one) => one.symbol === symbol)?.stored ?? [];

  /** What is stored and not kept current. @returns {any[]} */
  function letGo() {
    const watched = new Set(health?.series.map((/** @type {any} */ one) => one.symbol));
    return health ? coins.filter((one) => one.stored.length && !watched.has(one.symbol)) : [];
  }

  function draw() {
    if (!health) return;
    /** @type {Map<string, any[]>} */
    const symbols = new Map();
    for (const one of health.series.slice().sort((/** @type {any} */ a, /** @type {any} */ b) => minutesOf(a.interval) - minutesOf(b.interval))) symbols.set(one.symbol, [...(symbols.get(one.symbol) ?? []), one]);
    const others = letGo(), focused = rows.contains(document.activeElement) ? document.activeElement?.getAttribute("aria-label") : null;
    for (const one of chosen) if (!symbols.has(one) && !others.some(({ symbol }) => symbol === one)) chosen.delete(one);
    if (!symbols.size && !others.length) {
      fill(rows, h("p", { class: "empty" }, "Nothing is watched: name symbols above and press Start, or `tidemark watch BTCUSDT`."));
      return;
    }
    fill(rows, h("table", {}, h("thead", {}, h("tr", {}, ...["", "symbol", "series", "how they are", "last frame", "last closed, UTC", "stored"].map((name) => h("th", { class: "text" }, name)))),
      h("tbody", {},
        ...[...symbols].sort(([a], [b]) => a < b ? -1 : 1).map(([symbol, series]) => row(symbol, series.map((one) => one.interval),
          series.map((one) => h("span", { class: one.behind === 0 ? "good" : "wrong" }, one.gone ?? (one.behind === null ? "not stored " : one.behind === 0 ? "current " : `${one.behind} behind `))),
          `${span(Math.min(...series.map((one) => one.frame_age ?? Infinity)))} ago`,
          series.map((one) => moment(one.last_closed).slice(5)).join(", "),
          series.map((one) => `${one.stored.toLocaleString("en-US")}${one.holes ? ` (${one.holes} missing)` : ""}`).join(", "))),
        ...others.map((one) => row(one.symbol, one.stored, ["stopped"])))));
    if (focused) /** @type {HTMLElement|null} */ (rows.querySelector(`[aria-label="${CSS.escape(focused)}"]`))?.focus();
  }

  /** @param {string} symbol @param {string[]} codes @param {import("../dom.js").Child[]} how @param {...string} rest */
  const row = (symbol, codes, how, ...rest) => h("tr", {},
    h("td", {}, h("input", { type: "checkbox", "aria-label": `Choose ${symbol}`, checked: chosen.has(symbol), onchange: () => { if (!chosen.delete(symbol)) chosen.add(symbol); } })),
    h("td", { class: "text strong" }, h("a", { href: app.href("chart", symbol, codes[0]) }, symbol)),
    h("td", { class: "text" }, codes.join(" ")), h("td", { class: "text" }, ...how), ...[0, 1, 2].map((k) => h("td", { class: "text" }, rest[k])));

  const name = () => { said.textContent = "Name or choose the symbols."; };

  async function look() {
    try {
      health = await get("health", app.query);
      draw();
      document.documentElement.dataset.ready = "yes";
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
    if (!ended) timer = setTimeout(look, EVERY);
  }

  /** Symbols of the same intervals are started together. @param {string[]} symbols @param {(symbol: string) => string[]} usual intervals of each where none are written */
  async function start(symbols, usual) {
    if (!symbols.length) return name();
    const asked = words(intervals);
    /** @type {Map<string, string[]>} */
    const alike = new Map();
    for (const one of symbols) {
      const codes = (asked.length ? asked : usual(one)).join(" ");
      alike.set(codes, [...(alike.get(codes) ?? []), one]);
    }
    await act("started", [...alike].map(([codes, some]) => () => each("watch", some, { intervals: codes.split(" ").filter(Boolean) })));
  }

  /** @param {string[]} symbols none: all */
  async function stop(symbols) {
    const held = (trading?.positions ?? []).filter((/** @type {any} */ one) => !symbols.length || symbols.includes(one.symbol)).map((/** @type {any} */ one) => one.symbol);
    const given = await app.confirm({
      title: symbols.length ? `Stop ${symbols.join(", ")}?` : "Stop all monitors?", button: "Stop", bad: true,
      text: `Candles and signals of ${symbols.length ? "them" : "everything"} end here; what is stored stays.${held.length ? ` ${held.join(", ")} is held: its stop stands, but no strategy says when to leave.` : ""}`,
    });
    if (given) await act("stopped", [() => each("unwatch", symbols, {})]);
  }

  /** Together, or not at all; where that is refused, in halves, so that the rest is done though some cannot be. @param {string} what @param {string[]} symbols none: all @param {any} more @returns {Promise<Outcome>} */
  async function each(what, symbols, more) {
    try {
      health = await order("POST", what, app.query, { symbols, ...more });
      return { done: symbols.length ? symbols : ["all"], failed: new Set() };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!(error instanceof Refused) || error.status !== NOT_SO || symbols.length < 2) return { done: [], failed: new Set([why]) };
    }
    const half = symbols.length >> 1;
    return joined([await each(what, symbols.slice(0, half), more), await each(what, symbols.slice(half), more)]);
  }

  /** One after the other, and what came of it. @param {string} word @param {(() => Promise<Outcome>)[]} orders */
  async function act(word, orders) {
    said.textContent = "…";
    const found = [];
    for (const one of orders) found.push(await one());
    const { done, failed } = joined(found);
    chosen.clear();
    draw();
    said.textContent = [
      done.length ? `${word} ${done.join(", ")}` : `nothing was ${word}`, ...failed,
      done.length && word === "started" && trading && !trading.ingester ? "no ingester lives, so nothing comes of it until one does" : "",
    ].filter(Boolean).join(" · ");
  }

  void look();
  const ends = [
    app.live.on(`trading/${app.place.name}`, (data) => { trading = data; }),
    app.live.on(`coins/${app.place.name}`, (data) => { coins = data; }),
  ];
  return { end: () => { ended = true; clearTimeout(timer); for (const end of ends) end(); } };
}

/** @param {Outcome[]} outcomes @returns {Outcome} */
const joined = (outcomes) => ({ done: outcomes.flatMap((one) => one.done), failed: new Set(outcomes.flatMap((one) => [...one.failed])) });
