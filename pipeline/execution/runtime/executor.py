"""The executor as a process: waits for the lease, acts while it holds it, and stands by again when it does not.

Two may run at once: one acts, the other takes over within seconds of its death. Killed at any moment it loses nothing:
the journal and the exchange know everything the next term needs.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.environments import Environment
from pipeline.exchange.limits import Need
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials
from pipeline.exchange.trading import Trading
from pipeline.exchange.traffic import Calls
from pipeline.execution.account.books import Bookkeeper
from pipeline.execution.account.clean_days import CleanDays
from pipeline.execution.account.coin_books import CoinBooks
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.effects import Notify
from pipeline.execution.engine.state import Policy
from pipeline.execution.gateway.reports_in import Market
from pipeline.execution.runtime.context import Books, Context, Pace, Symbols
from pipeline.execution.runtime.lease import Leadership
from pipeline.execution.runtime.session import TradingSession
from pipeline.execution.runtime.writing import stores_of
from pipeline.store.account import AccountStore
from pipeline.store.lease import LIFE, LeaseStore
from schemas.shared import Mode

log = logging.getLogger(__name__)

AGAIN_AFTER = 1.0
AGAIN_AT_MOST = 60.0
LASTED = 60.0
"""A term of so many seconds has got going: the next one after it need not wait for long."""
_READ_RETRIES = 2
_PATIENCE_MS = 2_000
"""No worker waits longer for a limit: the core asks again."""


@contextmanager
def opened(
    database: Database[dict[str, Any]],
    place: Environment,
    credentials: Credentials,
    policy: Policy,
    *,
    mode: Mode,
    may_execute: bool = True,
    symbols: Symbols,
    notify: Callable[[Notify], None],
    holder: str,
    pace: Pace | None = None,
    lease_life: float = LIFE,
    hears: bool = True,
) -> Iterator["Executor"]:
    """An executor on that database and that exchange. Its requests pass only while it holds the lease. `hears`: False
    for one that decides about no signal, and keeps and closes what is held alone."""
    leadership = Leadership(LeaseStore(database, f"executor:{place.name}", holder, life=lease_life))
    clock = ServerClock()
    with RestClient(place, clock=clock, need=Need.PROTECTION) as patient:
        patient.sync_clock()
    made: dict[str, Any] = {"clock": clock, "need": Need.PROTECTION, "patience_ms": _PATIENCE_MS}
    with (
        RestClient(replace(place, retries=0), credentials, permit=leadership.permit, **made) as sending,
        RestClient(replace(place, retries=_READ_RETRIES), credentials, **made) as asking,
    ):
        sending.weight = asking.weight  # one address, one limit: where one has to wait, so has the other
        sending.traffic = asking.traffic
        reading = Trading(asking)
        stores, unhurried = stores_of(database, place.name)
        accounts = AccountStore(database, place.name)
        market = MarketData(asking)
        rates, listed = Rates(market, place.product.margin), Market(place.product)
        books: Books
        if policy.owned:
            books = CoinBooks(place.name, stores.journal, accounts, listed.asset_of)
        else:
            books = Bookkeeper(place.name, place.product.margin, reading, accounts, rates, _warning(notify))
        context = Context(
            policy=policy,
            default_mode=mode,
            may_execute=may_execute,
            sending=Trading(sending),
            asking=reading,
            market=market,
            listed=listed,
            stores=stores,
            unhurried=unhurried,
            rates=rates,
            books=books,
            clean_days=CleanDays(stores.journal, accounts, stores.control),
            symbols=symbols,
            notify=notify,
            pace=pace or Pace(),
            hears=hears,
        )
        yield Executor(context, leadership)


def _warning(notify: Callable[[Notify], None]) -> Callable[[str], None]:
    return lambda text: notify(Notify("warning", "the books", text))


class Executor:
    """Acts on fresh signals, each at most once. Make one, `run` it once."""

    def __init__(self, context: Context, leadership: Leadership) -> None:
        self._context = context
        self._leadership = leadership
        self.term: TradingSession | None = None

    def figures(self) -> dict[str, float]:
        """What it says of itself with its heartbeat: whether it acts and sends, how the exchange serves it, how often
        the two were compared and were not equal, and for how long positions had no stop."""
        compared = self._context.comparisons
        return {
            "acts": float(self.term is not None),
            "sends": float(self.term is not None and self.term.sends),
            "comparisons": float(compared.made),
            "unequal": float(compared.unequal),
            "naked_seconds": self._context.exposure.seconds(self._context.now()),
            **self._context.asking.client.traffic.figures(),
        }

    def calls(self) -> Calls:
        """What became of its calls to the exchange."""
        return self._context.asking.client.traffic.calls()

    async def run(self, stop: asyncio.Event) -> None:
        """Act, or stand by, until `stop` is set. Ends with an error only where a person has to mend something."""
        pause = 0.0
        while not stop.is_set():
            fence = await self._win(stop)
            if fence is None:
                return
            log.info("acting as executor of %s, term %d", self._context.policy.environment, fence)
            began = time.monotonic()
            try:
                await self._act(fence, stop)
            finally:
                await self._leadership.leave()
            pause = pause_after(pause, time.monotonic() - began)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def _win(self, stop: asyncio.Event) -> int | None:
        winning, stopping = asyncio.ensure_future(self._leadership.win()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([winning, stopping], return_when=asyncio.FIRST_COMPLETED)
            return winning.result() if winning.done() else None
        finally:
            winning.cancel()
            stopping.cancel()
            await asyncio.wait([winning])

    async def _act(self, fence: int, stop: asyncio.Event) -> None:
        self.term = TradingSession(self._context, fence)
        try:
            reason = await self.term.run(self._leadership.hold(), stop)
        except (TidemarkError, PyMongoError) as error:
            if isinstance(error, TidemarkError) and error.exit_code != 1:
                raise
            reason = str(error)[:300]
        finally:
            self.term = None
        if reason is None:
            log.info("the executor of %s ends; what is held keeps its stop", self._context.policy.environment)
        else:
            log.error("this term ends: %s; the next one begins from the journal", reason)
            self._context.notify(Notify("error", "the executor starts anew", reason))


def pause_after(before: float, lasted: float) -> float:
    """How long to wait for the next term: a term that fails for certain would fail again, and each costs the address
    some of its weight. `before`: the pause before the last one; `lasted`: how long that ran."""
    return AGAIN_AFTER if lasted > LASTED or not before else min(before * 2, AGAIN_AT_MOST)
