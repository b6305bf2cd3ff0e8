"""A backtest: the same run under each assumption about what a minute does not tell, and what came of it. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

import numpy as np

from pipeline.research import figures
from pipeline.research.backtest import fast
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.curve import Curve, curve_of
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.fast import Prepared
from pipeline.research.backtest.months import Month, months_of
from pipeline.research.backtest.trades import Trade, trades_of
from pipeline.simulator.venue.ledger import Fill
from pipeline.timeline import DAY, HOUR, MINUTE

Progress = Callable[[Inside, int], None]
_NUMBER: Final = re.compile(r"(?<!\w)-?\d+(\.\d+)?(?!\w)")
_MORE: Final = (Inside.RESOLVED, Inside.OPTIMISTIC)


Engine = Literal["fast", "exact"]


@dataclass(frozen=True)
class Outcome:
    """What came of it under one assumption. `left_out`: why signals were, and how many."""

    inside: Inside
    engine: Engine
    trades: Sequence[Trade]
    curve: Curve
    signals: int
    taken: int
    left_out: Mapping[str, int]
    untold: int
    """Minutes that do not tell in which order things happened."""
    turnover: float

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


def run(asked: Asked, progress: Progress = lambda _, __: None, *, exact: bool = False) -> Backtest:
    """Run it; under the other assumptions only where the pessimistic run met a minute that does not tell. The
    compiled rules run what they know all of; anything else, and all if `exact`, the executor itself."""
    engine = None if exact or not fast.is_for(asked) else Prepared(asked)

    def one(inside: Inside) -> Outcome:
        question = replace(asked, assumptions=replace(asked.assumptions, inside=inside))
        found = None if engine is None else _by_rules(engine, question)
        return found or _by_executor(question, lambda now: progress(inside, now))

    first = one(Inside.PESSIMISTIC)
    return Backtest(asked, [first, *(map(one, _MORE) if first.untold else ())], _market_return(asked))


def _by_rules(engine: Prepared, asked: Asked) -> Outcome | None:
    ran = engine.run(asked)
    if ran.odd:
        return None
    verdicts = ran.verdicts.tolist()
    return Outcome(
        inside=asked.assumptions.inside,
        engine="fast",
        trades=fast.trades_from(ran, asked, engine.names),
        curve=fast.curve_from(ran, asked, engine.names),
        signals=len(verdicts),
        taken=sum(one > 0 for one in verdicts),
        left_out=_counted(fast.LEFT_OUT[one] for one in verdicts if one < 0),
        untold=ran.untold,
        turnover=float(ran.trades["paid"].sum() + ran.trades["received"].sum()),
    )


def _by_executor(asked: Asked, progress: Callable[[int], None]) -> Outcome:
    record = ExactRun(asked, progress).run()
    signals = {one.id: one for one in asked.signals}
    verdicts = record.verdicts.values()
    fills = [one for one in record.ledger if isinstance(one, Fill)]
    return Outcome(
        inside=asked.assumptions.inside,
        engine="exact",
        trades=trades_of(record.ledger, record.orders, signals, asked.minutes),
        curve=curve_of(record.ledger, asked.minutes, asked.start, asked.end),
        signals=len(asked.signals),
        taken=sum(one.verdict == "taken" for one in verdicts),
        left_out=_counted(_kind_of(one.reason) for one in verdicts if one.verdict != "taken"),
        untold=record.untold,
        turnover=float(sum((one.price * one.quantity for one in fills), Decimal())),
    )


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
    curve = outcome.curve
    _, equity = curve.daily()
    daily = figures.returns_of(equity)
    ended = [one for one in outcome.trades if one.closed_at is not None]
    profits = [float(one.profit) for one in ended]
    deepest = float(figures.drawdowns(curve.close, curve.worst).max(initial=0.0))
    hours = [(one.closed_at - one.opened_at) / HOUR for one in ended if one.closed_at is not None]
    return Summary(
        days=len(curve.close) * MINUTE / DAY,
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
        turnover=outcome.turnover,
        signals=outcome.signals,
        taken=outcome.taken,
        on_an_assumption=sum(one.decided_by == "assumption" for one in outcome.trades),
        reasons=_counted(one.reason for one in outcome.trades),
        skipped=outcome.left_out,
    )


def _counted(words: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(words).most_common())


def _kind_of(reason: str | None) -> str:
    """The reason without its numbers, which differ from one signal to the next."""
    return _NUMBER.sub("n", reason or "no reason was given")
