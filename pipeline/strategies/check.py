"""Shows that a strategy is sound: it runs, answers in form, and never looks ahead nor further back than it says.

Everything is tried, not read: the strategy runs on whole histories and on histories cut short, and the answers must be
the same. A check proves a fault, never its absence; many cuts in several markets make the absence likely.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.periods import PERIODS, Floats
from pipeline.strategies.base import AnswerError, Codes, Prices, Strategy, StrategyError
from pipeline.strategies.form import misstated_of
from pipeline.strategies.runner import last_code, place_of, run
from pipeline.strategies.synthetic import Sample, samples

_CUTS = 60
"""Places a history is cut at, beside every place where the strategy signals up to this many."""


@dataclass(frozen=True, slots=True)
class Examined:
    """How one market went: how many signals, and what is wrong (None: nothing)."""

    market: str
    candles: int
    signals: int
    fault: str | None


def require(strategy: Strategy) -> None:
    """Refuse a strategy that any market finds at fault, in one sentence that names it."""
    for finding in findings(strategy):
        if finding.fault is not None:
            raise StrategyError(
                f"strategy {strategy.name} is refused: {finding.fault} (market {finding.market!r}; its rule: "
                f"{place_of(strategy)})"
            )


def findings(strategy: Strategy, extra: Sequence[Sample] = ()) -> Iterator[Examined]:
    """What each made-up market, and each given one, says of the strategy."""
    for market in (*samples(), *extra):
        yield examine(strategy, market)


def examine(strategy: Strategy, market: Sample) -> Examined:
    """Hold a strategy against one market."""
    candles = len(market.numbers)
    try:
        misstated = misstated_of(strategy)
        if misstated:
            return Examined(market.name, candles, 0, misstated)
        columns = market.columns(PERIODS.including(strategy.needs))
        codes = run(strategy, _frozen(columns))
        fault = _fault(strategy, columns, codes)
    except AnswerError as error:
        return Examined(market.name, candles, 0, f"it {error.reason}")
    return Examined(market.name, candles, int(np.count_nonzero(codes)), fault)


def _fault(strategy: Strategy, columns: Prices, codes: Codes) -> str | None:
    if not np.array_equal(run(strategy, _frozen(columns)), codes):
        return "it answers differently when asked twice: a strategy may keep no state and draw no numbers"
    for cut in _cuts(codes):
        shorter = run(strategy, _frozen({name: values[: cut + 1] for name, values in columns.items()}))
        changed = np.flatnonzero(shorter != codes[: cut + 1])
        if len(changed):
            at = int(changed[0])
            return (
                f"it looks ahead: with the candles up to {cut} the code at candle {at} is {shorter[at]}, "
                f"with later candles it is {codes[at]}"
            )
    for cut in _cuts(codes):
        window = {name: values[max(0, cut - strategy.lookback) : cut + 1] for name, values in columns.items()}
        seen = int(run(strategy, _frozen(window))[-1])
        if seen != codes[cut]:
            return (
                f"it looks back further than its lookback of {strategy.lookback}: at candle {cut} the code is "
                f"{codes[cut]} over the whole history, {seen} over that window"
            )
        before = run(strategy, {name: values[:-1] for name, values in window.items()})
        if last_code(strategy, _frozen(window), before) != seen:
            return f"its may_signal rules out the code {seen} that it answers at candle {cut}"
    return None


def _cuts(codes: Codes) -> list[int]:
    """Evenly spread candles, and candles with a signal and just before one, where a fault shows first."""
    even = np.linspace(0, len(codes) - 1, _CUTS).astype(int)
    signals = np.flatnonzero(codes)
    chosen = signals[np.linspace(0, len(signals) - 1, min(len(signals), _CUTS)).astype(int)]
    return sorted({*even.tolist(), *chosen.tolist(), *(chosen[chosen > 0] - 1).tolist()})


def _frozen(columns: Prices) -> dict[str, Floats]:
    """Views a strategy cannot write into."""
    views = {name: values.view() for name, values in columns.items()}
    for view in views.values():
        view.flags.writeable = False
    return views
