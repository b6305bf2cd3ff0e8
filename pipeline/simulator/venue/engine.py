"""The matching engine: accepts, fills and ends orders and keeps the books straight - wallet, positions, trades,
incomes, events, ledger. It judges no request's form, and it has no clock: the time of everything is passed in."""

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from pipeline.simulator.types import Prices, SymbolSpec, Tick
from pipeline.simulator.venue import events, ledger, matching
from pipeline.simulator.venue.account import Account, Income, MarkOf, Trade
from pipeline.simulator.venue.brackets import max_notional
from pipeline.simulator.venue.filters import band, check_counterparty
from pipeline.simulator.venue.funding import Fundings
from pipeline.simulator.venue.ledger import LedgerEntry
from pipeline.simulator.venue.orders import (
    ZERO,
    Algo,
    AlgoStatus,
    Order,
    OrderType,
    Side,
    Status,
    TimeInForce,
)
from pipeline.simulator.venue.positions import CENT, Position
from pipeline.simulator.venue.refusals import refuse
from pipeline.simulator.venue.terms import USD_TERMS, Terms

_BNB: Final = "BNB"
_BNB_PAIR: Final = "BNBUSDT"
_BNB_SHARE: Final = Decimal("0.9")
_ID_ALPHABET: Final = string.ascii_letters + string.digits
_FIRST_ORDER: Final = 8_000_000_000
_FIRST_TRADE: Final = 600_000_000
_FIRST_ALGO: Final = 2_000_000
_FIRST_INCOME: Final = 9_600_000_000
_FIRST_LIST: Final = 70_000


class Booked(NamedTuple):
    """As what the profit and the fee of a fill are booked."""

    profit: str
    fee: str


TRADED: Final = Booked("REALIZED_PNL", "COMMISSION")
CLEARED: Final = Booked("REALIZED_PNL", "INSURANCE_CLEAR")
DELIVERED: Final = Booked("DELIVERED_SETTELMENT", "COMMISSION")


@dataclass(slots=True)
class Ids:
    """The numbers the exchange gives out: each once, in order, the same for the same seed."""

    seed: int
    _next: dict[str, int] = field(
        default_factory=lambda: {
            "order": _FIRST_ORDER,
            "trade": _FIRST_TRADE,
            "algo": _FIRST_ALGO,
            "income": _FIRST_INCOME,
            "list": _FIRST_LIST,
        }
    )
    _random: random.Random = field(init=False)
    _coin: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._coin = random.Random(self.seed)

    def toss(self) -> bool:
        """One or the other, where the exchange promises no order."""
        return self._coin.random() < 0.5

    def take(self, kind: str) -> int:
        """The next number of that kind."""
        self._next[kind] += 1
        return self._next[kind]

    def text(self, length: int = 22) -> str:
        """A fresh client id."""
        return "".join(self._random.choices(_ID_ALPHABET, k=length))


