"""Closes coins of ours for a person's command. No order at the exchange only reduces there, so two that sell at once
would sell what is the user's own: whoever sells holds the lease. An executor that acts is left to it; where none acts,
one is run here until nothing of ours is left. It decides about no signal.

Without the database nobody knows which coins are ours: nothing is sold then, and the pairs stand.
"""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.app.closing import EXECUTOR_HAS, Known, Listener, Symbols, look
from pipeline.errors import TidemarkError
from pipeline.execution.account.closures import By, Closure
from pipeline.execution.account.flatten import Report
from schemas.orders import SETTLED

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.app.clerk import Clerk
    from pipeline.execution.runtime.executor import Executor
    from pipeline.settings import Settings
    from schemas.orders import Order

SOLD_WITHIN = 60.0
"""Seconds in which it is closed from here, the lease of another waited for; with a request in doubt it takes longer."""
_LOOK_EVERY = 0.2
_BY_LEG: dict[str, By] = {"stop": "its stop", "take_profit": "its take-profit"}


@dataclass(frozen=True, slots=True)
class CoinClosing:
    """Closing for one command, which tells `listener` what goes on. `within`: only in these symbols."""

    settings: "Settings"
    clerk: "Clerk"
    listener: Listener
    within: Symbols | None

    def close_ours(self, recording: "Future[None]") -> tuple[Report, tuple[Closure, ...] | None]:
        """Sell what is ours; what came of it, and what was sold, by whomever. `recording`: the switch that the command
        has left with the clerk; what closes hears of it by that alone."""
        from pipeline.app.clerk import AwayError  # noqa: PLC0415

        report, began = Report(), datetime.now(UTC)
        here = False
        try:
            self.clerk.wait(recording)
            known = self._left_by_the_executor()
            if known is not None:
                here = True
                asyncio.run(self._sell(report))
            else:
                report.flat = True
            return report, self._closures(report, began, here=here)
        except AwayError as error:
            self.listener.complain(str(error))
            report.problems.append("Without the database nobody knows which coins are ours: nothing is sold.")
        except TidemarkError as error:
            report.problems.append(str(error))
        except KeyboardInterrupt:
            report.flat = False
            report.problems.append("It was interrupted.")
        return report, None

    def _left_by_the_executor(self) -> Known | None:
        """Nothing, if the executor that acts has closed everything in its time; else what is known by then."""
        known = self.clerk.ask(look(self.settings, self.within))
        if known.acting is None:
            return known
        until = time.monotonic() + EXECUTOR_HAS
        while known.acting is not None and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            known = self.clerk.ask(look(self.settings, self.within))
            if not self._of(known.scope.symbols or ()):
                return None
        if known.acting is not None:
            self.listener.complain(
                f"the executor did not close everything within {EXECUTOR_HAS:g} s; waiting for its lease"
            )
        return known

    async def _sell(self, report: Report) -> None:
        """An executor of our own, until it holds nothing of ours."""
        from pipeline.app.exchange_access import running_exchange  # noqa: PLC0415
        from pipeline.app.trading_access import keys_of, policy_of, tell  # noqa: PLC0415
        from pipeline.execution.runtime.executor import opened  # noqa: PLC0415
        from pipeline.store import connect  # noqa: PLC0415
        from pipeline.store.mongod.session import running  # noqa: PLC0415

        settings = self.settings
        with ExitStack() as ends:
            client = ends.enter_context(connect.client(ends.enter_context(running(settings))))
            place = ends.enter_context(running_exchange(settings))
            db = client[settings.database]
            symbols = set(self.within or ()) or _chosen(settings, db)
            executor = ends.enter_context(
                opened(
                    db,
                    place,
                    keys_of(settings),
                    policy_of(settings, place),
                    mode="signal-only",
                    symbols=lambda: symbols,
                    notify=tell,
                    holder=f"close:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
                    hears=False,
                )
            )
            stop = asyncio.Event()
            acting = asyncio.create_task(executor.run(stop))
            try:
                await self._until_sold(executor, acting, report)
            finally:
                stop.set()
                await acting

    async def _until_sold(self, executor: "Executor", acting: "asyncio.Task[None]", report: Report) -> None:
        deadline = time.monotonic() + SOLD_WITHIN
        report.left = ["nobody knows what"]
        while time.monotonic() < deadline and not acting.done():
            core = getattr(executor.term, "core", None)
            if core is not None and core.ready:
                report.left = self._of(core.occupied())
                if not report.left:
                    report.flat = True
                    return
            await asyncio.sleep(_LOOK_EVERY)
        report.problems.append(f"It was not sold within {SOLD_WITHIN:g} s.")

    def _of(self, symbols: Collection[str]) -> list[str]:
        return sorted(one for one in symbols if self.within is None or one in self.within)

    def _closures(self, report: Report, began: datetime, *, here: bool) -> tuple[Closure, ...] | None:
        """What was sold since, by the journal: the fills that it has are the exchange's."""
        from pipeline.app.clerk import AwayError  # noqa: PLC0415
        from pipeline.store.orders import OrderJournal  # noqa: PLC0415

        def sales(db: "Database[Any]") -> "list[Order]":
            found = OrderJournal(db, self.settings.environment).settled_since(began)
            sold = (one for one in found if one.side == "SELL" and one.filled and _ended_at(one) >= began)
            return [one for one in sold if self._of([one.symbol])]

        with suppress(AwayError):
            sold: dict[str, list[Order]] = {}
            for one in self.clerk.ask(sales):
                sold.setdefault(one.symbol, []).append(one)
            if here:
                report.closed = {symbol: sum((one.filled for one in each), Decimal(0)) for symbol, each in sold.items()}
            return tuple(_closure(symbol, each, here=here) for symbol, each in sold.items())
        return None


def _ended_at(order: "Order") -> datetime:
    """What it has cost is learnt after that."""
    return next((one.at for one in order.history if one.state in SETTLED), order.updated_at)


def _closure(symbol: str, sales: "Collection[Order]", *, here: bool) -> Closure:
    quantity = sum((one.filled for one in sales), Decimal(0))
    prices = [one.average_price for one in sales]
    paid = sum((one.filled * price for one, price in zip(sales, prices, strict=True) if price), Decimal(0))
    by: By = "this command" if here else "the executor"
    legs = tuple(dict.fromkeys(_BY_LEG.get(one.leg, by) for one in sales))
    return Closure(symbol, "long", quantity, paid / quantity if all(prices) else None, legs)


def _chosen(settings: "Settings", db: "Database[Any]") -> set[str]:
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

    return {key.symbol for key in Watchlist(db, settings.environment).wanted()} or set(settings.symbols)
