"""What holds on spot whatever anybody does: money and coins are those of the ledger, what is locked is what open orders
need, and whoever listens knows what whoever asks is told."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot import ledger as books
from pipeline.simulator.venue.ledger import Deposit, Ended

D = Decimal
STEPS = 3_000
PAUSE = 700
SYMBOLS = {"BTCUSDT": 50_000.0, "ETHUSDT": 2_500.0, "BNBUSDT": 600.0}
LOT = {"BTCUSDT": D("0.00001"), "ETHUSDT": D("0.0001"), "BNBUSDT": D("0.001")}
DEPOSITS = {"USDT": D(200_000), "BTC": D(2), "ETH": D(40), "BNB": D(3)}

Desk = Any


def walk(seed: int, start: float) -> list[tuple[int, float]]:
    """A price that wanders, and now and then jumps."""
    chance, price, path = random.Random(seed), start, [(0, start)]
    for step in range(1, STEPS):
        price *= 1 + chance.gauss(0, 0.03 if chance.random() < 0.02 else 0.0015)
        price = min(max(price, start / 2), start * 2)
        path.append((step * PAUSE, round(price, 2)))
    return path


class Trader:
    """Does whatever can be done, at random, and mostly something that can be."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk = desk
        self.chance = random.Random(seed)
        self.answers: Counter[str] = Counter()

    def act(self) -> None:
        actions = {self.place: 40, self.cancel: 14, self.oco: 10, self.chain: 8, self.replace: 10, self.burn: 1,
                   self.clear: 1}  # fmt: skip
        (action,) = self.chance.choices(list(actions), list(actions.values()))
        try:
            action()
            self.answers["done"] += 1
        except ApiError as refusal:
            self.answers[str(refusal.code)] += 1

    def terms(self, symbol: str, side: str) -> dict[str, object]:
        kind = self.chance.choice(("LIMIT", "LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT",
                                   "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"))  # fmt: skip
        terms: dict[str, object] = {"symbol": symbol, "side": side, "type": kind, "quantity": self.quantity(symbol)}
        if kind == "MARKET" and self.chance.random() < 0.4:
            terms["quoteOrderQty"] = self.chance.randint(6, 9_000)
            del terms["quantity"]
        if kind.endswith(("LIMIT", "MAKER")):
            terms["price"] = self.price(symbol, 0.01)
        if kind.endswith("LIMIT"):
            terms["timeInForce"] = self.chance.choice(("GTC", "GTC", "GTC", "IOC", "FOK"))
        if "_LOSS" in kind or "_PROFIT" in kind:
            rises = ("_LOSS" in kind) is (side == "BUY")
            terms["stopPrice"] = self.price(symbol, 0.006, 1.007 if rises else 0.993)
        return terms

    def quantity(self, symbol: str) -> Decimal:
        worth = self.chance.uniform(4, 30_000) if self.chance.random() < 0.3 else self.chance.uniform(6, 3_000)
        return D(worth / SYMBOLS[symbol]) // LOT[symbol] * LOT[symbol]

    def price(self, symbol: str, width: float, around: float = 1.0) -> str:
        last = self.desk.market.price(symbol, 20_000 * 86_400_000 + self.desk.at) / 100
        return f"{last * around * self.chance.uniform(1 - width, 1 + width):.2f}"

    def pick(self) -> tuple[str, str]:
        return self.chance.choice(list(SYMBOLS)), self.chance.choice(("BUY", "SELL"))

    def place(self) -> None:
        self.desk.ask("POST", "order", **self.terms(*self.pick()))

    def open_order(self) -> dict[str, Any]:
        found = self.desk.ask("GET", "openOrders")
        return self.chance.choice(found) if found else {"symbol": "BTCUSDT", "orderId": 1}

    def cancel(self) -> None:
        order = self.open_order()
        self.desk.ask("DELETE", "order", symbol=order["symbol"], orderId=order["orderId"])

    def clear(self) -> None:
        self.desk.ask("DELETE", "openOrders", symbol=self.pick()[0])

    def legs(self, symbol: str, side: str, prefix: str = "") -> dict[str, object]:
        above, below = self.price(symbol, 0.005, 1.01), self.price(symbol, 0.005, 0.99)
        profit = self.chance.choice(("LIMIT_MAKER", "TAKE_PROFIT"))
        kinds = (profit, "STOP_LOSS") if side == "SELL" else ("STOP_LOSS", profit)
        legs: dict[str, object] = {}
        for place, kind, price in (("above", kinds[0], above), ("below", kinds[1], below)):
            name = prefix + place.capitalize() if prefix else place
            legs[f"{name}Type"] = kind
            legs[f"{name}{'Price' if kind == 'LIMIT_MAKER' else 'StopPrice'}"] = price
        return legs

    def oco(self) -> None:
        symbol, side = self.pick()
        terms = {"symbol": symbol, "side": side, "quantity": self.quantity(symbol)}
        self.desk.ask("POST", "orderList/oco", **terms, **self.legs(symbol, side))

    def chain(self) -> None:
        symbol, side = self.pick()
        other = "SELL" if side == "BUY" else "BUY"
        quantity = self.quantity(symbol)
        working = {"workingType": "LIMIT", "workingSide": side, "workingQuantity": quantity,
                   "workingPrice": self.price(symbol, 0.003), "workingTimeInForce": "GTC"}  # fmt: skip
        pending = {"pendingSide": other, "pendingQuantity": quantity, **self.legs(symbol, other, "pending")}
        self.desk.ask("POST", "orderList/otoco", symbol=symbol, **working, **pending)

    def replace(self) -> None:
        order = self.open_order()
        mode = self.chance.choice(("STOP_ON_FAILURE", "ALLOW_FAILURE"))
        terms = self.terms(order["symbol"], self.pick()[1])
        self.desk.ask("POST", "order/cancelReplace", **terms, cancelOrderId=order["orderId"], cancelReplaceMode=mode)

    def burn(self) -> None:
        wanted = self.chance.choice(("true", "false"))
        now = 20_000 * 86_400_000 + self.desk.at
        self.desk.venue.call("trader", "POST", "/sapi/v1/bnbBurn", {"spotBNBBurn": wanted}, now)


