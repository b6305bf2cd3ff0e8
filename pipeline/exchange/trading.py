"""The signed endpoints: place, query, cancel, list; positions, balances, incomes; the account's settings.

One method a call, typed both ways. It decides nothing: whether to send, and what an error means for an order, are its
callers' questions (`outcomes` answers the second).
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

from pipeline.exchange.errors import RefusedError
from pipeline.exchange.limits import Need
from pipeline.exchange.products.product import Ask, Endpoint, Product
from pipeline.exchange.reports import (
    Account,
    AccountReport,
    AlgoReport,
    BracketReport,
    CoinsReport,
    CommissionRate,
    IncomeReport,
    OrderReport,
    PositionReport,
    SymbolBrackets,
    SymbolConfig,
    TradeReport,
    read,
)
from pipeline.exchange.rest import RestClient

T = TypeVar("T")

Side = Literal["BUY", "SELL"]
ALREADY_SO: Final = -4046
MOST_ORDERS: Final = 1_000
MOST_TRADES: Final = 1_000
MOST_INCOMES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order to place: MARKET, or LIMIT with a price. `good_till`: when what is not filled of it ends by itself."""

    symbol: str
    side: Side
    client_id: str
    quantity: Decimal
    price: Decimal | None = None
    good_till: int | None = None
    reduce_only: bool = False
    position_side: str = "BOTH"

    def parameters(self) -> dict[str, object]:
        """As the exchange wants them; hedge mode knows no `reduceOnly`."""
        limit: dict[str, object] = {}
        if self.price is not None:
            limit |= {"timeInForce": "GTD" if self.good_till else "GTC", "goodTillDate": self.good_till}
            limit |= {"price": plain(self.price)}
        reduces = self.reduce_only and self.position_side == "BOTH"
        return {
            "symbol": self.symbol,
            "side": self.side,
            "type": "MARKET" if self.price is None else "LIMIT",
            "positionSide": self.position_side,
            "quantity": plain(self.quantity),
            **limit,
            "reduceOnly": True if reduces else None,
            "newClientOrderId": self.client_id,
            "newOrderRespType": "RESULT",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAlgo:
    """A conditional order: once the price touches its trigger it sells or buys at market. Without a quantity it closes
    whatever the position is then."""

    symbol: str
    side: Side
    client_id: str
    type: Literal["STOP_MARKET", "TAKE_PROFIT_MARKET"]
    trigger_price: Decimal
    quantity: Decimal | None = None
    position_side: str = "BOTH"
    working_type: Literal["CONTRACT_PRICE", "MARK_PRICE"] = "CONTRACT_PRICE"

    def parameters(self) -> dict[str, object]:
        """As the exchange wants them. With a quantity it may only reduce; hedge mode says that by the side."""
        closes = self.quantity is None
        return {
            "algoType": "CONDITIONAL",
            "symbol": self.symbol,
            "side": self.side,
            "type": self.type,
            "positionSide": self.position_side,
            "triggerPrice": plain(self.trigger_price),
            "workingType": self.working_type,
            "quantity": None if self.quantity is None else plain(self.quantity),
            "closePosition": True if closes else None,
            "reduceOnly": True if not closes and self.position_side == "BOTH" else None,
            "clientAlgoId": self.client_id,
        }


def plain(amount: Decimal) -> str:
    """The amount in digits: the exchange reads no exponents."""
    return format(amount, "f")


@dataclass(frozen=True, slots=True)
class Trading:
    """An account, through `client`. Give it a client without retries where each attempt must be decided anew."""

    client: RestClient

    # Orders

    def place_order(self, order: NewOrder) -> OrderReport:
        """Send an order. One that may only reduce is let through where one that opens has to wait."""
        need = Need.PROTECTION if order.reduce_only else Need.OPENING
        return self._ask(Ask.PLACE_ORDER, order.parameters(), OrderReport, need=need)

    def query_order(self, symbol: str, client_id: str) -> OrderReport | None:
        """The order, or None where the exchange knows no such one (-2013: just after sending, that proves nothing)."""
        asked = {"symbol": symbol, "origClientOrderId": client_id}
        return _unless(-2013, lambda: self._ask(Ask.QUERY_ORDER, asked, OrderReport))

    def query_order_number(self, symbol: str, order_id: int) -> OrderReport | None:
        """The order by the exchange's own number, or None where it knows no such one."""
        asked = {"symbol": symbol, "orderId": order_id}
        return _unless(-2013, lambda: self._ask(Ask.QUERY_ORDER, asked, OrderReport))

    def cancel_order(self, symbol: str, client_id: str) -> OrderReport | None:
        """Cancel; None where there was nothing to cancel (-2011): it is filled, cancelled, or was never there."""
        asked = {"symbol": symbol, "origClientOrderId": client_id}
        return _unless(-2011, lambda: self._ask(Ask.CANCEL_ORDER, asked, OrderReport))

    def open_orders(self) -> list[OrderReport]:
        """Every ordinary order that is open, of all symbols."""
        return self._ask(Ask.OPEN_ORDERS, {}, list[OrderReport])

    def all_orders(self, symbol: str, since: int) -> list[OrderReport]:
        """Ordinary orders that were placed since then, open or not, oldest first; less than seven days ago."""
        return self._all(Ask.ALL_ORDERS, symbol, since, OrderReport, "orderId", lambda one: one.order_id)

    # Conditional orders

    def place_algo(self, algo: NewAlgo) -> AlgoReport:
        """Send a conditional order."""
        return self._ask(Ask.PLACE_ALGO, algo.parameters(), AlgoReport)

    @property
    def knows_ended_algos(self) -> bool:
        """Whether a conditional order that waits no more can be asked for. Else what is left of it is the order that it
        placed, of the same id, if it has fired."""
        return Ask.QUERY_ALGO in self._product.endpoints

    def query_algo(self, symbol: str, client_id: str) -> AlgoReport | None:
        """The conditional order, or None where the exchange knows no such one, or tells of those alone that wait."""
        if not self.knows_ended_algos:
            return next((one for one in self.open_algos_of(symbol) if one.client_algo_id == client_id), None)
        return _unless(-2013, lambda: self._ask(Ask.QUERY_ALGO, {"clientAlgoId": client_id}, AlgoReport))

    def cancel_algo(self, client_id: str) -> bool:
        """Cancel; False where there was nothing to cancel."""
        asked = {"clientAlgoId": client_id}
        return _unless(-2011, lambda: self.client.ask_signed(Ask.CANCEL_ALGO, asked)) is not None

    def open_algos(self) -> list[AlgoReport]:
        """Every conditional order that waits, of all symbols."""
        return self._ask(Ask.OPEN_ALGOS, {}, list[AlgoReport])

    def open_algos_of(self, symbol: str) -> list[AlgoReport]:
        """The same of one symbol."""
        return self._ask(Ask.OPEN_ALGOS_OF, {"symbol": symbol}, list[AlgoReport])

    def all_algos(self, symbol: str, since: int) -> list[AlgoReport]:
        """Conditional orders that were placed since then, oldest first; less than seven days ago. Waiting or not, where
        the market tells of those that do not."""
        if not self.knows_ended_algos:
            return self.open_algos_of(symbol)
        return self._all(Ask.ALL_ALGOS, symbol, since, AlgoReport, "algoId", lambda one: one.algo_id)

    # What became of it

    def trades(self, symbol: str, since: int) -> list[TradeReport]:
        """Our fills since then, oldest first, all of them."""
        found: list[TradeReport] = []
        asked: dict[str, object] = {"symbol": symbol, "startTime": since, "limit": MOST_TRADES}
        while True:
            page = self._ask(Ask.TRADES, asked, list[TradeReport])
            found += page
            if len(page) < MOST_TRADES:
                return found
            asked = {"symbol": symbol, "fromId": page[-1].id + 1, "limit": MOST_TRADES}

    def trades_of(self, symbol: str, order_id: int) -> list[TradeReport]:
        """The fills of one order."""
        asked = {"symbol": symbol, "orderId": order_id}
        return self._ask(Ask.TRADES, asked, list[TradeReport])

    def positions(self, symbol: str | None = None) -> list[PositionReport]:
        """Symbols with a position or an open order, or more; one that is not listed is flat."""
        asked = {"symbol": symbol} if self._product.positions_of_symbol else {}
        found = self._ask(Ask.POSITIONS, asked, list[PositionReport])
        return [one for one in found if symbol in {None, one.symbol}]

    def account(self) -> Account:
        """What the account is worth now."""
        asset = self._product.margin
        if asset is None:
            return self._ask(Ask.ACCOUNT, {}, CoinsReport).coin_by_coin()
        return self._ask(Ask.ACCOUNT, {}, AccountReport).in_asset(asset)

    def incomes(self, since: int, until: int) -> list[IncomeReport]:
        """Everything that changed the wallet in [since, until], oldest first. Rows of one moment that fill more than
        a page cannot be told apart from their times, so the last moment of a full page is asked for again."""
        found: dict[tuple[int, str, str], IncomeReport] = {}
        while True:
            asked = {"startTime": since, "endTime": until, "limit": MOST_INCOMES}
            page = self._ask(Ask.INCOMES, asked, list[IncomeReport])
            fresh = {(row.tran_id, row.income_type, row.symbol): row for row in page}
            news = fresh.keys() - found.keys()
            found |= fresh
            if len(page) < MOST_INCOMES or not news:
                return list(found.values())
            since = page[-1].time

    # Settings of the account

    def symbol_config(self, symbol: str) -> SymbolConfig | None:
        """Leverage and margin type of a symbol."""
        if Ask.SYMBOL_CONFIG not in self._product.endpoints:
            return self.symbol_configs().get(symbol)
        rows = self._ask(Ask.SYMBOL_CONFIG, {"symbol": symbol}, list[SymbolConfig])
        return next((row for row in rows if row.symbol == symbol), None)

    def symbol_configs(self) -> dict[str, SymbolConfig]:
        """The same for every symbol; where there is no call for it, its position says it. Without positions there is
        no margin."""
        if Ask.POSITIONS not in self._product.endpoints:
            return {}
        if Ask.SYMBOL_CONFIG not in self._product.endpoints:
            rows = [_config(one) for one in self.positions()]
        else:
            rows = self._ask(Ask.SYMBOL_CONFIG, {}, list[SymbolConfig])
        return {row.symbol: row for row in rows}

    def brackets(self) -> dict[str, tuple[BracketReport, ...]]:
        """How much margin a position in each symbol must keep, by its size."""
        if Ask.BRACKETS not in self._product.endpoints:
            return {}
        rows = self._ask(Ask.BRACKETS, {}, list[SymbolBrackets])
        return {row.symbol: row.brackets for row in rows}

    def taker_fee(self, symbol: str) -> Decimal:
        """The share of its worth that an order in this symbol costs us, filled at once."""
        asked = {"symbol": symbol}
        found = self._ask(Ask.FEE, asked, CommissionRate)
        return found.taker

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set it; the same twice is no error."""
        self.client.ask_signed(Ask.SET_LEVERAGE, {"symbol": symbol, "leverage": leverage}, need=Need.OPENING)

    def set_margin_type(self, symbol: str, margin_type: Literal["CROSSED", "ISOLATED"]) -> None:
        """Set it; already so is success."""
        asked = {"symbol": symbol, "marginType": margin_type}
        _unless(ALREADY_SO, lambda: self.client.ask_signed(Ask.SET_MARGIN_TYPE, asked, need=Need.OPENING))

    def hedge_mode(self) -> bool:
        """Whether long and short of a symbol are held apart. Tidemark trades in one-way mode."""
        return bool(self._ask(Ask.HEDGE_MODE, {}, dict[str, Any]).get("dualSidePosition"))

    def multi_assets_mode(self) -> bool:
        """Whether every asset of the account is margin for all its positions."""
        if Ask.MULTI_ASSETS_MODE not in self._product.endpoints:
            return False
        return bool(self._ask(Ask.MULTI_ASSETS_MODE, {}, dict[str, Any]).get("multiAssetsMargin"))

    # The key of the user data stream

    def open_listen_key(self) -> str:
        """The account's listen key, prolonged, or a new one."""
        where = self._where(Ask.OPEN_LISTEN_KEY)
        answer = self.client.call(where.method, where.path, security="key", need=Need.PROTECTION)
        return read(answer.payload, dict[str, str], str(where)).get("listenKey", "")

    def prolong_listen_key(self) -> None:
        """Another hour; -1125 where there is none any more."""
        where = self._where(Ask.PROLONG_LISTEN_KEY)
        self.client.call(where.method, where.path, security="key", need=Need.PROTECTION)

    def _all(
        self, ask: Ask, symbol: str, since: int, kind: type[T], number: str, number_of: Callable[[T], int]
    ) -> list[T]:
        found: list[T] = []
        asked: dict[str, object] = {"symbol": symbol, "startTime": since, "limit": MOST_ORDERS}
        while True:
            page = self._ask(ask, asked, list[kind])  # type: ignore[valid-type]
            found += page
            if len(page) < MOST_ORDERS:
                return found
            asked = {"symbol": symbol, number: number_of(page[-1]) + 1, "limit": MOST_ORDERS}

    def _ask(self, ask: Ask, asked: dict[str, Any], kind: type[T], *, need: Need = Need.PROTECTION) -> T:
        answer = self.client.ask_signed(ask, asked, need=need)
        return read(answer.payload, kind, str(self._where(ask)))

    def _where(self, ask: Ask) -> Endpoint:
        return self._product.endpoint(ask)

    @property
    def _product(self) -> Product:
        product: Product = self.client.environment.product
        return product


def _config(report: PositionReport) -> SymbolConfig:
    margin_type = "ISOLATED" if report.margin_type.upper() == "ISOLATED" else "CROSSED"
    return SymbolConfig(symbol=report.symbol, leverage=report.leverage, margin_type=margin_type)


def _unless(code: int, ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except RefusedError as refusal:
        if refusal.code == code:
            return None
        raise
