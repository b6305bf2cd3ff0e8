"""A small exchange for the tests of the core: one account, one symbol, one-way mode. It obeys the rules that matter to
an executor (BINANCE's, in docs/execution.md), and knows nothing of the executor's code but the shape of its records.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count

from pipeline.execution.engine.state import OrderRecord, OrderTold, PositionTold, TradeTold

SYMBOL = "BTCUSDT"
TICK = Decimal("0.1")
ZERO = Decimal(0)
TAKER_FEE = Decimal("0.0005")
SETTLED, BY_HAND = "settlement_autoclose-1", "web"
UNHEARD = 5_000
"""Milliseconds within which nobody may have heard yet of what somebody else did."""
ON_ITS_WAY = 60
"""Milliseconds that the stream takes at most: what has fired since then cannot be known."""


@dataclass(frozen=True)
class Terms:
    """How a market counts, and what it tells. `value`: of a contract at a price; `price`: that of such a value."""

    value: Callable[[Decimal], Decimal]
    price: Callable[[Decimal], Decimal]
    step: Decimal
    tells_algos: bool = True
    """Whether its stream tells of conditional orders, and a question of those that wait no more."""
    least: Decimal = ZERO
    """What an order that may open something has to be worth."""


DOLLARS = Terms(lambda price: price, lambda value: value, Decimal("0.001"), least=Decimal(50))
"""Of a coin, margined in dollars."""
COINS = Terms(lambda price: -100 / price, lambda value: -100 / value, Decimal(1), tells_algos=False)
"""Of a hundred dollars, margined in the coin: what is owed is the less, the higher the price."""


class Refused(Exception):
    """The exchange says no."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


@dataclass
class Placed:
    """An order as the exchange has it."""

    number: int
    client_id: str
    side: str
    algo: bool
    quantity: Decimal | None
    trigger: Decimal | None
    close_position: bool
    reduce_only: bool
    kind: str
    status: str
    at: int
    terms: Terms = DOLLARS
    price: Decimal | None = None
    """Of a limit order."""
    good_till: int | None = None
    """Of a limit order: when the exchange ends it."""
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    updated: int = 0
    actual: "Placed | None" = None
    """The market order that it became when it fired: of the same client id, and a number of its own."""

    @property
    def open(self) -> bool:
        return self.status in {"accepted", "partially_filled"}

    @property
    def fired(self) -> bool:
        """Its price was reached, and its order is not placed yet."""
        return self.algo and self.status == "partially_filled"

    def told(self) -> OrderTold:
        """Of one that has fired, what became of it is what became of its order."""
        return self.actual.told() if self.actual else self.as_such(self.status)

    def as_such(self, state: str) -> OrderTold:
        return OrderTold(
            id=self.client_id,
            symbol=SYMBOL,
            side=self.side,
            state=state,
            filled=self.filled,
            at=self.updated,
            algo=self.algo,
            exchange_id=self.number,
            average_price=self.terms.price(self.cost / self.filled) if self.filled else None,
            quantity=self.quantity,
            price=self.price,
            trigger_price=self.trigger,
            close_position=self.close_position,
        )


