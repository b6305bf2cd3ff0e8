"""A backtest: the same run under each assumption about what a minute does not tell, and what came of it. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

import numpy as np

from pipeline.research.backtest import fast
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.coins import flows_of_coins, trades_of_coins, turnover_of_coins
from pipeline.research.backtest.curve import Curve, Worth, curve_of, curve_of_flows
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.fast import Prepared
from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.research.backtest.months import Month, months_of
from pipeline.research.backtest.record import Record
from pipeline.research.backtest.summary import Market, Results, Summary, results_of, summary_of
from pipeline.research.backtest.trades import Trade, trades_of
from pipeline.simulator.venue.ledger import Fill
from pipeline.timeline import MINUTE

Progress = Callable[[Inside, int], None]
_NUMBER: Final = re.compile(r"(?<!\w)-?\d+(\.\d+)?(?!\w)")
_MET: Final = "signal before a hole and no position that takes more than one order to close, and met one"
_MORE: Final = (Inside.RESOLVED, Inside.OPTIMISTIC)


Engine = Literal["fast", "exact"]
_RAN: Final[Mapping[Engine, str]] = {"fast": "the executor's rules, compiled", "exact": "the executor itself"}


@dataclass(frozen=True)
class Outcome:
    """What came of it under one assumption. `left_out`: why signals were, and how many. Trades and curve are made when
    they are asked for; the figures do without."""

    inside: Inside
    engine: Engine
    asset: str
    """What its account is counted in."""
    tell: Callable[[], Sequence[Trade]]
    draw: Callable[[], Curve]
    weigh: Callable[[], Worth]
    count: Callable[[], Results]
    signals: int
    taken: int
    left_out: Mapping[str, int]
    untold: int
    """Minutes that do not tell in which order things happened."""
    turnover: float
    market: Market
    """What the symbols themselves were worth."""

    @cached_property
    def trades(self) -> Sequence[Trade]:
        """In the order in which they were opened."""
        return self.tell()

    @cached_property
    def curve(self) -> Curve:
        """What the account was worth in every minute."""
        return self.draw()

    @cached_property
    def summary(self) -> Summary:
        """The figures."""
        return summary_of(
            self.weigh(),
            self.count(),
            self.market,
            asset=self.asset,
            signals=self.signals,
            taken=self.taken,
            turnover=self.turnover,
            left_out=self.left_out,
        )

    @cached_property
    def months(self) -> Sequence[Month]:
        """The same by month."""
        return months_of(self.curve, self.trades)


@dataclass(frozen=True)
class Backtest:
    """`outcomes`: the pessimistic first. Where nothing hung on the assumption there is no other."""

    asked: Asked
    outcomes: Sequence[Outcome]
    beyond: str | None = None
    """What the compiled rules do not know of it: why the executor itself ran, where nobody asked for that."""

    @property
    def outcome(self) -> Outcome:
        """The one that does not flatter."""
        return self.outcomes[0]

    @property
    def assumed(self) -> Mapping[str, str]:
        """What ran, and what it took for granted, as a report says it."""
        ran = " and ".join(dict.fromkeys(_RAN[one.engine] for one in self.outcomes))
        because = "" if self.beyond is None else f", because the compiled rules know no {self.beyond}"
        return {
            "engine": ran + because,
            **self.asked.assumptions.lines(coins=not self.asked.product.arithmetic.is_borrowed),
        }

    @property
    def in_dollars(self) -> tuple[float, float] | None:
        """What the account was worth at the start and at the end in what prices are in, where it is counted in a coin.
        By the prices of its first contract."""
        first = min(self.asked.minutes)
        if not self.asked.sizes[first]:
            return None
        minutes, summary = self.asked.minutes[first], self.outcome.summary
        tick = float(minutes.tick)
        begun = float(minutes.open[max(minutes.at(self.asked.start), 0)]) * tick
        last = float(minutes.close[min(minutes.at(self.asked.end - 1), len(minutes.close) - 1)]) * tick
        return summary.equity_start * begun, summary.equity_end * last

    @property
    def market_return(self) -> float:
        """What the symbols themselves did, held in equal parts, in percent."""
        return self.outcome.summary.market_return_pct


def run(asked: Asked, progress: Progress = lambda _, __: None, *, exact: bool = False) -> Backtest:
    """Run it; under the other assumptions only where the pessimistic run met a minute that does not tell. The
    compiled rules run what they know all of; anything else, and all if `exact`, the executor itself."""
    beyond = fast.beyond(asked)
    engine = None if exact or beyond is not None else Prepared(asked)

    def one(inside: Inside) -> Outcome:
        question = replace(asked, assumptions=replace(asked.assumptions, inside=inside))
        found = None if engine is None else _by_rules(engine, question)
        return found or _by_executor(question, lambda now: progress(inside, now))

    first = one(Inside.PESSIMISTIC)
    outcomes = [first, *(map(one, _MORE) if first.untold else ())]
    if engine is not None and any(one.engine == "exact" for one in outcomes):
        beyond = _MET
    return Backtest(asked, outcomes, None if exact else beyond)


def _by_rules(engine: Prepared, asked: Asked) -> Outcome | None:
    ran = engine.run(asked)
    if ran.odd:
        return None
    verdicts = ran.verdicts.tolist()
    return Outcome(
        inside=asked.assumptions.inside,
        engine="fast",
        asset=asked.asset,
        tell=lambda: fast.trades_from(ran, asked, engine.names),
        draw=lambda: fast.curve_from(ran, asked, engine.names),
        weigh=lambda: engine.worth(ran, float(asked.assumptions.equity)),
        count=lambda: fast.results_from(ran, asked, engine.names),
        signals=len(verdicts),
        taken=sum(one > 0 for one in verdicts),
        left_out=_counted(fast.LEFT_OUT[one] for one in verdicts if one < 0),
        untold=ran.untold,
        turnover=float(ran.trades["paid"].sum() + ran.trades["received"].sum()),
        market=_market(asked),
    )


def _by_executor(asked: Asked, progress: Callable[[int], None]) -> Outcome:
    record = ExactRun(asked, progress).run()
    verdicts = record.verdicts.values()
    told = _of_contracts(record, asked) if asked.product.arithmetic.is_borrowed else _of_coins(record, asked)
    trades, curve, turnover = told
    return Outcome(
        inside=asked.assumptions.inside,
        engine="exact",
        asset=asked.asset,
        tell=lambda: trades,
        draw=lambda: curve,
        weigh=curve.worth,
        count=lambda: results_of(trades, asked.sizes),
        signals=len(asked.signals),
        taken=sum(one.verdict == "taken" for one in verdicts),
        left_out=_counted(_kind_of(one.reason) for one in verdicts if one.verdict != "taken"),
        untold=record.untold,
        turnover=turnover,
        market=_market(asked),
    )


def _of_contracts(record: Record, asked: Asked) -> tuple[Sequence[Trade], Curve, float]:
    instruments, trades = asked.instruments, trades_of(record, asked)
    fills = [one for one in record.ledger if isinstance(one, Fill)]
    curve = curve_of(record.ledger, asked.minutes, asked.sizes, asked.start, asked.end)
    turnover = sum((instruments[one.symbol].notional(one.quantity, one.price) for one in fills), Decimal())
    return trades, curve, float(turnover)


def _of_coins(record: Record, asked: Asked) -> tuple[Sequence[Trade], Curve, float]:
    begun, flows = flows_of_coins(record.ledger, record.orders, asked)
    trades = trades_of_coins(record, asked)
    curve = curve_of_flows(begun, flows, asked.minutes, asked.sizes, asked.start, asked.end)
    return trades, curve, turnover_of_coins(record.ledger)


def _market(asked: Asked) -> Market:
    """What each of the symbols was worth, one bought at the beginning, on average."""

    def worth(moments: Integers) -> Floats:
        found = []
        for one in asked.minutes.values():
            last = len(one.close) - 1
            begun = one.open[min(max(one.at(asked.start), 0), last)]
            found.append(one.close[np.clip((moments - 1 - one.start) // MINUTE, 0, last)] / begun)
        mean: Floats = np.mean(found, axis=0)
        mean[moments <= asked.start] = 1.0
        return mean

    return worth


def _counted(words: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(words).most_common())


def _kind_of(reason: str | None) -> str:
    """The reason without its numbers, which differ from one signal to the next."""
    return _NUMBER.sub("n", reason or "no reason was given")
