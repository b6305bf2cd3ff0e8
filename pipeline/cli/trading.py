"""`tidemark trading`, `goal`, `breakers`, `stage`: what may be traded and until when, what stopped it, and how much
real money may be held."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import moment, money, plain
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import TidemarkError, UsageError

app = typer.Typer()


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
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Show or change a symbol's own trading settings. A running executor takes them up within a second.

    In production only symbols that are switched on are traded; elsewhere all are that are not switched off.
    """
    from pipeline.app import trading_settings as ordering  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    texts = {
        "stop_atr": stop_atr, "stop_percent": stop_percent, "take_profit_atr": take_profit_atr,
        "take_profit_percent": take_profit_percent, "max_position": max_position, "daily_profit": daily_profit,
    }  # fmt: skip
    amounts = {name: text for name, text in texts.items() if text is not None}
    plain = {"enabled": on, "leverage": leverage, "when_reached": when_reached and when_reached.value}
    settings = begin_beside(exchange)
    changes = ordering.changed(settings, amounts, plain, strategy or (), interval or ())
    if changes and symbol is None:
        raise UsageError("name the symbol that this is for, for example: tidemark trading BTCUSDT --off")
    with answering(settings, as_json=as_json, begins=bool(changes)) as (tm, _):
        if symbol is not None:
            symbol = ordering.set_trading(tm, symbol, changes, by=operator(), reason=reason)
        listed = ordering.trading(tm)
    found = [one for one in listed.own if symbol in {None, one.symbol}]
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
            (one.symbol, "yes" if one.symbol in listed.traded else "no",
             ", ".join(one.strategies or []) or "all", ", ".join(one.intervals or []) or "all", one.leverage,
             _distance(one.stop_atr, one.stop_percent), _distance(one.take_profit_atr, one.take_profit_percent),
             money(one.max_position), _goal(one.daily_profit_percent, one.when_reached))
            for one in found
        ],
        title="own settings; a dash: as in the settings",
        wide=wide,
    )  # fmt: skip
    if listed.production:
        on_ = ", ".join(one.symbol for one in listed.own if one.enabled) or "none is"
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
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """The account's profit target for the day. A running executor takes it up within a second."""
    from pipeline.app import trading_settings as ordering  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    changes = {} if daily_profit is None else ordering.amounts({"daily_profit": daily_profit})
    if when_reached is not None:
        changes["when_reached"] = when_reached.value
    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json, begins=bool(changes)) as (tm, _):
        if changes:
            ordering.set_goal(tm, changes, by=operator(), reason=reason)
        found = ordering.goal(tm)
    percent, then = found.daily_profit_percent, found.when_reached
    if as_json:
        print_json({"environment": settings.environment, "daily_profit_percent": percent, "when_reached": then})
    else:
        typer.echo(f"{settings.environment}: {_goal(percent, then) or 'no profit target for the day'}")


@app.command(epilog="Examples: [bold]tidemark breakers[/bold], [bold]tidemark breakers --reset refused:BTCUSDT[/bold]")
def breakers(
    reset: Annotated[str | None, typer.Option(metavar="NAME", help="Let this one go.")] = None,
    reason: Reason = None,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Which limits were passed, why, and until when nothing is opened for it."""
    from pipeline.app import switches  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json) as (tm, _):
        if reset is not None:
            switches.reset_breaker(tm, reset, by=operator(), reason=reason)
        found = switches.breakers(tm)
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
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """How much production may hold in a position: stage 1: 20 USDT, stage 2: 100 USDT, stage 3: your own limit.

    A stage is left for the next one by this command alone, and only after 5 clean days in it. Going back is always
    allowed.
    """
    from pipeline.app import switches  # noqa: PLC0415
    from pipeline.app.beside import begin_beside  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.cli.beside import answering  # noqa: PLC0415

    settings = begin_beside(exchange)
    with answering(settings, as_json=as_json, begins=wanted is not None) as (tm, _):
        found = switches.stage(tm)
        if wanted is not None:
            found = switches.set_stage(tm, wanted, by=operator(), reason=reason)
        try:
            reasons = switches.too_small(tm, found.stage)
        except TidemarkError as error:
            typer.echo(f"which symbols it is too small for cannot be asked now: {error}", err=True)
            reasons = {}
    now, clean = found.stage, found.clean_days
    if as_json:
        print_json({"environment": settings.environment, "stage": now, "clean_days": clean, "too_small": reasons})
        return
    typer.echo(f"{settings.environment}: stage {now}, {len(clean)} of {switches.CLEAN_DAYS} clean days in it")
    for symbol, why in sorted(reasons.items()):
        typer.echo(f"cannot trade {symbol}: {why}")


def _distance(atrs: Decimal | None, percent: Decimal | None) -> str | None:
    if percent is not None:
        return f"{plain(percent)} %"
    return None if atrs is None else f"{plain(atrs)} ATR"


def _goal(percent: Decimal | None, when_reached: str) -> str | None:
    return None if percent is None else f"{plain(percent)} %, then {when_reached}"
