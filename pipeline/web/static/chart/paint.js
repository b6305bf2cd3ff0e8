// @ts-check
/** Draws a chart. What it draws each frame it reads from columns and their extents: it makes no object a candle. */
import { moment } from "../format.js";
import { AXIS, FOOT } from "./chart.js";
import { priceTicks, timeLabel, timeStep } from "./ticks.js";

/**
 * @typedef {import("./chart.js").Chart} Chart
 * @typedef {import("./chart.js").Placed} Placed
 * @typedef {import("./chart.js").Pane} Pane
 * @typedef {import("./chart.js").Line} Line
 */

const MARGIN = 0.08, TICK_EVERY = 48, TAG = 18, LABELS_UNDER = 150, MARKS_APART = 9, FILLS_APART = 3;

/** @param {Chart} chart */
export function paint(chart) {
  const { pen, theme, width, height } = chart, { count } = chart.series;
  pen.fillStyle = theme.ground;
  pen.fillRect(0, 0, width + AXIS, height + FOOT);
  if (!count || width < 10 || height < 10) return;
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const from = Math.max(0, Math.floor(chart.from)), to = Math.min(count, Math.ceil(chart.to));
  let top = 0;
  chart.placed = chart.panes.map((pane) => {
    const at = place(chart, pane, top, height * pane.share, from, to);
    top += at.height;
    return at;
  });
  times(chart);
  chart.drawnMarks = [];
  for (const at of chart.placed) drawPane(chart, at, from, to);
  tags(chart, chart.placed[0]);
  legends(chart);
  crosshair(chart);
  hovered(chart);
}

/** @param {Chart} chart @param {Pane} pane @param {number} top @param {number} height @param {number} from @param {number} to @returns {Placed} */
function place(chart, pane, top, height, from, to) {
  const [least, most] = pane.range ?? (pane.candles ? chart.span : null) ?? extremes(chart, pane, from, to);
  const log = Boolean(pane.candles && chart.log && least > 0);
  const [low, high] = pane.range || pane.candles && chart.span ? [least, most] : roomy(pane, least, most, log);
  return { pane, top, height, low, high, digits: priceTicks(low, high, height / TICK_EVERY).digits, log };
}

/** The lowest and the highest that is seen of a pane. @param {Chart} chart @param {Pane} pane @param {number} from @param {number} to @returns {[number, number]} */
function extremes({ series }, pane, from, to) {
  let low = Infinity, high = -Infinity;
  for (const line of pane.lines) {
    const extent = series.extent(line.column, line.column);
    extent.scan(from, to);
    low = Math.min(low, extent.least, line.bars ? 0 : Infinity);
    high = Math.max(high, extent.most, line.bars ? 0 : -Infinity);
  }
  if (pane.candles) {
    const extent = series.extent("low", "high");
    extent.scan(from, to);
    low = Math.min(low, extent.least);
    high = Math.max(high, extent.most);
  }
  return low <= high ? [low, high] : [0, 1];
}

/** With room above, and below twice as much where volumes stand. @param {Pane} pane @param {number} low @param {number} high @param {boolean} log @returns {[number, number]} */
function roomy(pane, low, high, log) {
  if (log) {
    const room = Math.max(1.001, (high / low) ** MARGIN);
    return [low / room ** 2, high * room];
  }
  const room = (high - low) * MARGIN || Math.abs(high) * 1e-3 || 1;
  return [pane.candles && low > 0 ? Math.max(low - 2 * room, low / 2) : low - room, high + room];
}

/** @param {Chart} chart @param {Placed} at @param {number} from @param {number} to */
function drawPane(chart, at, from, to) {
  const { pen, width } = chart;
  pen.save();
  pen.beginPath();
  pen.rect(0, at.top, width + AXIS, at.height);
  pen.clip();
  scale(chart, at);
  pen.beginPath();
  pen.rect(0, at.top, width, at.height);
  pen.clip();
  if (at.pane.candles) candles(chart, at, from, to);
  for (const line of at.pane.lines) (line.bars ? bars : curve)(chart, at, line, from, to);
  if (at.pane.candles) {
    marks(chart, at);
    fills(chart, at);
  }
  pen.restore();
}

