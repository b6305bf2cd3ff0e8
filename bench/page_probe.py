"""What is asked of a tab that is measured: its frames, its heap. The chart in it is `chart`, which can pan and show."""

from collections.abc import Sequence
from typing import Any, Final

from playwright.sync_api import Page


def frames_while(move: str, frames: int, left_out: int) -> str:
    """A piece of JavaScript: what was moved in each of so many frames (`k`), and how long each took but for the
    first."""
    return f"""
  const took = [];
  let before = await new Promise((done) => requestAnimationFrame(done));
  for (let k = 0; k < {frames}; k++) {{
    {move};
    const now = await new Promise((done) => requestAnimationFrame(done));
    took.push(now - before);
    before = now;
  }}
  return took.slice({left_out});
"""


PAN: Final = (
    "async () => { const middle = chart.series.count >> 1; chart.show(middle, middle + 2000); "
    f"{frames_while('chart.pan(15)', 120, 5)} }}"
)
"""2,000 candles in view, moved in each frame."""
WHOLE: Final = (
    "async () => { const all = chart.series.count; chart.show(0, all); "
    f"{frames_while('chart.show(k % 2, all + k % 2)', 120, 5)} }}"
)
"""All of them, drawn anew in each frame."""
NEWEST: Final = """() => {
  const { columns, count } = chart.series;
  const at = (column) => Number.isNaN(column[count - 1]) ? null : column[count - 1];
  return JSON.stringify(Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, at(column)])));
}"""
"""The newest candle that it shows, as JSON."""


def frames_of(tab: Page, moved: str) -> list[float]:
    """How long each frame took, in milliseconds."""
    return [float(one) for one in tab.evaluate(moved)]


def heap_of(tab: Page) -> float:
    """What its objects and its columns take once nothing superfluous is left, in MB."""
    session = tab.context.new_cdp_session(tab)
    session.send("HeapProfiler.collectGarbage")
    used: dict[str, Any] = session.send("Runtime.getHeapUsage")
    return float(used["usedSize"] + used.get("backingStorageSize", 0)) / 2**20


def quantile(values: Sequence[float], share: float) -> float:
    """Of so many; 0 where there are none."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * share))] if found else 0.0
