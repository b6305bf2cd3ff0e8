"""Closes what is ours for a person's command: all of it, or some symbols. Left to the executor if one acts, else done
from here, and whatever the database does. It records nothing by itself: the command that uses it does.

Without the database nobody knows what is ours: then everything is closed, or everything in those symbols.
"""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import TidemarkError
from pipeline.execution.account.closures import Closure
from pipeline.execution.account.flatten import Report

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.app.clerk import Clerk, Job
    from pipeline.execution.account.flatten import Flattener, Scope, Sent
    from pipeline.execution.engine.client_ids import Identity
    from pipeline.settings import Settings
    from schemas.positions import Position

__all__ = ["Closing", "Closure", "Known", "Listener", "Report", "Symbols"]

EXECUTOR_HAS = 10.0
"""Seconds an executor that acts is given to close it, before the command does it itself."""
_LOOK_EVERY = 0.3
Symbols = Collection[str]


class Listener(Protocol):
    """Who is told what goes on while it goes on."""

    def say(self, text: str) -> None:
        """About the answer, not of it."""
        ...

    def complain(self, text: str) -> None:
        """What went wrong, and what is done all the same."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows: who we are, who acts, what is to be closed, and how much it says is held."""

    identity: "Identity"
    acting: str | None
    scope: "Scope"
    held: Mapping[str, Decimal]
    crossed: "Collection[Position]" = ()
    """Where strategies hold against each other, and nothing is held at the exchange."""

    @property
    def holds(self) -> bool:
        """Whether any is held."""
        return any(self.held.values()) or bool(self.crossed)


@dataclass(frozen=True, slots=True)
class Closing:
    """Closing for one command, which tells `listener` what goes on. `within`: only in these symbols."""

    settings: "Settings"
    clerk: "Clerk"
    listener: Listener
    within: Symbols | None

    def close_ours(self, recording: "Future[None]") -> "tuple[Report, tuple[Closure, ...] | None]":
        """Close what is ours; what came of it, and what was closed, by whomever. The exchange is turned to first, and
        never waits for the database longer than a moment. `recording`: the switch that the command has left with the
        clerk."""
        from pipeline.app.exchange_access import running_exchange  # noqa: PLC0415
        from pipeline.app.trading_access import account_in_need  # noqa: PLC0415
        from pipeline.exchange.market import MarketData  # noqa: PLC0415
        from pipeline.execution.account.closures import closures  # noqa: PLC0415
        from pipeline.execution.account.flatten import Flattener, Report, Scope  # noqa: PLC0415
        from pipeline.execution.engine.client_ids import NOBODY, Identity  # noqa: PLC0415

        report, nobody = Report(), Identity(self.settings.environment, NOBODY)
        closed: tuple[Closure, ...] | None = None
        sent: list[str] = []
        try:
            with running_exchange(self.settings) as place, account_in_need(self.settings, place) as trading:
                market = MarketData(trading.client)
                flattener = Flattener(trading, market, self._journaled(sent), self.listener.say, nobody, report=report)
                flattener.cancel_orders(Scope(is_ours=_enters(self.settings), within=self.within))
                stored = self._flatten(flattener, recording)
                closed = closures(trading, {**stored, **flattener.held}, sent)
        except TidemarkError as error:
            report.problems.append(str(error))
        except KeyboardInterrupt:
            report.flat = False
            report.problems.append("It was interrupted.")
        return report, closed

    def _flatten(self, flattener: "Flattener", recording: "Future[None]") -> Mapping[str, Decimal]:
        """Close it; what was held before, as far as the database knew."""
        from pipeline.execution.account.flatten import Scope  # noqa: PLC0415

        known = self._known(recording)
        if known is None:
            everything = "on the account" if self.within is None else f"in {', '.join(self.within)}"
            self.listener.complain(f"nobody knows what is ours without the database: everything {everything} is closed")
            flattener.flatten(Scope(within=self.within))
            return {}
        flattener.identity = known.identity
        left = known if known.acting is None else self._left_by_the_executor(flattener, known)
        if left is not None:
            flattener.flatten(left.scope)
            self._end_crossed(left, flattener.report)
        flattener.report.crossed += [one.symbol for one in known.crossed if one.symbol not in flattener.report.left]
        return known.held

    def _end_crossed(self, known: Known, report: Report) -> None:
        """What strategies hold against each other ends with what the database has of it. An executor that acts ends it
        itself, and has not."""
        from pipeline.app.clerk import AwayError  # noqa: PLC0415
        from pipeline.store.account import PositionStore  # noqa: PLC0415

        crossed, left = known.crossed, [one.symbol for one in known.crossed]
        if crossed and report.flat and known.acting is None:
            try:
                left = self.clerk.ask(lambda db: PositionStore(db, self.settings.environment).end_books(crossed))
            except AwayError as error:
                report.problems.append(f"{error}, so what strategies hold against each other is still stored.")
        report.left += left
        report.flat = report.flat and not left

    def _known(self, recording: "Future[None]") -> Known | None:
        """What the database knows; None where it does not say. An executor that cannot hear of it does nothing about
        it, so it counts for none then."""
        from pipeline.app.clerk import AwayError  # noqa: PLC0415

        try:
            self.clerk.wait(recording)
            heard = True
        except AwayError:
            heard = False
        try:
            known = self.clerk.ask(look(self.settings, self.within))
        except AwayError as error:
            self.listener.complain(str(error))
            return None
        return known if heard else replace(known, acting=None)

    def _left_by_the_executor(self, flattener: "Flattener", known: Known) -> Known | None:
        """Nothing, if the executor that acts has closed everything in its time and the exchange says so; else what is
        known by then."""
        from pipeline.app.clerk import AwayError  # noqa: PLC0415
        from pipeline.exchange.errors import ExchangeError  # noqa: PLC0415

        until = time.monotonic() + EXECUTOR_HAS
        symbols = set(known.scope.symbols or ())
        try:
            while known.acting is not None and time.monotonic() < until:
                time.sleep(_LOOK_EVERY)
                known = self.clerk.ask(look(self.settings, self.within))
                symbols.update(known.scope.symbols or ())
                known = replace(known, scope=replace(known.scope, symbols=symbols))
                if not known.holds and flattener.is_flat(known.scope):
                    return None
        except (AwayError, ExchangeError) as error:
            self.listener.complain(str(error))
        self.listener.complain(f"the executor did not close everything within {EXECUTOR_HAS:g} s; doing it from here")
        return known

    def _journaled(self, names: list[str]) -> "Sent":
        """What this command sends is in the journal too, if the database takes it; the ids are added to `names`."""
        from pipeline.execution.account.flatten import journaled  # noqa: PLC0415
        from pipeline.store.orders import OrderJournal  # noqa: PLC0415

        environment = self.settings.environment

        def sent(order: Any, answer: Any) -> None:
            now = datetime.now(UTC)
            names.append(order.client_id)
            self.clerk.leave(lambda db: journaled(OrderJournal(db, environment), environment, order, answer, now))

        return sent


