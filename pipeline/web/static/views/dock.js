// @ts-check
/** What is held, what is on its way, and what was said of a symbol, or of all. */
import { get } from "../api.js";
import { fill, h, table } from "../dom.js";
import { ago, amount, centsOf, moment, percent, signed, way } from "../format.js";

const SHOWN = 200;

/** @param {import("../main.js").App} app @param {HTMLElement} root @param {string} symbol @param {(signal: any) => void} show a signal on the chart */
export function dock(app, root, symbol, show) {
  let tab = "positions", only = true, trading = /** @type {any} */ ({ positions: [], orders: [] }), chosen = "";
  /** @type {any[]} */
  let signals = [];
  const mine = (/** @type {any} */ one) => !only || one.symbol === symbol;

  function draw() {
    const held = trading.positions.filter(mine), orders = trading.orders.filter(mine);
    const tabs = /** @type {[string, string][]} */ ([["positions", `Positions ${held.length}`], ["orders", `Orders ${orders.length}`], ["signals", "Signals"]]);
    fill(root,
      h("div", { class: "bar" }, ...tabs.map(([id, name]) => h("button", { type: "button", "aria-pressed": String(id === tab), onclick: () => { tab = id; draw(); } }, name)),
        h("label", {}, h("input", { type: "checkbox", checked: only, onchange: () => { only = !only; void load(); } }), ` ${symbol} only`)),
      h("div", { class: tab === "signals" ? "scroll" : "scroll of-executor" }, tab === "positions" ? positionsTable(held, app.place.market) : tab === "orders" ? ordersTable(orders) : signalsTable(signals, { chosen, onchosen: choose })));
  }

  /** @param {any} one */
  function choose(one) {
    chosen = one.id;
    draw();
    show(one);
  }

  async function load() {
    signals = await get("signals", { ...app.query, symbol: only ? symbol : null, limit: SHOWN });
    draw();
  }

  const ends = [
    app.live.on(`trading/${app.place.name}`, (data) => { trading = data; if (tab !== "signals") draw(); }),
    app.live.on(`signals/${app.place.name}`, (one) => {
      if (!mine(one)) return;
      signals = [one, ...signals.filter((known) => known.id !== one.id)].sort((a, b) => b.at - a.at).slice(0, SHOWN);
      if (tab === "signals") draw();
    }),
  ];
  const look = () => void load().catch((error) => app.say(error.message));
  draw();
  look();
  ends.push(app.live.on("again", look));
  return {
    end: () => ends.forEach((end) => end()),
    choose: (/** @type {string} */ id) => { tab = "signals"; chosen = id; draw(); root.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }); },
  };
}

/** @param {any[]} rows @param {string} market */
export const positionsTable = (rows, market) => table([
  { name: "symbol", class: "text strong", cell: (one) => one.symbol },
  { name: "side", class: (one) => Number(one.quantity) > 0 ? "text up" : "text down", cell: (one) => Number(one.quantity) > 0 ? "▲ long" : "▼ short" },
  { name: "size", cell: (one) => amount(one.quantity.replace("-", "")) },
  { name: "entry", cell: (one) => amount(one.entry_price) },
  { name: "mark", cell: (one) => amount(one.mark_price) },
  { name: "unrealised", class: (one) => way(one.unrealized), cell: (one) => signed(one.unrealized, centsOf(one.symbol, market)) },
  { name: "stop", class: (one) => one.stop_price ? "" : "wrong", cell: (one) => one.stop_price ? amount(one.stop_price) : "none" },
  { name: "target", cell: (one) => amount(one.take_profit_price) },
  { name: "liquidation", cell: (one) => amount(one.liquidation_price) },
  { name: "strategy", class: "text", cell: (one) => one.ours ? one.strategy ?? "" : "not ours: left alone" },
  { name: "since", class: "text", cell: (one) => moment(one.opened_at) },
], rows.flatMap(withBooks), "Nothing is held.");

/** What several strategies hold of it is shown below what is held, each with its own stop.
 * @param {any} one */
function withBooks(one) {
  if (one.books.length < 2) return [one];
  const nobodys = { symbol: one.symbol, mark_price: null, unrealized: null, liquidation_price: null, ours: true };
  return [{ ...one, strategy: `${one.books.length} strategies` }, ...one.books.map((/** @type {any} */ each) => ({ ...each, ...nobodys, strategy: `${each.strategy} ${each.interval}` }))];
}

/** @param {any[]} rows */
export const ordersTable = (rows) => table([
  { name: "symbol", class: "text strong", cell: (one) => one.symbol },
  { name: "what", class: "text", cell: (one) => one.leg },
  { name: "side", class: "text", cell: (one) => one.side },
  { name: "type", class: "text", cell: (one) => one.type },
  { name: "quantity", cell: (one) => one.quantity ? amount(one.quantity) : "all" },
  { name: "price", cell: (one) => amount(one.price ?? one.trigger_price) },
  { name: "filled", cell: (one) => amount(one.filled) },
  { name: "state", class: "text", cell: (one) => one.state },
  { name: "since", class: "text", cell: (one) => moment(one.created_at) },
], rows, "No order is open.");

/** @param {any[]} rows @param {{chosen?: string, onchosen?: (one: any) => void}} [told] */
export const signalsTable = (rows, told = {}) => table([
  { name: "at (UTC)", class: "text", cell: (one) => moment(one.at) },
  { name: "symbol", class: "text strong", cell: (one) => told.onchosen ? h("button", { type: "button", onclick: () => told.onchosen?.(one) }, `${one.symbol} ${one.interval}`) : `${one.symbol} ${one.interval}` },
  { name: "strategy", class: "text", cell: (one) => one.strategy },
  { name: "kind", class: "text", cell: (one) => one.kind },
  { name: "side", class: (one) => one.side === "long" ? "text up" : "text down", cell: (one) => one.side === "long" ? "▲ long" : "▼ short" },
  { name: "price", cell: (one) => amount(one.price) },
  { name: "return now", class: (one) => way(one.return_pct), cell: (one) => percent(one.return_pct) },
  { name: "1h", class: (one) => way(one.return_1h), cell: (one) => percent(one.return_1h) },
  { name: "1d", class: (one) => way(one.return_1d), cell: (one) => percent(one.return_1d) },
  { name: "7d", class: (one) => way(one.return_7d), cell: (one) => percent(one.return_7d) },
  { name: "best", cell: (one) => percent(one.best_pct) },
  { name: "worst", cell: (one) => percent(one.worst_pct) },
  { name: "verdict", class: "text", cell: (one) => one.verdict },
  { name: "why", class: "why", cell: (one) => one.reason ?? "" },
], rows, "No signal yet: the strategies speak at the close of a candle.", (one) => ({ "aria-selected": String(one.id === told.chosen), title: `priced ${ago(one.return_at)}` }));
