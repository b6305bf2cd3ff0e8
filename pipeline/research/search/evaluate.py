"""What a set of parameters would have brought: the run of `tidemark backtest`, without all that only a reader needs.

A stage holds what trials share: the minutes on one grid, the candles with their columns, and what was said lately, so
that trials which only differ in how they trade ask the strategy once. A trial copies no candle. The figures are those
of the backtest, to the last bit. It knows nothing of who asks, or why. Pure.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import product
from typing import Any, Final, cast

import numpy as np

from pipeline.errors import UsageError
from pipeline.execution.engine.state import SignalView, TradingView
from pipeline.portfolio.allocation import WHOLE
from pipeline.research import figures
from pipeline.research.backtest import fast
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.compiled import tables
from pipeline.research.backtest.fast import Prepared, Ran, Table
from pipeline.research.backtest.minutes import Floats
from pipeline.research.backtest.run import run
from pipeline.research.search.candles import KEPT, Candles
from pipeline.research.search.figures import FIGURES, Figures, equity_figures, profit_figures, times_of
from pipeline.research.search.space import INTERVAL, Point, Space, risk_of
from pipeline.strategies.base import Codes, Side, Strategy, meaning_of
from pipeline.timeline import HOUR, MINUTE, interval, iso
from schemas.signals import Kind

SAID_KEPT: Final = 16
"""Sets of signals that are kept at once."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """`equity`: at the start, each midnight (UTC) and the end. `profits`: of the trades that ended, in the order in
    which they were opened, and `closed`, when they ended; `longest`: how long one of them was held, in milliseconds."""

    figures: Figures
    equity: Floats
    profits: Sequence[float]
    closed: Sequence[int]
    longest: int
    engine: str

    def within(self, times: Sequence[int], first: int, last: int) -> Figures:
        """The figures of some of its days, from the start of one to the start of the other; `times` are those of
        `equity`. Drawdown is that of the days, and trades are those that ended in them."""
        begin, end = times[first], times[last]
        equity = self.equity[first : last + 1]
        ended = np.array([one for one, at in zip(self.profits, self.closed, strict=True) if begin < at <= end])
        return equity_figures(equity) | profit_figures(ended) | {"trades": len(ended)}


class Stage:
    """One stretch of time for many trials. `asked` holds all but the signals and what a point changes."""

    def __init__(self, asked: Asked, candles: Sequence[Candles], space: Space) -> None:
        if (beyond := fast.beyond(asked)) is not None:
            raise UsageError(
                f"a search goes by the compiled rules, and they know no {beyond}: change the settings for it, or try "
                "single sets with tidemark backtest"
            )
        self.space = space
        self._asked = replace(asked, signals=[])
        self._candles = list(candles)
        self._said: OrderedDict[tuple[Strategy, str], Table] = OrderedDict()

    @property
    def start(self) -> int:
        """When it begins."""
        return self._asked.start

    @property
    def end(self) -> int:
        """When it ends."""
        return self._asked.end

    @property
    def interval(self) -> str:
        """The candles of its signals, where a point names no others."""
        return self._candles[0].interval

    @property
    def asked(self) -> Asked:
        """What it goes by."""
        return self._asked

    @property
    def times(self) -> list[int]:
        """The start, each midnight (UTC), and the end: when the equity of a trial is told."""
        return times_of(self.start, self.end)

    def settle(self) -> "Stage":
        """Work out at once what every trial needs: whoever gets a copy of the stage has it."""
        _ = self._prepared
        for one in self._candles:
            one.column("atr")
        return self

    @property
    def working_bytes(self) -> int:
        """What trials keep beside what they share: averages, where the strategy asks for as many as are kept."""
        return sum(one.numbers.nbytes for one in self._candles) * KEPT

    def within(self, start: int, end: int, equity: float | None = None) -> "Stage":
        """The same for a part of it, with another account."""
        assumed = self._asked.assumptions
        assumed = assumed if equity is None else replace(assumed, equity=Decimal(repr(equity)))
        funding = {name: [one for one in dues if start < one.time <= end] for name, dues in self._asked.funding.items()}
        part = replace(self._asked, start=start, end=end, assumptions=assumed, funding=funding)
        return Stage(part, self._candles, self.space)

    def parts(self) -> Iterator[Asked]:
        """What is said of each symbol in one of the sets, with the least and the most that others have of what an order
        is sized by."""
        first = next(self.space.points())
        sized = [one for one in self.space.axes if one.name in {"leverage", "unit"}]
        corners = list(product(*((min(one.values, key=float), max(one.values, key=float)) for one in sized)))
        for candles in self._candles:
            if candles.interval != self._interval(first) or not (said := self._views(first, [candles])):
                continue
            for corner in corners:
                point = {**first, **{axis.name: value for axis, value in zip(sized, corner, strict=True)}}
                yield replace(self._at(point), signals=said)

    def evaluate(self, point: Point, said: Table | None = None) -> Evaluated:
        """Run it. `said`: other signals than those of the strategy, as `signals` gives them."""
        rows = self.signals(point) if said is None else said
        asked = self._at(point)
        ran = self._prepared.run(asked, rows)
        if ran.odd and said is None:
            return self._by_executor(point)
        return self._told(ran)

    def signals(self, point: Point) -> Table:
        """What the strategy of a point says, as the compiled rules hear it."""
        strategy, code = self.space.strategy(point), self._interval(point)
        found = self._said.pop((strategy, code), None)
        if found is None:
            found = self._signals(strategy, code)
            if len(self._said) >= SAID_KEPT:
                self._said.popitem(last=False)
        self._said[strategy, code] = found
        return found

    def moved(self, point: Point, share: float) -> Table:
        """The same signals, all of them later by that share of the stretch; what leaves it at its end comes in at its
        beginning."""
        strategy, code = self.space.strategy(point), self._interval(point)
        return self._signals(strategy, code, share)

    def _at(self, point: Point) -> Asked:
        policy = self._asked.policy
        own = {name: _without(view, point) for name, view in self._asked.trading.items()}
        return replace(self._asked, policy=replace(policy, risk=risk_of(policy.risk, point)), trading=own)

    def _interval(self, point: Point) -> str:
        return str(point[INTERVAL]) if INTERVAL in point else self.interval

    def _signals(self, strategy: Strategy, code: str, later: float = 0.0) -> Table:
        """In the order in which a run hears them: by time, then as their ids sort."""
        parts = [self._of_symbol(one, strategy, later) for one in self._candles if one.interval == code]
        rows = np.concatenate(parts) if parts else np.empty(0, tables.SIGNAL)
        names = self._prepared.names
        rank = np.argsort(np.argsort([f"{one}:" for one in names]))
        return rows[np.lexsort((rank[rows["symbol"]], rows["minute"]))]

    def _of_symbol(self, candles: Candles, strategy: Strategy, later: float) -> Table:
        codes, at = self._codes(candles, strategy, later)
        rows = np.zeros(len(at), tables.SIGNAL)
        rows["symbol"] = self._prepared.names.index(candles.symbol)
        rows["minute"] = (self._closes(candles, at) - self.start) // MINUTE
        rows["kind"] = np.abs(codes) - 1
        rows["side"] = np.sign(codes)
        rows["price"] = candles.column("close")[at]
        rows["share"] = float(WHOLE)
        rows["atr"] = candles.column("atr")[at]
        return rows

    def _codes(self, candles: Candles, strategy: Strategy, later: float = 0.0) -> tuple[Codes, Any]:
        """The codes that are none of nothing, of candles that close within the stretch; and where they are."""
        codes = candles.codes(strategy)
        closes = self._closes(candles, slice(None))
        first, last = np.searchsorted(closes, [self.start, self.end + 1])
        inside = codes[first:last]
        inside = np.roll(inside, int(later * len(inside))) if later else inside
        at = np.flatnonzero(inside)
        return inside[at], at + first

    @staticmethod
    def _closes(candles: Candles, at: Any) -> Any:
        step = interval(candles.interval)
        if step.milliseconds is not None:
            return step.origin + (candles.numbers[at] + 1) * step.milliseconds
        return np.array([step.open_time(one + 1) for one in candles.numbers[at].tolist()], np.int64)

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self._asked)

    def _told(self, ran: Ran) -> Evaluated:
        """The figures of a run."""
        worth = self._prepared.worth(ran, float(self._asked.assumptions.equity))
        results = fast.results_from(ran, self._asked, self._prepared.names)
        profits = results.profits.tolist()
        found = equity_figures(worth.daily, worth.deepest_pct) | profit_figures(results.profits) | {
            "exposure_pct": worth.inside / worth.minutes * 100,
            "trades": len(profits),
            "still_open": results.still_open,
            "mean_hours": figures.expectancy(results.lasted / HOUR),
            "fees": results.fees,
            "funding": results.funding,
            "turnover": float(ran.trades["paid"].sum() + ran.trades["received"].sum()),
            "signals": len(ran.verdicts),
            "taken": int((ran.verdicts > 0).sum()),
            "on_an_assumption": results.on_an_assumption,
        }  # fmt: skip
        closed = ran.trades["closed_at"][np.lexsort((ran.trades["symbol"], ran.trades["opened_at"]))]
        longest = int(results.lasted.max(initial=0))
        return Evaluated(found, worth.daily, profits, closed[closed >= 0].tolist(), longest, "fast")

    def _by_executor(self, point: Point) -> Evaluated:
        """Where the compiled rules met what they do not know, as the backtest does."""
        asked = replace(self._at(point), signals=self._views(point))
        outcome = run(asked, exact=True).outcome
        told = asdict(outcome.summary)
        over = [one for one in outcome.trades if one.closed_at is not None]
        return Evaluated(
            {name: told[name] for name in FIGURES},
            outcome.curve.daily()[1],
            [float(one.profit) for one in over],
            [one.closed_at for one in over if one.closed_at is not None],
            max((one.closed_at - one.opened_at for one in over if one.closed_at is not None), default=0),
            "exact",
        )

    def _views(self, point: Point, of: Sequence[Candles] | None = None) -> list[SignalView]:
        strategy, code = self.space.strategy(point), self._interval(point)
        found: list[SignalView] = []
        for candles in self._candles if of is None else of:
            if candles.interval == code:
                codes, at = self._codes(candles, strategy)
                found += (
                    self._view(candles, strategy.name, code, int(one), int(place))
                    for one, place in zip(codes, at, strict=True)
                )
        return found

    def _view(self, candles: Candles, strategy: str, code: str, said: int, place: int) -> SignalView:
        side, kind = meaning_of(said)
        step, number = interval(code), int(candles.numbers[place])
        closed, atr = step.open_time(number + 1), float(candles.column("atr")[place])
        named = f"{candles.symbol}:{code}:{iso(step.open_time(number))}:{strategy}:{kind.name.lower()}:{side.value}"
        return SignalView(
            id=f"{self._asked.identity.environment}:{named}",
            symbol=candles.symbol,
            interval=code,
            strategy=strategy,
            kind=cast("Kind", kind.name.lower()),
            side="long" if side is Side.LONG else "short",
            at=closed,
            price=Decimal(repr(float(candles.column("close")[place]))),
            atr=None if np.isnan(atr) else Decimal(repr(atr)),
            confirmed=True,
            fresh_until=closed + candles.fresh,
        )


def _without(view: TradingView, point: Point) -> TradingView:
    """What a symbol has of its own, less what a point says of all."""
    changed: dict[str, Any] = {}
    if "stop" in point:
        changed |= {"stop_atr": None, "stop_percent": None}
    if "target" in point:
        changed |= {"take_profit_atr": None, "take_profit_percent": None}
    if "leverage" in point:
        changed |= {"leverage": None}
    return replace(view, **changed) if changed else view
