"""How other programs run the same entries and stops over the same minutes: a script for a Python of theirs.

`python backtest_ways.py minutes.npz STOP_ATR` prints, as its last line, seconds of a core and trades of each that is
installed; where the signals are those of many trials, for how many of them, too. Positions turn with each signal of the
other side, or end at a stop so many ATR from the signal's price.
"""

import json
import sys
from importlib.util import find_spec
from time import process_time
from typing import Any

import numpy as np

SAID = ("minute", "side", "atr", "price")
"""Of a signal."""


def main() -> None:
    """All that are there."""
    table, stop_atr = dict(np.load(sys.argv[1])), float(sys.argv[2])
    ways = {"vectorbt": with_vectorbt, "backtesting.py": with_backtesting}
    there = {name: way for name, way in ways.items() if find_spec(name.removesuffix(".py")) is not None}
    if "trial" in table:
        print(json.dumps({name: with_all(name, table, stop_atr) for name in there}))
    else:
        print(json.dumps({name: way(table, stop_atr) for name, way in there.items()}))


def with_all(name: str, table: dict[str, Any], stop_atr: float) -> tuple[float, int, int]:
    """Trial by trial; of backtesting.py, which takes seconds for each, three."""
    trials = [table | {each: table[each][table["trial"] == one] for each in SAID} for one in np.unique(table["trial"])]
    if name == "vectorbt":
        return with_columns([columns_of(one, stop_atr) for one in trials], table)
    found = [with_backtesting(one, stop_atr) for one in trials[:3]]
    return sum(took for took, _ in found), len(found), sum(trades for _, trades in found)


def columns_of(table: dict[str, Any], stop_atr: float) -> tuple[Any, Any]:
    """At each minute after whose close one enters: the side, and the distance of the stop as a share of the price."""
    side, share = np.zeros(len(table["close"])), np.full(len(table["close"]), np.nan)
    known = ~np.isnan(table["atr"]) & (table["minute"] > 0)
    at = table["minute"][known] - 1
    side[at] = table["side"][known]
    share[at] = stop_atr * table["atr"][known] / table["price"][known]
    return side, share


def with_vectorbt(table: dict[str, Any], stop_atr: float) -> tuple[float, int]:
    """`Portfolio.from_signals` and its statistics, the best of five."""
    import pandas as pd  # noqa: PLC0415 - of the peer's Python
    import vectorbt as vbt  # noqa: PLC0415

    side, share = columns_of(table, stop_atr)
    index = pd.date_range("2026-01-01", periods=len(side), freq="1min")
    prices = {name: pd.Series(table[name], index) for name in ("open", "high", "low", "close")}
    took, trades = [], 0
    for _ in range(6):
        begun = process_time()
        found = vbt.Portfolio.from_signals(
            **prices, entries=pd.Series(side > 0, index), short_entries=pd.Series(side < 0, index),
            sl_stop=pd.Series(share, index), fees=0.0005, init_cash=10_000, size=0.05, freq="1min",
        )  # fmt: skip
        found.total_return()
        trades = int(found.trades.count())
        took.append(process_time() - begun)
    return min(took[1:]), trades


def with_columns(trials: list[tuple[Any, Any]], table: dict[str, Any]) -> tuple[float, int, int]:
    """`Portfolio.from_signals`, ten trials as the columns of one: more at once take no less, and gigabytes."""
    import pandas as pd  # noqa: PLC0415 - of the peer's Python
    import vectorbt as vbt  # noqa: PLC0415

    index = pd.date_range("2026-01-01", periods=len(table["close"]), freq="1min")
    prices = {name: pd.Series(table[name], index) for name in ("open", "high", "low", "close")}
    took, trades = 0.0, 0
    for first in range(-10, len(trials), 10):  # the first ten twice: once to compile
        part = trials[max(first, 0) : max(first, 0) + 10]
        side, share = (pd.DataFrame(np.column_stack(one), index) for one in zip(*part, strict=True))
        begun = process_time()
        found = vbt.Portfolio.from_signals(
            **prices, entries=side > 0, short_entries=side < 0, sl_stop=share, fees=0.0005, init_cash=10_000, size=0.05,
            freq="1min",
        )  # fmt: skip
        found.total_return()
        counted = int(found.trades.count().sum())
        if first >= 0:
            took, trades = took + process_time() - begun, trades + counted
    return took, len(trials), trades


def with_backtesting(table: dict[str, Any], stop_atr: float) -> tuple[float, int]:
    """`Backtest.run`, with its figures."""
    import pandas as pd  # noqa: PLC0415 - of the peer's Python
    from backtesting import Backtest, Strategy  # noqa: PLC0415

    side, share = columns_of(table, stop_atr)
    index = pd.date_range("2026-01-01", periods=len(side), freq="1min")
    data = pd.DataFrame({name.title(): table[name] for name in ("open", "high", "low", "close")}, index)

    class Turning(Strategy):  # type: ignore[misc]
        """Turns with each signal of the other side."""

        def init(self) -> None:
            """Nothing is worked out beforehand."""

        def next(self) -> None:
            """At the close of a minute."""
            at = len(self.data) - 1
            if not side[at]:
                return
            price = self.data.Close[-1]
            if self.position and self.position.is_long == (side[at] > 0):
                return
            self.position.close()
            order = self.buy if side[at] > 0 else self.sell
            order(size=0.5, sl=price * (1 - side[at] * share[at]))

    runner = Backtest(data, Turning, cash=1_000_000, commission=0.0005, margin=0.2)
    begun = process_time()
    found = runner.run()
    return process_time() - begun, int(found["# Trades"])


if __name__ == "__main__":
    main()
