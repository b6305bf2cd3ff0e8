// @ts-check
/** Bollinger bands of the closes, by their definition: they are not stored, so they are worked out where they are drawn. */

/** @typedef {{length: number, deviations: number}} Bands */

export const UPPER = "band_upper", LOWER = "band_lower";

/** Those of the places [from, to); where a close of their length is not known, there are none. @param {import("./data.js").Columns} columns @param {number} from @param {number} to @param {Bands} bands */
export function band(columns, from, to, { length, deviations }) {
  const { close, [UPPER]: upper, [LOWER]: lower } = columns;
  for (let place = from; place < to; place++) {
    const here = close[place];
    let sum = 0, squares = 0;
    for (let k = place - length + 1; k <= place; k++) {
      const off = close[k] - here;
      sum += off;
      squares += off * off;
    }
    const mean = sum / length, half = deviations * Math.sqrt(Math.max(0, squares / length - mean * mean));
    upper[place] = here + mean + half;
    lower[place] = here + mean - half;
  }
}