def traded(open_spot_desk: Callable[..., Desk], seed: int, stride: int = PAUSE) -> tuple[Desk, Trader]:
    paths = {symbol: walk(seed + number, start) for number, (symbol, start) in enumerate(SYMBOLS.items())}
    desk = open_spot_desk(DEPOSITS, **paths)
    for symbol, path in desk.market.paths.items():  # trades small enough that many an order fills in parts
        chance = random.Random(symbol)
        desk.market.paths[symbol] = [(at, price, chance.randint(1, 20_000)) for at, price, _ in path]
    trader = Trader(desk, seed)
    for step in range(STEPS):
        for at in range(step * PAUSE + stride, (step + 1) * PAUSE + 1, stride):
            desk.wait(at)
        trader.act()
        check_locked(desk)
    return desk, trader


def check_locked(desk: Desk) -> None:
    """Nothing is owed, and what is locked is what the open orders need."""
    account = desk.venue.books("trader")
    needed: defaultdict[str, Decimal] = defaultdict(D)
    for hold in {id(order.hold): order.hold for order in account.open_orders.values()}.values():
        sharing = [order for order in account.open_orders.values() if order.hold is hold]
        waits = {order.status for order in sharing} == {"PENDING_NEW"}
        needed[hold.asset] += (
            D(0)
            if waits
            else max(
                order.remaining if order.side == "SELL" else order.remaining * (order.price or order.stop_price)
                for order in sharing
            )
        )
    for asset, balance in account.balances.items():
        assert balance.locked == needed[asset], asset
        assert balance.free >= 0, asset


def check_money(desk: Desk) -> None:
    """What there is of each asset is what came in and what the ledger says of every trade."""
    expected: defaultdict[str, Decimal] = defaultdict(D)
    for entry in desk.venue.ledger:
        if isinstance(entry, Deposit):
            expected[entry.asset] += entry.amount
        elif isinstance(entry, books.Fill):
            sign = 1 if entry.side == "BUY" else -1
            assert entry.turnover == entry.price * entry.quantity
            expected[entry.base] += sign * entry.quantity
            expected[entry.quote] -= sign * entry.turnover
            expected[entry.fee_asset] -= entry.fee
    assert {asset: free + locked for asset, (free, locked) in desk.balances().items()} == dict(expected)


