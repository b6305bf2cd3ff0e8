// @ts-check
/** What a search may try, as it is written: `5..60:5`, `macd,both`. */

/** As short as it can be said. @param {(number|string|boolean)[]} values @returns {string} */
export function spread(values) {
  const [first, second] = values, last = values[values.length - 1];
  if (values.length < 3 || !values.every((one) => typeof one === "number")) return values.join(",");
  const step = rounded(Number(second) - Number(first));
  const even = step > 0 && values.every((one, i) => rounded(Number(first) + i * step) === rounded(Number(one)));
  return even ? `${first}..${last}${step === 1 ? "" : `:${step}`}` : values.join(",");
}

/** How many values that names; 0: it cannot be read. @param {string} text @returns {number} */
export function size(text) {
  let found = 0;
  for (const part of text.split(",").map((one) => one.trim())) {
    const range = /^(-?[\d.]+)\.\.(-?[\d.]+)(?::([\d.]+))?$/.exec(part);
    if (!part) return 0;
    found += range ? Math.max(0, Math.floor(rounded((Number(range[2]) - Number(range[1])) / Number(range[3] ?? 1))) + 1) : 1;
  }
  return Number.isFinite(found) ? found : 0;
}

const rounded = (/** @type {number} */ value) => Number(value.toFixed(9));
