"""The account of a market where coins change hands: orders, pairs of them, balances, and what it is worth.

What of a balance is ours the engine knows, and nobody else: it is asked for that.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.exchange.coin_trading import Balance, CoinOrder, CoinTrade, CoinTrading, Pair
from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.product import NotOfferedError
from pipeline.exchange.reports import Account, PositionReport
from pipeline.execution.account.coins import Held, account_of
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.events import Snapshot
from pipeline.execution.engine.state import (
    ZERO,
    Margin,
    OrderRecord,
    OrderTold,
    PositionRecord,
    PositionTold,
    TradeTold,
)
from pipeline.execution.gateway import coin_reports, reports_in
from pipeline.execution.gateway.desk import DayStarts, Past, Replaced
from pipeline.execution.gateway.reports_in import Market

log = logging.getLogger(__name__)


@dataclass(slots=True)
class CoinDesk:
    """`sending` never retries: each attempt is the core's decision. `asking` may. `ours`: what the engine holds for
    ours; `symbols`: what it looks at."""

    sending: CoinTrading
    asking: CoinTrading
    day_starts: DayStarts
    earned: Callable[[], Mapping[str, Decimal]]
    rates: Rates
    market: Market
    data: MarketData
    ours: Callable[[], Iterable[PositionRecord]]
    symbols: Callable[[], Collection[str]]
    worth: dict[str, PositionReport] = field(default_factory=dict)
    account: Account | None = None

    def send(self, order: OrderRecord, beside: OrderRecord | None) -> tuple[OrderTold, ...]:
        """A purchase or a sale at the market, or a stop, with its target in one request."""
        if order.quantity is None:
            raise ValueError(f"order {order.id} has no quantity")
        if order.algo:
            placed = self.sending.protect(_pair(order, order.quantity, beside))
        else:
            placed = (self.sending.trade(order.symbol, order.side, order.quantity, order.id),)
        return tuple(self._told(one) for one in placed)

    def replace(self, order: OrderRecord, instead: OrderRecord) -> Replaced:
        """A stop alone in the place of a stop, or of a pair."""
        if order.quantity is None:
            raise ValueError(f"order {order.id} has no quantity")
        found = self.sending.replace(instead.id, _pair(order, order.quantity, None))
        placed = () if found.placed is None else (found.placed,)
        return tuple(self._told(one) for one in (*found.gone, *placed)), found.refusal

    def cancel(self, order: OrderRecord) -> tuple[OrderTold, ...]:
        """Cancel it; with one of a pair goes the other."""
        return tuple(self._told(one) for one in self.sending.cancel(order.symbol, order.id))

    def query(self, order: OrderRecord) -> OrderTold | None:
        """How it stands."""
        found = self.asking.query(order.symbol, order.id)
        return None if found is None else self._told(found)

    def query_number(self, symbol: str, number: int) -> OrderTold | None:
        """The order that the exchange has under that number."""
        found = self.asking.query_number(symbol, number)
        return None if found is None else self._told(found)

    def trades(self, symbol: str, since: int) -> tuple[TradeTold, ...]:
        """Our fills since then."""
        return tuple(
            coin_reports.trade_told(one, self._base(symbol), self._fee_known(one))
            for one in self.asking.trades(symbol, since)
        )

    def positions(self, symbol: str) -> tuple[PositionTold, ...]:  # noqa: ARG002 - of whatever symbol
        """Nothing: a balance proves nothing."""
        return ()

    def past(self, symbol: str, since: int) -> Past:
        """What happened in the symbol since then. Orders are read before trades, so that each trade has its order."""
        orders = sorted((self._told(one) for one in self.asking.orders(symbol, since)), key=lambda one: not one.algo)
        return tuple(orders), self.trades(symbol, since)

    def snapshot(self, asof: int) -> Snapshot:
        """Balances first: what is sold while this is read is then missing in the list of orders, and asked for."""
        self._list_all()
        prices = {symbol: price for symbol, (price, _) in self.data.prices().items()}
        balances = self.asking.balances()
        orders = self.open_orders()
        held = [self._held(one, prices) for one in self.ours() if one.managed and one.quantity]
        self.worth = {one.symbol: one.report() for one in held}
        self.account = account_of(balances, held, sorted({self._quote(one) for one in self.symbols()} - {""}))
        starts = self.day_starts(self.account, asof)
        views = reports_in.account_views(self.account, asof, starts, self.earned(), self.market)
        return Snapshot(orders, self._there(balances), views, asof)

    def open_orders(self) -> tuple[OrderTold, ...]:
        """Every order that is open on the account; stops are among them."""
        return tuple(self._told(one) for one in self.asking.open_orders())

    def set_margin(self, symbol: str, margin: Margin) -> None:
        """There is none."""
        raise NotOfferedError(f"{symbol} is paid in full: it has no {margin}")

    def costs(self, order: OrderRecord) -> dict[str, Decimal] | None:
        """Fee and average price of a filled order, from its trades."""
        found = [] if order.exchange_id is None else self.asking.trades_of(order.symbol, order.exchange_id)
        if not found:
            return None
        return {
            "fee": sum((self._fee(one) for one in found), ZERO),
            "average_price": self.market.product.arithmetic.average((one.qty, one.price) for one in found),
        }

    def _list_all(self) -> None:
        """What each symbol trades has to be known before a balance can be told for it."""
        if any(one not in self.market.listed for one in self.symbols()):
            self.market.list(self.data.symbols())

    def _there(self, balances: Mapping[str, Balance]) -> tuple[PositionTold, ...]:
        """How many coins lie there of each symbol, whosever. Of a symbol that is listed no more nobody can say it: then
        ours count as there."""
        ours = {one.symbol: one.quantity for one in self.ours() if one.ours}
        there = {symbol: ours.get(symbol, ZERO) for symbol in {*self.symbols(), *ours}}
        for symbol in there:
            if (base := self._base(symbol)) is not None:
                balance = balances.get(base)
                there[symbol] = balance.free + balance.locked if balance else ZERO
        return tuple(PositionTold(symbol, quantity, ZERO) for symbol, quantity in there.items())

    def _held(self, position: PositionRecord, prices: Mapping[str, Decimal]) -> Held:
        mark = prices.get(position.symbol, position.entry_price)
        base, quote = self._base(position.symbol) or "", self._quote(position.symbol)
        return Held(position.symbol, base, quote, position.quantity, position.entry_price, mark)

    def _told(self, report: CoinOrder) -> OrderTold:
        return coin_reports.order_told(report, self._base(report.symbol))

    def _base(self, symbol: str) -> str | None:
        listed = self.market.listed.get(symbol)
        return None if listed is None else listed.base

    def _quote(self, symbol: str) -> str:
        listed = self.market.listed.get(symbol)
        return "" if listed is None else listed.quote

    def _fee(self, trade: CoinTrade) -> Decimal:
        """What a trade cost, in the asset that it was paid with."""
        if trade.commission_asset == self._base(trade.symbol):
            return trade.commission * trade.price
        return self.rates.worth_in(trade.commission, trade.commission_asset, self._quote(trade.symbol))

    def _fee_known(self, trade: CoinTrade) -> Decimal | None:
        """The same; None while its asset has no price: what the trade proves does not wait for that."""
        try:
            return self._fee(trade)
        except ExchangeError as error:
            log.warning("a fee in %s cannot be counted yet: %s", trade.commission_asset, error)
            return None


def _pair(stop: OrderRecord, quantity: Decimal, target: OrderRecord | None) -> Pair:
    if stop.type != "STOP_MARKET" or stop.trigger_price is None:
        raise ValueError(f"order {stop.id} is no stop, or has no trigger")
    return Pair(
        symbol=stop.symbol,
        quantity=quantity,
        stop_id=stop.id,
        stop_price=stop.trigger_price,
        target_id=None if target is None else target.id,
        target_price=None if target is None else target.trigger_price,
    )
