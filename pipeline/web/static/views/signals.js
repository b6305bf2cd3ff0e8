// @ts-check
/** All signals: filtered, the newest or the best first, what became of each, and why it was skipped. */
import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { signalsTable } from "./dock.js";

/** @param {HTMLElement} root @param {import("../main.js").App} app @param {string[]} rest */
export function signalsView(root, app, rest) {
  let ended = false;
  const result = h("div", { class: "scroll" }), count = h("span", { role: "status" });
  const form = /** @type {HTMLFormElement} */ (h("form", { class: "bar", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void load(); } },
    h("input", { name: "symbol", placeholder: "symbol", "aria-label": "Symbol", value: rest[0] ?? "", size: 12 }),
    h("input", { name: "interval", placeholder: "interval", "aria-label": "Interval", size: 8 }),
    h("input", { name: "strategy", placeholder: "strategy", "aria-label": "Strategy", size: 14 }),
    h("select", { name: "sort", "aria-label": "Order" }, h("option", { value: "at" }, "newest first"), h("option", { value: "return" }, "best first")),
    h("label", {}, h("input", { type: "checkbox", name: "fresh", value: "true" }), " can be acted on now"),
    h("button", {}, "Show"), count));
  root.append(h("div", { class: "page" }, h("h1", {}, "Signals"), form, result));

  async function load() {
    count.textContent = "asking …";
    try {
      const found = await get("signals", { ...app.query, ...Object.fromEntries(new FormData(form)), limit: 500 });
      if (ended) return;
      count.textContent = `${found.length} shown`;
      fill(result, signalsTable(found, { onchosen: (one) => app.go("chart", one.symbol, one.interval) }));
      document.documentElement.dataset.ready = "yes";
    } catch (error) {
      count.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  void load();
  const newer = () => { count.textContent = "there are newer ones: Show"; };
  const ends = [app.live.on(`signals/${app.place.name}`, newer), app.live.on("again", () => void load())];
  return { end: () => { ended = true; for (const end of ends) end(); } };
}
