"""An account of coins in a run: bought and sold at once, without margin, short or funding. What the exchange keeps of
coins that it fills is its fee. Pure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import zip_longest

import msgspec

from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.market import MarketData
from pipeline.exchange.trading import Trading
from pipeline.exchange.user_events import CoinOrderUpdate, decode_message
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.coins import is_dust
from pipeline.execution.engine.events import Event, OrderSeen
from pipeline.execution.engine.state import ENTERING, OrderRecord, PositionRecord, SignalView
from pipeline.execution.gateway import coin_reports
from pipeline.execution.gateway.coin_desk import CoinDesk
from pipeline.execution.gateway.desk import DayStarts
from pipeline.execution.gateway.reports_in import Market
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.curve import Flow
from pipeline.research.backtest.ends import STILL_OPEN, end_of
from pipeline.research.backtest.exchange import ACCOUNT
from pipeline.research.backtest.market import HistoryMarket, Stance
from pipeline.research.backtest.quiet import Barriers, Stake, barriers_between
from pipeline.research.backtest.record import Record
from pipeline.research.backtest.trades import ZERO, Trade
from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.ledger import Fill
from pipeline.simulator.spot.orders import STOP_LOSSES
from pipeline.simulator.spot.venue import SpotVenue
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.ledger import Deposit, LedgerEntry
from pipeline.simulator.venue.orders import Side


@dataclass(frozen=True, slots=True)
class Prices:
    """What the desk asks of the market beside the account: the last prices."""

    prices: Callable[[], Mapping[str, tuple[Decimal, int]]]


Whose = tuple[str, str | None, str | None]
"""A symbol, and the strategy and the interval whose coins of it they are, where each has a book."""


class Holdings:
    """What is held of each symbol by what was filled, and of that of each strategy. What is left over and too little to
    be sold is none of it any more: the executor never sells it, and it counts for nothing."""

    def __init__(self, asked: Asked, orders: Mapping[str, OrderRecord]) -> None:
        self._asked, self._orders = asked, orders
        self.held: dict[Whose, Decimal] = {}
        self.of_symbol: dict[str, Decimal] = {}

    def whose(self, fill: Fill) -> Whose:
        """Whose coins it has bought or sold."""
        order = self._orders.get(fill.client_id) if self._asked.policy.apart else None
        return (fill.symbol, *((None, None) if order is None else order.owner))

    def take(self, fill: Fill, *, is_last: bool) -> Decimal:
        """By how much the holding changed; where it is the last of its order, with what was left over by that."""
        whose = self.whose(fill)
        before = self.held.get(whose, ZERO)
        kept = fill.fee if fill.fee_asset == fill.base else ZERO
        after = before + (fill.quantity if fill.side == Side.BUY else -fill.quantity) - kept
        filters = self._asked.rules_at(fill.symbol, fill.time).filters
        if is_last and fill.side == Side.SELL and filters is not None and is_dust(after, fill.price, filters):
            after = ZERO
        self.held[whose] = after
        self.of_symbol[fill.symbol] = self.of_symbol.get(fill.symbol, ZERO) + after - before
        return after - before


class CoinBooks:
    """The account, at an exchange of its own."""

    is_compared = True
    """Whether what it is worth is only told by a comparison."""

    def __init__(
        self,
        asked: Asked,
        market: HistoryMarket,
        specs: Mapping[str, SymbolSpec],
        orders: Mapping[str, OrderRecord],
    ) -> None:
        self._asked, self._market, self._specs = asked, market, specs
        self._bases = {one.symbol: one.base_asset for one in asked.symbols}
        self._holdings, self._read = Holdings(asked, orders), 0
        self.venue = SpotVenue(market, now=asked.start)
        self.venue.open_account(ACCOUNT, {asked.asset: asked.assumptions.equity})

    @property
    def _account(self) -> Account:
        return self.venue.books(ACCOUNT)

    def equity(self, now: int) -> Decimal:
        """The money, and what the coins that are held would bring."""
        coins = (held * self._market.mark_price(one, now) for one, held in self._ours().items())
        return self._money + sum(coins, ZERO)

    def watched(self) -> set[str]:
        """The symbols whose prices can change something."""
        return self._account.watched()

    def levels(self, symbol: str) -> Iterator[int]:
        """The prices at which an order waits, in ticks."""
        for order in self._account.orders_of(symbol):
            yield int(order.stop_price / self._specs[symbol].tick)

    def stance(self, symbol: str) -> Stance:
        """Coins are held, or they are not; no order that rests buys any."""
        return Stance(int(self._ours().get(symbol, ZERO) > 0), 0)

    def barriers(self, symbol: str) -> Barriers:
        """Between which prices nothing happens."""
        orders = self._account.orders_of(symbol)
        levels = [(float(one.stop_price), (one.type in STOP_LOSSES) is (one.side is Side.BUY)) for one in orders]
        return barriers_between(levels, self._specs[symbol])

    def stakes(self) -> tuple[float, list[Stake]]:
        """The money, and the coins that rise and fall."""
        return float(self._money), [Stake(one, float(held), 0.0) for one, held in self._ours().items() if held]

    def desk(
        self,
        trading: Trading,
        day_starts: DayStarts,
        listing: Market,
        ours: Callable[[], Iterable[PositionRecord]],
        now: Callable[[], int],
    ) -> CoinDesk:
        """Whom the gateway asks."""
        coins, symbols = CoinTrading(trading.client), list(self._specs)

        def prices() -> dict[str, tuple[Decimal, int]]:
            return {one: (self._market.mark_price(one, now()), now()) for one in symbols}

        def still_ours() -> list[PositionRecord]:
            """What is sold is not counted beside what it has brought, though the core hears of it a moment later: live,
            what the day has brought is what its orders have, by the journal."""
            return [replace(one, quantity=min(one.quantity, self._ours().get(one.symbol, ZERO))) for one in ours()]

        data: MarketData = Prices(prices)  # type: ignore[assignment]
        return CoinDesk(coins, coins, day_starts, dict, Rates(data, None), listing, data, still_ours, lambda: symbols)

    def heard(self, told: Mapping[str, object], _listing: Market) -> Iterable[Event]:
        """What the account's stream says, in the executor's words."""
        event = decode_message(msgspec.json.encode({"event": told}))
        if isinstance(event, CoinOrderUpdate):
            yield OrderSeen(coin_reports.order_streamed(event, self._bases[event.symbol]), "stream")

    @property
    def _money(self) -> Decimal:
        balance = self._account.balance(self._asked.asset)
        return balance.free + balance.locked

    def _ours(self) -> Mapping[str, Decimal]:
        """What is held, as of everything that was filled until now."""
        ledger = self.venue.ledger
        for fill, is_last in fills_of(ledger[self._read :]):
            self._holdings.take(fill, is_last=is_last)
        self._read = len(ledger)
        return self._holdings.of_symbol


def fills_of(ledger: Iterable[LedgerEntry]) -> Iterator[tuple[Fill, bool]]:
    """In order, each with whether it is the last of its order: level by level they come one after the other."""
    fills = [one for one in ledger if isinstance(one, Fill)]
    for fill, after in zip_longest(fills, fills[1:]):
        yield fill, after is None or after.order_id != fill.order_id


def trades_of_coins(record: Record, asked: Asked) -> list[Trade]:
    """In the order in which they were opened; those that are still open have no end. What is left over is lost."""
    holdings, signals = Holdings(asked, record.orders), {one.id: one for one in asked.signals}
    found: list[Trade] = []
    filled: dict[Whose, list[Fill]] = {}
    most: dict[Whose, Decimal] = {}
    for fill, is_last in fills_of(record.ledger):
        whose = holdings.whose(fill)
        filled.setdefault(whose, []).append(fill)
        holdings.take(fill, is_last=is_last)
        most[whose] = max(most.get(whose, ZERO), holdings.held[whose])
        if not holdings.held[whose]:
            found.append(_trade(filled.pop(whose), most.pop(whose), record, signals, asked, is_over=True))
    found += (_trade(filled[one], most[one], record, signals, asked, is_over=False) for one in filled)
    return sorted(found, key=lambda one: (one.opened_at, one.symbol))


def flows_of_coins(
    ledger: Iterable[LedgerEntry], orders: Mapping[str, OrderRecord], asked: Asked
) -> tuple[float, list[Flow]]:
    """What was there at the start, and everything that moved money or coins since."""
    holdings, entries = Holdings(asked, orders), list(ledger)
    begun = sum(float(one.amount) for one in entries if isinstance(one, Deposit) and one.time <= asked.start)
    changes = ((fill, holdings.take(fill, is_last=is_last)) for fill, is_last in fills_of(entries))
    return begun, [Flow(one.symbol, one.time, float(change), float(_paid(one))) for one, change in changes]


def turnover_of_coins(ledger: Iterable[LedgerEntry]) -> float:
    """What was bought and sold."""
    return float(sum((one.turnover for one in ledger if isinstance(one, Fill)), ZERO))


def _trade(
    fills: list[Fill],
    most: Decimal,
    record: Record,
    signals: Mapping[str, SignalView],
    asked: Asked,
    *,
    is_over: bool,
) -> Trade:
    first, last, orders = fills[0], fills[-1], record.orders
    signal = signals[str(orders[first.client_id].signal)]
    named = dict.fromkeys(one.client_id for one in fills)
    sold = [one for one in fills if one.side == Side.SELL]
    entry, fees = _average(one for one in fills if one.side == Side.BUY), sum(map(_fee, fills), ZERO)
    gained = sum((one.turnover - one.quantity * entry for one in sold), ZERO)
    reason, decided_by = end_of(fills, record, asked.minutes[first.symbol]) if is_over else STILL_OPEN
    return Trade(
        symbol=first.symbol,
        side="long",
        strategy=signal.strategy,
        interval=signal.interval,
        signal=signal.id,
        opened_at=first.time,
        closed_at=last.time if is_over else None,
        quantity=most,
        entry_price=entry,
        exit_price=_average(sold) if sold else None,
        entries=sum(1 for one in named if one in orders and orders[one].leg in ENTERING),
        gross=sum(map(_paid, fills), ZERO) + fees if is_over else gained,
        fees=fees,
        funding=ZERO,
        reason=reason,
        decided_by=decided_by,
        orders=tuple(named),
    )


def _average(fills: Iterable[Fill]) -> Decimal:
    of = list(fills)
    return sum((one.turnover for one in of), ZERO) / sum((one.quantity for one in of), ZERO)


def _paid(fill: Fill) -> Decimal:
    """What the money changed by."""
    kept = fill.fee if fill.fee_asset == fill.quote else ZERO
    return (fill.turnover if fill.side == Side.SELL else -fill.turnover) - kept


def _fee(fill: Fill) -> Decimal:
    """In money."""
    return fill.fee * fill.price if fill.fee_asset == fill.base else fill.fee
