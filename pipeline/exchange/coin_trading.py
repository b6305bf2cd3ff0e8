"""The signed endpoints of a market where coins change hands: orders and pairs of them, trades, balances.

One method a call, typed both ways. It decides nothing: whether to send, and what an error means for an order, are its
callers' questions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

from pipeline.exchange.errors import RefusedError
from pipeline.exchange.limits import Need
from pipeline.exchange.products.product import Ask
from pipeline.exchange.reports import Record, read
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import plain
from pipeline.timeline import DAY

T = TypeVar("T")

MOST_ROWS: Final = 1_000
_NO_SUCH_ORDER, _NOT_OPEN = -2013, -2011
_HALF_DONE, _NOT_DONE = -2021, -2022


class CoinFill(Record, frozen=True, kw_only=True):
    """A part of an order that was filled when it was placed."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str


class CoinOrder(Record, frozen=True, kw_only=True):
    """An order. `fills` are told only when it is placed; its average price is what was paid by what was filled. What is
    cancelled is called `orig_client_order_id`, and `client_order_id` is its cancelling."""

    order_id: int
    client_order_id: str
    orig_client_order_id: str = ""
    order_list_id: int = -1
    symbol: str
    status: str
    side: str
    type: str
    orig_qty: Decimal
    executed_qty: Decimal
    cummulative_quote_qty: Decimal
    price: Decimal = Decimal(0)
    stop_price: Decimal = Decimal(0)
    working_time: int = -1
    """Since when it works; of a stop that waits it does not."""
    fills: tuple[CoinFill, ...] = ()
    time: int = 0
    update_time: int = 0
    transact_time: int = 0

    @property
    def name(self) -> str:
        """What the order is called."""
        return self.orig_client_order_id or self.client_order_id

    @property
    def at(self) -> int:
        """When it came to be as it is."""
        return self.update_time or self.transact_time


class CoinTrade(Record, frozen=True, kw_only=True):
    """A fill of ours."""

    id: int
    order_id: int
    symbol: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool


class Balance(Record, frozen=True, kw_only=True):
    """What lies on the account of a coin; `locked` is kept by orders."""

    asset: str
    free: Decimal
    locked: Decimal


class _Refusal(Record, frozen=True, kw_only=True):
    code: int
    msg: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A stop, and a target above it where there is one, for the same coins: both sell at market once their price is
    reached, and only one of them is carried out."""

    symbol: str
    quantity: Decimal
    stop_id: str
    stop_price: Decimal
    target_id: str | None = None
    target_price: Decimal | None = None

    def parameters(self) -> dict[str, object]:
        """As the exchange wants them."""
        both: dict[str, object] = {"symbol": self.symbol, "side": "SELL", "quantity": plain(self.quantity)}
        if self.target_price is None:
            alone = {"type": "STOP_LOSS", "stopPrice": plain(self.stop_price), "newClientOrderId": self.stop_id}
            return both | alone | {"newOrderRespType": "RESULT"}
        return both | {
            "aboveType": "TAKE_PROFIT",
            "aboveStopPrice": plain(self.target_price),
            "aboveClientOrderId": self.target_id,
            "belowType": "STOP_LOSS",
            "belowStopPrice": plain(self.stop_price),
            "belowClientOrderId": self.stop_id,
            "newOrderRespType": "RESULT",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What became of an order and of the one that was to take its place: what has ended, and the new one, or why there
    is none. Nothing has ended where the old one could not be cancelled; then the new one was not tried."""

    gone: tuple[CoinOrder, ...] = ()
    placed: CoinOrder | None = None
    refusal: RefusedError | None = None