/** @param {Chart} chart @param {Placed} at */
function scale(chart, at) {
  const { pen, theme, width } = chart;
  for (const value of at.pane.guides ?? priceTicks(at.low, at.high, at.height / TICK_EVERY).values) {
    const y = Math.round(chart.y(at, value)) + 0.5;
    pen.fillStyle = theme.faint;
    pen.fillRect(0, y, width, 1);
    pen.fillStyle = theme.ink;
    if (y > at.top + 6 && y < at.top + at.height - 4) pen.fillText(value.toFixed(at.digits), width + 8, y);
  }
  pen.fillStyle = theme.faint;
  if (at.top) pen.fillRect(0, at.top, width + AXIS, 2);
}

/** @param {Chart} chart */
function times(chart) {
  const { pen, theme, series, width, height } = chart;
  const step = timeStep((chart.to - chart.from) * series.interval, width / 90);
  const first = Math.floor(chart.from), start = series.timeAt(first), end = series.timeAt(Math.ceil(chart.to));
  pen.textAlign = "center";
  for (let t = Math.ceil(start / step) * step; t < end; t += step) {
    const x = Math.round(chart.x(first + (t - start) / series.interval));
    pen.fillStyle = theme.faint;
    pen.fillRect(x, 0, 1, height);
    pen.fillStyle = theme.ink;
    if (x > 20 && x < width - 20) pen.fillText(timeLabel(t, step), x, height + FOOT / 2);
  }
  pen.textAlign = "left";
}

/** Stretches of candles that share a pixel, or single candles. @param {Chart} chart @param {number} from @param {number} to @param {(x: number, wide: number, first: number, end: number) => void} each */
function pixels(chart, from, to, each) {
  const wide = chart.width / (chart.to - chart.from);
  if (wide >= 1) {
    for (let i = from; i < to; i++) each(chart.x(i), wide, i, i + 1);
    return;
  }
  const { count } = chart.series;
  for (let x = 0; x < chart.width; x++) {
    const first = Math.max(0, Math.floor(chart.from + x / wide));
    const end = Math.min(count, Math.max(first + 1, Math.floor(chart.from + (x + 1) / wide)));
    if (first < end) each(x + 0.5, 1, first, end);
  }
}

/** @param {Chart} chart @param {Placed} at @param {number} from @param {number} to */
function candles(chart, at, from, to) {
  const { pen, theme, series } = chart, { open, close } = series.columns;
  const prices = series.extent("low", "high"), volumes = series.extent("volume", "volume");
  volumes.scan(from, to);
  const most = volumes.most > 0 ? volumes.most : 1;
  const paths = { rise: new Path2D(), fall: new Path2D(), riseVolume: new Path2D(), fallVolume: new Path2D() };
  pixels(chart, from, to, (x, wide, first, end) => {
    prices.scan(first, end);
    const low = prices.least, high = prices.most;
    if (!(low <= high)) return;
    const way = close[end - 1] >= open[first] ? "rise" : "fall";
    const top = chart.y(at, high), body = Math.max(1, wide * 0.72);
    paths[way].rect(x - 0.5, top, 1, Math.max(1, chart.y(at, low) - top));
    if (wide > 3) {
      const a = chart.y(at, open[first]), b = chart.y(at, close[end - 1]);
      paths[way].rect(x - body / 2, Math.min(a, b), body, Math.max(1, Math.abs(a - b)));
    }
    volumes.scan(first, end);
    const tall = (Math.max(0, volumes.most) / most) * at.height * 0.18;
    paths[way === "rise" ? "riseVolume" : "fallVolume"].rect(x - body / 2, at.top + at.height - tall, body, tall);
  });
  pen.globalAlpha = 0.35;
  pen.fillStyle = theme.rise;
  pen.fill(paths.riseVolume);
  pen.fillStyle = theme.fall;
  pen.fill(paths.fallVolume);
  pen.globalAlpha = 1;
  pen.fillStyle = theme.rise;
  pen.fill(paths.rise);
  pen.fillStyle = theme.fall;
  pen.fill(paths.fall);
}

/** @param {Chart} chart @param {Placed} at @param {Line} line @param {number} from @param {number} to */
function curve(chart, at, line, from, to) {
  const { pen } = chart, extent = chart.series.extent(line.column, line.column);
  let drawn = false;
  pen.beginPath();
  pixels(chart, from, to, (x, _, first, end) => {
    extent.scan(first, end);
    const low = extent.least, high = extent.most;
    if (!(low <= high)) {
      drawn = false;
      return;
    }
    const y = chart.y(at, high);
    if (drawn) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    if (low < high) pen.lineTo(x, chart.y(at, low));
    drawn = true;
  });
  pen.strokeStyle = line.colour;
  pen.lineWidth = 1;
  pen.stroke();
}

