// @ts-check
/** One monitor a symbol: how fresh its series are, and start and stop, all or chosen. */
import { get, order } from "../api.js";
import { fill, h } from "../dom.js";
import { minutesOf, moment, span } from "../format.js";

const EVERY = 2_000;

/** @param {HTMLElement} root @param {import("../main.js").App} app */
export function monitorsView(root, app) {
  let ended = false, timer = 0, trading = /** @type {any} */ (null);
  const may = app.me.role === "trade";
  /** @type {Set<string>} */
  const chosen = new Set();
  const rows = h("div", { class: "scroll" }), said = h("p", { role: "status" });
  const names = /** @type {HTMLInputElement} */ (h("input", { placeholder: "BTCUSDT ETHUSDT", "aria-label": "Symbols to start" }));
  const intervals = /** @type {HTMLInputElement} */ (h("input", { placeholder: "1m 1h (as in the settings)", "aria-label": "Intervals" }));
  const words = (/** @type {HTMLInputElement} */ input) => input.value.split(/[\s,]+/).filter(Boolean);
  const press = (/** @type {string} */ name, /** @type {() => void} */ act) => h("button", { type: "button", "data-orders": true, onclick: act }, name);
  root.append(h("div", { class: "page" }, h("h1", {}, "Monitors"),
    may ? h("div", { class: "bar" }, names, intervals, press("Start", () => void start(words(names))), press("Stop chosen", () => void stop([...chosen])), press("Stop all", () => void stop([]))) : null, said, rows));

  /** @param {any} health */
  function draw(health) {
    /** @type {Map<string, any[]>} */
    const symbols = new Map();
    for (const one of health.series.slice().sort((/** @type {any} */ a, /** @type {any} */ b) => minutesOf(a.interval) - minutesOf(b.interval))) symbols.set(one.symbol, [...(symbols.get(one.symbol) ?? []), one]);
    if (!symbols.size) {
      fill(rows, h("p", { class: "empty" }, "Nothing is watched: name symbols above and press Start, or `tidemark watch BTCUSDT`."));
      return;
    }
    fill(rows, h("table", {}, h("thead", {}, h("tr", {}, ...["", "symbol", "series", "how they are", "last frame", "last closed, UTC", "stored"].map((name) => h("th", { class: "text" }, name)))),
      h("tbody", {}, ...[...symbols].sort(([a], [b]) => a < b ? -1 : 1).map(([symbol, series]) => h("tr", {},
        h("td", {}, h("input", { type: "checkbox", "aria-label": `Choose ${symbol}`, checked: chosen.has(symbol), onchange: () => { if (!chosen.delete(symbol)) chosen.add(symbol); } })),
        h("td", { class: "text strong" }, h("a", { href: app.href("chart", symbol, series[0].interval) }, symbol)),
        h("td", { class: "text" }, series.map((one) => one.interval).join(" ")),
        h("td", { class: "text" }, ...series.map((one) => h("span", { class: one.behind === 0 ? "good" : "wrong" }, one.gone ?? (one.behind === null ? "not stored " : one.behind === 0 ? "current " : `${one.behind} behind `)))),
        h("td", { class: "text" }, `${span(Math.min(...series.map((one) => one.frame_age ?? Infinity)))} ago`),
        h("td", { class: "text" }, series.map((one) => moment(one.last_closed).slice(5)).join(", ")),
        h("td", { class: "text" }, series.map((one) => `${one.stored.toLocaleString("en-US")}${one.holes ? ` (${one.holes} missing)` : ""}`).join(", ")))))));
  }

  async function look() {
    try {
      draw(await get("health", app.query));
      document.documentElement.dataset.ready = "yes";
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
    if (!ended) timer = setTimeout(look, EVERY);
  }

  /** @param {string[]} symbols */
  async function start(symbols) {
    if (!symbols.length) { said.textContent = "Name the symbols to start."; return; }
    await act("watch", { symbols, intervals: words(intervals) }, `started ${symbols.join(", ")}`);
  }

  /** @param {string[]} symbols none: all */
  async function stop(symbols) {
    const held = (trading?.positions ?? []).filter((/** @type {any} */ one) => !symbols.length || symbols.includes(one.symbol)).map((/** @type {any} */ one) => one.symbol);
    const given = await app.confirm({
      title: symbols.length ? `Stop ${symbols.join(", ")}?` : "Stop all monitors?", button: "Stop", bad: true,
      text: `Candles and signals of ${symbols.length ? "them" : "everything"} end here; what is stored stays.${held.length ? ` ${held.join(", ")} is held: its stop stands, but no strategy says when to leave.` : ""}`,
    });
    if (given) await act("unwatch", { symbols }, `stopped ${symbols.join(", ") || "all"}`);
  }

  /** @param {string} what @param {any} body @param {string} done */
  async function act(what, body, done) {
    said.textContent = "…";
    try {
      draw(await order("POST", what, app.query, body));
      said.textContent = done;
      chosen.clear();
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  void look();
  const end = app.live.on(`trading/${app.place.name}`, (data) => { trading = data; });
  return { end: () => { ended = true; clearTimeout(timer); end(); } };
}
