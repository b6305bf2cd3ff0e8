// @ts-check
/** Candles in columns of numbers, on a dense grid of time: where none is known there is NaN, so that a place is a time. */
import { band, LOWER, UPPER } from "./bands.js";
import { Extent } from "./extent.js";

/** @typedef {Record<string, Float64Array>} Columns `t` in ms, `open`, `high`, `low`, `close`, `volume`, and indicators */

const ROOM = 1024;

export class Series {
  /** @param {Columns} columns @param {number} interval milliseconds of a candle; of months, those of the mean one */
  constructor(columns, interval) {
    this.interval = interval;
    this.columns = columns;
    this.count = columns.t.length;
    /** @type {Map<string, Extent>} */
    this.extents = new Map();
    /** @type {import("./bands.js").Bands|null} */
    this.bands = null;
  }

  /** Have these bands as columns too; null: none any more. @param {import("./bands.js").Bands|null} bands */
  setBands(bands) {
    this.bands = bands;
    for (const name of [UPPER, LOWER]) {
      delete this.columns[name];
      this.extents.delete(`${name} ${name}`);
      if (bands) this.columns[name] = new Float64Array(this.columns.t.length).fill(NaN);
    }
    if (bands) band(this.columns, 0, this.count, bands);
  }

  /** Older candles in front; how many places that were. @param {Columns} older @returns {number} */
  prepend(older) {
    const known = older.t.length;
    if (!known) return 0;
    const gap = this.count ? Math.max(0, Math.round((this.columns.t[0] - older.t[known - 1]) / this.interval) - 1) : 0;
    const more = known + gap;
    for (const name of Object.keys(this.columns)) {
      const joined = new Float64Array(more + this.count);
      joined.set(older[name] ?? new Float64Array(known).fill(NaN));
      for (let k = 0; k < gap; k++) joined[known + k] = name === "t" ? older.t[known - 1] + (k + 1) * this.interval : NaN;
      joined.set(this.columns[name].subarray(0, this.count), more);
      this.columns[name] = joined;
    }
    this.count += more;
    if (this.bands) band(this.columns, 0, Math.min(this.count, more + this.bands.length - 1), this.bands);
    this.extents.clear();
    return more;
  }

  /** A candle as it is now: one that is known, or a later one. How many places were added. @param {Record<string, number|null>} candle @returns {number} */
  put(candle) {
    const t = /** @type {number} */ (candle.t);
    const before = this.count;
    if (!before || t > this.columns.t[before - 1]) this.#reach(t);
    const place = this.placeOf(t);
    if (place < 0) return 0;
    for (const name of Object.keys(this.columns)) if (name !== "t") this.columns[name][place] = candle[name] ?? NaN;
    const end = this.bands ? Math.min(this.count, place + this.bands.length) : place + 1;
    if (this.bands) band(this.columns, place, end, this.bands);
    for (const extent of this.extents.values()) for (let touched = place; touched < end; touched++) extent.touch(touched);
    return this.count - before;
  }

  /** Candles that were missed, as they are stored, but for those of which something newer was told; how many places were added. @param {Columns} columns @param {Set<number>} told when those open @returns {number} */
  merge(columns, told) {
    const before = this.count;
    columns.t.forEach((t, i) => {
      if (!told.has(t)) this.put(Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[i]])));
    });
    return this.count - before;
  }

  /** Whether every candle from that one on is known. @param {number} t @returns {boolean} */
  isWhole(t) {
    const { close } = this.columns;
    for (let place = Math.max(0, this.placeBefore(t)); place < this.count; place++) if (Number.isNaN(close[place])) return false;
    return true;
  }

  /** Which candle opens then; -1: none. @param {number} t @returns {number} */
  placeOf(t) {
    const place = this.placeBefore(t);
    return place >= 0 && this.columns.t[place] === t ? place : -1;
  }

  /** The candle that a moment falls into; -1: before all. @param {number} t @returns {number} */
  placeBefore(t) {
    const times = this.columns.t, straight = Math.floor((t - times[0]) / this.interval);
    if (times[straight] <= t && t < times[straight + 1] && straight + 1 < this.count) return straight;
    let low = 0, high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= t) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** When the candle of that place opens, also before the first and after the last. @param {number} place @returns {number} */
  timeAt(place) {
    const { t } = this.columns;
    if (!this.count) return NaN;
    if (place < 0) return t[0] + place * this.interval;
    return place < this.count ? t[place] : t[this.count - 1] + (place - this.count + 1) * this.interval;
  }

  /** The lowest and highest of two columns. @param {string} low @param {string} high @returns {Extent} */
  extent(low, high) {
    const key = `${low} ${high}`;
    let extent = this.extents.get(key);
    if (!extent) this.extents.set(key, extent = new Extent(this.columns[low], this.columns[high]));
    return extent;
  }

  /** Places up to that moment. @param {number} t */
  #reach(t) {
    const last = this.count ? this.columns.t[this.count - 1] : t - this.interval;
    const more = Math.max(1, Math.round((t - last) / this.interval));
    const count = this.count + more;
    if (count > this.columns.t.length) this.#grow(count + ROOM);
    for (let k = 1; k <= more; k++) {
      const place = this.count + k - 1;
      for (const name of Object.keys(this.columns)) this.columns[name][place] = NaN;
      this.columns.t[place] = k === more ? t : last + k * this.interval;
    }
    this.count = count;
  }

  /** @param {number} room */
  #grow(room) {
    for (const name of Object.keys(this.columns)) {
      const longer = new Float64Array(room).fill(NaN);
      longer.set(this.columns[name].subarray(0, this.count));
      this.columns[name] = longer;
    }
    this.extents.clear();
  }
}
