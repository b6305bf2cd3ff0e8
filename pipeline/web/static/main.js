// @ts-check
/** The frame around the views: which one is shown, how trading stands, and the button that stops it. */
import { get, order, Refused } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { amount, cents, moment, percent, span, way } from "./format.js";
import { Live } from "./live.js";
import { accountView } from "./views/account.js";
import { backtestView } from "./views/backtest.js";
import { chartView } from "./views/chart.js";
import { explainView } from "./views/explain.js";
import { healthView } from "./views/health.js";
import { monitorsView } from "./views/monitors.js";
import { searchView } from "./views/search.js";
import { signalsView } from "./views/signals.js";

/**
 * @typedef {{name: string, market: string, production: boolean, traded: boolean}} Place
 * @typedef {{role: "read"|"trade", version: string, exchanges: Place[]}} Myself
 * @typedef {{live: Live, me: Myself, place: Place, query: {exchange: string}, go: (view: string, ...rest: string[]) => void, href: (view: string, ...rest: string[]) => string, say: (text: string) => void, confirm: (asked: Asked) => Promise<FormData|null>}} App
 * @typedef {{title: string, text: string, button: string, bad?: boolean, fields?: HTMLElement[]}} Asked
 * @typedef {{end?: () => void}} Shown
 */

/** @type {Record<string, {name: string, key: string, show: (root: HTMLElement, app: App, rest: string[]) => Shown}>} */
const VIEWS = {
  chart: { name: "Chart", key: "c", show: chartView },
  backtest: { name: "Backtest", key: "b", show: backtestView },
  search: { name: "Search", key: "r", show: searchView },
  signals: { name: "Signals", key: "s", show: signalsView },
  account: { name: "Account", key: "a", show: accountView },
  explain: { name: "Explain", key: "e", show: explainView },
  monitors: { name: "Monitors", key: "m", show: monitorsView },
  health: { name: "Health", key: "h", show: healthView },
};
const KEYS = [
  ["/ or a letter", "search a symbol"], ["1 5 h 4 d", "interval, where it is stored"], ["g then c b r s a e m h", "the views"], ["arrows, + −", "move and zoom the chart"],
  ["Home End", "oldest shown, newest"], ["?", "this list"], ["Esc", "close"],
];

/** @type {Myself} */
let me;
try {
  me = await get("me");
} catch (error) {
  fill(byId("main"), h("p", { class: "empty" }, error instanceof Refused ? error.message : String(error)));
  throw error;
}

const live = new Live((state) => connection(state));
/** @type {Shown} */
let shown = {};
/** @type {(() => void)[]} */
let ends = [];
/** @type {any} */
let trading = null;
let database = { up: true, why: null };
/** @type {import("./live.js").State} */
let state = "connecting";
let standing = "", said = "";
/** Since when what is shown has not been known to hold; 0: it does. */
let old = 0;
let theme = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");

/** @returns {{view: string, rest: string[], place: Place}} */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "chart", ...rest] = path.split("/").map(decodeURIComponent);
  const name = new URLSearchParams(query).get("exchange");
  return { view: view in VIEWS ? view : "chart", rest, place: me.exchanges.find((one) => one.name === name) ?? me.exchanges[0] };
}

/** @param {Place} place @param {string} view @param {string[]} rest */
const hash = (place, view, ...rest) => `#/${[view, ...rest].map(encodeURIComponent).join("/")}${place === me.exchanges[0] ? "" : `?exchange=${place.name}`}`;

