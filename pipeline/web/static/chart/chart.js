// @ts-check
/** The chart: what is shown of a series, and where. `paint.js` draws it, `hands.js` moves it. */
import { moment } from "../format.js";
import { LOWER, UPPER } from "./bands.js";
import { Series } from "./data.js";
import { listen } from "./hands.js";
import { paint } from "./paint.js";

/**
 * @typedef {import("./data.js").Columns} Columns
 * @typedef {{column: string, name: string, colour: string, bars?: boolean}} Line
 * @typedef {{name: string, share: number, lines: Line[], candles?: boolean, range?: [number, number], guides?: number[]}} Pane
 * @typedef {{t: number, side: "long"|"short", text: string, title: string, id: string}} Mark
 * @typedef {{t: number, price: number, side: "BUY"|"SELL", title: string, id: string}} Fill
 * @typedef {{price: number, text: string, colour: string, dashed?: boolean, at?: number}} PriceLine
 * @typedef {{pane: Pane, top: number, height: number, low: number, high: number, digits: number, log: boolean}} Placed
 * @typedef {{older?: (before: number) => void, pointed?: (place: number|null) => void, chosen?: (mark: Mark|Fill) => void}} Told
 */

export const AXIS = 84, FOOT = 22;
const NEWEST_GAP = 4, NARROWEST = 12, USUAL = 160;
const BANDS = "#d55e00";
const THEME = ["ground", "ink", "strong", "faint", "rise", "fall", "cross", "accent"];

export class Chart {
  /** @param {HTMLElement} host @param {Pane[]} panes @param {Told} told */
  constructor(host, panes, told = {}) {
    this.host = host;
    this.panes = panes;
    this.told = told;
    this.canvas = host.appendChild(document.createElement("canvas"));
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    this.series = new Series({ t: new Float64Array() }, 60e3);
    this.digits = 2;
    this.from = 0;
    this.to = USUAL;
    /** @type {Mark[]} */
    this.marks = [];
    /** @type {Fill[]} */
    this.fills = [];
    /** @type {PriceLine[]} */
    this.priceLines = [];
    /** @type {{x: number, y: number}|null} */
    this.pointer = null;
    /** @type {{mark: Mark|Fill, x: number, y: number}[]} */
    this.drawnMarks = [];
    /** The price axis as it was dragged; null: as the candles want it. @type {[number, number]|null} */
    this.span = null;
    this.log = false;
    /** @type {import("./bands.js").Bands|null} */
    this.bands = null;
    /** @type {Placed[]} */
    this.placed = [];
    this.frames = 0;
    this.asked = 0;
    this.width = 0;
    this.height = 0;
    /** @type {Record<string, string>} */
    this.theme = {};
    const stop = new AbortController();
    this.stopped = stop;
    listen(this, stop.signal);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  /** Gives everything back. */
  end() {
    this.stopped.abort();
    this.observer.disconnect();
    cancelAnimationFrame(this.asked);
    this.canvas.remove();
  }

  // ---- data

  /** Everything anew; shows the newest candles. @param {Columns} columns @param {number} interval @param {number} digits of its prices @param {number} [visible] */
  set(columns, interval, digits, visible = USUAL) {
    this.series = new Series(columns, interval);
    this.series.setBands(this.bands);
    this.digits = digits;
    this.span = null;
    this.show(this.series.count - visible, this.series.count + NEWEST_GAP);
  }

  /** Older candles in front; what is seen stays where it is. @param {Columns} older */
  prepend(older) {
    const more = this.series.prepend(older);
    this.from += more;
    this.to += more;
    this.draw();
  }

  /** A candle as it is now. @param {Record<string, number|null>} candle */
  update(candle) {
    this.#grown(() => this.series.put(candle));
  }

  /** Candles that were missed. @param {Columns} columns @param {Set<number>} told of these something newer is known */
  merge(columns, told) {
    this.#grown(() => this.series.merge(columns, told));
  }

  /** Who looks at the newest candle goes on to. @param {() => number} change how many places it adds */
  #grown(change) {
    const sawNewest = this.to > this.series.count - 1, more = change();
    if (more && sawNewest) this.show(this.from + more, this.to + more);
    this.draw();
  }

  /** @param {Mark[]} marks in order of time */
  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  /** @param {Fill[]} fills in order of time */
  setFills(fills) {
    this.fills = fills;
    this.draw();
  }

  /** @param {PriceLine[]} lines */
  setPriceLines(lines) {
    this.priceLines = lines;
    this.draw();
  }

  // ---- what is seen

  /** From one place to another, in candles, fractions allowed. @param {number} from @param {number} to */
  show(from, to) {
    const width = Math.max(NARROWEST, to - from);
    this.from = Math.max(-width / 2, Math.min(from, this.series.count - width / 4));
    this.to = this.from + width;
    if (this.from < width && this.series.count) this.told.older?.(this.series.columns.t[0]);
    this.draw();
  }

  /** @param {number} factor above 1: farther away @param {number} [at] 0 to 1: which place stays */
  zoom(factor, at = 1) {
    const width = this.to - this.from, fixed = this.from + at * width;
    this.show(fixed - at * width * factor, fixed + (1 - at) * width * factor);
  }

