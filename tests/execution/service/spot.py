"""An executor on spot: a real database, a real exchange, and what a test asks of both."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pymongo.database import Database

from pipeline.exchange.coin_trading import CoinOrder, CoinTrading
from pipeline.exchange.environments import Environment
from pipeline.exchange.products.arithmetic import SPOT_COINS
from pipeline.exchange.signing import Credentials
from pipeline.execution.engine.effects import Notify
from pipeline.execution.engine.state import Policy
from pipeline.execution.runtime.context import Pace
from pipeline.execution.runtime.executor import Executor, opened
from pipeline.settings import Portfolio, Risk
from pipeline.simulator.handle import RunningSimulator
from pipeline.simulator.options import Account
from schemas.orders import UNSETTLED, Order
from schemas.positions import Position
from schemas.signals import Signal
from tests.truth import fills_of, order_differences

EXCHANGE, SYMBOL, BASE = "sim-spot", "BTCUSDT", "BTC"
STEP = Decimal("0.00001")
PATIENCE = 60.0
OWN = Decimal("0.1")
"""Coins of the user's own, there from the beginning."""
RISK = {"max_position_percent": "30", "take_profit_atr": "3"}
_numbers = itertools.count(1)


@dataclass
class SpotHouse:
    """A database, an exchange, and whoever trades between them."""

    db: Database[dict[str, Any]]
    simulator: RunningSimulator
    account: Account
    place: Environment
    credentials: Credentials
    trading: CoinTrading
    notes: list[Notify] = field(default_factory=list)
    symbol: str = SYMBOL

    @asynccontextmanager
    async def executor(self, *, mode: str = "auto-execute", **risk: Any) -> AsyncIterator[Executor]:
        """Run one for the length of the block; it has compared the exchange when that begins."""
        stop = asyncio.Event()
        window, portfolio = risk.pop("recv_window", 5_000), risk.pop("portfolio", Portfolio())
        policy = Policy(
            EXCHANGE, Risk(**(RISK | risk)), portfolio, arithmetic=SPOT_COINS, coins=True, recv_window=window,
            late_margin=min(window, 2_000),
        )  # fmt: skip
        place = replace(self.place, recv_window=window)
        with opened(
            self.db, place, self.credentials, policy, mode=mode, symbols=lambda: {SYMBOL},
            notify=self.notes.append, holder=f"executor {next(_numbers)}",
            pace=Pace(sweep=0.3, switches=0.1, watched=0.5),
        ) as made:  # fmt: skip
            running = asyncio.create_task(made.run(stop))
            try:
                await self.until(
                    lambda: running.done() or (made.term and getattr(made.term, "core", None) and made.term.core.ready)
                )
                if running.done():
                    running.result()
                yield made
            finally:
                stop.set()
                await asyncio.wait_for(running, PATIENCE)

    async def until(self, so: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Wait for a condition."""
        async with asyncio.timeout(seconds):
            while not (found := await asyncio.to_thread(so)):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)
            return found

    async def calm(self) -> None:
        """Wait until journal, store and exchange say the same."""
        try:
            await self.until(lambda: not self.wrong())
        except TimeoutError:
            raise AssertionError("\n".join(self.wrong())) from None

    async def hold(self, kind: str = "entry") -> Position:
        """Let the executor buy; its pair stands when this returns."""
        name = self.say(kind)
        await self.until(lambda: self.verdict(name) != "fresh")
        assert self.verdict(name) == "taken", self.signal(name).reason
        await self.until(lambda: (found := self.position()) and found.stop_order)
        await self.calm()
        found = self.position()
        assert found is not None
        return found

    async def closed(self) -> None:
        """Wait until nothing of ours is held, and nothing stands; what is the user's own is there still."""
        await self.until(lambda: (found := self.position()) and not found.quantity)
        await self.calm()
        assert self.standing() == []
        assert 0 <= (self.balance() - OWN) * self.price() < 6

    # Told and asked

    def say(self, kind: str = "entry", side: str = "long", **fields: Any) -> str:
        """A strategy writes a signal."""
        now = datetime.fromtimestamp(self.simulator.now() / 1000, UTC)
        price = float(self.price())
        known = {
            "symbol": SYMBOL, "interval": "1h", "strategy": "turtle", "candle": now, "at": now, "price": price,
            "strength": 0.5, "indicators": {"atr": round(price * 0.01, 2)}, "settings": "x", "source": "live",
            "confirmed": True, "created_at": now, "verdict": "fresh", "fresh_until": now + timedelta(seconds=120),
        }  # fmt: skip
        name = f"spot {self.account.name} {next(_numbers)}"
        signal = Signal(id=name, exchange=EXCHANGE, kind=kind, side=side, **(known | fields))
        self.db.signals.insert_one(signal.to_mongo())
        return name

    def signal(self, name: str) -> Signal:
        return Signal.from_mongo(self.db.signals.find_one({"_id": name}) or {})

    def verdict(self, name: str) -> str:
        return self.signal(name).verdict

    def price(self) -> Decimal:
        """What the exchange trades at."""
        now = self.simulator.now()
        return Decimal(self.simulator.truth_klines(SYMBOL, "1m", now - 120_000, now)[-1][4])

    def balance(self) -> Decimal:
        """How many coins lie there, whosever."""
        found = self.trading.balances().get(BASE)
        return found.free + found.locked if found else Decimal(0)

    def standing(self) -> list[CoinOrder]:
        return self.trading.open_orders()

    def journal(self, **wanted: Any) -> list[Order]:
        found = self.db.orders.find({"environment": EXCHANGE, **wanted}).sort("created_at", 1)
        return [Order.from_mongo(one) for one in found]

    def position(self) -> Position | None:
        """The stored position."""
        found = self.db.positions.find_one({"environment": EXCHANGE, "symbol": SYMBOL})
        return None if found is None else Position.from_mongo(found)

    def ledger(self) -> list[dict[str, Any]]:
        """What truly happened on our account."""
        return [one for one in self.simulator.ledger()["trading"] if one["account"] == self.account.name]

    def ours(self) -> Decimal:
        """How many coins of the account orders of ours have bought, less what was kept of them and what they sold."""
        bought = Decimal(0)
        for one in self.ledger():
            if one["kind"] == "Fill" and one["client_id"].startswith("tm-") and one["symbol"] == SYMBOL:
                quantity = Decimal(one["quantity"])
                kept = Decimal(one["fee"]) if one["fee_asset"] == BASE else Decimal(0)
                bought += quantity - kept if one["side"] == "BUY" else -quantity
        return bought

    def wrong(self) -> list[str]:
        """Where journal, store and exchange do not say the same; nothing once they do."""
        ledger, journal, standing = self.ledger(), self.journal(), self.standing()
        found = [*order_differences(ledger, journal)]
        fills = fills_of(ledger)
        found += [
            f"{one.id}: {one.filled} journaled, {fills[one.id]} filled"
            for one in journal
            if one.id in fills and one.filled != fills[one.id]
        ]
        stored = self.position()
        held = stored.quantity if stored else Decimal(0)
        crumbs = self.ours() - held
        if not 0 <= crumbs * self.price() < 6:
            found.append(f"{self.ours()} are ours, stored {held}")
        mine = {one.name: one for one in standing if one.name.startswith("tm-")}
        unsettled = {one.id for one in journal if one.state in UNSETTLED}
        if set(mine) != unsettled:
            found.append(f"open at the exchange {set(mine)}, in the journal {unsettled}")
        stops = [one for one in mine.values() if one.type == "STOP_LOSS"]
        apart = [one.quantity for one in stored.books] or [held] if stored and held else []
        if sorted(one.orig_qty for one in stops) != sorted(one // STEP * STEP for one in apart):
            found.append(f"{apart} are held, and these stops stand: {stops}")
        return found