def _enters(settings: "Settings") -> "Callable[[str], bool]":
    """Whether an order could open something and is of the folder's installation, or of any Tidemark's where no executor
    has traded from the folder: so much is certain before anybody is asked."""
    from pipeline.app.beside import remembered  # noqa: PLC0415
    from pipeline.execution.engine.client_ids import installation_of, leg_of  # noqa: PLC0415
    from pipeline.execution.engine.state import ENTERING  # noqa: PLC0415

    place = remembered(settings.home).get(settings.environment)
    known = None if place is None else place.installation
    return lambda name: leg_of(name) in ENTERING and known in {None, installation_of(name)}


def look(settings: "Settings", within: Symbols | None) -> "Job[Known]":
    """What the database knows."""
    from pipeline.app.beside import acting  # noqa: PLC0415
    from pipeline.execution.account.flatten import Scope  # noqa: PLC0415
    from pipeline.execution.engine.client_ids import installation_of  # noqa: PLC0415
    from pipeline.execution.engine.state import ENTERING  # noqa: PLC0415
    from pipeline.execution.runtime.documents import identity_of  # noqa: PLC0415
    from pipeline.store.account import PositionStore  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.orders import OrderJournal  # noqa: PLC0415

    environment = settings.environment

    def found(db: "Database[Any]") -> Known:
        identity = identity_of(ControlStore(db, environment).read().installation, environment)
        positions, journal = PositionStore(db, environment), OrderJournal(db, environment)
        stored = (one for one in positions.list() if one.quantity or one.signal or one.books)
        ours = [one for one in stored if one.ours and identity.keeps(one.installation)]
        unsettled = [one for one in journal.unsettled() if identity.keeps(installation_of(one.id))]
        ids = {one.id for one in unsettled}
        scope = Scope(
            {one.symbol for one in ours} | {one.symbol for one in unsettled},
            lambda name: name in ids or identity.owns(name),
            {one.id: one.symbol for one in unsettled if one.leg in ENTERING and (not within or one.symbol in within)},
            within,
        )
        asked = [one for one in ours if scope.covers(one.symbol)]
        held = {one.symbol: one.quantity for one in asked}
        crossed = [one for one in asked if one.books and not one.quantity]
        return Known(identity, acting(settings, db), scope, held, crossed)

    return found
