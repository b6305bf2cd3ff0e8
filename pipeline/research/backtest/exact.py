"""The executor over the past: its own core, its own gateway, the simulator's venue; sockets, database and sleep are not
there. What is refused, sized, protected and closed here is what would be live, because the same code does it.

Time jumps from one thing that happens to the next: a signal, an answer, a price that something waits for, a day's end.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from itertools import count
from types import MappingProxyType
from typing import Final, cast

from pipeline.exchange.reports import Account as Statement
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import Trading
from pipeline.execution.engine import effects as out
from pipeline.execution.engine.events import (
    AlikeSeen,
    AllocationSeen,
    CallCounted,
    Event,
    FeeSeen,
    IntentJournaled,
    PriceSeen,
    Recalled,
    RulesSeen,
    SignalSeen,
    Time,
    TradingSeen,
)
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.rebuild import unexplained
from pipeline.execution.engine.risk import ACCOUNT_LOSS, ACCOUNT_PROFIT, of_coin
from pipeline.execution.engine.state import PROTECTING, TradingView
from pipeline.execution.gateway import reports_in
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.coins import CoinBooks
from pipeline.research.backtest.contracts import spec_of
from pipeline.research.backtest.exchange import ACCOUNT, VenueClient, VirtualClock
from pipeline.research.backtest.funding import Scheduled
from pipeline.research.backtest.likeness import groups_at
from pipeline.research.backtest.margined import MarginedBooks
from pipeline.research.backtest.market import HistoryMarket, Stance
from pipeline.research.backtest.quiet import Range, first_event
from pipeline.research.backtest.record import Marked, Record, Told
from pipeline.simulator.venue.liquidation import Force
from pipeline.simulator.venue.venue import Venue
from pipeline.timeline import DAY, MINUTE, SECOND
from schemas.symbols import Symbol

_LOOK_AGAIN: Final = 250
"""While something is under way, the core is told the time as often."""
_COMPARED_AFTER: Final = SECOND
"""Where the stream does not tell what an account is worth, the core is told by the next comparison."""
_GIVE_UP: Final = 10 * MINUTE
"""Longer than this nothing is under way without news: what still is, waits for what cannot come here."""


class ExactRun:
    """One account over one stretch of time. Run it once."""

    def __init__(self, asked: Asked, progress: Callable[[int], None] = lambda _: None) -> None:
        self._asked = asked
        self._specs = {one.symbol: spec_of(asked, one) for one in asked.symbols}
        self._sizes = asked.sizes
        self._signals = sorted(asked.signals, key=lambda one: (one.at, one.id))
        self._next_signal = 0
        self._progress = progress
        self._clock = VirtualClock(asked.start)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = count()
        self._day_start: dict[int, Decimal] = {}
        self._reach = {
            name: one.reaching(asked.marks[name]) if name in asked.marks else one for name, one in asked.minutes.items()
        }
        self._market = HistoryMarket(
            asked.minutes, self._specs, asked.assumptions.inside, self._levels, self._stance, asked.marks
        )
        self._fundings = Scheduled(asked.funding)
        self._record = Record(asked.start, asked.end)
        self._core = Core(asked.policy, asked.start, identity=asked.identity, mode="auto-execute")
        self._books = self._opened()
        self._venue = self._books.venue
        client = VenueClient(
            self._venue, asked.product, self._clock, lambda symbol: self._market.is_there(symbol, self._clock.time)
        )
        self._trading = Trading(cast("RestClient", client))
        self._listing = reports_in.Market(asked.product)
        self._listing.list(asked.symbols)
        desk = self._books.desk(self._trading, self._began_with, self._listing, self._core.positions, lambda: self._now)
        self._gateway = Gateway(self._trading.client, desk, self._answered)
        self._may_fail = not all(one.there.all() for one in asked.minutes.values())
        self._idle_since = asked.start
        self._timed_at = 0

    def _opened(self) -> MarginedBooks | CoinBooks:
        """The account, as its market keeps it."""
        if not self._asked.product.arithmetic.is_borrowed:
            return CoinBooks(self._asked, self._market, self._specs, self._record.orders)
        return MarginedBooks(
            self._asked, self._market, self._specs, self._core, looks=self._looks, fundings=self._fundings
        )

    @property
    def _one_way(self) -> int:
        return self._asked.assumptions.one_way

    def run(self) -> Record:
        """Everything that happened until the end."""
        self._mark()
        for one in self._asked.symbols:
            self._tell_rules(one)
            self._tell(TradingSeen(one.symbol, self._asked.trading.get(one.symbol, TradingView())))
        for change in self._asked.changes:
            self._at(max(change.at, self._now), partial(self._change, change.symbol))
        for symbol, end in self._asked.endings.items():
            self._at(max(end, self._now), partial(self._end, symbol))
        self._tell(AllocationSeen(self._asked.shares))
        self._tell_what_moves_alike()
        self._tell(Time())
        end = self._record.end
        while (upcoming := self._upcoming()) <= end or self._now < end:
            self._pass(min(upcoming, end))
            if self._now >= upcoming:
                self._arrive()
        return self._finished()

    # Time

    @property
    def _now(self) -> int:
        return self._clock.time

    def _upcoming(self) -> int:
        """The next moment that is known beforehand."""
        times = [(self._now // DAY + 1) * DAY]
        if (settled := self._fundings.next(self._now)) is not None:
            times.append(settled)
        if self._queue:
            times.append(self._queue[0][0])
        if self._next_signal < len(self._signals):
            at = self._signals[self._next_signal].at
            times.append(at if at > self._now else max(self._now, at + self._asked.assumptions.signal_delay))
        if self._is_busy():
            times.append(self._now + _LOOK_AGAIN)
        return min(times)

    def _pass(self, until: int) -> None:
        """Let the market run until then, or until it has done something to the account."""
        while self._now < until:
            opened = first_event(self._books, self._reach, self._sizes, self._equity_range(), self._now, until)
            if opened is None:
                self._skip(until)
                return
            self._skip(max(opened, self._now))
            if self._watch_minute(min(opened + MINUTE, until)):
                return

    def _skip(self, to: int) -> None:
        """Funding, at that very moment, is still to come."""
        self._venue.pass_over(to - 1)
        self._core.pass_over(to)
        self._clock.time = to

    def _watch_minute(self, until: int) -> bool:
        """Price by price; whether anything came of it, at the exchange or for the executor to do."""
        symbols, waiting = sorted(self._books.watched()), len(self._queue)
        while self._now < until:
            known = min(until, self._market.is_known_until(self._now))
            ticks = {symbol: one for symbol in symbols for one in self._market.ticks(symbol, self._now, known)[:1]}
            self._clock.time = min((one.time for one in ticks.values()), default=known)
            self._venue.advance(self._now)
            self._tell_prices(symbols, {name: one.price for name, one in ticks.items() if one.time == self._now})
            if self._drain() or len(self._queue) > waiting:
                return True
        return False

    def _arrive(self) -> None:
        """Do what is due now."""
        self._venue.advance(self._now)
        self._drain()
        if self._now % DAY == 0:
            self._day_start[self._now] = self._mark()
            self._progress(self._now)
            self._tell_what_moves_alike()
        while self._queue and self._queue[0][0] <= self._now:
            heappop(self._queue)[2]()
        self._tell_signals()
        if self._now >= self._timed_at + _LOOK_AGAIN:
            self._timed_at = self._now
            self._tell(Time())

    def _tell_signals(self) -> None:
        heard = self._now - self._asked.assumptions.signal_delay
        while self._next_signal < len(self._signals) and self._signals[self._next_signal].at <= heard:
            signal = self._signals[self._next_signal]
            self._next_signal += 1
            self._tell_prices((signal.symbol,))
            self._tell_what_is_held_is_worth()
            self._tell(SignalSeen(signal))

    def _looks(self, after: int, until: int) -> Iterable[int]:
        """Positions are looked at wherever a price turns."""
        watched = self._books.watched()
        times = {tick.time for symbol in watched for tick in self._market.ticks(symbol, after, until)}
        return sorted(times.union(*(self._market.turns(symbol, after, until) for symbol in watched)))

    # What the core is told, and what it wants

    def _tell(self, event: Event) -> None:
        for effect in self._core.handle(event, self._now):
            self._perform(effect)

    def _later(self, delay: int, event: Event) -> None:
        self._at(self._now + delay, lambda: self._tell(event))

    def _answered(self, event: Event) -> None:
        """By the gateway. Calls are counted for the share of those that fail, and that is none but in a hole."""
        if self._may_fail or not isinstance(event, CallCounted):
            self._later(self._one_way, event)

    def _at(self, time: int, do: Callable[[], None]) -> None:
        heappush(self._queue, (time, next(self._number), do))

    def _perform(self, effect: out.Effect) -> None:  # noqa: C901, PLR0912 - a table of effects
        record = self._record
        match effect:
            case out.JournalIntent(order, why):
                record.orders[order.id] = order
                if why is not None:
                    record.why[order.id] = why
                self._later(0, IntentJournaled(order.id))
            case out.JournalOrder(order):
                record.orders[order.id] = order
            case out.WriteVerdict(signal_id):
                record.verdicts[signal_id] = effect
            case out.TripBreaker(breaker):
                record.breakers.append(breaker)
            case out.Notify(_, title, text):
                record.told.append(Told(self._now, title, text))
            case out.Place(order, beside, instead):
                self._send(self._gateway.place, order, beside, instead)
            case out.Cancel(order):
                self._send(self._gateway.cancel, order)
            case out.Query(order):
                self._send(self._gateway.query, order)
            case out.QueryNumber(symbol, number):
                self._send(self._gateway.query_number, symbol, number)
            case out.QueryFills(symbol, since):
                self._send(self._gateway.query_fills, symbol, since)
            case out.QueryPositions(symbol):
                self._send(self._gateway.query_positions, symbol)
            case out.SetMargin(symbol, margin):
                self._send(self._gateway.set_margin, symbol, margin)
            case out.Reconcile():
                self._send(self._gateway.reconcile)
            case out.Recall(symbol, since):
                self._send(self._recall, symbol, since)
            case out.JournalPosition() | out.Explain() | out.ResetBreaker() | out.CloseDone():
                pass  # nobody reads along

    def _send(self, ask: Callable[..., object], *arguments: object) -> None:
        def arrive() -> None:
            ask(*arguments)
            self._drain()

        self._at(self._now + self._one_way, arrive)

    def _recall(self, symbol: str, since: int) -> None:
        """What the exchange and the journal know of a symbol's past."""
        past = self._gateway.past(symbol, since)
        if past is None:
            raise ValueError(f"the venue does not say what became of {symbol}")
        orders, trades = past
        known = tuple(self._record.orders[one.id] for one in orders if one.id in self._record.orders)
        said = self._signals[: self._next_signal] if unexplained(orders, known) else ()
        signals = tuple(one for one in said if one.symbol == symbol and one.at >= since)
        self._later(self._one_way, Recalled(symbol, orders, known, trades, signals))

    def _drain(self) -> bool:
        """Pass on what the exchange tells of the account; whether there was anything."""
        told = self._venue.drain_events(ACCOUNT)
        for event in told:
            for heard in self._books.heard(event, self._listing):
                self._later(self._one_way, heard)
        if told:
            self._idle_since = self._now
            if self._books.is_compared:
                self._at(self._now + _COMPARED_AFTER, lambda: self._send(self._gateway.reconcile))
            self._record.equity.append(Marked(self._now, self._equity()))
        return bool(told)

    def _tell_prices(self, symbols: Sequence[str], traded: Mapping[str, int] = MappingProxyType({})) -> None:
        """`traded`: at which price something did, at this very moment; between two trades it is on its way."""
        for symbol in symbols:
            if self._market.is_there(symbol, self._now):
                price = traded.get(symbol) or self._market.price(symbol, self._now)
                self._tell(PriceSeen(symbol, price * self._specs[symbol].tick, self._now))

    def _tell_what_is_held_is_worth(self) -> None:
        """Where that is capped: live it is heard every second."""
        if not self._asked.policy.portfolio.is_capped:
            return
        for symbol in sorted(self._books.watched()):
            price = self._market.price(symbol, self._now) * self._specs[symbol].tick
            self._tell(PriceSeen(symbol, price, self._market.traded_at(symbol, self._now)))

    def _tell_rules(self, one: Symbol) -> None:
        symbol, config = one.symbol, self._trading.symbol_configs().get(one.symbol)
        margin = None if config is None else reports_in.margin(config)
        brackets = reports_in.brackets(self._trading.brackets().get(symbol, ()))
        self._tell(RulesSeen(symbol, self._listing.listed[symbol], margin, self._now, brackets))
        self._tell(FeeSeen(symbol, self._trading.taker_fee(symbol)))

    def _tell_what_moves_alike(self) -> None:
        """Where that caps anything; it is measured once a day."""
        if self._asked.policy.portfolio.group_percent is not None:
            self._tell(AlikeSeen(groups_at(self._asked, self._now)))

    def _change(self, one: Symbol) -> None:
        """Its rules are others from now on, at the exchange and for the executor."""
        self._specs[one.symbol] = spec_of(self._asked, one)
        self._listing.list([one])
        self._tell_rules(one)

    def _end(self, symbol: str) -> None:
        """The exchange does not trade it any more. The executor hears what became of its position, then of that."""
        if isinstance(self._venue, Venue):
            self._venue.close_by_force(ACCOUNT, symbol, Force.SETTLEMENT, self._now)
            self._drain()
        self._later(2 * self._one_way, RulesSeen(symbol, None, None, self._now))

    def _is_busy(self) -> bool:
        """Whether the core may want to do something as time goes by. What has had no news for long has no more."""
        if self._now - self._idle_since > _GIVE_UP:
            return False
        under_way = any(one.unsettled and not (one.waits and one.leg in PROTECTING) for one in self._core.orders())
        naked = any(one.guarded and one.stop_order is None for one in self._core.positions())
        return under_way or naked or len(self._record.verdicts) < self._next_signal

    # The account

    def _equity(self) -> Decimal:
        return self._books.equity(self._now)

    def _mark(self) -> Decimal:
        equity = self._equity()
        self._record.equity.append(Marked(self._now, equity))
        return equity

    def _began_with(self, account: Statement, asof: int) -> dict[str, Decimal]:
        (wallet,) = account.wallets
        return {wallet.asset: self._day_start.setdefault(asof // DAY * DAY, wallet.equity)}

    def _equity_range(self) -> Range:
        """Beyond it the day's loss or target is reached. Once it is, the day has no more to tell."""
        risk, begun = self._asked.policy.risk, self._day_start.get(self._now // DAY * DAY)
        tripped = {one.name for one in self._core.breakers()}
        lost, won = (of_coin(one, self._asked.policy, self._asked.asset) for one in (ACCOUNT_LOSS, ACCOUNT_PROFIT))
        if begun is None:
            return Range(None, None)
        least = None if lost in tripped else begun * (1 - risk.daily_loss_percent / 100)
        target = risk.daily_profit_percent
        most = None if target is None or won in tripped else begun * (1 + target / 100)
        return Range(least, most)

    def _levels(self, symbol: str) -> Iterable[int]:
        return self._books.levels(symbol)

    def _stance(self, symbol: str) -> Stance:
        return self._books.stance(symbol)

    def _finished(self) -> Record:
        self._mark()
        record = self._record
        record.ledger = self._venue.ledger
        record.untold = self._market.untold
        record.undecided = tuple(one.id for one in self._signals[: self._next_signal] if one.id not in record.verdicts)
        return record