/** @param {Chart} chart @param {Placed} at @param {Line} line @param {number} from @param {number} to */
function bars(chart, at, line, from, to) {
  const { pen } = chart, extent = chart.series.extent(line.column, line.column), zero = chart.y(at, 0);
  pen.beginPath();
  pixels(chart, from, to, (x, wide, first, end) => {
    extent.scan(first, end);
    if (!(extent.least <= extent.most)) return;
    const top = Math.min(zero, chart.y(at, extent.most)), bottom = Math.max(zero, chart.y(at, extent.least));
    pen.rect(x - wide * 0.36, top, Math.max(1, wide * 0.72), Math.max(1, bottom - top));
  });
  pen.fillStyle = line.colour;
  pen.fill();
}

/** The first of them that is not before that moment. @param {{t: number}[]} listed in order of time @param {number} t @returns {number} */
function firstFrom(listed, t) {
  let low = 0, high = listed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (listed[middle].t < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Rings at the prices of fills, in their candles; where they would cover each other, one stands for all. @param {Chart} chart @param {Placed} at */
function fills(chart, at) {
  const { pen, theme, series } = chart, end = series.timeAt(Math.ceil(chart.to));
  const lastX = { BUY: -99, SELL: -99 };
  pen.lineWidth = 2;
  for (let i = firstFrom(chart.fills, series.timeAt(Math.floor(chart.from))); i < chart.fills.length && chart.fills[i].t < end; i++) {
    const fill = chart.fills[i], x = chart.x(series.placeBefore(fill.t)), y = chart.y(at, fill.price);
    if (x - lastX[fill.side] < FILLS_APART || !Number.isFinite(y)) continue;
    lastX[fill.side] = x;
    pen.beginPath();
    pen.arc(x, y, 4, 0, 2 * Math.PI);
    pen.fillStyle = theme.ground;
    pen.fill();
    pen.strokeStyle = fill.side === "BUY" ? theme.rise : theme.fall;
    pen.stroke();
    chart.drawnMarks.push({ mark: fill, x, y });
  }
  pen.lineWidth = 1;
}

/** Triangles below and above candles; where they would cover each other, one stands for all. @param {Chart} chart @param {Placed} at */
function marks(chart, at) {
  const { pen, theme, series } = chart, { columns } = series;
  const end = series.timeAt(Math.ceil(chart.to)), low = firstFrom(chart.marks, series.timeAt(Math.floor(chart.from)));
  const lastX = { long: -99, short: -99 };
  pen.textAlign = "center";
  for (let i = low; i < chart.marks.length && chart.marks[i].t <= end; i++) {
    const mark = chart.marks[i], where = series.placeBefore(mark.t), x = chart.x(where);
    if (where < 0 || x - lastX[mark.side] < MARKS_APART) continue;
    lastX[mark.side] = x;
    const up = mark.side === "long", way = up ? 1 : -1;
    const tip = chart.y(at, columns[up ? "low" : "high"][where]) + 5 * way;
    if (!Number.isFinite(tip)) continue;
    pen.fillStyle = up ? theme.rise : theme.fall;
    pen.beginPath();
    pen.moveTo(x, tip);
    pen.lineTo(x - 5, tip + 9 * way);
    pen.lineTo(x + 5, tip + 9 * way);
    pen.fill();
    chart.drawnMarks.push({ mark, x, y: tip + 5 * way });
    if (chart.to - chart.from < LABELS_UNDER) pen.fillText(mark.text, x, tip + 16 * way);
  }
  pen.textAlign = "left";
}

/** Price lines and the last price, with labels that leave each other room. @param {Chart} chart @param {Placed} at */
function tags(chart, at) {
  const { pen, theme, series, width } = chart, last = series.columns.close?.[series.count - 1];
  const all = chart.priceLines.map((line) => ({ ...line, y: chart.y(at, line.price) }));
  if (Number.isFinite(last)) all.push({ price: last, text: "", colour: theme.accent, dashed: true, y: chart.y(at, last) });
  const seen = all.filter((one) => one.y >= at.top && one.y <= at.top + at.height).sort((a, b) => a.y - b.y);
  const spots = apart(seen.map((one) => one.y), TAG, at.top + TAG / 2, at.top + at.height - TAG / 2);
  seen.forEach((one, i) => {
    pen.strokeStyle = one.colour;
    pen.setLineDash(one.dashed ? [4, 4] : []);
    pen.beginPath();
    pen.moveTo(0, Math.round(one.y) + 0.5);
    pen.lineTo(width, Math.round(one.y) + 0.5);
    if (one.at !== undefined) {
      const x = Math.round(chart.x(series.placeBefore(one.at))) + 0.5;
      pen.moveTo(x, at.top);
      pen.lineTo(x, at.top + at.height);
    }
    pen.stroke();
    pen.setLineDash([]);
    tag(chart, width, spots[i], one.price.toFixed(chart.digits), one.colour);
    if (!one.text) return;
    const wide = pen.measureText(one.text).width + 10;
    tag(chart, 6, spots[i], one.text, one.colour, wide);
  });
}

/** Places at least so far apart, in the same order, each as near to its own as that allows. @param {number[]} wanted in order @param {number} gap @param {number} low @param {number} high @returns {number[]} */
export function apart(wanted, gap, low, high) {
  const found = wanted.slice();
  for (let i = 0; i < found.length; i++) found[i] = Math.max(found[i], i ? found[i - 1] + gap : low);
  for (let i = found.length - 1; i >= 0; i--) found[i] = Math.min(found[i], i < found.length - 1 ? found[i + 1] - gap : high);
  return found;
}

/** @param {Chart} chart @param {number} x @param {number} y @param {string} text @param {string} colour @param {number} [wide] */
function tag(chart, x, y, text, colour, wide = AXIS) {
  const { pen, theme } = chart;
  pen.fillStyle = colour;
  pen.fillRect(x, y - TAG / 2, wide, TAG);
  pen.fillStyle = theme.ground;
  pen.fillText(text, x + (wide === AXIS ? 8 : 5), y);
}

/** The lines of each pane, with what they are at the pointer. @param {Chart} chart */
function legends(chart) {
  const { pen, theme, series, pointer } = chart;
  const where = pointer && pointer.x <= chart.width ? chart.placeAt(pointer.x) : series.count - 1;
  for (const at of chart.placed) {
    let x = 8;
    if (!at.pane.candles) {
      pen.fillStyle = theme.ink;
      pen.fillText(at.pane.name, x, at.top + 12);
      x += pen.measureText(at.pane.name).width + 10;
    }
    for (const line of at.pane.lines) {
      const value = series.columns[line.column]?.[where];
      const figure = Number.isFinite(value) ? value.toFixed(at.pane.candles ? chart.digits : Math.max(at.digits, 2)) : "–";
      const text = at.pane.candles ? `${line.name} ${figure}` : figure;
      pen.fillStyle = line.colour;
      pen.fillText(text, x, at.top + 12);
      x += pen.measureText(text).width + 10;
    }
  }
}

/** @param {Chart} chart */
function crosshair(chart) {
  const { pen, theme, pointer, width, height } = chart;
  if (!pointer || pointer.x > width || pointer.y > height) return;
  const where = chart.placeAt(pointer.x), x = Math.round(chart.x(where)) + 0.5, y = Math.round(pointer.y) + 0.5;
  pen.strokeStyle = theme.cross;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, height);
  pen.moveTo(0, y);
  pen.lineTo(width, y);
  pen.stroke();
  pen.setLineDash([]);
  const at = chart.placed.find((one) => pointer.y < one.top + one.height);
  if (at) tag(chart, width, y, chart.valueAt(at, pointer.y).toFixed(at.pane.candles ? chart.digits : at.digits), theme.cross);
  const text = moment(chart.series.timeAt(where)), wide = pen.measureText(text).width + 12;
  pen.textAlign = "center";
  pen.fillStyle = theme.cross;
  pen.fillRect(x - wide / 2, height + 2, wide, FOOT - 4);
  pen.fillStyle = theme.ground;
  pen.fillText(text, x, height + FOOT / 2);
  pen.textAlign = "left";
}

/** What the mark under the pointer says. @param {Chart} chart */
function hovered(chart) {
  const { pen, theme, pointer } = chart, mark = pointer && chart.markAt(pointer.x, pointer.y);
  if (!pointer || !mark) return;
  const wide = pen.measureText(mark.title).width + 16, x = Math.min(pointer.x + 12, chart.width - wide);
  pen.fillStyle = theme.strong;
  pen.fillRect(x, pointer.y - 32, wide, 22);
  pen.fillStyle = theme.ground;
  pen.fillText(mark.title, x + 8, pointer.y - 21);
}
