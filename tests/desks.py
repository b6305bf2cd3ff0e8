"""The account of one market, and what is stored of it: what a test says there, and where exchange and store differ."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from pymongo.database import Database

from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import Trading
from pipeline.simulator.handle import RunningSimulator
from pipeline.store.account import PositionStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.orders import OrderJournal
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import interval
from schemas.orders import Order
from schemas.positions import Position
from schemas.signals import Signal
from schemas.symbols import Symbol
from tests.truth import candle_differences, naked, order_differences

OURS = "tm-"
DUST = 6
"""Dollars of a coin that cannot be sold: fewer than the least that an order may be worth."""


@dataclass
class Desk(ABC):
    """`simulator`: at the address of the market. `symbol`: what the test trades there."""

    symbol: str
    db: Database[dict[str, Any]]
    simulator: RunningSimulator
    client: RestClient
    account: str = "main"

    @property
    def exchange(self) -> str:
        return self.client.environment.name

    def say(self, kind: str, side: str = "long") -> str:
        """A strategy writes a signal; its id."""
        now = datetime.fromtimestamp(self.simulator.now() / 1000, UTC)
        price = float(self.price(self.symbol))
        signal = Signal(
            id=f"{self.exchange} {kind} {side} {now:%H:%M:%S.%f}", exchange=self.exchange, symbol=self.symbol,
            interval="1h", strategy="turtle", kind=kind, side=side, candle=now, at=now, price=price, strength=0.5,
            indicators={"atr": round(price * 0.01, 2)}, settings="x", source="live", confirmed=True, created_at=now,
            verdict="fresh", fresh_until=now + timedelta(seconds=600),
        )  # fmt: skip
        self.db.signals.insert_one(signal.to_mongo())
        return signal.id

    def verdict(self, signal: str) -> tuple[str, str | None]:
        """What the executor made of it, and why."""
        found = Signal.from_mongo(self.db.signals.find_one({"_id": signal}) or {})
        return found.verdict, found.reason

    def price(self, symbol: str) -> Decimal:
        """What the exchange trades at."""
        now = self.simulator.now()
        return Decimal(self.simulator.truth_klines(symbol, "1m", now - 120_000, now)[-1][4])

    def journal(self) -> list[Order]:
        """Its orders, oldest first."""
        found = self.db.orders.find({"environment": self.exchange}).sort("created_at", 1)
        return [Order.from_mongo(one) for one in found]

    def stored(self) -> dict[str, Position]:
        """What is stored as held, by symbol."""
        return {one.symbol: one for one in PositionStore(self.db, self.exchange).list() if one.quantity}

    @cached_property
    def listed(self) -> dict[str, Symbol]:
        """What the exchange says of its symbols."""
        return {one.symbol: one for one in MarketData(self.client).symbols()}

    def in_whole_steps(self, quantity: Decimal, symbol: str | None = None) -> Decimal:
        """What of it can be sold."""
        filters = self.listed[symbol or self.symbol].filters
        assert filters is not None
        return quantity // filters.step_size * filters.step_size

    def ledger(self) -> list[dict[str, Any]]:
        """What truly happened on the account in this market."""
        market = self.client.environment.product.name
        trading = self.simulator.ledger()["trading"]
        return [one for one in trading if (one["account"], one["market"]) == (self.account, market)]

    def wrong(self) -> list[str]:
        """Where journal, store and exchange do not say the same; nothing once they do."""
        differences = order_differences(self.ledger(), self.journal())
        return [*differences, *self.held_otherwise(), *self.standing_otherwise()]

    def standing_otherwise(self) -> list[str]:
        """Where what is open at the exchange is not what is unsettled in the journal."""
        here = {one for one in self.standing() if one.startswith(OURS)}
        journaled = {one.id for one in OrderJournal(self.db, self.exchange).unsettled()}
        return [] if here == journaled else [f"open at the exchange {sorted(here)}, in the journal {sorted(journaled)}"]

    def wrong_candles(self, since: int) -> Iterator[str]:
        """What of the watched series has closed since then and is not stored as it was."""
        now = self.simulator.now()
        for key in sorted(Watchlist(self.db, self.exchange).wanted()):
            step = interval(key.interval)
            size = self.listed[key.symbol].contract_size
            first, last = step.floor(since), step.after(step.floor(now), -1)
            if first <= last:
                yield from candle_differences(self.simulator, CandleStore(self.db), [key], first, last, size)

    @abstractmethod
    def held_otherwise(self) -> list[str]:
        """Where what is held is not what is stored, or has no stop."""

    @abstractmethod
    def standing(self) -> list[str]:
        """The names of the orders that are open."""


class ContractDesk(Desk):
    """Positions, against a margin."""

    @property
    def trading(self) -> Trading:
        return Trading(self.client)

    def held(self) -> dict[str, Decimal]:
        return {one.symbol: one.position_amt for one in self.trading.positions() if one.position_amt}

    def held_otherwise(self) -> list[str]:
        held, stored = self.held(), {symbol: one.quantity for symbol, one in self.stored().items()}
        unlike = [] if held == stored else [f"held {held}, stored {stored}"]
        return [*unlike, *naked(held, self.trading.open_algos())]

    def standing(self) -> list[str]:
        algos = [one.client_algo_id for one in self.trading.open_algos()]
        return [*algos, *(one.client_order_id for one in self.trading.open_orders())]


class CoinDesk(Desk):
    """Coins, some of which may be the user's own."""

    @property
    def trading(self) -> CoinTrading:
        return CoinTrading(self.client)

    def bought(self, symbol: str) -> Decimal:
        """How many coins orders of ours have bought, less what was kept of them and what they sold."""
        bought = Decimal(0)
        for one in self.ledger():
            if one["kind"] == "Fill" and one["client_id"].startswith(OURS) and one["symbol"] == symbol:
                kept = Decimal(one["fee"]) if one["fee_asset"] == one["base"] else Decimal(0)
                bought += Decimal(one["quantity"]) - kept if one["side"] == "BUY" else -Decimal(one["quantity"])
        return bought

    def crumbs(self, symbol: str) -> Decimal:
        """What the sales may have left in all: of each, less than a lot."""
        filters = self.listed[symbol].filters
        assert filters is not None
        sold = {one["client_id"] for one in self.ledger() if one["kind"] == "Fill" and one["side"] == "SELL"}
        return len(sold) * filters.step_size

    def held_otherwise(self) -> list[str]:
        found, stored = [], self.stored()
        stops = [one for one in self.trading.open_orders() if one.type == "STOP_LOSS"]
        for symbol in sorted({one.symbol for one in self.journal()} | stored.keys()):
            bought = self.bought(symbol)
            quantity = stored[symbol].quantity if symbol in stored else Decimal(0)
            if not 0 <= bought - quantity < DUST / self.price(symbol) + self.crumbs(symbol):
                found.append(f"{symbol}: {bought} are ours, stored {quantity}")
            covered = sorted(one.orig_qty for one in stops if one.symbol == symbol)
            apart = self.apart(stored[symbol]) if quantity else []
            if covered != sorted(self.in_whole_steps(one, symbol) for one in apart):
                found.append(f"{symbol}: {apart} are held, and there are stops for {covered}")
        return found

    def apart(self, position: Position) -> list[Decimal]:
        """What has a stop of its own: all of it, or each strategy's, unless it is too little to be sold."""
        price = self.price(position.symbol)
        return [one.quantity for one in position.books if one.quantity * price >= DUST] or [position.quantity]

    def standing(self) -> list[str]:
        return [one.name for one in self.trading.open_orders()]


def desk_of(
    symbol: str, db: Database[dict[str, Any]], simulator: RunningSimulator, client: RestClient, account: str = "main"
) -> Desk:
    """As its market counts."""
    borrowed = client.environment.product.arithmetic.is_borrowed
    return (ContractDesk if borrowed else CoinDesk)(symbol, db, simulator, client, account)
