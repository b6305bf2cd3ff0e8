"""`tidemark trading`, `goal`, `breakers`, `stage`: what may be traded and until when, what stopped it, and how much
real money may be held."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline import timeline
from pipeline.cli.beside import Where
from pipeline.cli.figures import moment, money, plain
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import AttentionError, TidemarkError, UsageError

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.store.control import ControlStore

app = typer.Typer()

CLEAN_DAYS: Final = 5
"""So many days without a breaker before a stage of production may be left for the next."""
_AS_SETTINGS: Final = "default"
_LEAST: Final = Decimal("0.00000001")
_MOST: Final = {
    "stop_atr": 1_000, "take_profit_atr": 1_000, "stop_percent": 99, "take_profit_percent": 1_000,
    "max_position": 1_000_000_000_000, "daily_profit": 1_000,
}  # fmt: skip
_DISTANCES: Final = ("stop", "take_profit")


class WhenReached(StrEnum):
    """What follows when a symbol's profit target for the day is reached."""

    STOP = "stop"
    CLOSE = "close"


Reason = Annotated[str | None, typer.Option(help="Kept with the change.")]


@app.command(
    epilog="Examples: [bold]tidemark trading[/bold], [bold]tidemark trading BTCUSDT --off[/bold], "
    "[bold]tidemark trading ETHUSDT --on --leverage 2 --stop-atr 1.5 --max-position 500[/bold]"
)
def trading(
    symbol: Annotated[str | None, typer.Argument()] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether it is traded at all.")] = None,
    leverage: Annotated[int | None, typer.Option(min=1, max=125)] = None,
    stop_atr: Annotated[str | None, typer.Option(help="Stop-loss in ATR; 'default': as in the settings.")] = None,
    stop_percent: Annotated[str | None, typer.Option(help="Stop-loss in percent of the price, or 'default'.")] = None,
    take_profit_atr: Annotated[str | None, typer.Option(help="Take-profit in ATR, or 'default'.")] = None,
    take_profit_percent: Annotated[
        str | None, typer.Option(help="Take-profit in percent of the price, or 'default'.")
    ] = None,
    max_position: Annotated[str | None, typer.Option(help="Most notional of the position, or 'default'.")] = None,
    daily_profit: Annotated[
        str | None, typer.Option(help="Its profit target for the day in percent of the equity; 'default': none.")
    ] = None,
    when_reached: Annotated[
        WhenReached | None, typer.Option(help="Then open nothing until 00:00 UTC, or also close what is held.")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="Only signals of these; repeat it; 'default': all.")
    ] = None,
    interval: Annotated[
        list[str] | None, typer.Option(help="Only signals of these; repeat it; 'default': all.")
    ] = None,
    reason: Reason = None,
    environment: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Show or change a symbol's own trading settings. A running executor takes them up within a second.

    In production only symbols that are switched on are traded; elsewhere all are that are not switched off.
    """
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.known_symbols import known_symbol  # noqa: PLC0415
    from pipeline.app.opened import having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import exchange_of  # noqa: PLC0415
    from pipeline.cli.beside import say_place, tell_standing  # noqa: PLC0415
    from pipeline.execution.runtime.documents import trading_view  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415

    amounts = {
        "stop_atr": stop_atr, "stop_percent": stop_percent, "take_profit_atr": take_profit_atr,
        "take_profit_percent": take_profit_percent, "max_position": max_position, "daily_profit": daily_profit,
    }  # fmt: skip
    changes = _amounts({name: text for name, text in amounts.items() if text is not None})
    plain = {"enabled": on, "leverage": leverage, "when_reached": when_reached and when_reached.value}
    changes |= {name: value for name, value in plain.items() if value is not None}
    if strategy:
        changes["strategies"] = None if strategy == [_AS_SETTINGS] else list(strategy)
    if interval:
        changes["intervals"] = None if interval == [_AS_SETTINGS] else _intervals(interval)
    if changes and symbol is None:
        raise UsageError("name the symbol that this is for, for example: tidemark trading BTCUSDT --off")
    settings = begin_beside(environment)
    production = exchange_of(settings).is_production
    if changes.get("strategies"):
        _require_strategies(settings, changes["strategies"])
    with database(settings if changes else having_data(settings)) as db:
        say_place(settings, db)
        tell_standing(settings, db, as_json=as_json)
        control = ControlStore(db, settings.environment)
        own = control.read().trading
        if symbol is not None:
            symbol = known_symbol(settings, db, symbol)
        if symbol is not None and changes:
            control.set_trading(symbol, changes, by=operator(), now=datetime.now(UTC), reason=reason)
            own = control.read().trading
        found = [one for _, one in sorted(own.items()) if symbol in {None, one.symbol}]
    if as_json:
        print_json(found)
        return
    print_table(
        (
            *(Column("symbol"), Column("traded", 1), Column("strategies", 5, long="wrap")),
            *(Column("intervals", 6, long="wrap"), Column("leverage", 2), Column("stop", 3), Column("take profit", 4)),
            *(Column("max position", 7, right=True), Column("daily profit", 8)),
        ),
        [
            (one.symbol, "yes" if trading_view(one).traded(production=production) else "no",
             ", ".join(one.strategies or []) or "all", ", ".join(one.intervals or []) or "all", one.leverage,
             _distance(one.stop_atr, one.stop_percent), _distance(one.take_profit_atr, one.take_profit_percent),
             money(one.max_position), _goal(one.daily_profit_percent, one.when_reached))
            for one in found
        ],
        title="own settings; a dash: as in the settings",
        wide=wide,
    )  # fmt: skip
    if production:
        on_ = ", ".join(name for name, one in sorted(own.items()) if one.enabled) or "none is"
        typer.echo(f"In production only what is switched on is traded: {on_}")


@app.command(
    epilog="Examples: [bold]tidemark goal[/bold], [bold]tidemark goal --daily-profit 3 --when-reached close[/bold]"
)
def goal(
    daily_profit: Annotated[
        str | None, typer.Option(help="Percent of the equity that the day began with; 'default': as in the settings.")
    ] = None,
    when_reached: Annotated[
        WhenReached | None, typer.Option(help="Then open nothing until 00:00 UTC, or also close what is held.")
    ] = None,
    reason: Reason = None,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """The account's profit target for the day. A running executor takes it up within a second."""
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.opened import having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import say_place, tell_standing  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415

    changes = {} if daily_profit is None else _amounts({"daily_profit": daily_profit})
    if when_reached is not None:
        changes["when_reached"] = when_reached.value
    settings = begin_beside(environment)
    with database(settings if changes else having_data(settings)) as db:
        say_place(settings, db)
        tell_standing(settings, db, as_json=as_json)
        control = ControlStore(db, settings.environment)
        if changes:
            control.set_goal(changes, by=operator(), now=datetime.now(UTC), reason=reason)
        found = control.read().goal
    own = found.daily_profit_percent if found else None
    percent, then = own or settings.risk.daily_profit_percent, found.when_reached if found else "stop"
    if as_json:
        print_json({"environment": settings.environment, "daily_profit_percent": percent, "when_reached": then})
    else:
        typer.echo(f"{settings.environment}: {_goal(percent, then) or 'no profit target for the day'}")