@dataclass(frozen=True, slots=True)
class CoinTrading:
    """An account, through `client`. Give it a client without retries where each attempt must be decided anew."""

    client: RestClient

    def trade(self, symbol: str, side: Literal["BUY", "SELL"], quantity: Decimal, client_id: str) -> CoinOrder:
        """Buy or sell at the market. What sells is let through where what buys has to wait."""
        asked = {
            "symbol": symbol, "side": side, "type": "MARKET", "quantity": plain(quantity),
            "newClientOrderId": client_id, "newOrderRespType": "FULL",
        }  # fmt: skip
        need = Need.PROTECTION if side == "SELL" else Need.OPENING
        return self._ask(Ask.PLACE_ORDER, asked, CoinOrder, need=need)

    def protect(self, pair: Pair) -> tuple[CoinOrder, ...]:
        """Place both, or the stop alone."""
        if pair.target_price is None:
            return (self._ask(Ask.PLACE_ORDER, pair.parameters(), CoinOrder),)
        answer = self._ask(Ask.PLACE_PAIR, pair.parameters(), dict[str, Any])
        return tuple(read(answer.get("orderReports"), list[CoinOrder], str(Ask.PLACE_PAIR)))

    def replace(self, old: str, stop: Pair) -> Replaced:
        """Cancel that order, with the other of its pair, and place a stop alone, in one request."""
        asked = {**stop.parameters(), "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": old}
        try:
            found = self._ask(Ask.REPLACE_ORDER, asked, dict[str, Any])
        except RefusedError as refusal:
            if refusal.code not in {_HALF_DONE, _NOT_DONE}:
                raise
            parts = read(refusal.data, dict[str, Any], str(Ask.REPLACE_ORDER))
            half = refusal.code == _HALF_DONE
            why = _refused(parts.get("newOrderResponse" if half else "cancelResponse"), refusal)
            return Replaced(gone=_cancelled(parts.get("cancelResponse")) if half else (), refusal=why)
        placed = read(found.get("newOrderResponse"), CoinOrder, str(Ask.REPLACE_ORDER))
        return Replaced(gone=_cancelled(found.get("cancelResponse")), placed=placed)

    def query(self, symbol: str, client_id: str) -> CoinOrder | None:
        """The order, or None where the exchange knows no such one (just after sending, that proves nothing)."""
        asked = {"symbol": symbol, "origClientOrderId": client_id}
        return _unless(_NO_SUCH_ORDER, lambda: self._ask(Ask.QUERY_ORDER, asked, CoinOrder))

    def query_number(self, symbol: str, number: int) -> CoinOrder | None:
        """The order by the exchange's own number, or None where it knows no such one."""
        asked = {"symbol": symbol, "orderId": number}
        return _unless(_NO_SUCH_ORDER, lambda: self._ask(Ask.QUERY_ORDER, asked, CoinOrder))

    def cancel(self, symbol: str, client_id: str) -> tuple[CoinOrder, ...]:
        """Cancel it, and the other of its pair; none where there was nothing to cancel."""
        asked = {"symbol": symbol, "origClientOrderId": client_id}
        found = _unless(_NOT_OPEN, lambda: self._ask(Ask.CANCEL_ORDER, asked, dict[str, Any]))
        if found is None:
            return ()
        return _cancelled(found)

    def open_orders(self) -> list[CoinOrder]:
        """Every order that is open, of all symbols; stops are among them."""
        return self._ask(Ask.OPEN_ORDERS, {}, list[CoinOrder])

    def orders(self, symbol: str, since: int) -> list[CoinOrder]:
        """Orders that were placed since then, open or not, oldest first."""
        return self._days(Ask.ALL_ORDERS, symbol, since, CoinOrder, "orderId", lambda one: one.order_id)

    def trades(self, symbol: str, since: int) -> list[CoinTrade]:
        """Our fills since then, oldest first."""
        return self._days(Ask.TRADES, symbol, since, CoinTrade, "fromId", lambda one: one.id)

    def trades_of(self, symbol: str, number: int) -> list[CoinTrade]:
        """The fills of one order."""
        return self._ask(Ask.TRADES, {"symbol": symbol, "orderId": number}, list[CoinTrade])

    def balances(self) -> dict[str, Balance]:
        """What lies on the account, by coin."""
        found = self._ask(Ask.ACCOUNT, {"omitZeroBalances": True}, dict[str, Any])
        return {one.asset: one for one in read(found.get("balances"), list[Balance], str(Ask.ACCOUNT))}

    def _days(
        self, ask: Ask, symbol: str, since: int, kind: type[T], number: str, number_of: Callable[[T], int]
    ) -> list[T]:
        """A day at a time: more is refused. A day that fills a page is gone on with by number, to its end and on."""
        found: dict[int, T] = {}
        for begin, end in _days(since, self.client.clock.now()):
            asked: dict[str, object] = {"symbol": symbol, "startTime": begin, "endTime": end, "limit": MOST_ROWS}
            while len(page := self._ask(ask, asked, list[kind])) == MOST_ROWS:  # type: ignore[valid-type]
                found |= {number_of(one): one for one in page}
                asked = {"symbol": symbol, number: number_of(page[-1]) + 1, "limit": MOST_ROWS}
            found |= {number_of(one): one for one in page}
        return [found[one] for one in sorted(found)]

    def _ask(self, ask: Ask, asked: dict[str, Any], kind: type[T], *, need: Need = Need.PROTECTION) -> T:
        answer = self.client.ask_signed(ask, asked, need=need)
        return read(answer.payload, kind, str(self.client.environment.product.endpoint(ask)))


def _cancelled(answer: Any) -> tuple[CoinOrder, ...]:
    """What has ended: one order, or all of its list."""
    found = read(answer, dict[str, Any], str(Ask.CANCEL_ORDER))
    return tuple(read(found.get("orderReports", [found]), list[CoinOrder], str(Ask.CANCEL_ORDER)))


def _refused(part: Any, whole: RefusedError) -> RefusedError:
    """Why one of two things that were asked for in one request was not done."""
    why = read(part, _Refusal, str(Ask.REPLACE_ORDER))
    return RefusedError(f"{whole}: {why.code} {why.msg}", status=whole.status, code=why.code)


def _days(since: int, now: int) -> Iterator[tuple[int, int]]:
    for begin in range(since, now + 1, DAY):
        yield begin, min(begin + DAY - 1, now)


def _unless(code: int, ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except RefusedError as refusal:
        if refusal.code == code:
            return None
        raise
