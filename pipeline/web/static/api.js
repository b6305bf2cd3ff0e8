// @ts-check
/** Questions and orders to the server. A refusal carries the server's own sentence. */

export class Refused extends Error {
  /** @param {number} status @param {string} why */
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

/** @param {string} path @param {Record<string, any>} [query] @returns {string} */
function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `/api/${path}${given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : ""}`;
}

/** @param {string} url @param {RequestInit} [how] @returns {Promise<Response>} */
async function ask(url, how) {
  let answer;
  try {
    answer = await fetch(url, how);
  } catch {
    throw new Refused(0, "the server does not answer");
  }
  if (answer.ok) return answer;
  let why = `the server answers ${answer.status}`;
  try {
    why = (await answer.json()).detail ?? why;
  } catch { /* no JSON: the status must do */ }
  throw new Refused(answer.status, why);
}

/** @param {string} path @param {Record<string, any>} [query] @returns {Promise<any>} */
export const get = async (path, query) => (await ask(address(path, query))).json();

/** @param {"POST"|"PUT"|"DELETE"} method @param {string} path @param {Record<string, any>} query @param {any} body @returns {Promise<any>} */
export const order = async (method, path, query, body) =>
  (await ask(address(path, query), { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();

/**
 * Candles: a head, and a column of doubles for each name.
 * @param {string} symbol @param {string} interval @param {Record<string, any>} query
 * @returns {Promise<{head: {milliseconds: number|null, older: boolean, tick: string|null, count: number, bands: import("./chart/bands.js").Bands|null}, columns: import("./chart/data.js").Columns}>}
 */
export async function candles(symbol, interval, query) {
  const buffer = await (await ask(address(`candles/${encodeURIComponent(symbol)}/${interval}`, query))).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  /** @type {[string, Float64Array][]} */
  const columns = head.columns.map((/** @type {string} */ name, /** @type {number} */ i) => [name, new Float64Array(buffer, 4 + length + i * head.count * 8, head.count)]);
  return { head, columns: Object.fromEntries(columns) };
}
