import assert from "node:assert/strict";
import test from "node:test";
import { size, spread } from "../../../pipeline/web/static/space.js";

test("even steps are said as a range, all else one by one", () => {
  assert.equal(spread([5, 10, 15, 20]), "5..20:5");
  assert.equal(spread([1, 2, 3]), "1..3");
  assert.equal(spread([0.1, 0.15, 0.2]), "0.1..0.2:0.05");
  assert.equal(spread([1, 2, 4]), "1,2,4");
  assert.equal(spread(["macd", "rsi", "both"]), "macd,rsi,both");
  assert.equal(spread([3, 2, 1]), "3,2,1");
  assert.equal(spread([7]), "7");
  assert.equal(spread([]), "");
});

test("what is written has as many values as it says, and is read as it was written", () => {
  assert.deepEqual(["5..60:5", "1..3", "0.1..0.5:0.1", "macd,both", "7,10..30:10", "", "5..", "3..1", "1..2:0"].map(size), [12, 3, 5, 2, 4, 0, 1, 0, 0]);
  for (let first = -3; first < 5; first++) for (let step = 1; step < 40; step += 3) for (let count = 3; count < 30; count += 5) {
    const values = Array.from({ length: count }, (_, i) => Number((first + (i * step) / 20).toFixed(9)));
    assert.equal(size(spread(values)), count);
  }
});
