"""Closes what is ours for a person's command: all of it, or some symbols. Left to the executor if one acts, else done
from here, and whatever the database does. It records nothing by itself: the command that uses it does.

Without the database nobody knows what is ours: then everything is closed, or everything in those symbols.
"""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.output import complain
from pipeline.cli.trading_access import operator
from pipeline.errors import AttentionError, TidemarkError

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.cli.clerk import Clerk, Job
    from pipeline.execution.flatten import Flattener, Report, Scope, Sent
    from pipeline.execution.names import Identity
    from pipeline.settings import Settings
    from pipeline.store.control import ControlStore

EXECUTOR_HAS = 10.0
"""Seconds an executor that acts is given to close it, before the command does it itself."""
_LOOK_EVERY = 0.3
Symbols = Collection[str]


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows: who we are, who acts, what is to be closed, and whether it says that any is held."""

    identity: "Identity"
    acting: str | None
    scope: "Scope"
    holds: bool


def close_ours(settings: "Settings", clerk: "Clerk", recording: "Future[None]", within: Symbols | None) -> "Report":
    """Close what is ours, in those symbols or at all. The exchange is turned to first, and never waits for the database
    longer than a moment."""
    from pipeline.cli.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.cli.trading_access import account_in_need  # noqa: PLC0415
    from pipeline.exchange.market import Market  # noqa: PLC0415
    from pipeline.execution.flatten import Flattener, Report, Scope  # noqa: PLC0415
    from pipeline.execution.names import NOBODY, Identity  # noqa: PLC0415

    report, nobody = Report(), Identity(settings.environment, NOBODY)
    try:
        with running_exchange(settings) as place, account_in_need(settings, place) as trading:
            market = Market(trading.client)
            flattener = Flattener(trading, market, _journaled(settings, clerk), say, nobody, report=report)
            flattener.cancel_orders(Scope(is_ours=_enters(settings), within=within))
            known = _known(settings, clerk, recording, within)
            if known is None:
                everything = "everything on the account" if within is None else f"everything in {', '.join(within)}"
                complain(f"nobody knows what is ours without the database: {everything} is closed")
                return flattener.flatten(Scope(within=within))
            flattener.identity = known.identity
            if known.acting is not None:
                known = _left_by_the_executor(settings, clerk, flattener, known, within)
            return report if known is None else flattener.flatten(known.scope)
    except TidemarkError as error:
        report.problems.append(str(error))
    except KeyboardInterrupt:
        report.flat = False
        report.problems.append("It was interrupted.")
    return report


def _known(settings: "Settings", clerk: "Clerk", recording: "Future[None]", within: Symbols | None) -> Known | None:
    """What the database knows; None where it does not say. An executor that cannot hear of it does nothing about it,
    so it counts for none then."""
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415

    try:
        clerk.wait(recording)
        heard = True
    except AwayError:
        heard = False
    try:
        known = clerk.ask(_look(settings, within))
    except AwayError as error:
        complain(str(error))
        return None
    return known if heard else replace(known, acting=None)


def _enters(settings: "Settings") -> "Callable[[str], bool]":
    """Whether an order could open something and is of the folder's installation, or of any Tidemark's where no executor
    has traded from the folder: so much is certain before anybody is asked."""
    from pipeline.cli.beside import remembered  # noqa: PLC0415
    from pipeline.execution.names import installation_of, leg_of  # noqa: PLC0415
    from pipeline.execution.records import ENTERING  # noqa: PLC0415

    place = remembered(settings.home)
    known = place.installation if place is not None and place.environment == settings.environment else None
    return lambda name: leg_of(name) in ENTERING and known in {None, installation_of(name)}


def _look(settings: "Settings", within: Symbols | None) -> "Job[Known]":
    from pipeline.cli.beside import acting  # noqa: PLC0415
    from pipeline.execution.documents import identity_of  # noqa: PLC0415
    from pipeline.execution.flatten import Scope  # noqa: PLC0415
    from pipeline.execution.names import installation_of  # noqa: PLC0415
    from pipeline.execution.records import ENTERING  # noqa: PLC0415
    from pipeline.store.account import PositionStore  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.orders import OrderJournal  # noqa: PLC0415

    environment = settings.environment

    def look(db: "Database[Any]") -> Known:
        identity = identity_of(ControlStore(db, environment).read().installation, environment)
        positions, journal = PositionStore(db, environment), OrderJournal(db, environment)
        stored = (one for one in positions.list() if one.quantity or one.signal)
        ours = [one for one in stored if one.ours and identity.keeps(one.installation)]
        unsettled = [one for one in journal.unsettled() if identity.keeps(installation_of(one.id))]
        ids = {one.id for one in unsettled}
        scope = Scope(
            {one.symbol for one in ours} | {one.symbol for one in unsettled},
            lambda name: name in ids or identity.owns(name),
            {one.id: one.symbol for one in unsettled if one.leg in ENTERING and (not within or one.symbol in within)},
            within,
        )
        holds = any(one.quantity and scope.covers(one.symbol) for one in ours)
        return Known(identity, acting(settings, db), scope, holds)

    return look


def _left_by_the_executor(
    settings: "Settings", clerk: "Clerk", flattener: "Flattener", known: Known, within: Symbols | None
) -> Known | None:
    """Nothing, if the executor that acts has closed everything in its time and the exchange says so; else what is
    known by then."""
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415
    from pipeline.exchange.errors import ExchangeError  # noqa: PLC0415

    until = time.monotonic() + EXECUTOR_HAS
    symbols = set(known.scope.symbols or ())
    try:
        while known.acting is not None and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            known = clerk.ask(_look(settings, within))
            symbols.update(known.scope.symbols or ())
            known = replace(known, scope=replace(known.scope, symbols=symbols))
            if not known.holds and flattener.is_flat(known.scope):
                return None
    except (AwayError, ExchangeError) as error:
        complain(str(error))
    complain(f"the executor did not close everything within {EXECUTOR_HAS:g} s; doing it from here")
    return known


def _journaled(settings: "Settings", clerk: "Clerk") -> "Sent":
    """What this command sends is in the journal too, if the database takes it."""
    from pipeline.execution.flatten import journaled  # noqa: PLC0415
    from pipeline.store.orders import OrderJournal  # noqa: PLC0415

    def sent(order: Any, answer: Any) -> None:
        now = datetime.now(UTC)
        clerk.leave(
            lambda db: journaled(OrderJournal(db, settings.environment), settings.environment, order, answer, now)
        )

    return sent


def place_in_need(settings: "Settings", clerk: "Clerk") -> dict[str, Any]:
    """Of which place this is, and who acts there, as far as the database says it."""
    from pipeline.cli.beside import acting  # noqa: PLC0415
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415

    try:
        acts = clerk.ask(lambda db: acting(settings, db))
    except AwayError:
        acts = None
    return {"environment": settings.environment, "database": settings.database, "acting": acts}


def recorded(clerk: "Clerk", recording: "Future[None]", switch: "Job[None]", what: str) -> bool:
    """Whether the database has it by now; where it failed before, it is asked once more."""
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415

    try:
        clerk.wait(recording)
    except AwayError:
        try:
            clerk.ask(switch)
        except AwayError as error:
            complain(f"{error}, so {what} is not recorded")
            return False
    return True


def said(report: "Report") -> str:
    """What was done from here, and how the exchange was found."""
    closed = ", ".join(f"{quantity} {symbol}" for symbol, quantity in report.closed.items())
    others = f"; left alone, because it is not ours: {', '.join(report.others)}" if report.others else ""
    done = f"Closed from here: {closed or 'nothing'}; cancelled {len(report.cancelled)} orders{others}"
    return f"flat, says the exchange. {done}" if report.flat else f"NOT flat. {done}"


def require_flat(report: "Report") -> None:
    """Something is left to do: the exit code says so."""
    if not report.flat:
        raise AttentionError(
            f"not everything is closed: {', '.join([*report.left, *report.in_doubt]) or 'nobody knows'}. "
            f"{' '.join(report.problems)} Run this again, or close it at the exchange"
        )


def say(text: str) -> None:
    """About the answer, not of it."""
    typer.echo(text, err=True)


@dataclass(frozen=True, slots=True)
class Asking:
    """Changes of symbols' trading settings that a person makes at one moment; perhaps that they be closed."""

    settings: "Settings"
    symbols: Symbols
    changes: Mapping[str, Any]
    closes: bool
    reason: str | None
    by: str = field(default_factory=operator)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(self, db: "Database[Any]") -> None:
        """Every executor hears of it within a second."""
        changes = {**self.changes, **({"close_asked": self.at} if self.closes else {})}
        for symbol in self.symbols:
            self._control(db).set_trading(symbol, changes, by=self.by, now=self.at, reason=self.reason)

    def end(self, clerk: "Clerk") -> None:
        """It is flat: nothing that is opened later is closed for it. An executor that acts may have said so before."""
        from pipeline.cli.clerk import AwayError  # noqa: PLC0415

        def end(db: "Database[Any]") -> None:
            for symbol in self.symbols:
                self._control(db).close_done(symbol, self.at)

        try:
            clerk.ask(end)
        except AwayError as error:
            complain(f"{error}, so it is not recorded that it is closed")

    def _control(self, db: "Database[Any]") -> "ControlStore":
        from pipeline.store.control import ControlStore  # noqa: PLC0415

        return ControlStore(db, self.settings.environment)
