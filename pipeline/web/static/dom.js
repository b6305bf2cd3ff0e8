// @ts-check
/** Makes elements. What is written into them is text, whatever it says: symbols and reasons are foreign. */

/**
 * @typedef {string|number|Node|null|undefined|false} Child
 * @param {string} tag
 * @param {Record<string, any>} [given] attributes; what begins with "on" listens
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {HTMLInputElement} */ (made).value = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  fill(made, ...children);
  return made;
}

/** Put these in, in place of what was there. @template {Element} E @param {E} host @param {...Child} children @returns {E} */
export function fill(host, ...children) {
  host.replaceChildren(...children.filter((one) => one !== null && one !== undefined && one !== false).map((one) => one instanceof Node ? one : document.createTextNode(String(one))));
  return host;
}

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * A table. Each column says what it is called, what stands in it, and how.
 * @template T
 * @param {{name: string, cell: (row: T) => Child, class?: string|((row: T) => string)}[]} columns
 * @param {T[]} rows
 * @param {string} empty what to say where there are none
 * @param {(row: T) => Record<string, any>} [attributes] of a row
 */
export function table(columns, rows, empty, attributes = () => ({})) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const classes = (/** @type {any} */ column, /** @type {any} */ row) => typeof column.class === "function" ? column.class(row) : column.class;
  return h("table", {},
    h("thead", {}, h("tr", {}, ...columns.map((one) => h("th", { scope: "col", class: String(classes(one, rows[0])).includes("text") || one.class === "why" ? "text" : null }, one.name)))),
    h("tbody", {}, ...rows.map((row) => h("tr", attributes(row), ...columns.map((one) => h("td", { class: classes(one, row) }, one.cell(row)))))),
  );
}
