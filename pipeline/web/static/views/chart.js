// @ts-check
/** Coins, the chart of one of them, its settings, and what is held and said of it. */
import { candles, get, Refused } from "../api.js";
import { Chart } from "../chart/chart.js";
import { fill, h } from "../dom.js";
import { amount, centsOf, decimals, moment, signed, UNKNOWN } from "../format.js";
import { coinList } from "./coins.js";
import { dock } from "./dock.js";
import { symbolSettings } from "./settings.js";

/** @typedef {import("../main.js").App} App */

const PAGE = 4_000, FIRST = 2_000, FIRST_PAUSE = 1_000, LAST_PAUSE = 3_600_000, MONTH = 2_629_746_000;
const INTERVALS = /** @type {Record<string, string[]>} */ ({ "1": ["1m"], "5": ["5m", "15m"], h: ["1h"], "4": ["4h"], d: ["1d"] });
const AVERAGES = [["sma7", "SMA 7", "#009e73"], ["sma20", "20", "#cc79a7"], ["sma60", "60", "#8ab4ff"], ["sma120", "120", "#8c8c8c"]];

const panes = () => [
  { name: "price", share: 0.62, candles: true, lines: AVERAGES.map(([column, name, colour]) => ({ column, name, colour })) },
  { name: "RSI", share: 0.16, range: /** @type {[number, number]} */ ([0, 100]), guides: [30, 70], lines: [{ column: "rsi", name: "RSI", colour: "#cc79a7" }] },
  { name: "MACD", share: 0.22, lines: [{ column: "macd_hist", name: "histogram", colour: "#5b6b80", bars: true }, { column: "macd", name: "MACD", colour: "#56b4e9" }, { column: "macd_signal", name: "signal", colour: "#e69f00" }] },
];

