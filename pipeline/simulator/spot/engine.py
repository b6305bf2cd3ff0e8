"""The matching engine of spot: accepts, fills and ends orders and keeps the books straight - balances, trades, events,
ledger. It judges no request's form, and it has no clock: the time of everything is passed in."""

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Final

from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot import events, ledger
from pipeline.simulator.spot.account import Account, Trade
from pipeline.simulator.spot.orders import AT_MARKET, STOPS, Order, OrderList, OrderType, Status, TimeInForce
from pipeline.simulator.spot.refusals import DUPLICATE, INSUFFICIENT, WOULD_TAKE, WOULD_TRIGGER, filtered, reject
from pipeline.simulator.types import Prices, SymbolSpec, Tick
from pipeline.simulator.venue import matching
from pipeline.simulator.venue.engine import Ids
from pipeline.simulator.venue.ledger import Ended, LedgerEntry
from pipeline.simulator.venue.orders import ZERO, Side
from pipeline.simulator.venue.positions import CENT

FEE: Final = Decimal("0.001")
"""Of takers and makers alike."""

DISCOUNT: Final = Decimal("0.25")
"""Of a fee that is paid in BNB."""

_BNB: Final = "BNB"


@dataclass(slots=True)
class Engine:
    """The books of all accounts, and the only code that writes to them when something trades."""

    market: Prices
    ids: Ids
    accounts: dict[str, Account] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)

    def spec(self, symbol: str) -> SymbolSpec:
        """The pair of that name."""
        return self.market.specs[symbol]

    def last(self, symbol: str, now: int) -> int:
        """The last price, in ticks."""
        return self.market.price(symbol, now)

    # what is asked before an order is accepted

    def check(self, account: Account, order: Order, now: int) -> None:
        """Refuse what could not do what it promises, what bears a name already borne, and what cannot be paid."""
        self.check_name(account, order)
        self.check_prices(order, now)
        self.size(order, now)
        if not order.quantity:
            raise filtered("LOT_SIZE")
        if self.cost(order, now) > account.free(order.hold.asset):
            raise reject(INSUFFICIENT)

    def check_name(self, account: Account, order: Order) -> None:
        """A name is that of one open order."""
        taken = account.by_client_id.get(order.client_id)
        if taken is not None and taken.is_open:
            raise reject(DUPLICATE)

    def check_prices(self, order: Order, now: int) -> None:
        """Refuse a stop that is reached already, and a maker's order that would take."""
        spec, last = self.spec(order.symbol), self.last(order.symbol, now)
        if order.type in STOPS and order.is_reached(last * spec.tick):
            raise reject(WOULD_TRIGGER)
        if order.type is OrderType.LIMIT_MAKER and matching.crosses(spec, order.side, order.price, last):
            raise reject(WOULD_TAKE)

    def size(self, order: Order, now: int) -> None:
        """Turn the money that an order was told to trade into a quantity, at the prices of the book."""
        if not order.quote_quantity:
            return
        spec, money = self.spec(order.symbol), order.quote_quantity
        best = matching.quote(spec, self.last(order.symbol, now))
        enough = money / ((best.ask if order.side is Side.BUY else best.bid) * spec.tick)
        order.quantity = ZERO
        for piece in self._sweep(order, _floor(enough * 2, spec.step) + spec.step, self.last(order.symbol, now)):
            taken = min(piece.quantity, _floor(money / piece.price, spec.step))
            order.quantity += taken
            money -= taken * piece.price
            if taken < piece.quantity:
                return

    def cost(self, order: Order, now: int) -> Decimal:
        """What has to be set aside for an order: of a purchase at the market, what the book asks."""
        if order.side is Side.BUY and order.type is OrderType.MARKET:
            pieces = self._sweep(order, order.quantity, self.last(order.symbol, now))
            return sum((piece.price * piece.quantity for piece in pieces), ZERO)
        return order.needs

    # the life of an order

    def place(self, account: Account, order: Order, now: int) -> None:
        """Enter a checked order: what can trade at once does, the rest rests, waits or expires as it was told to."""
        account.set_aside(order.hold, self.cost(order, now))
        self.enter(account, order, now)
        self.begin(account, order, now)

    def enter(self, account: Account, order: Order, now: int) -> None:
        """Write an order into the books, before anything of it trades."""
        order.worked = now if order.status is Status.NEW and order.type not in STOPS else -1
        account.orders[order.id] = account.open_orders[order.id] = account.by_client_id[order.client_id] = order
        self.ledger.append(
            ledger.Accepted(
                now, account.name, order.id, order.list_id, order.client_id, order.symbol, order.side, order.type,
                order.time_in_force, order.quantity, order.price, order.stop_price, order.status,
            )
        )  # fmt: skip
        self.report(account, order, "NEW", now)

    def begin(self, account: Account, order: Order, now: int) -> None:
        """Tell what an accepted order has changed, and let it trade if it may."""
        self.tell(account, {order.hold.asset}, now)
        if order.is_working:
            self.take(account, order, self.last(order.symbol, now), now)

    def take(self, account: Account, order: Order, last: int, time: int) -> None:
        """Trade what crosses the book now, then let the rest do what it was told to."""
        pieces = self._sweep(order, order.remaining, last)
        found = sum((piece.quantity for piece in pieces), ZERO)
        if order.time_in_force is not TimeInForce.FOK or found == order.remaining:
            for piece in pieces:
                self.fill(account, order, self._affordable(account, order, piece), piece.price, time, maker=False)
        rests = order.type not in AT_MARKET and order.time_in_force is TimeInForce.GTC
        if order.is_open and not rests:
            self.end(account, order, Status.EXPIRED, time)

    def meet(self, account: Account, order: Order, tick: Tick) -> None:
        """Give a resting order its part of a trade of the market."""
        quantity = matching.rests_fill(self.spec(order.symbol), order, tick)
        self.fill(account, order, quantity, order.price, tick.time, maker=True)

    def see(self, account: Account, order: Order, last: int, time: int) -> None:
        """Let a waiting order see a price: it begins to work when the price is reached."""
        if not order.is_reached(last * self.spec(order.symbol).tick):
            return
        self._expire_rivals(account, order, time)
        order.worked = order.updated = time
        self.ledger.append(ledger.Worked(time, account.name, order.id, order.client_id, order.symbol))
        self.report(account, order, "NEW", time)
        self.take(account, order, last, time)

    def cancel(self, account: Account, order: Order, now: int, cancel_id: str) -> None:
        """Take an order out of the books as its owner wishes, and with it all of its list."""
        for one in order.group.orders if order.group else (order,):
            if one.is_open:
                self.end(account, one, Status.CANCELED, now, cancel_id)

    def end(self, account: Account, order: Order, status: Status, time: int, cancel_id: str = "") -> None:
        """Take an order out of the books with something unfilled."""
        order.status, order.updated = status, time
        self.ledger.append(Ended(time, account.name, order.id, order.client_id, order.symbol, status, order.filled))
        self.report(account, order, status, time, cancel_id=cancel_id)
        self._leave(account, order, {order.hold.asset}, time)

    def fill(
        self, account: Account, order: Order, quantity: Decimal, price: Decimal, time: int, *, maker: bool
    ) -> None:
        """Trade a piece of an order; nothing where there is nothing to trade."""
        if not quantity:
            return
        self._expire_rivals(account, order, time)
        trade = self._settle(account, order, quantity, price, time, maker=maker)
        order.filled += quantity
        order.turned_over += trade.turnover
        order.updated = time
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        self.report(account, order, "TRADE", time, trade)
        spec = self.spec(order.symbol)
        self._leave(account, order, {spec.base, spec.quote, trade.fee_asset}, time)

    # what hangs together

    def _expire_rivals(self, account: Account, order: Order, time: int) -> None:
        for rival in order.group.rivals(order) if order.group else ():
            self.end(account, rival, Status.EXPIRED, time)

    def _leave(self, account: Account, order: Order, changed: set[str], time: int) -> None:
        """Give back what is set aside for nothing any more, tell what has changed, and let the order's list go on."""
        sharing = [one for one in (order.group.orders if order.group else [order]) if one.hold is order.hold]
        needed = max((one.needs for one in sharing if one.is_open), default=ZERO)
        account.release(order.hold, max(ZERO, order.hold.amount - needed))
        self.tell(account, changed, time)
        if not order.is_open:
            account.open_orders.pop(order.id, None)
            if order.group is not None:
                self._go_on(account, order.group, order, time)

    def _go_on(self, account: Account, group: OrderList, order: Order, time: int) -> None:
        """Place what has waited for an order that is filled, end what has waited for one that never will be."""
        pending = group.pending() if order is group.orders[0] else []
        if pending and order.status is Status.FILLED:
            self._place_pending(account, pending, time)
        elif order.status is not Status.CANCELED:
            for one in pending:
                self.end(account, one, Status.EXPIRED, time)
        if not group.is_open and not group.is_told:
            group.updated, group.is_told = time, True
            account.events.append(events.list_status(group, time, "ALL_DONE"))

    def _place_pending(self, account: Account, pending: list[Order], time: int) -> None:
        hold = pending[0].hold
        needed = max(self.cost(one, time) for one in pending)
        try:
            for one in pending:
                self.check_prices(one, time)
            if needed > account.free(hold.asset):
                raise reject(INSUFFICIENT)
        except ApiError:
            for one in pending:
                self.end(account, one, Status.REJECTED, time)
            return
        account.set_aside(hold, needed)
        for one in pending:
            one.status, one.worked = Status.NEW, -1 if one.type in STOPS else time
            self.report(account, one, "NEW", time)
        for one in pending:
            self.begin(account, one, time)

    # telling

    def report(
        self, account: Account, order: Order, execution: str, time: int, trade: Trade | None = None, cancel_id: str = ""
    ) -> None:
        """Tell the owner what happened to an order."""
        account.events.append(events.execution_report(order, execution, time, trade, cancel_id))

    def tell(self, account: Account, assets: set[str], time: int) -> None:
        """Tell the owner what there is of assets that may have changed."""
        account.updated = time
        account.events.append(events.account_position(account, sorted(assets), time))

    # money

    def _settle(
        self, account: Account, order: Order, quantity: Decimal, price: Decimal, time: int, *, maker: bool
    ) -> Trade:
        spec, turnover = self.spec(order.symbol), quantity * price
        paid, got = (turnover, quantity) if order.side is Side.BUY else (quantity, turnover)
        received = spec.base if order.side is Side.BUY else spec.quote
        account.pay(order.hold, paid)
        account.balance(received).free += got
        fee, fee_asset = self._fee(account, spec, got, received, turnover, time)
        account.balance(fee_asset).free -= fee
        trade = Trade(
            self.ids.take("trade"), order.id, order.list_id, order.symbol, order.side, price, quantity, turnover, fee,
            fee_asset, maker, time,
        )  # fmt: skip
        account.trades.append(trade)
        self.ledger.append(
            ledger.Fill(
                time, account.name, trade.id, order.id, order.list_id, order.client_id, order.symbol, order.side,
                price, quantity, spec.base, turnover, spec.quote, fee, fee_asset, maker,
            )
        )  # fmt: skip
        return trade

    def _fee(
        self, account: Account, spec: SymbolSpec, got: Decimal, received: str, turnover: Decimal, time: int
    ) -> tuple[Decimal, str]:
        """What is paid, and in which asset: in that which is received, or for less in BNB while there is enough."""
        rate = FEE if spec.taker is None else spec.taker
        fee = (got * rate).quantize(CENT, ROUND_DOWN)
        pair = self.market.specs.get(_BNB + spec.quote)
        if account.burns and received != _BNB and pair is not None:
            price = self.last(pair.symbol, time) * pair.tick
            in_bnb = (turnover * rate * (1 - DISCOUNT) / price).quantize(CENT, ROUND_DOWN)
            if in_bnb <= account.free(_BNB):
                return in_bnb, _BNB
        return fee, received

    def _affordable(self, account: Account, order: Order, piece: matching.Take) -> Decimal:
        """As much of a piece as there is money for: a purchase at the market can find the book dearer than it was when
        the money was set aside."""
        if order.side is Side.SELL:
            return piece.quantity
        money = order.hold.amount + account.free(order.hold.asset)
        return min(piece.quantity, _floor(money / piece.price, self.spec(order.symbol).step))

    def _sweep(self, order: Order, quantity: Decimal, last: int) -> list[matching.Take]:
        spec = self.spec(order.symbol)
        if order.type not in AT_MARKET:
            return matching.sweep(spec, order.side, quantity, order.price, last)
        reach = spec.multiplier_up if order.side is Side.BUY else spec.multiplier_down
        return matching.sweep(spec, order.side, quantity, last * spec.tick * reach, last)


def _floor(quantity: Decimal, step: Decimal) -> Decimal:
    return quantity // step * step