@dataclass
class Exchange:
    """Its own books, and what it would say on the stream (`news`)."""

    price: Decimal
    now: int
    terms: Terms = DOLLARS
    position: Decimal = ZERO
    entry_price: Decimal = ZERO
    wallet: Decimal = Decimal(10_000)
    leverage: int = 20
    orders: list[Placed] = field(default_factory=list)
    trades: list[TradeTold] = field(default_factory=list)
    news: list[OrderTold | tuple[PositionTold, int]] = field(default_factory=list)
    part: Decimal | None = None
    """Fill at most so much of an order at once; the rest with `fill_rest`."""
    added_by_hand: Decimal = ZERO
    cancelled_by_hand_at: int = 0
    reopened_by_hand_at: int = 0
    fired_at: int = 0
    """When a conditional order fired last."""
    fired_unheard_at: int = 0
    """When a conditional order fired last where the stream tells of none."""
    naked_by_cancel: list[str] = field(default_factory=list)
    forgets: bool = False
    """Conditional orders stand, and neither a list nor a question shows them."""
    unmatched: Decimal = ZERO
    """What is missing of a fired order's counterparties: all of it, some, or nothing."""
    holds_fired: bool = False
    """An order that fires has no end before `end_fired`: its price was reached, and nothing more is known."""
    fill_told_first: bool = False
    """Whether the fill of a fired order is told before that it has fired."""
    settling: bool = False
    """The contract ends: no order is taken any more, and what is held is settled soon."""
    gone: bool = False
    """It is not listed any more, and nobody can ask for it."""
    good_for: int = 606_000
    """How long a limit order rests at most."""
    numbers: Iterator[int] = field(default_factory=lambda: count(1001))

    def moment(self) -> int:
        """No two things happen in the same millisecond."""
        self.now += 1
        return self.now

    # Requests

    def place(self, order: OrderRecord) -> Placed:
        if self.settling:
            raise Refused(-1121 if self.gone else -4141)
        if any(one.open and one.client_id == order.id for one in self.orders):
            raise Refused(-4116)
        if order.algo:
            return self._place_algo(order)
        if order.reduce_only and not self._reduces(order.side):
            raise Refused(-2022)
        quantity = min(order.quantity, abs(self.position)) if order.reduce_only else order.quantity
        if order.price is not None and order.price % TICK:
            raise Refused(-4014)
        if not order.reduce_only:
            self._require_room(order.side, quantity, order.price or self.price)
        placed = self._record(order, quantity)
        self._tell(placed)
        if _takes(placed, self.price):
            self._fill(placed, self.part)
        return placed

    def cancel(self, client_id: str, *, by_us: bool = True) -> Placed:
        order = next((one for one in self.open_orders() if one.client_id == client_id), None)
        if order is None:
            raise Refused(-2011)
        self._end(order, "cancelled")
        if not by_us:
            self.cancelled_by_hand_at = self.now
        unheard = self.now - max(self.cancelled_by_hand_at, self.reopened_by_hand_at, self.fired_unheard_at) < UNHEARD
        but = self.added_by_hand
        naked = self.position and not self.protected(but) and not self.is_closing(but)
        unheard = unheard or self.now - self.fired_at < ON_ITS_WAY
        protected = self._covers(order, but) and not self.is_by_hand()
        if by_us and protected and naked and not unheard:
            self.naked_by_cancel.append(client_id)
        return order

    def is_by_hand(self) -> bool:
        """Whether somebody holds all of it by his own trades, since nothing was held."""
        theirs = {one.number for one in self.orders if one.client_id.startswith(BY_HAND)}
        return all(one.exchange_id in theirs for one in self.since_flat())

    def since_flat(self) -> list[TradeTold]:
        """The trades of what is held, since nothing was held."""
        left, made = self.position, list[TradeTold]()
        for trade in reversed(self.trades):
            made.insert(0, trade)
            left -= trade.quantity if trade.side == "BUY" else -trade.quantity
            if not left * self.position > 0:
                break
        return made

    def find(self, client_id: str) -> Placed | None:
        return next((one for one in reversed(self.orders) if one.client_id == client_id), None)

    def every_order(self) -> Iterator[Placed]:
        """Also those that conditional orders placed when they fired."""
        for one in self.orders:
            yield one
            if one.actual is not None:
                yield one.actual

    def open_orders(self) -> list[Placed]:
        return [one for one in self.orders if one.open and not one.fired]

    def shows(self, order: Placed) -> bool:
        """Whether it tells of the order when it is asked."""
        return not (self.forgets and order.algo and order.open)

    def asked(self, client_id: str) -> OrderTold | None:
        """What it says when it is asked for the order."""
        found = self.find(client_id)
        return self.said_of(found) if found is not None and self.shows(found) else None

    def said_of(self, order: Placed) -> OrderTold | None:
        """What can be heard of it: of a conditional order that waits no more perhaps no more than of the order that it
        placed."""
        if self.terms.tells_algos or not order.algo or order.status == "accepted":
            return order.told()
        return order.actual.told() if order.actual else None

    def told_position(self) -> PositionTold:
        changed_at = self.trades[-1].at if self.trades else 0
        return PositionTold(SYMBOL, self.position, self.entry_price, changed_at)

    @property
    def unrealized(self) -> Decimal:
        """What closing the position at the price now would bring, before its fee."""
        return self.position * (self._value(self.price) - self._value(self.entry_price)) if self.position else ZERO

    @property
    def free(self) -> Decimal:
        """What neither the position nor what rests keeps as its margin."""
        kept = abs(self.position * self._value(self.entry_price)) if self.position else ZERO
        resting = (one for one in self.open_orders() if one.price is not None)
        kept += sum((abs((one.quantity - one.filled) * self._value(one.price)) for one in resting), ZERO)
        return self.wallet - kept / self.leverage

    def protected(self, but: Decimal = ZERO) -> bool:
        """Whether an open order closes all that is held, `but` so much, when the price goes against it."""
        return any(self._covers(one, but) for one in self.open_orders())

    def is_closing(self, but: Decimal = ZERO) -> bool:
        """Whether one has fired that closes it, and has no end yet."""
        return any(self._covers(one, but) for one in self.orders if one.fired)

    def _covers(self, order: Placed, but: Decimal) -> bool:
        is_stop = order.kind == "STOP_MARKET" and self._reduces(order.side)
        return is_stop and (order.close_position or order.quantity >= abs(self.position) - but)

    # The market

    def move(self, price: Decimal) -> None:
        """The price is another now; what waited for it fires."""
        self.price = price
        for order in self.open_orders():
            if order.trigger is not None and order.open and _reached(order, price):
                self._fire(order)
            elif order.price is not None and order.open and _takes(order, price):
                self._fill(order, self.part, order.price)

    def fill_rest(self) -> None:
        """What was filled in part is filled, where its price allows it."""
        for order in self.open_orders():
            if not order.algo and _takes(order, self.price):
                self._fill(order, None)

    def end_good_till(self) -> None:
        """What has rested for so long ends."""
        for order in self.open_orders():
            if order.good_till is not None and order.good_till <= self.now:
                self._end(order, "expired")

    def end_rest(self) -> None:
        """What was filled in part expires, but for what may rest."""
        for order in self.open_orders():
            if not order.algo and order.price is None:
                self._end(order, "expired")

    def settle(self) -> None:
        """The contract has ended: every order in it ends, and what is held is closed by an order of the exchange."""
        for order in [one for one in self.orders if one.open]:
            self._end(order, "expired")
        if self.position:
            self._trade_as(SETTLED, -self.position)

    def trade_by_hand(self, quantity: Decimal) -> None:
        """Somebody trades on the same account. What they add, nobody else may know of yet."""
        if quantity * self.position > 0:
            self.added_by_hand += abs(quantity)
        self._trade_as(f"{BY_HAND}-{len(self.orders)}", quantity)

    def reopen_by_hand(self) -> None:
        """Somebody closes what is held, and holds as much of his own: what stood under it stands."""
        held = self.position
        self.trade_by_hand(-held)
        self.trade_by_hand(held)
        self.reopened_by_hand_at = self.now

    def open_by_hand(self, quantity: Decimal) -> None:
        """Somebody holds a position of his own: nobody else has a stop under it."""
        self.trade_by_hand(quantity)
        self.reopened_by_hand_at = self.now

    # Inside

    def _require_room(self, side: str, quantity: Decimal, price: Decimal) -> None:
        """An order that may open something is worth enough, and what it opens beyond what is held can be paid for."""
        worth = abs(quantity * self._value(price))
        if worth < self.terms.least:
            raise Refused(-4164)
        after = abs(self.position + (quantity if side == "BUY" else -quantity))
        opened = max(ZERO, after - abs(self.position)) / quantity
        if opened and worth * opened / self.leverage + worth * TAKER_FEE > self.free:
            raise Refused(-2019)

    def _place_algo(self, order: OrderRecord) -> Placed:
        alike = (
            one
            for one in self.open_orders()
            if one.algo and one.close_position and (one.kind, one.side) == (order.type, order.side)
        )
        if order.close_position and any(alike):
            raise Refused(-4130)
        placed = self._record(order, order.quantity)
        if _reached(placed, self.price):
            self.orders.remove(placed)
            raise Refused(-2021)
        self._tell(placed)
        return placed

    def _trade_as(self, client_id: str, change: Decimal) -> None:
        """An order that is not ours is filled whole, at once."""
        side, quantity = ("BUY" if change > 0 else "SELL"), abs(change)
        order = Placed(
            next(self.numbers), client_id, side, algo=False, quantity=quantity, trigger=None, close_position=False,
            reduce_only=False, kind="MARKET", status="filled", at=self.moment(), filled=quantity,
            cost=quantity * self._value(self.price), terms=self.terms,
        )  # fmt: skip
        self.orders.append(order)
        self._trade(order, side, quantity)

    def _record(self, order: OrderRecord, quantity: Decimal | None) -> Placed:
        placed = Placed(
            number=next(self.numbers),
            client_id=order.id,
            side=order.side,
            algo=order.algo,
            quantity=quantity,
            trigger=order.trigger_price,
            close_position=order.close_position,
            reduce_only=order.reduce_only,
            kind=order.type,
            status="accepted",
            at=self.moment(),
            price=order.price,
            terms=self.terms,
        )
        placed.good_till = None if order.price is None else placed.at + self.good_for
        placed.updated = placed.at
        self.orders.append(placed)
        return placed

    def _reduces(self, side: str) -> bool:
        return self.position > 0 if side == "SELL" else self.position < 0

    def _fill(self, order: Placed, most: Decimal | None, price: Decimal | None = None) -> None:
        """`price`: of one that rested; another takes the market's."""
        quantity = order.quantity - order.filled
        quantity = min(quantity, most) if most is not None else quantity
        if order.reduce_only:
            quantity = min(quantity, abs(self.position)) if self._reduces(order.side) else ZERO
        if not quantity:
            self._end(order, "expired")
            return
        order.filled += quantity
        order.cost += quantity * self._value(price or self.price)
        order.status = "filled" if order.filled == order.quantity else "partially_filled"
        self._trade(order, order.side, quantity, price)

    def _fire(self, order: Placed) -> None:
        self.fired_at = self.now
        if not self.terms.tells_algos:
            self.fired_unheard_at = self.now
        if not self._reduces(order.side):
            self._end(order, "expired")
        elif self.holds_fired:
            order.status, order.updated = "partially_filled", self.moment()
            self._tell(order)
        else:
            self._place_fired(order)

    def end_fired(self, order: Placed) -> None:
        """One that has fired has its end, whatever it closes by now."""
        if order.fired and self._reduces(order.side):
            self._place_fired(order)
        elif order.fired:
            self._end(order, "expired")

    def _place_fired(self, order: Placed) -> None:
        quantity = abs(self.position) if order.close_position else min(order.quantity, abs(self.position))
        fired = len(self.news)
        actual = order.actual = replace(
            order, number=next(self.numbers), algo=False, quantity=quantity, kind="MARKET", trigger=None,
            close_position=False,
        )  # fmt: skip
        order.updated = self.moment()
        self._tell_as(order, "partially_filled")
        actual.filled = (quantity * (1 - self.unmatched)).quantize(self.terms.step)
        actual.cost, actual.updated = actual.filled * self._value(self.price), order.updated
        actual.status = order.status = "filled" if actual.filled == quantity else "expired"
        order.filled = actual.filled
        if actual.filled:
            self._trade(actual, order.side, actual.filled)
        else:
            self._tell(actual)
        if self.fill_told_first and self.terms.tells_algos:
            self.news.append(self.news.pop(fired))

    def _trade(self, order: Placed, side: str, quantity: Decimal, price: Decimal | None = None) -> None:
        at, price = self.moment(), price or self.price
        realized, fee = self._book(quantity if side == "BUY" else -quantity, price), self._fee(quantity, price)
        self.wallet += realized - fee
        if not self.position:
            self.added_by_hand = ZERO
        self.trades.append(TradeTold(order.number, side, quantity, price, fee, realized, at))
        order.updated = at
        self.news.append(order.told())
        self.news.append((self.told_position(), at))

    def _book(self, change: Decimal, price: Decimal) -> Decimal:
        """The position after that much more of it at that price; what was earned by what it closes of it."""
        held = self.position
        self.position = total = held + change
        if held * change >= 0:
            before = held * self._value(self.entry_price) if held else ZERO
            self.entry_price = self.terms.price((before + change * self._value(price)) / total)
            return ZERO
        closed = held if held * total <= 0 else -change
        earned = closed * (self._value(price) - self._value(self.entry_price))
        if held * total <= 0:
            self.entry_price = price if total else ZERO
        return earned

    def _end(self, order: Placed, status: str) -> None:
        order.status, order.updated = status, self.moment()
        self._tell(order)

    def _tell(self, order: Placed) -> None:
        if self.terms.tells_algos or not order.algo:
            self.news.append(order.told())

    def _tell_as(self, order: Placed, state: str) -> None:
        if self.terms.tells_algos:
            self.news.append(order.as_such(state))

    def _value(self, price: Decimal) -> Decimal:
        return self.terms.value(price)

    def _fee(self, quantity: Decimal, price: Decimal) -> Decimal:
        return abs(quantity * self._value(price)) * TAKER_FEE


def _takes(order: Placed, price: Decimal) -> bool:
    """Whether the order is filled at that price of the market."""
    if order.price is None:
        return True
    return price <= order.price if order.side == "BUY" else price >= order.price


def _reached(order: Placed, price: Decimal) -> bool:
    rises = (order.kind == "STOP_MARKET") == (order.side == "BUY")
    return price >= order.trigger if rises else price <= order.trigger
