"""A small spot exchange for the tests of the core: one pair, one balance in which our coins lie beside somebody else's.
It obeys the rules that matter to an executor, and keeps its own books of what is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from pipeline.execution.engine.state import OrderRecord, OrderTold, PositionTold, TradeTold
from tests.execution.model import SYMBOL

ZERO = Decimal(0)
FEE = Decimal("0.001")
LOT = Decimal("0.001")
LEAST_WORTH = Decimal(100)


class Refused(Exception):
    """The exchange says no."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text


class HalfDone(Exception):
    """What stood is cancelled, and nothing came in its place."""

    def __init__(self, gone: "list[Placed]", refusal: Refused) -> None:
        super().__init__(f"half done: {refusal}")
        self.gone, self.refusal = gone, refusal


NO_COINS = (-2010, "Account has insufficient balance for requested action.")
DUPLICATE = (-2010, "Duplicate order sent.")
AT_ONCE = (-2010, "Order would trigger immediately.")
TOO_SMALL = (-1013, "Filter failure: NOTIONAL")
TOO_MANY = (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
NO_REPLACING = (-2010, "Order cancel-replace is not supported for this symbol.")
NOT_OPEN = -2011
MOST_STOPS = 5


@dataclass
class Placed:
    """An order as the exchange has it. `list_id`: of the pair that it is one of."""

    number: int
    client_id: str
    side: str
    kind: str
    quantity: Decimal
    trigger: Decimal | None
    list_id: int | None
    status: str = "accepted"
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    kept: Decimal = ZERO
    updated: int = 0

    @property
    def open(self) -> bool:
        return self.status in {"accepted", "partially_filled"}

    @property
    def protects(self) -> bool:
        return self.kind in {"STOP_MARKET", "TAKE_PROFIT_MARKET"}

    def told(self, *, fee: bool = True) -> OrderTold:
        return OrderTold(
            id=self.client_id, symbol=SYMBOL, side=self.side, state=self.status, filled=self.filled, at=self.updated,
            algo=self.protects, exchange_id=self.number, quantity=self.quantity, trigger_price=self.trigger,
            average_price=self.quote / self.filled if self.filled else None, close_position=self.protects,
            kept=self.kept if fee and self.filled else None,
        )  # fmt: skip


@dataclass
class Exchange:
    """Its books, and what it would say on the stream (`news`)."""

    price: Decimal
    now: int
    theirs: Decimal
    """Coins of the user's own."""
    fee_in_coin: bool = True
    replaces: bool = True
    """Whether it cancels one order and places another in one request."""
    ours: Decimal = ZERO
    dust: Decimal = ZERO
    """What was too little to be sold: it may yet go with the next."""
    locked: Decimal = ZERO
    orders: list[Placed] = field(default_factory=list)
    trades: list[TradeTold] = field(default_factory=list)
    news: list[OrderTold] = field(default_factory=list)
    part: Decimal | None = None
    """Market orders find so much, and what is left of them expires."""
    forgets: bool = False
    """What stands is in no list, and no question finds it."""
    holds_fired: bool = False
    """What has fired is not filled yet."""
    wrongs: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1001))

    # Asked

    @property
    def total(self) -> Decimal:
        return self.ours + self.dust + self.theirs

    @property
    def held(self) -> Decimal:
        """What of ours is enough to be sold."""
        lots = self.ours // LOT * LOT
        return lots if lots * self.price >= LEAST_WORTH else ZERO

    @property
    def bare(self) -> bool:
        """Whether nothing stands that would sell anything of what is enough to be sold."""
        return bool(self.held) and not any(one.open and one.side == "SELL" for one in self.orders)

    @property
    def covered(self) -> bool:
        """Whether all that is enough to be sold will be, when the price falls or already is."""
        stops = [one for one in self.orders if one.open and one.kind == "STOP_MARKET"]
        fired = [one for one in self.orders if one.status == "partially_filled"]
        return not self.held or any(one.quantity >= self.held for one in (*stops, *fired))

    def balance(self) -> PositionTold:
        return PositionTold(SYMBOL, self.total, ZERO)

    def find(self, client_id: str) -> Placed | None:
        return next((one for one in reversed(self.orders) if one.client_id == client_id), None)

    def shown(self) -> list[Placed]:
        return [] if self.forgets else [one for one in self.orders if one.open]

    def shows(self, order: Placed) -> bool:
        return not (self.forgets and order.open)

    # Asked for

    def place(self, order: OrderRecord, beside: OrderRecord | None = None) -> None:
        for one in (order, beside) if beside else (order,):
            if any(each.open and each.client_id == one.id for each in self.orders):
                raise Refused(*DUPLICATE)
        if order.quantity * self.price < LEAST_WORTH:
            raise Refused(*TOO_SMALL)
        if order.side == "SELL" and order.quantity > self.total - self.locked:
            raise Refused(*NO_COINS)
        if order.algo:
            self._place_pair(order, beside)
        else:
            self._fill(self._record(order, None), self.part)

    def replace(self, order: OrderRecord, old: str) -> list[Placed]:
        """Cancel that, and place this: filters are looked at before, what trades allow after it. What was cancelled."""
        if not self.replaces or sum(one.open and one.protects for one in self.orders) + 1 > MOST_STOPS:
            raise Refused(*(TOO_MANY if self.replaces else NO_REPLACING))
        if order.quantity * self.price < LEAST_WORTH:
            raise Refused(*TOO_SMALL)
        gone = self.cancel(old)
        try:
            self.place(order)
        except Refused as refusal:
            raise HalfDone(gone, refusal) from None
        return gone

    def cancel(self, client_id: str) -> list[Placed]:
        """With one of a pair goes the other: both are told."""
        found = next((one for one in self.orders if one.status == "accepted" and one.client_id == client_id), None)
        if found is None:
            raise Refused(NOT_OPEN, "Unknown order sent.")
        self.locked -= found.quantity
        gone = [one for one in self.orders if one.open and one.list_id == found.list_id]
        for one in gone:
            self._end(one, "cancelled")
        return gone

    # What happens

    def move(self, price: Decimal) -> None:
        self.price = price
        for one in [one for one in self.orders if one.status == "accepted" and one.protects]:
            if one.open and (price <= one.trigger if one.kind == "STOP_MARKET" else price >= one.trigger):
                self._fire(one)

    def end_fired(self) -> None:
        """What has fired finds its buyers."""
        for one in [one for one in self.orders if one.status == "partially_filled"]:
            self._sell_locked(one)

    def deposit(self, amount: Decimal) -> None:
        """The user moves coins: his own, and where he has none left, ours as well; but none that are locked."""
        amount = max(amount, self.locked - self.total)
        self.theirs += amount
        if self.theirs < 0:
            taken, self.theirs = -self.theirs - self.dust, ZERO
            self.ours, self.dust = self.ours - max(ZERO, taken), max(ZERO, -taken)

    def trade_by_hand(self, quantity: Decimal) -> None:
        order = Placed(next(self.numbers), f"web-{len(self.orders)}", "BUY" if quantity > 0 else "SELL", "MARKET",
                       abs(quantity), None, None, "filled", abs(quantity), abs(quantity) * self.price)  # fmt: skip
        order.updated = self._moment()
        self.orders.append(order)
        self.deposit(quantity)
        self.trades.append(TradeTold(order.number, order.side, abs(quantity), self.price, ZERO, ZERO, order.updated))

    def _place_pair(self, stop: OrderRecord, target: OrderRecord | None) -> None:
        if stop.trigger_price >= self.price or (target and target.trigger_price <= self.price):
            raise Refused(*AT_ONCE)
        if sum(one.open and one.protects for one in self.orders) + 1 + bool(target) > MOST_STOPS:
            raise Refused(*TOO_MANY)
        self.locked += stop.quantity
        number = next(self.numbers)
        for one in (stop, target) if target else (stop,):
            self._tell(self._record(one, number))

    def _record(self, order: OrderRecord, list_id: int | None) -> Placed:
        if order.side == "BUY" and self.find(order.id) is not None:
            self.wrongs.append(f"{order.id} was carried out twice")
        placed = Placed(
            next(self.numbers), order.id, order.side, order.type, order.quantity, order.trigger_price, list_id,
            updated=self._moment(),
        )  # fmt: skip
        self.orders.append(placed)
        return placed

    def _fire(self, order: Placed) -> None:
        for one in [one for one in self.orders if one.open and one.list_id == order.list_id and one is not order]:
            self._end(one, "expired")
        order.status = "partially_filled"
        if self.holds_fired:
            order.updated = self._moment()
            self._tell(order)
        else:
            self._sell_locked(order)

    def _sell_locked(self, order: Placed) -> None:
        self.locked -= order.quantity
        self._fill(order, None)

    def _fill(self, order: Placed, most: Decimal | None) -> None:
        quantity = order.quantity if most is None else min(order.quantity, most)
        order.filled, order.quote = quantity, quantity * self.price
        kept = quantity * FEE if order.side == "BUY" and self.fee_in_coin else ZERO
        order.kept, order.updated = kept, self._moment()
        order.status = "filled" if quantity == order.quantity else "expired"
        if order.side == "BUY":
            self.ours += quantity - kept
        else:
            mine = self.ours + self.dust
            if quantity > mine:
                self.wrongs.append(f"{order.client_id} has sold {quantity}, and {mine} were ours")
            self.theirs -= max(ZERO, quantity - mine)
            self.dust -= max(ZERO, min(quantity, mine) - self.ours)
            self.ours = max(ZERO, self.ours - quantity)
            if not self.held:
                self.ours, self.dust = ZERO, self.dust + self.ours
        self.trades.append(
            TradeTold(order.number, order.side, quantity, self.price, kept * self.price, ZERO, order.updated, kept)
        )
        self._tell(order)

    def _end(self, order: Placed, status: str) -> None:
        order.status, order.updated = status, self._moment()
        self._tell(order)

    def _tell(self, order: Placed) -> None:
        self.news.append(order.told())

    def _moment(self) -> int:
        self.now += 1
        return self.now