@app.command(epilog="Examples: [bold]tidemark breakers[/bold], [bold]tidemark breakers --reset refused:BTCUSDT[/bold]")
def breakers(
    reset: Annotated[str | None, typer.Option(metavar="NAME", help="Let this one go.")] = None,
    reason: Reason = None,
    environment: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Which limits were passed, why, and until when nothing is opened for it."""
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.opened import having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import say_place, tell_standing  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415

    settings = begin_beside(environment)
    with database(having_data(settings)) as db:
        say_place(settings, db)
        tell_standing(settings, db, as_json=as_json)
        control = ControlStore(db, settings.environment)
        if reset is not None:
            _reset(control, reset, f"reset by {operator()}{f': {reason}' if reason else ''}")
        found = sorted(control.read().breakers.values(), key=lambda one: (not one.tripped, one.name))
    if as_json:
        print_json(found)
        return
    print_table(
        (
            *(Column("breaker"), Column("state", 1), Column("at (UTC)", 3), Column("until (UTC)", 4)),
            Column("reason", 2, long="wrap", least=24),
        ),
        [
            (one.name, "TRIPPED" if one.tripped else "reset", moment(one.at, seconds=True),
             moment(one.until, seconds=True) if one.until else "by hand", one.reason)
            for one in found
        ],
        wide=wide,
    )  # fmt: skip


@app.command(epilog="Examples: [bold]tidemark stage[/bold], [bold]tidemark stage 2 --reason 'five clean days'[/bold]")
def stage(
    wanted: Annotated[int | None, typer.Argument(min=1, max=3, metavar="[1|2|3]")] = None,
    reason: Reason = None,
    environment: Where = None,
    as_json: Json = False,
) -> None:
    """How much production may hold in a position: stage 1: 20 USDT, stage 2: 100 USDT, stage 3: your own limit.

    A stage is left for the next one by this command alone, and only after 5 clean days in it. Going back is always
    allowed.
    """
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.opened import having_data  # noqa: PLC0415
    from pipeline.app.stages import too_small_now  # noqa: PLC0415
    from pipeline.app.trading_access import operator, require_confirmation  # noqa: PLC0415
    from pipeline.cli.beside import say_place, tell_standing  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.mongod.session import database  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

    settings = begin_beside(environment)
    with database(settings if wanted is not None else having_data(settings)) as db:
        say_place(settings, db)
        tell_standing(settings, db, as_json=as_json)
        control = ControlStore(db, settings.environment)
        found = control.read().stage
        now = found.stage if found else 1
        clean = found.clean_days if found else []
        if wanted is not None and wanted != now:
            if wanted > now:
                require_confirmation(settings)
                _require_clean_days(now, wanted, clean)
            control.set_stage(wanted, by=operator(), now=datetime.now(UTC), reason=reason)
            now, clean = wanted, []
        symbols = {key.symbol for key in Watchlist(db, settings.environment).wanted()} or set(settings.symbols)
    try:
        reasons = too_small_now(settings, symbols, [now]).get(now, {})
    except TidemarkError as error:
        typer.echo(f"which symbols it is too small for cannot be asked now: {error}", err=True)
        reasons = {}
    if as_json:
        print_json({"environment": settings.environment, "stage": now, "clean_days": clean, "too_small": reasons})
        return
    typer.echo(f"{settings.environment}: stage {now}, {len(clean)} of {CLEAN_DAYS} clean days in it")
    for symbol, why in sorted(reasons.items()):
        typer.echo(f"cannot trade {symbol}: {why}")


def _require_clean_days(now: int, wanted: int, clean: list[str]) -> None:
    if wanted > now + 1:
        raise UsageError(f"stage {now} is left for stage {now + 1}, not for {wanted}")
    if len(clean) < CLEAN_DAYS:
        raise AttentionError(
            f"stage {now} has {len(clean)} clean days, {CLEAN_DAYS} are needed: days of auto-execute on which no "
            "breaker tripped. Nothing was changed"
        )


def _reset(control: "ControlStore", name: str, reason: str) -> None:
    if not control.reset(name, now=datetime.now(UTC), reason=reason):
        tripped = [one.name for one in control.read().breakers.values() if one.tripped]
        raise UsageError(f"no breaker {name!r} is tripped. Tripped: {', '.join(sorted(tripped)) or 'none'}")


def _amounts(given: Mapping[str, str]) -> dict[str, Any]:
    """The changes they mean. A distance is in ATR or in percent: one takes the place of the other."""
    changes: dict[str, Any] = {name: _amount(name, text) for name, text in given.items()}
    if "daily_profit" in changes:
        changes["daily_profit_percent"] = changes.pop("daily_profit")
    for what in _DISTANCES:
        in_atr, in_percent = f"{what}_atr", f"{what}_percent"
        if in_atr in changes and in_percent in changes:
            option = f"--{what.replace('_', '-')}"
            raise UsageError(f"give either {option}-atr or {option}-percent: one takes the place of the other")
        for one, other in ((in_atr, in_percent), (in_percent, in_atr)):
            if changes.get(one) is not None:
                changes[other] = None
    return changes


def _intervals(wanted: Iterable[str]) -> list[str]:
    try:
        return [timeline.interval(code).code for code in wanted]
    except timeline.UnknownIntervalError as error:
        raise UsageError(str(error)) from None


def _distance(atrs: Decimal | None, percent: Decimal | None) -> str | None:
    if percent is not None:
        return f"{plain(percent)} %"
    return None if atrs is None else f"{plain(atrs)} ATR"


def _goal(percent: Decimal | None, when_reached: str) -> str | None:
    return None if percent is None else f"{plain(percent)} %, then {when_reached}"


def _amount(name: str, text: str) -> Decimal | None:
    if text == _AS_SETTINGS:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and _LEAST <= amount <= _MOST[name]):
        raise UsageError(
            f"{name.replace('_', '-')} must be a number from {_LEAST:f} to {_MOST[name]:,}, or '{_AS_SETTINGS}', "
            f"not {text!r}"
        )
    return amount


def _require_strategies(settings: "Settings", wanted: Sequence[str]) -> None:
    from pipeline.app.wiring import strategies_of  # noqa: PLC0415
    from pipeline.nearest import hint  # noqa: PLC0415
    from pipeline.strategies import registry  # noqa: PLC0415

    known = {*registry.names(), *(one.name for one in strategies_of(settings))}
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no strategy {name!r}.{hint(name, known)} There are: {', '.join(sorted(known))}")