function show() {
  const { view, rest, place } = address();
  shown.end?.();
  for (const end of ends) end();
  ends = [live.on(`trading/${place.name}`, (data) => stand(data, place)), live.on("database", (data) => { database = data; connection(state); })];
  fill(byId("views"), ...Object.entries(VIEWS).map(([id, one]) => h("a", { href: hash(place, id), "aria-current": id === view ? "page" : null }, one.name)));
  const exchanges = h("select", { "aria-label": "Exchange", onchange: () => { location.hash = hash(me.exchanges[/** @type {HTMLSelectElement} */ (exchanges).selectedIndex], view); } },
    ...me.exchanges.map((one) => h("option", { selected: one === place }, one.name)));
  fill(byId("place"), exchanges, " ", h("span", { class: place.production ? "real" : "paper" }, place.production ? "REAL MONEY" : "paper money"), me.role === "read" ? " · looking only" : "");
  byId("halt").hidden = me.role === "read" || !place.traded;
  byId("worth").textContent = "";
  trading = null;
  document.title = `${VIEWS[view].name}${rest[0] ? ` ${rest.join(" ")}` : ""} – Tidemark`;
  const root = byId("main");
  fill(root);
  root.className = "";
  delete document.documentElement.dataset.ready;
  shown = VIEWS[view].show(root, {
    live, me, place, query: { exchange: place.name }, say, confirm,
    go: (name, ...more) => { location.hash = hash(place, name, ...more); },
    href: (name, ...more) => hash(place, name, ...more),
  }, rest);
}

/** How trading stands: in the head and the foot of every view. @param {any} data @param {Place} place */
function stand(data, place) {
  trading = data;
  const worth = data.worth;
  fill(byId("worth"),
    h("span", {}, `${data.mode} · `),
    worth ? h("b", {}, `${amount(worth.equity, cents(worth.asset))} ${worth.asset} `) : "no account yet ",
    worth ? h("span", { class: way(worth.day_return_pct) }, `${percent(worth.day_return_pct)} today`) : null);
  const button = byId("halt");
  button.textContent = data.halted ? "Resume trading" : "Halt trading";
  button.classList.toggle("bad", !data.halted);
  const lines = [];
  if (data.halted) lines.push(`Halted by ${data.halted.by} since ${moment(data.halted.since)}${data.halted.reason ? `: ${data.halted.reason}` : ""}`);
  for (const one of data.breakers) lines.push(`breaker ${one.name}${one.symbol ? ` ${one.symbol}` : ""}: ${one.reason}`);
  for (const one of data.positions) if (one.unprotected_since && one.ours) lines.push(`${one.symbol} is without a stop since ${moment(one.unprotected_since)}`);
  standing = lines.join(" · ");
  fill(byId("processes"), h("span", { class: data.ingester ? "" : "wrong" }, data.ingester ? "ingester lives" : "no ingester lives"), place.traded ? h("span", { class: data.executor ? "" : "wrong" }, data.executor ? " · executor lives" : " · no executor lives") : null);
  banner();
}

/** Whoever was killed is missed: what it kept true is dimmed, and how old it is stands above. @returns {string[]} */
function away() {
  const { place } = address(), lost = (/** @type {string} */ role) => Boolean(trading && !trading[role] && trading[`${role}_at`]);
  const age = (/** @type {string} */ role) => span((Date.now() - trading[`${role}_at`]) / 1000);
  const ingester = lost("ingester"), executor = place.traded && lost("executor");
  document.body.classList.toggle("no-ingester", ingester);
  document.body.classList.toggle("no-executor", executor);
  return [
    ingester ? `No ingester lives: prices and signals are ${age("ingester")} old.` : "",
    executor ? `No executor lives: account, positions and orders are ${age("executor")} old; what stands at the exchange stands.` : "",
  ];
}

function banner() {
  const lost = state === "lost" ? "The server does not answer, and nothing can be changed. Trying again." : "";
  const silent = state === "lost" || database.up ? "" : `The database does not answer: ${database.why}`;
  const age = old ? `What is shown is ${span((Date.now() - old) / 1000)} old.` : "";
  const text = [lost, silent, age, ...away(), said, standing].filter(Boolean).join(" · ");
  byId("banner").hidden = !text;
  byId("banner").textContent = text;
}

/** @param {string} text */
function say(text) {
  said = text;
  banner();
  if (text) setTimeout(() => { if (said === text) say(""); }, 8000);
}

