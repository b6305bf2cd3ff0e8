"""A backtest: the same run under each assumption about what a minute does not tell, and what came of it. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Final

import numpy as np

from pipeline.research import figures
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.curve import Curve, curve_of
from pipeline.research.backtest.exact import ExactRun, Record
from pipeline.research.backtest.months import Month, months_of
from pipeline.research.backtest.trades import Trade, trades_of
from pipeline.simulator.venue.ledger import Fill
from pipeline.timeline import DAY, HOUR

Progress = Callable[[Inside, int], None]
_NUMBER: Final = re.compile(r"(?<!\w)-?\d+(\.\d+)?(?!\w)")
_MORE: Final = (Inside.RESOLVED, Inside.OPTIMISTIC)


@dataclass(frozen=True)
class Outcome:
    """What came of it under one assumption."""

    inside: Inside
    record: Record
    trades: Sequence[Trade]
    curve: Curve

    @cached_property
    def summary(self) -> "Summary":
        """The figures."""
        return summary_of(self)

    @cached_property
    def months(self) -> Sequence[Month]:
        """The same by month."""
        return months_of(self.curve, self.trades)


@dataclass(frozen=True)
class Backtest:
    """`outcomes`: the pessimistic first. Where nothing hung on the assumption there is no other."""

    asked: Asked
    outcomes: Sequence[Outcome]
    market_return: float
    """What the symbols themselves did, held in equal parts, in percent."""

    @property
    def outcome(self) -> Outcome:
        """The one that does not flatter."""
        return self.outcomes[0]


def run(asked: Asked, progress: Progress = lambda _, __: None) -> Backtest:
    """Run it; under the other assumptions only where the pessimistic run met a minute that does not tell."""
    first = _run(asked, Inside.PESSIMISTIC, progress)
    others = _MORE if first.record.untold else ()
    outcomes = [first, *(_run(asked, inside, progress) for inside in others)]
    return Backtest(asked, outcomes, _market_return(asked))


def _run(asked: Asked, inside: Inside, progress: Progress) -> Outcome:
    record = ExactRun(
        replace(asked, assumptions=replace(asked.assumptions, inside=inside)), lambda now: progress(inside, now)
    ).run()
    signals = {one.id: one for one in asked.signals}
    trades = trades_of(record.ledger, record.orders, signals, asked.minutes)
    return Outcome(inside, record, trades, curve_of(record.ledger, asked.minutes, asked.start, asked.end))


def _market_return(asked: Asked) -> float:
    changes = []
    for one in asked.minutes.values():
        first, last = (min(max(one.at(moment), 0), len(one.close) - 1) for moment in (asked.start, asked.end - 1))
        changes.append(float(one.close[last] / one.open[first] - 1) * 100)
    return float(np.mean(changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a run. Percentages are of equity; None where so little data cannot tell. See `figures` for what
    each is."""

    days: float
    equity_start: float
    equity_end: float
    return_pct: float
    yearly_return_pct: float | None
    max_drawdown_pct: float
    """Within minutes as well: at the worst price of each."""
    under_water_days: int
    volatility_pct: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    trades: int
    """That have ended."""
    still_open: int
    won_pct: float | None
    profit_factor: float | None
    expectancy: float | None
    quality: float | None
    kelly_pct: float | None
    best: float | None
    worst: float | None
    most_won_in_a_row: int
    most_lost_in_a_row: int
    mean_hours: float | None
    exposure_pct: float
    """The share of the time in which anything was held."""
    fees: float
    funding: float
    turnover: float
    """The worth of everything that was bought and sold."""
    signals: int
    taken: int
    on_an_assumption: int
    """Trades whose end hangs on what a minute does not tell."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """How many trades ended how."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many signals were left out, and why."""


def summary_of(outcome: Outcome) -> Summary:
    """From trades and curve."""
    curve, record = outcome.curve, outcome.record
    _, equity = curve.daily()
    daily = figures.returns_of(equity)
    ended = [one for one in outcome.trades if one.closed_at is not None]
    profits = [float(one.profit) for one in ended]
    deepest = float(figures.drawdowns(curve.close, curve.worst).max(initial=0.0))
    hours = [(one.closed_at - one.opened_at) / HOUR for one in ended if one.closed_at is not None]
    verdicts = record.verdicts.values()
    return Summary(
        days=(record.end - record.start) / DAY,
        equity_start=curve.begun,
        equity_end=float(curve.close[-1]),
        return_pct=figures.total_return(equity),
        yearly_return_pct=figures.yearly_return(equity),
        max_drawdown_pct=deepest,
        under_water_days=figures.longest_under_water(equity),
        volatility_pct=figures.volatility(daily),
        sharpe=figures.sharpe(daily),
        sortino=figures.sortino(daily),
        calmar=figures.calmar(equity, deepest),
        trades=len(ended),
        still_open=len(outcome.trades) - len(ended),
        won_pct=figures.win_rate(profits),
        profit_factor=figures.profit_factor(profits),
        expectancy=figures.expectancy(profits),
        quality=figures.quality(profits),
        kelly_pct=figures.kelly(profits),
        best=max(profits, default=None),
        worst=min(profits, default=None),
        most_won_in_a_row=figures.longest_streak(profits, won=True),
        most_lost_in_a_row=figures.longest_streak(profits, won=False),
        mean_hours=sum(hours) / len(hours) if hours else None,
        exposure_pct=float(curve.invested.mean()) * 100,
        fees=float(sum((one.fees for one in outcome.trades), Decimal())),
        funding=float(sum((one.funding for one in outcome.trades), Decimal())),
        turnover=float(sum((one.price * one.quantity for one in record.ledger if isinstance(one, Fill)), Decimal())),
        signals=len(record.verdicts) + len(record.undecided),
        taken=sum(one.verdict == "taken" for one in verdicts),
        on_an_assumption=sum(one.decided_by == "assumption" for one in outcome.trades),
        reasons=_counted(one.reason for one in outcome.trades),
        skipped=_counted(_kind_of(one.reason) for one in verdicts if one.verdict != "taken"),
    )


def _counted(words: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(words).most_common())


def _kind_of(reason: str | None) -> str:
    """The reason without its numbers, which differ from one signal to the next."""
    return _NUMBER.sub("n", reason or "no reason was given")
