import assert from "node:assert/strict";
import test from "node:test";
import { Series } from "../../../pipeline/web/static/chart/data.js";
import { Extent } from "../../../pipeline/web/static/chart/extent.js";
import { apart } from "../../../pipeline/web/static/chart/paint.js";
import { priceTicks, timeLabel, timeStep } from "../../../pipeline/web/static/chart/ticks.js";

const HOUR = 3_600_000;

/** Reproducible numbers. */
function numbers(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return seed / 4294967296;
  };
}

test("an extent is what a plain loop finds, also after changes", () => {
  const next = numbers(7);
  for (let round = 0; round < 3000; round++) {
    const size = 1 + Math.floor(next() * 300);
    const low = Float64Array.from({ length: size }, () => next() < 0.1 ? NaN : next());
    const high = low.map((value) => value + next());
    const extent = new Extent(low, high);
    for (let k = 0; k < 3; k++) {
      const place = Math.floor(next() * size);
      low[place] = next() < 0.2 ? NaN : next() * 2;
      high[place] = low[place] + next();
      extent.touch(place);
    }
    const from = Math.floor(next() * size), to = from + Math.floor(next() * (size - from + 1));
    let least = Infinity, most = -Infinity;
    for (let i = from; i < to; i++) {
      if (low[i] < least) least = low[i];
      if (high[i] > most) most = high[i];
    }
    extent.scan(from, to);
    assert.deepEqual([extent.least, extent.most], [least, most]);
  }
});

const series = (times) => new Series({ t: Float64Array.from(times), close: Float64Array.from(times, (t) => t / HOUR) }, HOUR);

test("older candles come in front, and a hole at the seam has its places", () => {
  const one = series([10, 11].map((k) => k * HOUR));
  assert.equal(one.prepend({ t: Float64Array.of(6 * HOUR, 7 * HOUR), close: Float64Array.of(6, 7) }), 4);
  assert.deepEqual([...one.columns.t], [6, 7, 8, 9, 10, 11].map((k) => k * HOUR));
  assert.deepEqual([...one.columns.close], [6, 7, NaN, NaN, 10, 11]);
  assert.equal(one.prepend({ t: new Float64Array(), close: new Float64Array() }), 0);
});

test("a candle replaces its own place; a later one has one of its own, over a hole too", () => {
  const one = series([0, HOUR]);
  assert.equal(one.put({ t: HOUR, close: 1.5 }), 0);
  assert.equal(one.put({ t: 4 * HOUR, close: 4 }), 3);
  assert.deepEqual([...one.columns.t.subarray(0, one.count)], [0, 1, 2, 3, 4].map((k) => k * HOUR));
  assert.deepEqual([...one.columns.close.subarray(0, one.count)], [0, 1.5, NaN, NaN, 4]);
  assert.equal(one.put({ t: 2 * HOUR, close: null }), 0);
  assert.equal(one.put({ t: 2.5 * HOUR, close: 9 }), 0);
  assert.equal(one.count, 5);
  for (let k = 5; k < 3000; k++) one.put({ t: k * HOUR, close: k });
  assert.equal(one.columns.close[2999], 2999);
});

test("a moment has its place, and a place its moment, also outside", () => {
  const one = series([0, 1, 2].map((k) => k * HOUR));
  assert.deepEqual([-1, 0, HOUR - 1, 2 * HOUR, 99 * HOUR].map((t) => one.placeBefore(t)), [-1, 0, 0, 2, 2]);
  assert.equal(one.placeOf(HOUR + 1), -1);
  assert.deepEqual([-2, 1, 5].map((place) => one.timeAt(place)), [-2 * HOUR, HOUR, 5 * HOUR]);
  assert.ok(Number.isNaN(series([]).timeAt(0)));
  const fresh = series([]);
  assert.equal(fresh.put({ t: HOUR, close: 3 }), 1);
  assert.equal(fresh.columns.t[0], HOUR);
});

