// @ts-check
/** A symbol's own trading settings: read, changed, and refused where somebody else was quicker. */
import { get, order, Refused } from "../api.js";
import { fill, h } from "../dom.js";
import { moment } from "../format.js";

const DEFAULT = "default";
const FIELDS = /** @type {[string, string, string][]} */ ([
  ["leverage", "Leverage", "leverage"], ["stop_atr", "Stop, ATR", "stop_atr"], ["take_profit_atr", "Take profit, ATR", "take_profit_atr"],
  ["max_position", "Most notional", "max_position"], ["daily_profit", "Daily profit target, %", "daily_profit_percent"],
]);

/** @param {import("../main.js").App} app @param {HTMLElement} root @param {string} symbol @returns {() => void} */
export function symbolSettings(app, root, symbol) {
  let ended = false, known = /** @type {any} */ (null);
  const may = app.me.role === "trade";

  async function load() {
    const [own, strategies] = await Promise.all([get(`trading/${symbol}`, app.query), get("strategies", app.query)]);
    if (!ended) draw(own, strategies);
  }

  /** @param {any} own @param {any[]} strategies */
  function draw(own, strategies) {
    known = own;
    const names = [DEFAULT, ...strategies.map((one) => one.name)];
    const chosen = own.strategies?.[0] ?? DEFAULT;
    const strategy = h("select", { name: "strategies", disabled: !may }, ...names.map((name) => h("option", { value: name, selected: name === chosen }, name === DEFAULT ? "as in the settings" : name)));
    const form = /** @type {HTMLFormElement} */ (h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void save(form, strategies); } },
      h("label", {}, "Traded", h("input", { type: "checkbox", name: "enabled", checked: own.traded, disabled: !may })),
      h("label", {}, "Strategy", strategy),
      ...FIELDS.map(([name, label, from]) => h("label", {}, label, h("input", { name, value: own[from] ?? "", placeholder: "as in the settings", inputmode: "decimal", autocomplete: "off", disabled: !may }))),
      h("label", {}, "Why", h("input", { name: "reason", maxlength: 500, disabled: !may })),
      h("p", { class: "said", role: "status" }, own.changed_at ? `changed ${moment(own.changed_at)} by ${own.changed_by}${own.changed_why ? `: ${own.changed_why}` : ""}` : "nobody has changed anything yet"),
      may ? h("button", { "data-orders": true }, "Save") : null));
    fill(root, h("h2", {}, `${symbol} settings`), form);
  }

  /** @param {HTMLFormElement} form @param {any[]} strategies */
  async function save(form, strategies) {
    const given = new FormData(form), status = /** @type {HTMLElement} */ (form.querySelector(".said"));
    /** @type {Record<string, any>} */
    const body = { revision: known.revision, reason: given.get("reason") || null };
    for (const [name, , from] of FIELDS) {
      const text = String(given.get(name) ?? "").trim();
      if (text !== (known[from] === null ? "" : String(known[from]))) body[name] = text || DEFAULT;
    }
    const enabled = given.get("enabled") === "on";
    if (enabled !== known.traded) body.enabled = enabled;
    const strategy = String(given.get("strategies"));
    if (strategy !== (known.strategies?.[0] ?? DEFAULT)) body.strategies = [strategy];
    status.className = "said";
    status.textContent = "saving …";
    try {
      draw(await order("PUT", `trading/${symbol}`, app.query, body), strategies);
      const said = /** @type {HTMLElement} */ (root.querySelector(".said"));
      said.textContent = `saved: ${said.textContent}`;
    } catch (error) {
      status.className = "said wrong";
      status.textContent = error instanceof Refused && error.status === 409 ? `${error.message}.` : error instanceof Error ? error.message : String(error);
      if (error instanceof Refused && error.status === 409) status.append(" ", h("button", { type: "button", onclick: () => void load() }, "Show what is there now"));
    }
  }

  load().catch((error) => { if (!ended) fill(root, h("p", { class: "wrong" }, error.message)); });
  return () => { ended = true; };
}
