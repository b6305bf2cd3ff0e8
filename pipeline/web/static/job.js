// @ts-check
/** Work that the server does in a process of its own: begun, watched, cancelled. */
import { get, order } from "./api.js";
import { h } from "./dom.js";

/**
 * @typedef {{id: string, state: "running"|"done"|"failed"|"cancelled", what: string, done: number, whole: number, run: string|null, why: string|null}} Job
 */

const LOOK_EVERY = 400;

/**
 * A bar of buttons for one kind of it. `unit`: what is counted.
 * @param {import("./main.js").App} app @param {string} path @param {string} unit @param {string} name of the button @param {() => boolean} ended
 */
export function jobBar(app, path, unit, name, ended) {
  const said = h("p", { role: "status" }), bar = /** @type {HTMLProgressElement} */ (h("progress", { max: 1, hidden: true, "aria-label": `${unit} done` }));
  const cancel = /** @type {HTMLButtonElement} */ (h("button", { type: "button", hidden: true }, "Cancel"));
  const run = /** @type {HTMLButtonElement} */ (h("button", { "data-orders": true, disabled: app.me.role !== "trade" }, name));

  /** @param {string} text @param {boolean} [wrong] */
  function say(text, wrong = false) {
    said.className = wrong ? "wrong" : "";
    said.textContent = text;
  }

  /** Begin it, and wait for its end; null: it came to none, and that is said. @param {any} wanted @returns {Promise<Job|null>} */
  async function begin(wanted) {
    run.disabled = true;
    say("beginning …");
    try {
      /** @type {Job} */
      let job = await order("POST", path, app.query, wanted);
      cancel.hidden = bar.hidden = false;
      cancel.onclick = () => void order("DELETE", `${path}/${job.id}`, app.query, {}).catch((error) => say(error.message, true));
      while (job.state === "running" && !ended()) {
        bar.max = job.whole || 1;
        bar.value = job.done;
        say(`${job.what}${job.whole ? `: ${job.done} of ${job.whole} ${unit}` : ""}`);
        await new Promise((done) => setTimeout(done, LOOK_EVERY));
        job = await get(`${path}/${job.id}`);
      }
      if (job.why) say(job.why, job.state === "failed");
      return ended() ? null : job;
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), true);
      return null;
    } finally {
      run.disabled = app.me.role !== "trade";
      cancel.hidden = bar.hidden = true;
    }
  }

  return { begin, element: h("div", {}, h("div", { class: "bar" }, run, cancel, bar), said) };
}
