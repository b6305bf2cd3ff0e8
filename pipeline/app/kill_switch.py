"""The kill switch, and the close of one position: a person's orders that must do whatever the database does.

The switch is in the database, where every executor sees it within a second. What is to be closed is closed by the
executor if one acts, else from here. Without the database nobody knows what is ours: then everything on the account is
closed, and an executor, which opens nothing without its journal, does not open it again. Of symbols it is the same
switch as their own `enabled`.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.app.closing import Closing, Listener, Symbols
from pipeline.app.opened import Opened
from pipeline.exchange_names import real_money_first

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.app.clerk import Clerk, Job
    from pipeline.execution.account.closures import Closure
    from pipeline.execution.account.flatten import Report
    from pipeline.settings import Settings
    from pipeline.store.control import ControlStore


@dataclass(frozen=True, slots=True)
class Halted:
    """What a halt came to. `halted`: the database has it; `flattened`: how the exchange was found, where it was to be
    closed as well. `acting` is None also where the database does not say it."""

    environment: str
    database: str
    acting: str | None
    symbols: Sequence[str]
    halted: bool
    flattened: "Report | None"
    closed: "Sequence[Closure] | None" = None


@dataclass(frozen=True, slots=True)
class Closed:
    """What the close of a position came to."""

    environment: str
    database: str
    acting: str | None
    symbols: Sequence[str]
    flattened: "Report"
    closed: "Sequence[Closure] | None" = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """What may open positions again, and what still may not: `halted` everything, `off` these symbols by themselves."""

    symbols: Sequence[str]
    halted: bool
    off: Sequence[str]


def halt(
    settings: "Settings",
    symbols: Collection[str] = (),
    *,
    flatten: bool,
    by: str,
    listener: Listener,
    reason: str | None = None,
) -> Halted:
    """Open nothing any more, or nothing in these symbols; `flatten`: also close what is held."""
    from pipeline.app.clerk import Clerk  # noqa: PLC0415
    from pipeline.app.known_symbols import symbol_in_need  # noqa: PLC0415

    with Clerk(settings) as clerk:
        if not symbols:
            (done,) = _halt_each([settings], clerk, flatten=flatten, by=by, listener=listener, reason=reason)
            return done
        named = [symbol_in_need(settings, clerk, one, listener.complain) for one in symbols]
        asking = Asking(settings, named, {"enabled": False}, closes=flatten, by=by, reason=reason)
        done = _halted(settings, clerk, clerk.leave(asking.write), asking.write, named, flatten, listener)
        if done.flattened is not None and done.flattened.flat:
            asking.end(clerk, listener)
        return done


def halt_everywhere(
    settings: "Settings", *, flatten: bool, by: str, listener: Listener, reason: str | None = None
) -> list[Halted]:
    """The same at every exchange where an executor of this installation trades or has traded. Those that the folder
    knows are turned to first, whatever the database does, and the one that the settings name where it knows none; then
    those that only the database knows. Real money comes first."""
    from pipeline.app.beside import remembered  # noqa: PLC0415
    from pipeline.app.clerk import AwayError, Clerk  # noqa: PLC0415
    from pipeline.store.control import traded_at  # noqa: PLC0415

    def halted_at(names: Collection[str], clerk: "Clerk") -> list[Halted]:
        each = [_at(settings, name, listener) for name in real_money_first(names)]
        return _halt_each(each, clerk, flatten=flatten, by=by, listener=listener, reason=reason)

    at_hand = set(remembered(settings.home)) or {settings.environment}
    with Clerk(settings) as clerk:
        done = halted_at(at_hand, clerk)
        try:
            others = clerk.ask(traded_at) - at_hand
        except AwayError as error:
            listener.complain(f"{error}, so it is not known whether an executor of ours trades elsewhere, too")
            others = set()
        return done + halted_at(others, clerk)


def _at(settings: "Settings", name: str, listener: Listener) -> "Settings":
    """The settings for a place that the installation knows, whatever the shell names."""
    from pipeline.app.beside import beside, place_of  # noqa: PLC0415

    found = beside(settings, None if name == settings.environment else name)
    listener.say(place_of(found))
    return found


def _halt_each(
    each: "Sequence[Settings]", clerk: "Clerk", *, flatten: bool, by: str, listener: Listener, reason: str | None
) -> list[Halted]:
    """Every switch is on its way before anything is closed."""
    switches = [_switch(one, halted=True, flatten=flatten, by=by, reason=reason) for one in each]
    recordings = [clerk.leave(switch) for switch in switches]
    return [
        _halted(one, clerk, recording, switch, [], flatten, listener)
        for one, recording, switch in zip(each, recordings, switches, strict=True)
    ]


def _halted(
    settings: "Settings",
    clerk: "Clerk",
    recording: "Future[None]",
    switch: "Job[None]",
    named: Symbols,
    flatten: bool,
    listener: Listener,
) -> Halted:
    from pipeline.app.trading_access import is_traded  # noqa: PLC0415

    report: Report | None = None
    closed: Sequence[Closure] | None = None
    if flatten and is_traded(settings):
        report, closed = _close_ours(settings, clerk, listener, named or None, recording)
    elif flatten:
        listener.say(f"{settings.environment}: nothing of ours can be open there, since it is not traded yet")
    halted = _recorded(clerk, recording, switch, "the halt", listener)
    acting = _acting(settings, clerk)
    return Halted(settings.environment, settings.database, acting, list(named), halted, report, closed)


def _close_ours(
    settings: "Settings", clerk: "Clerk", listener: Listener, within: Symbols | None, recording: "Future[None]"
) -> "tuple[Report, Sequence[Closure] | None]":
    """Positions, or coins: the market says it."""
    from pipeline.app.closing_coins import CoinClosing  # noqa: PLC0415
    from pipeline.app.trading_access import holds_coins  # noqa: PLC0415

    closing = CoinClosing if holds_coins(settings) else Closing
    return closing(settings, clerk, listener, within).close_ours(recording)


def close(settings: "Settings", symbol: str, *, by: str, listener: Listener, reason: str | None = None) -> Closed:
    """Close the position in this symbol, and its orders; every other goes on. Later signals may open it again."""
    from pipeline.app.clerk import Clerk  # noqa: PLC0415
    from pipeline.app.known_symbols import symbol_in_need  # noqa: PLC0415
    from pipeline.app.trading_access import require_traded  # noqa: PLC0415

    require_traded(settings)
    with Clerk(settings) as clerk:
        named = [symbol_in_need(settings, clerk, symbol, listener.complain)]
        asking = Asking(settings, named, {}, closes=True, by=by, reason=reason)
        recording = clerk.leave(asking.write)
        report, closed = _close_ours(settings, clerk, listener, named, recording)
        if report.flat:
            asking.end(clerk, listener)
        else:
            _recorded(clerk, recording, asking.write, "what was asked", listener)
        return Closed(settings.environment, settings.database, _acting(settings, clerk), named, report, closed)


def resume(tm: Opened, symbols: Collection[str] = (), *, by: str, reason: str | None = None) -> Resumed:
    """Let signals open positions again, at all or in these symbols."""
    from pipeline.app.known_symbols import known_symbol  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    settings, db = tm.settings, tm.db
    named = [known_symbol(settings, db, one) for one in symbols]
    if named:
        on = {"enabled": True, "close_asked": None}
        Asking(settings, named, on, closes=False, by=by, reason=reason).write(db)
    else:
        _switch(settings, halted=False, flatten=False, by=by, reason=reason)(db)
    controls = ControlStore(db, settings.environment).read()
    halted = controls.halt is not None and controls.halt.halted
    return Resumed(named, halted, sorted(one.symbol for one in controls.trading.values() if one.enabled is False))


def _acting(settings: "Settings", clerk: "Clerk") -> str | None:
    """Who acts there, as far as the database says it."""
    from pipeline.app.beside import acting  # noqa: PLC0415
    from pipeline.app.clerk import AwayError  # noqa: PLC0415

    try:
        return clerk.ask(lambda db: acting(settings, db))
    except AwayError:
        return None


def _recorded(clerk: "Clerk", recording: "Future[None]", switch: "Job[None]", what: str, listener: Listener) -> bool:
    """Whether the database has it by now; where it failed before, it is asked once more."""
    from pipeline.app.clerk import AwayError  # noqa: PLC0415

    try:
        clerk.wait(recording)
    except AwayError:
        try:
            clerk.ask(switch)
        except AwayError as error:
            listener.complain(f"{error}, so {what} is not recorded")
            return False
    return True


def _switch(settings: "Settings", *, halted: bool, flatten: bool, by: str, reason: str | None) -> "Job[None]":
    from pipeline.store.control import ControlStore  # noqa: PLC0415

    now = datetime.now(UTC)

    def switch(db: "Database[Any]") -> None:
        ControlStore(db, settings.environment).set_halt(halted, flatten=flatten, by=by, now=now, reason=reason)

    return switch


@dataclass(frozen=True, slots=True)
class Asking:
    """Changes of symbols' trading settings that a person makes at one moment; perhaps that they be closed."""

    settings: "Settings"
    symbols: Symbols
    changes: Mapping[str, Any]
    closes: bool
    by: str
    reason: str | None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(self, db: "Database[Any]") -> None:
        """Every executor hears of it within a second."""
        changes = {**self.changes, **({"close_asked": self.at} if self.closes else {})}
        for symbol in self.symbols:
            self._control(db).set_trading(symbol, changes, by=self.by, now=self.at, reason=self.reason)

    def end(self, clerk: "Clerk", listener: Listener) -> None:
        """It is flat: nothing that is opened later is closed for it. An executor that acts may have said so before."""
        from pipeline.app.clerk import AwayError  # noqa: PLC0415

        def end(db: "Database[Any]") -> None:
            for symbol in self.symbols:
                self._control(db).close_done(symbol, self.at)

        try:
            clerk.ask(end)
        except AwayError as error:
            listener.complain(f"{error}, so it is not recorded that it is closed")

    def _control(self, db: "Database[Any]") -> "ControlStore":
        from pipeline.store.control import ControlStore  # noqa: PLC0415

        return ControlStore(db, self.settings.environment)
