import assert from "node:assert/strict";
import test from "node:test";
import { ago, amount, cents, centsOf, decimals, minutesOf, moment, percent, signed, span, UNKNOWN, way } from "../../../pipeline/web/static/format.js";
import { stretches } from "../../../pipeline/web/static/curves.js";

test("what is not known is a dash, never nought", () => {
  for (const said of [amount(null), amount(undefined), amount(NaN), amount("x"), percent(null), percent(NaN), signed(null), ago(null), ago(0), span(null), span(Infinity), moment(NaN)]) assert.equal(said, UNKNOWN);
  assert.equal(amount(0, 2), "0.00");
  assert.equal(percent(0), "0.00 %");
});

test("numbers have thousands, a sign and an arrow", () => {
  assert.equal(amount("71321.45"), "71,321.45");
  assert.equal(amount(-1234.5, 2), "−1,234.50");
  assert.equal(signed("12.3"), "+12.30");
  assert.equal(percent(1.234), "▲ +1.23 %");
  assert.equal(percent(-1.236), "▼ −1.24 %");
  assert.deepEqual([way(1), way("-1"), way(0), way(null)], ["up", "down", "", ""]);
});

test("a step says how many decimals its prices have", () => {
  assert.deepEqual(["0.10", "0.01", "1", "1e-8", null].map(decimals), [1, 2, 0, 0, 2]);
  assert.equal(decimals("0.00000100"), 6);
});

test("moments are UTC, spans are as long as they are", () => {
  assert.equal(moment(0), "1970-01-01 00:00");
  assert.equal(ago(1000, 3500), "2.5 s ago");
  assert.deepEqual([30, 600, 7_200, 864_000].map(span), ["30 s", "10 min", "2 h", "10 days"]);
  assert.equal(span(-1), "0.0 s");
});

test("dollars have cents, and a coin is divided further", () => {
  assert.deepEqual(["USDT", "USDC", "BTC", "DOGE"].map(cents), [2, 2, 8, 8]);
  assert.deepEqual([centsOf("BTCUSDT", "um"), centsOf("BTCUSDT", "spot"), centsOf("ETHBTC", "spot"), centsOf("BTCUSD_PERP", "cm")], [2, 2, 8, 8]);
});

test("a small line has gaps where nothing was known, and a level where nothing changed", () => {
  assert.deepEqual(stretches([1, 3, null, 2, 1]), ["0.0,17.0 24.0,1.0", "72.0,9.0 96.0,17.0"]);
  assert.deepEqual(stretches([5, 5]), ["0.0,9.0 96.0,9.0"]);
  for (const nothing of [[], [null], [1], [1, null, 2]]) assert.deepEqual(stretches(nothing), []);
});

test("what is nought as it is written has no sign", () => {
  assert.deepEqual([amount(-0.001, 2), signed(0.001), signed(-0.001), percent(0.004), percent(-0.004)], ["0.00", "0.00", "0.00", "0.00 %", "0.00 %"]);
  assert.deepEqual([signed("0.00000012", 8), amount("-0.00000012", 8)], ["+0.00000012", "−0.00000012"]);
});

test("lengths of candles are in order", () => {
  assert.deepEqual(["1d", "1m", "1h", "15m", "1M", "1w"].sort((a, b) => minutesOf(a) - minutesOf(b)), ["1m", "15m", "1h", "1d", "1w", "1M"]);
});
