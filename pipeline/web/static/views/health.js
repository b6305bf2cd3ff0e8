// @ts-check
/** Targets with what is measured, processes with their signs of life, flows, and a way to Prefect. */
import { get } from "../api.js";
import { spark } from "../curves.js";
import { fill, h, table } from "../dom.js";
import { amount, moment, span } from "../format.js";

const EVERY = 5_000;

/** @param {HTMLElement} root @param {import("../main.js").App} app */
export function healthView(root, app) {
  let ended = false, timer = 0;
  const page = h("div", { class: "page" });
  root.append(page);

  /** @param {any} found */
  function draw(found) {
    fill(page, h("h1", {}, "Health"),
      h("h2", {}, "Targets"), h("div", { class: "scroll" }, table([
        { name: "what", class: "text strong", cell: (one) => one.name },
        { name: "now", cell: (one) => one.measured === null ? amount(null) : `${amount(one.measured, 2)} ${one.unit}` },
        { name: "target", cell: (one) => one.target },
        { name: lately(found.measured_at), class: "text", cell: (one) => spark(one.history, said(one)) },
        { name: "", class: (one) => one.met === null ? "text" : one.met ? "text good" : "text wrong", cell: (one) => one.met === null ? "not known yet" : one.met ? "OK" : "BREACHED" },
      ], found.targets, "No target is measured yet.")),
      h("h2", {}, "Processes"), h("div", { class: "scroll" }, table([
        { name: "role", class: "text strong", cell: (one) => one.role },
        { name: "exchange", class: "text", cell: (one) => one.exchange ?? "" },
        { name: "where", class: "text", cell: (one) => `${one.host} ${one.pid}` },
        { name: "since, UTC", class: "text", cell: (one) => moment(one.started_at) },
        { name: "heartbeat", class: (one) => one.alive ? "" : "wrong", cell: (one) => `${span(one.heartbeat_age)} ago` },
        { name: "", class: (one) => one.alive ? "text good" : "text wrong", cell: (one) => one.stands_by ? "stands by" : one.alive ? "lives" : "gone" },
      ], found.processes, "No process has been heard of.")),
      h("h2", {}, "Flows, scheduled by Prefect"), h("div", { class: "scroll" }, table([
        { name: "flow", class: "text strong", cell: (one) => one.name },
        { name: "every", cell: (one) => span(one.every_seconds) },
        { name: "last success, UTC", class: "text", cell: (one) => moment(one.completed_at) },
        { name: "", class: (one) => one.overdue ? "text wrong" : "text good", cell: (one) => one.paused ? "paused" : one.overdue ? "OVERDUE" : "OK" },
      ], found.deployments, "No flow is served: `tidemark demo` and `tidemark up` serve them.")),
      h("h2", {}, "Series that are behind"), h("div", { class: "scroll" }, table([
        { name: "series", class: "text strong", cell: (one) => `${one.symbol} ${one.interval}` },
        { name: "behind", class: "wrong", cell: (one) => one.behind === null ? "not stored" : `${one.behind} candles` },
        { name: "last frame", cell: (one) => one.frame_age === null ? "–" : `${span(one.frame_age)} ago` },
      ], found.series.filter((/** @type {any} */ one) => one.behind !== 0 && !one.gone), "All are current.")));
  }

  async function look() {
    try {
      const found = await get("health", app.query);
      if (!ended) draw(found);
      document.documentElement.dataset.ready = "yes";
    } catch (error) {
      app.say(error instanceof Error ? error.message : String(error));
    }
    if (!ended) timer = setTimeout(look, EVERY);
  }

  void look();
  return { end: () => { ended = true; clearTimeout(timer); } };
}

/** @param {number[]} at */
const lately = (at) => at.length > 1 ? `the last ${span((at[at.length - 1] - at[0]) / 1000)}` : "lately";

/** @param {any} one */
function said(one) {
  const known = one.history.filter((/** @type {number|null} */ value) => value !== null);
  return `${one.name}, lately from ${amount(Math.min(...known), 2)} to ${amount(Math.max(...known), 2)} ${one.unit}`;
}