/** @param {HTMLElement} root @param {App} app @param {string[]} rest */
export function chartView(root, app, rest) {
  let [symbol = "", interval = "", at = "", run = "", number = ""] = rest;
  /** @type {(() => void)[]} */
  const ends = [];
  const legend = h("div", { class: "legend" }), decided = h("p", { class: "decided" }), plot = h("div", { class: "plot" }), bar = h("div", { class: "bar" });
  const frame = h("div", { class: "trade" });
  root.append(frame);
  const list = coinList(app, symbol, (name, stored) => app.go("chart", name, stored.includes(interval) ? interval : stored.includes("1h") ? "1h" : stored[0] ?? "1h"));
  const settings = h("aside", { "aria-label": "Settings" }), lower = h("section", { class: "dock", "aria-label": "Positions, orders, signals" });
  frame.append(list.element, h("section", { class: "chart", "aria-label": "Chart" }, bar, h("div", {}, legend, decided), plot), settings, lower);
  ends.push(list.end);

  /** @type {string[]} */
  let stored = [];
  let span = /** @type {[number, number]|null} */ (null);
  let loading = false, older = true, tick = /** @type {string|null} */ (null), ended = false;
  const chart = new Chart(plot, panes(), {
    older: async (before) => {
      if (loading || !older || !symbol) return;
      loading = true;
      try {
        await further(before, PAGE);
      } catch (error) {
        app.say(`older candles: ${error instanceof Error ? error.message : error}`);
      } finally {
        loading = false;
      }
    },
    pointed: (place) => { pointed = place; said(); },
    chosen: (mark) => lowerDock?.choose(mark.id),
  });
  let pointed = /** @type {number|null} */ (null);
  /** As the indicator is set. @type {import("../chart/bands.js").Bands|null} */
  let bands = null;
  /** What was filled when fills were asked for. */
  let stands = "";
  /** From when on a candle is missing, and when it is asked for again, after which pause. @type {{t: number, pause: number, again: number}|null} */
  let missed = null;
  /** When the candles open that were told since those that are missing were asked for. @type {Set<number>} */
  const told = new Set();
  const colours = () => chart.resize();
  addEventListener("theme", colours);
  ends.push(() => removeEventListener("theme", colours), () => chart.end());
  /** @type {ReturnType<typeof dock>|null} */
  let lowerDock = null;

  function said() {
    const { columns, count } = chart.series, place = pointed ?? count - 1, digits = decimals(tick);
    if (!count) return;
    const value = (/** @type {string} */ name) => amount(columns[name]?.[place], digits);
    const change = ((columns.close[place] - columns.open[place]) / columns.open[place]) * 100;
    fill(legend,
      ...["open", "high", "low", "close"].map((name) => h("span", {}, `${name[0].toUpperCase()} `, h("b", {}, value(name)))),
      h("span", { class: change >= 0 ? "up" : "down" }, Number.isFinite(change) ? `${change >= 0 ? "▲ +" : "▼ −"}${Math.abs(change).toFixed(2)} %` : UNKNOWN),
      h("span", {}, `V ${amount(columns.volume?.[place], 2)}`));
  }

  function tools() {
    fill(bar,
      h("b", {}, symbol),
      ...stored.map((code) => h("button", { type: "button", "aria-pressed": String(code === interval), onclick: () => app.go("chart", symbol, code) }, code)),
      h("button", { type: "button", "aria-pressed": "false", title: "Logarithmic prices", onclick: (/** @type {Event} */ event) => { chart.setLog(!chart.log); /** @type {HTMLElement} */ (event.currentTarget).setAttribute("aria-pressed", String(chart.log)); } }, "log"),
      h("button", { type: "button", "aria-pressed": String(chart.bands !== null), title: "Bollinger bands", onclick: (/** @type {Event} */ event) => { chart.setBands(chart.bands ? null : bands); /** @type {HTMLElement} */ (event.currentTarget).setAttribute("aria-pressed", String(chart.bands !== null)); } }, "bands"),
      h("button", { type: "button", title: "The chart as a picture", onclick: picture }, "PNG"),
      h("button", { type: "button", title: "The newest candles as a table", onclick: asTable }, "table"),
      h("button", { type: "button", onclick: () => app.go("backtest", "new", symbol, interval) }, "Backtest"));
  }

  function picture() {
    chart.canvas.toBlob((blob) => {
      if (!blob) return;
      const address = URL.createObjectURL(blob);
      h("a", { href: address, download: `${symbol}-${interval}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
  }

  function asTable() {
    const { columns, count } = chart.series, digits = decimals(tick), last = Math.min(count, Math.ceil(chart.to));
    const rows = Array.from({ length: Math.min(200, last) }, (_, k) => last - 1 - k);
    const names = ["open", "high", "low", "close", "volume", "rsi"];
    void app.confirm({ title: `${symbol} ${interval}`, text: "What is shown, newest first, UTC.", button: "Close", fields: [h("div", { class: "plain" }, h("table", {},
      h("tr", {}, h("th", { class: "text" }, "opens"), ...names.map((name) => h("th", {}, name))),
      ...rows.map((place) => h("tr", {}, h("td", { class: "text" }, new Date(chart.series.timeAt(place)).toISOString().slice(0, 16).replace("T", " ")), ...names.map((name) => h("td", {}, amount(columns[name][place], name === "volume" || name === "rsi" ? 2 : digits)))))))] });
  }

  async function load() {
    const began = performance.now(), newest = { limit: new URLSearchParams(location.search).get("limit") ?? FIRST };
    const coming = marks(newest), first = await candles(symbol, interval, { ...app.query, ...newest });
    if (ended) return;
    tick = first.head.tick;
    older = first.head.older;
    bands = first.head.bands;
    chart.set(first.columns, first.head.milliseconds ?? MONTH, decimals(tick));
    said();
    ends.push(app.live.on(`candles/${app.place.name}/${symbol}/${interval}`, heard), app.live.on("again", () => void catchUp()));
    join(await coming);
    await new Promise((done) => requestAnimationFrame(done));
    document.documentElement.dataset.took = String(Math.round(performance.now() - began));
  }

  /** Candles as they are now; where that leaves some out, these are asked for. @param {any[]} changed */
  function heard(changed) {
    const { count } = chart.series, newest = chart.series.timeAt(count - 1);
    for (const one of changed) {
      chart.update(one);
      told.add(one.t);
    }
    said();
    if (chart.series.count - count > 1) missed ??= { t: newest, pause: FIRST_PAUSE, again: 0 };
    if (missed && Date.now() >= missed.again) void catchUp();
  }

  /** Candles and signals that were not told: nothing was heard for a while, or they were stored later. */
  async function catchUp() {
    const newest = chart.series.timeAt(chart.series.count - 1), { t: since, pause } = missed ?? { t: newest, pause: FIRST_PAUSE };
    const limit = Math.min(20 * PAGE, Math.ceil((Math.max(Date.now(), newest) - since) / chart.series.interval) + 3 || FIRST);
    missed = { t: since, pause, again: Infinity };
    told.clear();
    try {
      const coming = marks({ limit }), found = await candles(symbol, interval, { ...app.query, limit });
      if (ended) return;
      chart.merge(found.columns, told);
      said();
      const again = await coming, ids = new Set(again.map((one) => one.id));
      chart.setMarks(chart.marks.filter((one) => !ids.has(one.id)));
      join(again);
    } catch (error) {
      app.say(`candles that were missed: ${error instanceof Error ? error.message : error}`);
    }
    missed = chart.series.isWhole(since) || pause > LAST_PAUSE ? null : { t: since, pause: 2 * pause, again: Date.now() + pause };
  }

  /** Candles before that moment, with their signals; how many. @param {number} before @param {number} limit @returns {Promise<number>} */
  async function further(before, limit) {
    const coming = marks({ before, limit }), more = await candles(symbol, interval, { ...app.query, before, limit });
    if (ended) return 0;
    older = more.head.older;
    chart.prepend(more.columns);
    join(await coming);
    return more.head.count;
  }

  /** Older candles until that moment is among them, and then to it. @param {number} t */
  async function back(t) {
    while (!ended && older && chart.series.columns.t[0] > t && await further(chart.series.columns.t[0], 20 * PAGE));
    chart.goTo(t);
  }

  /** @param {any} one @returns {import("../chart/chart.js").Mark} */
  const mark = ({ id, candle, side, kind, strategy, verdict }) => ({ t: candle, side, id, text: kind === "exit" ? "X" : kind[0].toUpperCase(), title: `${strategy}: ${kind} ${side}, ${verdict}` });

  /** The signals of the candles that are asked for likewise; without them the candles are shown all the same. @param {Record<string, any>} query @returns {Promise<import("../chart/chart.js").Mark[]>} */
  async function marks(query) {
    try {
      const found = await get(`marks/${encodeURIComponent(symbol)}/${interval}`, { ...app.query, ...query });
      return found.map((/** @type {any[]} */ [id, candle, side, kind, strategy, verdict]) => mark({ id, candle, side, kind, strategy, verdict }));
    } catch (error) {
      app.say(`signals on the chart: ${error instanceof Error ? error.message : error}`);
      return [];
    }
  }

  /** Signals beside those that are drawn: what was told of one meanwhile is newer. @param {import("../chart/chart.js").Mark[]} more */
  function join(more) {
    if (ended) return;
    const known = new Set(chart.marks.map((one) => one.id));
    chart.setMarks([...more.filter((one) => !known.has(one.id)), ...chart.marks].sort((a, b) => a.t - b.t));
  }

  /** What is said where nothing is chosen, or where to. @param {any[]} coins */
  function choose(coins) {
    const first = coins.find((one) => one.stored.length);
    if (first) app.go("chart", first.symbol, first.stored.includes("1h") ? "1h" : first.stored[0]);
    else fill(plot, h("p", { class: "empty" }, "No candles are stored yet: `tidemark backfill BTCUSDT` fetches some, `tidemark watch BTCUSDT` keeps them current."));
  }

  /** Everything around the candles. */
  function around() {
    lowerDock = dock(app, lower, symbol, (signal) => chart.goTo(signal.candle));
    ends.push(lowerDock.end, symbolSettings(app, settings, symbol));
    ends.push(app.live.on(`signals/${app.place.name}`, (one) => {
      if (one.symbol !== symbol || one.interval !== interval) return;
      chart.setMarks([...chart.marks.filter((known) => known.id !== one.id), mark(one)].sort((a, b) => a.t - b.t));
    }));
  }

  /** What is held and on its way, or one trade of a backtest, as lines. */
  async function priced() {
    const trade = run ? (await get(`runs/${encodeURIComponent(run)}`, app.query)).trades[Number(number)] : null;
    if (ended) return;
    if (trade) {
      chart.setPriceLines(tradeLines(trade, chart.theme));
      span = [trade.opened_at, trade.closed_at ?? trade.opened_at];
      fill(decided, h("a", { href: app.href("backtest", run) }, "its run"), ` · ${tradeInWords(trade, app.place.market)}`);
    } else ends.push(app.live.on(`trading/${app.place.name}`, standing), app.live.on("again", () => { stands = ""; }));
  }

  /** What is held and on its way; fills are asked for where there are others. @param {any} data */
  function standing(data) {
    chart.setPriceLines(priceLines(data, symbol, chart.theme));
    const now = JSON.stringify([data.filled_at, ...data.orders.map((/** @type {any} */ one) => one.filled)]);
    if (now !== stands) filled().then(() => { stands = now; }, (error) => app.say(`fills: ${error.message}`));
  }

  /** What was bought and sold, at its price. */
  async function filled() {
    const found = await get(`fills/${encodeURIComponent(symbol)}`, app.query);
    if (ended) return;
    chart.setFills(found.map((/** @type {any} */ one) => ({
      t: one.at, price: Number(one.price), side: one.side, id: one.signal ?? one.id,
      title: `${one.leg}: ${one.side === "BUY" ? "bought" : "sold"} ${amount(one.quantity)} at ${amount(one.price)}${Number(one.realized) ? `, realised ${signed(one.realized, centsOf(symbol, app.place.market))}` : ""}`,
    })));
  }

  async function begin() {
    const asked = get("coins", app.query).then((coins) => {
      if (ended) return;
      list.set(coins);
      if (!symbol) return choose(coins);
      stored = coins.find((/** @type {any} */ one) => one.symbol === symbol)?.stored ?? [];
      interval ||= stored.includes("1h") ? "1h" : stored[0] ?? "1h";
      tools();
    });
    if (!symbol || !interval) await asked;
    if (ended || !symbol) return;
    const candles = load();
    around();
    await Promise.all([asked, candles, priced()]);
    if (at) await back(Number(at));
    if (ended) return;
    if (span) chart.between(...span);
    await new Promise((done) => requestAnimationFrame(done));
    document.documentElement.dataset.ready = "yes";
  }

  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /** @type {HTMLElement} */ (event.target).closest("input, select, dialog")) return;
    const length = INTERVALS[event.key]?.find((code) => stored.includes(code));
    if (length && symbol) app.go("chart", symbol, length);
    else if (event.key === "/" || /^[a-z]$/i.test(event.key) && event.key !== "g") {
      list.search(event.key === "/" ? "" : event.key);
      event.preventDefault();
    }
  };
  document.addEventListener("keydown", key);
  ends.push(() => document.removeEventListener("keydown", key));
  begin().catch((error) => {
    if (ended) return;
    fill(legend, h("span", { class: "wrong" }, error instanceof Refused ? error.message : String(error)));
    document.documentElement.dataset.ready = "failed";
  });
  Object.assign(window, { chart });
  return { end: () => { ended = true; for (const end of ends) end(); } };
}

/** Entry, stop, target and open orders of a symbol as lines. @param {any} data @param {string} symbol @param {Record<string, string>} theme */
export function priceLines(data, symbol, theme) {
  /** @type {import("../chart/chart.js").PriceLine[]} */
  const lines = [];
  for (const one of data.positions.filter((/** @type {any} */ held) => held.symbol === symbol)) {
    for (const book of one.books.length > 1 ? one.books : []) {
      lines.push({ price: Number(book.entry_price), text: `${Number(book.quantity) > 0 ? "▲" : "▼"} ${book.strategy} ${book.interval}`, colour: theme.ink });
      if (book.stop_price) lines.push({ price: Number(book.stop_price), text: `stop ${book.strategy}`, colour: theme.fall, dashed: true });
      if (book.take_profit_price) lines.push({ price: Number(book.take_profit_price), text: `target ${book.strategy}`, colour: theme.rise, dashed: true });
    }
    if (one.books.length > 1) continue;
    lines.push({ price: Number(one.entry_price), text: `${Number(one.quantity) > 0 ? "▲ long" : "▼ short"} ${one.quantity.replace("-", "")}${one.ours ? "" : ", not ours"}`, colour: theme.ink });
    if (one.stop_price) lines.push({ price: Number(one.stop_price), text: "stop", colour: theme.fall, dashed: true });
    if (one.take_profit_price) lines.push({ price: Number(one.take_profit_price), text: "target", colour: theme.rise, dashed: true });
  }
  for (const one of data.orders.filter((/** @type {any} */ order) => order.symbol === symbol && order.price)) {
    lines.push({ price: Number(one.price), text: `${one.side.toLowerCase()} ${one.quantity ?? ""}`, colour: theme.cross, dashed: true });
  }
  return lines;
}

/** Where a trade of a backtest began and ended. @param {any} trade @param {Record<string, string>} theme */
function tradeLines(trade, theme) {
  /** @type {import("../chart/chart.js").PriceLine[]} */
  const lines = [{ price: Number(trade.entry_price), text: `${trade.side === "long" ? "▲ long" : "▼ short"} ${trade.quantity}`, colour: theme.ink, at: trade.opened_at }];
  if (trade.exit_price) lines.push({ price: Number(trade.exit_price), text: trade.reason, colour: Number(trade.profit) > 0 ? theme.rise : theme.fall, dashed: true, at: trade.closed_at });
  return lines;
}

const DECIDED = /** @type {Record<string, string>} */ ({
  signal: "a signal ended it", candle: "its minute can have had no other end", gap: "the price opened beyond what waited for it",
  assumption: "stop and target lie in one minute, which does not tell which came first",
});

/** @param {any} trade @param {string} market */
const tradeInWords = (trade, market) => `${trade.side === "long" ? "▲ long" : "▼ short"} ${amount(trade.quantity)} ${moment(trade.opened_at)} at ${amount(trade.entry_price)}`
  + (trade.closed_at ? `, ended ${moment(trade.closed_at)} at ${amount(trade.exit_price)} by ${trade.reason}: ${DECIDED[trade.decided_by] ?? trade.decided_by}` : ", still open")
  + ` · profit ${signed(trade.profit, centsOf(trade.symbol, market))} · ${trade.strategy}, ${trade.interval}`;