test("a moment's place is what a plain loop finds, on a grid of months too", () => {
  const next = numbers(5);
  for (let round = 0; round < 300; round++) {
    const even = round % 2 === 0, times = [next() * HOUR];
    while (times.length < 60) times.push(times[times.length - 1] + (even ? HOUR : HOUR * (0.7 + 0.6 * next())));
    const one = series(times);
    for (let k = 0; k < 50; k++) {
      const t = k % 5 ? (next() * 70 - 5) * HOUR : times[Math.floor(next() * 60)];
      assert.equal(one.placeBefore(t), times.filter((at) => at <= t).length - 1);
    }
  }
});

test("labels leave each other room and keep their order", () => {
  const next = numbers(3);
  for (let round = 0; round < 500; round++) {
    const wanted = Array.from({ length: 1 + Math.floor(next() * 8) }, () => next() * 200).sort((a, b) => a - b);
    const found = apart(wanted, 18, 9, 291);
    found.forEach((at, i) => {
      assert.ok(at >= 9 - 1e-9 && at <= 291 + 1e-9);
      if (i) assert.ok(at - found[i - 1] >= 18 - 1e-9);
    });
  }
  assert.deepEqual(apart([100, 150], 18, 9, 291), [100, 150]);
});

test("scales are round, and say enough digits to tell their values apart", () => {
  assert.deepEqual(priceTicks(0, 10, 5), { values: [0, 2, 4, 6, 8, 10], digits: 0 });
  for (const [low, high] of [[69_000, 72_000], [0.00001, 0.00002], [-3, 7.5], [1e-9, 2e-9]]) {
    const { values, digits } = priceTicks(low, high, 6);
    assert.ok(values.length >= 2 && values.length <= 13);
    if (high > 1e-6) assert.equal(new Set(values.map((value) => value.toFixed(digits))).size, values.length);
  }
  assert.deepEqual(priceTicks(5, 5, 4).values, []);
  assert.deepEqual(priceTicks(NaN, 1, 4).values, []);
  assert.equal(timeStep(8 * HOUR, 10), HOUR);
  assert.equal(timeLabel(0, HOUR), "01-01");
  assert.equal(timeLabel(HOUR, HOUR), "01:00");
  assert.equal(timeLabel(5000, 1000), "00:00:05");
  assert.equal(timeLabel(0, 365 * 24 * HOUR), "1970-01");
});

test("bands are the mean and so many deviations of their closes, whatever comes in front, behind and in between", () => {
  const next = numbers(3), bands = { length: 5, deviations: 2 };
  const closes = (count) => Float64Array.from({ length: count }, () => 60_000 + next());
  const one = new Series({ t: Float64Array.from({ length: 40 }, (_, k) => (k + 30) * HOUR), close: closes(40) }, HOUR);
  one.extent("close", "close");
  one.setBands(bands);
  const check = () => {
    const { close, band_upper: upper, band_lower: lower } = one.columns;
    for (let place = 0; place < one.count; place++) {
      const seen = close.subarray(Math.max(0, place - 4), place + 1), mean = seen.reduce((a, b) => a + b, 0) / 5;
      const half = 2 * Math.sqrt(seen.reduce((a, b) => a + (b - mean) ** 2, 0) / 5);
      if (seen.length < 5 || !Number.isFinite(mean)) assert.deepEqual([upper[place], lower[place]], [NaN, NaN]);
      else assert.ok(Math.abs(upper[place] - mean - half) < 1e-6 && Math.abs(lower[place] - mean + half) < 1e-6, `${place}`);
    }
    const extent = one.extent("band_lower", "band_upper");
    extent.scan(0, one.count);
    assert.equal(extent.most, Math.max(...upper.subarray(0, one.count).filter(Number.isFinite)));
  };
  check();
  one.prepend({ t: Float64Array.from({ length: 20 }, (_, k) => (k + 8) * HOUR), close: closes(20) });
  check();
  for (const [at, close] of [[69, 60_500], [70, 60_700], [75, 60_100], [50, 59_000], [33, NaN]]) {
    one.put({ t: at * HOUR, close });
    check();
  }
  one.setBands(null);
  assert.deepEqual(Object.keys(one.columns), ["t", "close"]);
});