  /** @param {number} candles */
  pan(candles) {
    this.show(this.from + candles, this.to + candles);
  }

  /** The newest candles, at their own scale. */
  newest() {
    const width = this.to - this.from;
    this.span = null;
    this.show(this.series.count + NEWEST_GAP - width, this.series.count + NEWEST_GAP);
  }

  /** Bring a moment into view. @param {number} t */
  goTo(t) {
    const place = this.series.placeBefore(t), width = this.to - this.from;
    if (place < this.from + width * 0.1 || place > this.to - width * 0.1) this.show(place - width / 2, place + width / 2);
  }

  /** From one moment to another, with room beside them. @param {number} first @param {number} last */
  between(first, last) {
    const from = this.series.placeBefore(first), to = this.series.placeBefore(last), room = Math.max(20, (to - from) / 4);
    this.show(from - room, to + room);
  }

  /** @param {boolean} log */
  setLog(log) {
    this.log = log;
    this.span = null;
    this.draw();
  }

  /** Bollinger bands around the prices; null: none. @param {import("./bands.js").Bands|null} bands */
  setBands(bands) {
    this.bands = bands;
    this.series.setBands(bands);
    const [prices] = this.panes;
    prices.lines = prices.lines.filter((line) => line.column !== UPPER && line.column !== LOWER);
    if (bands) prices.lines.push({ column: UPPER, name: `BB ${bands.length}`, colour: BANDS }, { column: LOWER, name: "to", colour: BANDS });
    this.draw();
  }

  /** Stretch the price axis. @param {number} factor above 1: more is seen */
  stretch(factor) {
    const [at] = this.placed;
    if (!at) return;
    const measure = at.log ? Math.log : Number, back = at.log ? Math.exp : Number;
    const [low, high] = (this.span ?? [at.low, at.high]).map(measure), middle = (low + high) / 2, half = ((high - low) / 2) * factor;
    this.span = [back(middle - half), back(middle + half)];
    this.draw();
  }

  /** Move the border under a pane. @param {number} pane @param {number} pixels */
  moveBorder(pane, pixels) {
    const upper = this.panes[pane], lower = this.panes[pane + 1], by = pixels / this.height;
    const most = upper.share + lower.share - 0.06;
    upper.share = Math.max(0.06, Math.min(most, upper.share + by));
    lower.share = most + 0.06 - upper.share;
    this.draw();
  }

  /** @param {number} place @returns {number} */
  x(place) {
    return ((place + 0.5 - this.from) / (this.to - this.from)) * this.width;
  }

  /** @param {Placed} at @param {number} value @returns {number} */
  y(at, value) {
    const { low, high } = at;
    const share = at.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return at.top + at.height * (1 - share);
  }

  /** @param {Placed} at @param {number} y @returns {number} */
  valueAt(at, y) {
    const share = 1 - (y - at.top) / at.height;
    return at.log ? at.low * (at.high / at.low) ** share : at.low + share * (at.high - at.low);
  }

  /** @param {number} x @returns {number} */
  placeAt(x) {
    return Math.floor(this.from + (x / this.width) * (this.to - this.from));
  }

  /** The mark that is under there. @param {number} x @param {number} y @returns {Mark|Fill|null} */
  markAt(x, y) {
    return this.drawnMarks.find((one) => Math.abs(one.x - x) < 8 && Math.abs(one.y - y) < 10)?.mark ?? null;
  }

  /** What is seen, in words and numbers: for the label that is read aloud, and for tests. */
  describe() {
    const { columns, count } = this.series, { t } = columns, [first, last] = this.#seen();
    return {
      candles: count,
      from: t[first],
      to: t[last],
      oldest: t[0],
      newest: t[count - 1],
      close: columns.close?.[count - 1],
      marks: this.marks.filter((mark) => mark.t >= t[first] && mark.t <= t[last]).length,
      lines: this.priceLines.length,
      panes: this.placed.map(({ pane, low, high, top, height }) => ({ name: pane.name, low, high, top, height })),
      frames: this.frames,
    };
  }

  /** The first and the last place that are seen. @returns {[number, number]} */
  #seen() {
    return [Math.max(0, Math.floor(this.from)), Math.min(this.series.count, Math.ceil(this.to)) - 1];
  }

  /** Where a moment and a price are on the canvas: for tests. @param {number} t @param {number} price */
  locate(t, price) {
    return { x: this.x(this.series.placeBefore(t)), y: this.y(this.placed[0], price) };
  }

  // ---- drawing

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.paint();
    });
  }

  paint() {
    this.frames++;
    paint(this);
    const { columns: { t, close }, count } = this.series, [first, last] = this.#seen();
    if (count) this.canvas.setAttribute("aria-label", `Chart from ${moment(t[first])} to ${moment(t[last])} UTC, last price ${close?.[count - 1].toFixed(this.digits)}`);
  }

  /** The size of its place has changed, or the colours. */
  resize() {
    const ratio = devicePixelRatio, { clientWidth, clientHeight } = this.host;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.width = Math.max(0, clientWidth - AXIS);
    this.height = Math.max(0, clientHeight - FOOT);
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(this.host);
    this.theme = Object.fromEntries(THEME.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.paint();
  }
}
