"""`tidemark halt`, `tidemark resume`: the kill switch. Works without an executor, and whatever the database does.

The switch is in the database, where every executor sees it within a second. What is to be closed is closed by the
executor if one acts, else by this command itself. Without the database nobody knows what is ours: then everything on
the account is closed, and an executor, which opens nothing without its journal, does not open it again.
"""

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, complain, print_json
from pipeline.errors import AttentionError, TidemarkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from pipeline.cli.clerk import Clerk, Job
    from pipeline.execution.flatten import Flattener, Report, Scope, Sent
    from pipeline.execution.names import Identity
    from pipeline.settings import Settings

app = typer.Typer()

EXECUTOR_HAS = 10.0
"""Seconds an executor that acts is given to close everything, before this command does it itself."""
_LOOK_EVERY = 0.3

Reason = Annotated[str | None, typer.Option(help="Kept with the change.")]


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows: who we are, who acts, what is ours, and whether it says that any of that is held."""

    identity: "Identity"
    acting: str | None
    scope: "Scope"
    holds: bool


@app.command(
    epilog="Examples: [bold]tidemark halt[/bold], [bold]tidemark halt --flatten --reason 'the market is mad'[/bold]"
)
def halt(
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also cancel every order and close every position, reduce-only.")
    ] = False,
    reason: Reason = None,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """Open nothing any more. Stops of what is held stand, unless --flatten closes it.

    Exits with 3 if something is left to do: the database could not be told, or something could not be closed.
    """
    from pipeline.cli.beside import begin_beside, place_of  # noqa: PLC0415
    from pipeline.cli.clerk import Clerk  # noqa: PLC0415

    settings = begin_beside(environment)
    _say(place_of(settings))
    switch = _switch(settings, halted=True, flatten=flatten, reason=reason)
    with Clerk(settings) as clerk:
        recording = clerk.leave(switch)
        report = _flatten(settings, clerk, recording) if flatten else None
        halted = _recorded(clerk, recording, switch)
        _tell(_place(settings, clerk) | {"halted": halted, "flattened": report}, as_json)


@app.command(epilog="Example: [bold]tidemark resume --reason 'looked at it'[/bold]")
def resume(reason: Reason = None, environment: Where = None, as_json: Json = False) -> None:
    """Let signals open positions again. Breakers that were tripped stay tripped: see `tidemark breakers`."""
    from pipeline.cli.beside import begin_beside, say_place  # noqa: PLC0415
    from pipeline.store.session import database  # noqa: PLC0415

    settings = begin_beside(environment)
    with database(settings) as db:
        say_place(settings, db)
        _switch(settings, halted=False, flatten=False, reason=reason)(db)
    if as_json:
        print_json({"halted": False})
    else:
        typer.echo("resumed")


def _switch(settings: "Settings", *, halted: bool, flatten: bool, reason: str | None) -> "Job[None]":
    from pipeline.cli.trading_access import operator  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    by, now = operator(), datetime.now(UTC)

    def switch(db: "Database[Any]") -> None:
        ControlStore(db, settings.environment).set_halt(halted, flatten=flatten, by=by, now=now, reason=reason)

    return switch


def _place(settings: "Settings", clerk: "Clerk") -> dict[str, Any]:
    """Of which place this is, and who acts there, as far as the database says it."""
    from pipeline.cli.beside import acting  # noqa: PLC0415
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415

    try:
        acts = clerk.ask(lambda db: acting(settings, db))
    except AwayError:
        acts = None
    return {"environment": settings.environment, "database": settings.database, "acting": acts}


def _recorded(clerk: "Clerk", recording: "Future[None]", switch: "Job[None]") -> bool:
    """Whether the database has the halt by now; where it failed before, it is asked once more."""
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415

    try:
        clerk.wait(recording)
    except AwayError:
        try:
            clerk.ask(switch)
        except AwayError as error:
            complain(f"{error}, so the halt is not recorded")
            return False
    return True


def _flatten(settings: "Settings", clerk: "Clerk", recording: "Future[None]") -> "Report":
    """Close what is ours. The exchange is turned to first, and never waits for the database longer than a moment."""
    from pipeline.cli.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.cli.trading_access import account_in_need  # noqa: PLC0415
    from pipeline.exchange.market import Market  # noqa: PLC0415
    from pipeline.execution.flatten import Flattener, Report, Scope  # noqa: PLC0415
    from pipeline.execution.names import NOBODY, Identity  # noqa: PLC0415

    report, nobody = Report(), Identity(settings.environment, NOBODY)
    try:
        with running_exchange(settings) as place, account_in_need(settings, place) as trading:
            market = Market(trading.client)
            flattener = Flattener(trading, market, _journaled(settings, clerk), _say, nobody, report=report)
            flattener.cancel_orders(Scope(is_ours=_enters(settings)))
            known = _known(settings, clerk, recording)
            if known is None:
                complain("nobody knows what is ours without the database: everything on the account is closed")
                return flattener.flatten(Scope())
            flattener.identity = known.identity
            if known.acting is not None:
                known = _left_by_the_executor(settings, clerk, flattener, known)
            return report if known is None else flattener.flatten(known.scope)
    except TidemarkError as error:
        report.problems.append(str(error))
    except KeyboardInterrupt:
        report.flat = False
        report.problems.append("It was interrupted.")
    return report


def _known(settings: "Settings", clerk: "Clerk", recording: "Future[None]") -> Known | None:
    """What the database knows; None where it does not say. An executor that cannot hear of the halt does nothing
    about it, so it counts for none then."""
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415

    try:
        clerk.wait(recording)
        heard = True
    except AwayError:
        heard = False
    try:
        known = clerk.ask(_look(settings))
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


def _look(settings: "Settings") -> "Job[Known]":
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
            {one.id: one.symbol for one in unsettled if one.leg in ENTERING},
        )
        return Known(identity, acting(settings, db), scope, any(one.quantity for one in ours))

    return look


def _left_by_the_executor(settings: "Settings", clerk: "Clerk", flattener: "Flattener", known: Known) -> Known | None:
    """Nothing, if the executor that acts has closed everything in its time and the exchange says so; else what is
    known by then."""
    from pipeline.cli.clerk import AwayError  # noqa: PLC0415
    from pipeline.exchange.errors import ExchangeError  # noqa: PLC0415

    until = time.monotonic() + EXECUTOR_HAS
    symbols = set(known.scope.symbols or ())
    try:
        while known.acting is not None and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            known = clerk.ask(_look(settings))
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


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _tell(done: dict[str, Any], as_json: bool) -> None:
    report: Report | None = done["flattened"]
    halted: bool = done["halted"]
    if as_json:
        print_json(done)
    else:
        of = f"{done['environment']}, {done['acting'] or 'no executor'} acts"
        typer.echo(f"halted: nothing is opened any more ({of})" if halted else f"the halt is NOT recorded ({of})")
        if report is not None:
            typer.echo(_said(report))
    if report is not None and not report.flat:
        raise AttentionError(
            f"not everything is closed: {', '.join([*report.left, *report.in_doubt]) or 'nobody knows'}. "
            f"{' '.join(report.problems)} Run this again, or close it at the exchange"
        )
    if not halted:
        raise AttentionError(
            "the halt is not recorded: without its journal an executor opens nothing, but once the database is back "
            "it goes on. Start the database and run `tidemark halt` again"
        )


def _said(report: "Report") -> str:
    closed = ", ".join(f"{quantity} {symbol}" for symbol, quantity in report.closed.items())
    others = f"; left alone, because it is not ours: {', '.join(report.others)}" if report.others else ""
    done = f"Closed from here: {closed or 'nothing'}; cancelled {len(report.cancelled)} orders{others}"
    return f"flat, says the exchange. {done}" if report.flat else f"NOT flat. {done}"
