"""Signals over stored candles: what the strategies say there, made to agree with what `signals` holds."""

from collections.abc import Sequence

import numpy as np

from pipeline.finding import Finding
from pipeline.history.indicators import Computed
from pipeline.signals import Calculation, findings
from pipeline.store.signals.write import Reconciled, SignalStore
from pipeline.strategies.base import Strategy
from pipeline.strategies.runner import run_history
from pipeline.timeline import Window, interval
from schemas.series import SeriesKey


def bring_up(
    store: SignalStore,
    key: SeriesKey,
    computed: Computed,
    last: int,
    strategies: Sequence[Strategy],
    calculation: Calculation,
    now: int,
) -> Reconciled:
    """Find the signals from the beginning of a computed stretch to candle number `last`, and store what differs."""
    if last < computed.first:
        return Reconciled()
    found = [one for strategy in strategies for one in _said(key, computed, last, strategy, calculation)]
    step = interval(key.interval)
    return store.reconcile(key, Window(step.open_time(computed.first), step.open_time(last)), found, now)


def _said(key: SeriesKey, computed: Computed, last: int, strategy: Strategy, calculation: Calculation) -> list[Finding]:
    codes = run_history(strategy, computed.columns, computed.numbers)
    positions = np.flatnonzero(codes)
    numbers = computed.numbers[positions]
    chosen = positions[(numbers >= computed.first) & (numbers <= last)]
    return findings(key, strategy, calculation, computed.columns, codes, computed.numbers, chosen.tolist())