/** @param {import("./live.js").State} now */
function connection(now) {
  state = now;
  const [dot, word] = [/** @type {HTMLElement} */ (document.querySelector("#pulse .dot")), byId("state")];
  dot.className = `dot ${now === "live" && database.up ? "live" : now === "lost" || !database.up ? "lost" : ""}`;
  word.textContent = now === "live" ? (database.up ? "live" : "no database") : now === "lost" ? "lost, trying again" : "connecting";
  const holds = now !== "lost" && database.up;
  old = holds ? 0 : old || live?.heard || Date.now();
  document.body.classList.toggle("stale", !holds);
  document.documentElement.dataset.connection = now;
  for (const one of document.querySelectorAll("button[data-orders], #halt")) /** @type {HTMLButtonElement} */ (one).disabled = now !== "live";
  banner();
}

/** Ask a person; null: no. @param {Asked} asked @returns {Promise<FormData|null>} */
function confirm(asked) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  const form = /** @type {HTMLFormElement} */ (h("form", { method: "dialog" },
    h("h1", { id: "dialog-title" }, asked.title), h("p", {}, asked.text), ...(asked.fields ?? []),
    h("div", { class: "bar" }, h("button", { type: "button", onclick: () => dialog.close("no") }, "Cancel"), h("button", { value: "yes", class: asked.bad ? "bad" : null, autofocus: !asked.fields }, asked.button))));
  fill(dialog, form);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? new FormData(form) : null);
    }, { once: true });
  });
}

async function haltOrResume() {
  const { place } = address(), halted = Boolean(trading?.halted), held = trading?.positions?.filter((/** @type {any} */ one) => one.ours) ?? [];
  const why = h("label", {}, "Why", h("input", { name: "reason", maxlength: 500 }));
  const flatten = h("label", {}, "Close what is held, too", h("input", { type: "checkbox", name: "flatten" }));
  const name = h("label", {}, `Write ${place.name}`, h("input", { name: "name", autocomplete: "off", required: true }));
  const given = await confirm(halted
    ? { title: "Resume trading?", text: "Fresh signals open positions again.", button: "Resume", fields: place.production ? [name, why] : [why] }
    : { title: "Halt trading?", text: `Nothing is opened any more. ${held.length ? `Stops of ${held.map((/** @type {any} */ one) => one.symbol).join(", ")} stand.` : "Nothing is held."}`, button: "Halt", bad: true, fields: held.length ? [flatten, why] : [why] });
  if (!given) return;
  const button = /** @type {HTMLButtonElement} */ (byId("halt"));
  button.disabled = true;
  button.textContent = halted ? "Resuming …" : "Halting …";
  try {
    const body = { reason: given.get("reason") || null, ...(halted ? { name: given.get("name") } : { flatten: given.get("flatten") === "on" }) };
    const done = await order("POST", halted ? "resume" : "halt", { exchange: place.name }, body);
    stand(done.trading, place);
    say(done.said.join(" · "));
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    if (trading) stand(trading, place);
  } finally {
    button.disabled = state !== "live";
  }
}

function keysHelp() {
  void confirm({ title: "Keys", text: "No key trades.", button: "Close", fields: [h("table", {}, ...KEYS.map(([key, what]) => h("tr", {}, h("td", { class: "text strong" }, key), h("td", { class: "text" }, what))))] });
}

let going = 0;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /** @type {HTMLElement} */ (event.target).closest("input, select, textarea, dialog")) return;
  if (event.key === "?") keysHelp();
  const view = Object.entries(VIEWS).find(([, one]) => one.key === event.key);
  if (Date.now() - going < 1500 && view) {
    going = 0;
    event.stopImmediatePropagation();
    location.hash = hash(address().place, view[0]);
  } else if (event.key === "g") going = Date.now();
});

function paintTheme() {
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("theme"));
}

byId("theme").addEventListener("click", () => {
  theme = theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", theme);
  paintTheme();
});
byId("halt").addEventListener("click", haltOrResume);
addEventListener("hashchange", show);
setInterval(() => {
  if (old || document.body.matches(".no-ingester, .no-executor")) banner();
  byId("clock").textContent = `UTC ${new Date().toISOString().slice(11, 19)}${state === "live" ? "" : ` · heard ${span((Date.now() - live.heard) / 1000)} ago`}`;
}, 1000);
paintTheme();
live.open();
show();