def check_orders(desk: Desk) -> None:
    """Every order is in the ledger from its acceptance to its end, and its trades are those of the account."""
    filled: defaultdict[int, Decimal] = defaultdict(D)
    for entry in desk.venue.ledger:
        if isinstance(entry, books.Fill):
            filled[entry.order_id] += entry.quantity
    ended = {entry.order_id: entry for entry in desk.venue.ledger if isinstance(entry, Ended)}
    accepted = [entry for entry in desk.venue.ledger if isinstance(entry, books.Accepted)]
    for entry in accepted:
        row = desk.ask("GET", "order", symbol=entry.symbol, orderId=entry.order_id)
        assert D(row["executedQty"]) == filled[entry.order_id]
        over = ended.get(entry.order_id)
        if over is not None:
            assert (row["status"], over.filled) == (over.status, filled[entry.order_id])
        elif filled[entry.order_id] == entry.quantity:
            assert row["status"] == "FILLED"
        else:
            assert row["status"] == ("PARTIALLY_FILLED" if filled[entry.order_id] else row["status"])
            assert row["status"] in {"NEW", "PARTIALLY_FILLED", "PENDING_NEW"}


def check_stream(desk: Desk) -> None:
    """Listening and asking give the same picture."""
    orders, balances, lists = {}, {asset: (amount, D(0)) for asset, amount in DEPOSITS.items()}, {}
    for event in desk.heard():
        match event["e"]:
            case "executionReport":
                orders[event["i"]] = (event["X"], D(event["z"]), D(event["Z"]))
            case "outboundAccountPosition":
                balances |= {row["a"]: (D(row["f"]), D(row["l"])) for row in event["B"]}
            case "listStatus":
                assert lists.get(event["g"]) != "ALL_DONE", "a list is done with once"
                lists[event["g"]] = event["L"]
    assert balances == desk.balances()
    open_rows = {row["orderId"]: row for row in desk.ask("GET", "openOrders")}
    assert set(open_rows) == {
        number for number, order in orders.items() if order[0] in {"NEW", "PARTIALLY_FILLED", "PENDING_NEW"}
    }
    for number, row in open_rows.items():
        assert orders[number] == (row["status"], D(row["executedQty"]), D(row["cummulativeQuoteQty"]))
    open_lists = {row["orderListId"] for row in desk.ask("GET", "openOrderList")}
    assert open_lists == {number for number, status in lists.items() if status == "EXECUTING"}


@pytest.mark.no_cover  # counted elsewhere; here it would triple the time
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_coins_orders_and_events_agree_after_random_trading(open_spot_desk: Callable[..., Desk], seed: int) -> None:
    desk, trader = traded(open_spot_desk, seed)
    check_money(desk)
    check_orders(desk)
    check_stream(desk)
    assert trader.answers["done"] > STEPS // 4, trader.answers
    fills = [entry for entry in desk.venue.ledger if isinstance(entry, books.Fill)]
    assert {entry.fee_asset for entry in fills} == {"USDT", "BTC", "ETH", "BNB"}
    assert {entry.maker for entry in fills} == {True, False}
    statuses = {entry.status for entry in desk.venue.ledger if isinstance(entry, Ended)}
    assert statuses >= {"CANCELED", "EXPIRED"}
    assert any(isinstance(entry, books.Worked) for entry in desk.venue.ledger)
    assert {"-2010", "-2021"} <= set(trader.answers)


@pytest.mark.no_cover  # counted elsewhere; here it would triple the time
def test_how_often_the_time_is_told_changes_nothing(open_spot_desk: Callable[..., Desk]) -> None:
    seldom, _ = traded(open_spot_desk, 4)
    often, _ = traded(open_spot_desk, 4, stride=PAUSE // 7)
    assert seldom.venue.ledger == often.venue.ledger