@dataclass(slots=True)
class Engine:
    """The books of all accounts of a market, and the only code that writes to them when something trades."""

    market: Prices
    ids: Ids
    fundings: Fundings
    terms: Terms = USD_TERMS
    judged: Callable[[str, int], Decimal] | None = None
    """The price by which it is judged whether a position has margin enough; None: its mark price."""
    accounts: dict[str, Account] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)

    def spec(self, symbol: str) -> SymbolSpec:
        """The contract of that name."""
        return self.market.specs[symbol]

    def taker(self, symbol: str) -> Decimal:
        """What is paid of an order that is filled at once."""
        own = self.spec(symbol).taker
        return self.terms.taker if own is None else own

    def mark(self, symbol: str, time: int) -> Decimal:
        """The mark price as the books use it: to eight decimals."""
        return self.market.mark_price(symbol, time).quantize(CENT)

    def marks(self, time: int) -> MarkOf:
        """The mark prices of that moment, each asked for once."""
        known: dict[str, Decimal] = {}

        def of(symbol: str) -> Decimal:
            if symbol not in known:
                known[symbol] = self.mark(symbol, time)
            return known[symbol]

        return of

    def judging(self, time: int) -> MarkOf:
        """The prices of that moment by which positions are judged."""
        judged = self.judged
        return self.marks(time) if judged is None else lambda symbol: judged(symbol, time).quantize(CENT)

    # orders

    def check_takeable(self, order: Order, last: int, mark: Decimal) -> None:
        """Refuse what could not do what it promises: a market order without a counterparty, fill-or-kill without
        enough, post-only that would take."""
        spec = self.spec(order.symbol)
        if order.type is OrderType.MARKET:
            check_counterparty(spec, order.side, last, mark)
        elif order.time_in_force is TimeInForce.GTX and matching.crosses(spec, order.side, order.price, last):
            raise refuse(-5022)
        elif order.time_in_force is TimeInForce.FOK and self._takeable(order, last, mark) < order.quantity:
            raise refuse(-5021)

    def check_margin(self, account: Account, order: Order, last: int, time: int) -> None:
        """Refuse an order that would need more margin than is available."""
        if order.only_closes:
            return
        mark = self.marks(time)
        value = order.remaining * order.worth.notional(self._assumed_price(order, last))
        buy, sell = (value, ZERO) if order.side is Side.BUY else (ZERO, value)
        key = (order.symbol, order.position_side)
        bids, asks = account.order_notionals(*key)
        held = account.position(*key).notional(mark(order.symbol))
        most = max_notional(self.spec(order.symbol), account.leverage(order.symbol))
        if max(abs(held + bids + buy), abs(held - asks - sell)) > most:
            raise refuse(-2027)
        needed = account.order_margin(*key, mark, buy, sell) - account.order_margin(*key, mark)
        if needed > account.available(mark, order.worth.asset):
            raise refuse(-2019)

    def accept(self, account: Account, order: Order, last: int, time: int) -> None:
        """Enter a checked order: what can trade at once does, the rest rests or expires as it was told to."""
        self.enter(account, order, time)
        self.take(account, order, last, time)

    def enter(self, account: Account, order: Order, time: int) -> None:
        """Write an order into the book, before anything of it trades."""
        account.orders[order.id] = order
        account.open_orders[order.id] = order
        account.by_client_id[order.client_id] = order
        self.ledger.append(
            ledger.Accepted(
                time, account.name, order.id, order.client_id, order.symbol, order.side, order.position_side,
                order.type, order.time_in_force, order.quantity, order.price, order.reduce_only,
            )
        )  # fmt: skip
        self.report(account, order, "NEW", time)

    def take(self, account: Account, order: Order, last: int, time: int) -> None:
        """Trade what crosses the book now, then let the rest do what its time in force says."""
        for piece in self._sweep(order, order.remaining, last, self.mark(order.symbol, time)):
            if not order.is_open:
                return
            self.fill(account, order, piece.quantity, piece.price, time, maker=False)
        rests = order.type is OrderType.LIMIT and order.time_in_force is not TimeInForce.IOC
        if order.is_open and not rests:
            self.end(account, order, Status.EXPIRED, time)

    def meet(self, account: Account, order: Order, tick: Tick) -> None:
        """Give a resting order its part of a trade of the market."""
        quantity = matching.rests_fill(self.spec(order.symbol), order, tick)
        if quantity:
            self.fill(account, order, quantity, order.price, tick.time, maker=True)

    def end(self, account: Account, order: Order, status: Status, time: int) -> None:
        """Take an order out of the book unfilled."""
        order.status = status
        self.ledger.append(
            ledger.Ended(time, account.name, order.id, order.client_id, order.symbol, status, order.filled)
        )
        self.report(account, order, status, time)
        self._leave(account, order, time)

    def fill(
        self,
        account: Account,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        time: int,
        *,
        maker: bool,
        fee_rate: Decimal | None = None,
        booked: Booked = TRADED,
    ) -> None:
        """Trade a piece of an order. One that may only close fills no more than there is to close, then expires."""
        if order.only_closes:
            quantity = min(quantity, account.closable(order.symbol, order.position_side, order.side))
            if not quantity:
                self.end(account, order, Status.EXPIRED, time)
                return
        rate = fee_rate if fee_rate is not None else self.terms.maker if maker else self.taker(order.symbol)
        trade = self._settle(account, order, quantity, price, rate=rate, time=time, maker=maker, booked=booked)
        order.filled += quantity
        order.quote += quantity * order.worth.value(price)
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        position = account.position(order.symbol, order.position_side)
        self.tell(account, "ORDER", time, [position], asset=order.worth.asset)
        if not order.remaining:
            account.open_orders.pop(order.id, None)
        execution = "CALCULATED" if order.type is OrderType.LIQUIDATION else "TRADE"
        self.report(account, order, execution, time, trade)
        if not order.remaining:
            self._leave(account, order, time)
        self.sweep_orphans(account, position, time)

    def report(self, account: Account, order: Order, execution: str, time: int, trade: Trade | None = None) -> None:
        """Tell the owner what happened to an order."""
        event = events.order_update(account, order, execution, self.terms.forms.of_order(order), time=time, trade=trade)
        account.events.append(event)

    def tell(
        self,
        account: Account,
        reason: str,
        time: int,
        positions: Sequence[Position],
        *,
        asset: str,
        change: Decimal = ZERO,
        balance: bool = True,
    ) -> None:
        """Tell the owner what became of an asset and of positions."""
        event = events.account_update(
            account, reason, time, positions, self.marks(time), asset=asset, change=change, balance=balance
        )
        account.events.append(self.terms.forms.of_account(event, account, positions))

    # conditional orders

    def move(self, account: Account, algo: Algo, status: AlgoStatus, time: int, reason: str = "") -> None:
        """Bring a conditional order to its next state."""
        algo.status, algo.updated, algo.reason = status, time, reason
        if not algo.is_open:
            account.open_algos.pop(algo.id, None)
        order_id = algo.order.id if algo.order else None
        self.ledger.append(
            ledger.AlgoMoved(time, account.name, algo.id, algo.client_id, algo.symbol, status, order_id, reason)
        )
        if self.terms.tells_algos:
            account.events.append(events.algo_update(algo, time))

    def sweep_orphans(self, account: Account, position: Position, time: int) -> None:
        """Expire what was there only to close a position that no longer is."""
        for order in account.orders_of(position.symbol):
            is_orphan = order.only_closes and not account.closable(order.symbol, order.position_side, order.side)
            if is_orphan and order.position_side is position.side and order.is_open:
                self.end(account, order, Status.EXPIRED, time)
        for algo in account.algos_of(position.symbol):
            ends_with_it = algo.time_in_force is TimeInForce.GTE_GTC
            is_orphan = ends_with_it and not account.closable(algo.symbol, algo.position_side, algo.side)
            if is_orphan and algo.position_side is position.side:
                self.move(account, algo, AlgoStatus.EXPIRED, time)

    # money

    def book_income(
        self,
        account: Account,
        kind: str,
        symbol: str,
        amount: Decimal,
        time: int,
        *,
        asset: str,
        trade_id: str = "",
        info: str = "",
    ) -> None:
        """Change the wallet, and remember why."""
        account.wallets[asset] = account.wallets.get(asset, ZERO) + amount
        account.incomes.append(Income(self.ids.take("income"), kind, symbol, amount, asset, info, time, trade_id))

    def _settle(
        self,
        account: Account,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        *,
        rate: Decimal,
        time: int,
        maker: bool,
        booked: Booked,
    ) -> Trade:
        key, worth = (order.symbol, order.position_side), order.worth
        position = account.positions.setdefault(key, Position(*key, worth=worth))
        isolated = order.symbol in account.isolated
        change = quantity * order.side.sign
        realised = position.fill(change, price, account.leverage(order.symbol), isolated)
        charged = quantity * worth.notional(price) * rate
        fee, fee_asset = self._fee(account, charged.quantize(CENT), worth.asset, time)
        position.fees += charged if position.quantity and fee_asset == worth.asset else ZERO
        position.updated = order.updated = time
        trade = Trade(
            self.ids.take("trade"), order.id, order.symbol, order.side, order.position_side, price, quantity, fee,
            fee_asset, realised, maker, time,
        )  # fmt: skip
        account.trades.append(trade)
        self.ledger.append(
            ledger.Fill(
                time, account.name, trade.id, order.id, order.client_id, order.symbol, order.side,
                order.position_side, price, quantity, fee, fee_asset, realised, worth.asset, maker,
            )
        )  # fmt: skip
        number = str(trade.id)
        if realised:
            self.book_income(
                account, booked.profit, order.symbol, realised, time, asset=worth.asset, info=number, trade_id=number
            )
        self.book_income(account, booked.fee, order.symbol, -fee, time, asset=fee_asset, info=number, trade_id=number)
        return trade

    def _fee(self, account: Account, fee: Decimal, asset: str, time: int) -> tuple[Decimal, str]:
        """What is paid, and in which asset: in BNB it is a tenth less, as long as there is enough."""
        if account.burns and _BNB_PAIR in self.market.specs:
            in_bnb = (fee * _BNB_SHARE / self.mark(_BNB_PAIR, time)).quantize(CENT)
            if in_bnb <= account.wallets.get(_BNB, ZERO):
                return in_bnb, _BNB
        return fee, asset

    def _leave(self, account: Account, order: Order, time: int) -> None:
        order.updated = time
        account.open_orders.pop(order.id, None)
        algo = account.algos.get(order.algo_id) if order.algo_id is not None else None
        if algo is not None and algo.status is AlgoStatus.TRIGGERED:
            self.move(account, algo, AlgoStatus.FINISHED, time)

    # prices

    def _sweep(self, order: Order, quantity: Decimal, last: int, mark: Decimal) -> list[matching.Take]:
        spec = self.spec(order.symbol)
        if order.type is OrderType.LIMIT:
            return matching.sweep(spec, order.side, quantity, order.price, last)
        highest, lowest = band(spec, mark)
        worst = highest if order.side is Side.BUY else lowest
        return matching.sweep(spec, order.side, quantity, worst, last)

    def _takeable(self, order: Order, last: int, mark: Decimal) -> Decimal:
        return sum((piece.quantity for piece in self._sweep(order, order.remaining, last, mark)), ZERO)

    def _assumed_price(self, order: Order, last: int) -> Decimal:
        if order.type is OrderType.LIMIT:
            return order.price
        spec = self.spec(order.symbol)
        best = matching.quote(spec, last)
        return (best.ask if order.side is Side.BUY else best.bid) * spec.tick
