// @ts-check
/** The list of coins: search, price, change, and how fresh it is. */
import { fill, h } from "../dom.js";
import { ago, amount, decimals, percent, way } from "../format.js";

const STALE = 120_000;

/** @param {import("../main.js").App} app @param {string} symbol the chosen one @param {(symbol: string, stored: string[]) => void} chosen */
export function coinList(app, symbol, chosen) {
  /** @type {any[]} */
  let coins = [];
  const input = /** @type {HTMLInputElement} */ (h("input", { type: "search", placeholder: "/ search", "aria-label": "Search a symbol", oninput: draw, onkeydown: enter }));
  const rows = h("div", { class: "scroll" });
  const element = h("section", { class: "list", "aria-label": "Coins" }, input, rows);

  const found = () => coins.filter((one) => one.symbol.includes(input.value.trim().toUpperCase()));

  function draw() {
    const now = Date.now(), shown = found();
    if (!shown.length) {
      fill(rows, h("p", { class: "empty" }, coins.length ? `No symbol contains “${input.value}”.` : "Nothing is watched yet: `tidemark watch BTCUSDT`."));
      return;
    }
    fill(rows, h("table", {}, h("tbody", {}, ...shown.map((one) => h("tr", {
      "aria-selected": String(one.symbol === symbol), class: one.watched && one.at && now - one.at < STALE ? null : "old",
      title: one.watched ? `newest price ${ago(one.at, now)}` : "not watched: its candles are not kept current", onclick: () => chosen(one.symbol, one.stored),
    },
    h("td", { class: "text" }, h("a", { href: "#", onclick: (/** @type {Event} */ event) => event.preventDefault() }, one.symbol)),
    h("td", { class: "strong" }, amount(one.price, decimals(one.tick))),
    h("td", { class: way(one.day_pct) }, percent(one.day_pct)))))));
  }

  /** @param {KeyboardEvent} event */
  function enter(event) {
    const [first] = found();
    if (event.key !== "Escape" && !(event.key === "Enter" && first)) return;
    input.value = "";
    input.blur();
    draw();
    if (event.key === "Enter") chosen(first.symbol, first.stored);
  }

  const end = app.live.on(`coins/${app.place.name}`, (data) => { coins = data; if (!rows.contains(document.activeElement)) draw(); });
  return {
    element, end,
    set: (/** @type {any[]} */ data) => { coins = data; draw(); },
    search: (/** @type {string} */ text) => { input.value = text; input.focus(); draw(); },
  };
}
