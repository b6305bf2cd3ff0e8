"""`tidemark indicators`: bring indicators and signals of stored candles up to date, and say what came of it."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, Wide, complain, print_json, print_table
from pipeline.errors import TidemarkError

if TYPE_CHECKING:
    from pipeline.app.derive import Derived

log = logging.getLogger(__name__)
app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark indicators                        everything that is stored

  tidemark indicators BTCUSDT -i 1h --anew   all of it again; what comes out the same is not written

  tidemark indicators --json
"""


@app.command(epilog=EXAMPLES)
def indicators(
    *,
    symbols: Annotated[list[str] | None, typer.Argument(help="Which contracts; none: all that are stored.")] = None,
    interval: Annotated[
        list[str] | None, typer.Option("--interval", "-i", help="Candle length; repeat it for several.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Compute everything again, not only what is new.")] = False,
    exchange: Where = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Compute indicators and signals of stored candles: what is new, and what a corrected candle changes.

    Runs by itself after a backfill and on schedule; by hand after settings were changed.
    """
    from rich.console import Console  # noqa: PLC0415

    from pipeline.app import derive  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.progress import computing  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.upgrade_bar import bring_up  # noqa: PLC0415

    with Opened(having_data(begin(exchange)), bring_up) as tm:
        keys = derive.stored(tm, symbols or (), interval or ())
        agree_to_withdraw(derive.not_chosen(tm, keys), as_json=as_json)
        with computing(Console(stderr=True, force_terminal=False if as_json else None), log.info) as progress:
            derived = derive.derive(tm, keys, anew=anew, by=operator(), progress=progress)
    show(derived, wide=wide, as_json=as_json)


def agree_to_withdraw(not_chosen: Mapping[str, int], *, as_json: bool = False) -> None:
    """What strategies found that are not chosen any more is withdrawn: a person who is there may say no."""
    from pipeline.app.derive import withdrawals  # noqa: PLC0415

    for said in withdrawals(not_chosen):
        typer.echo(said, err=True)
    if not_chosen and sys.stdin.isatty() and not as_json and not typer.confirm("Withdraw them?", err=True):
        raise TidemarkError("nothing is withdrawn, and nothing was done")


def show(derived: Sequence["Derived"], *, wide: bool, as_json: bool) -> None:
    """A row a series; exit code 1 if one failed."""
    from pipeline.app.derive import as_row  # noqa: PLC0415

    rows = [as_row(one) for one in derived]
    if as_json:
        print_json(rows)
    elif rows:
        columns = [name for name in rows[0] if name not in {"kept", "failure"}]
        print_table(columns, [[row[name] for name in columns] for row in rows], wide=wide)
    else:
        typer.echo("nothing is stored yet; `tidemark backfill` fetches candles", err=True)
    complain_of(derived)
    if any(one.failure is not None for one in derived):
        raise typer.Exit(1)


def tell(derived: Sequence["Derived"]) -> None:
    """One line on stderr, for a command that computed them beside what it is about, and what went wrong."""
    computed, new = sum(one.candles for one in derived), sum(one.signals.added for one in derived)
    typer.echo(f"indicators of {computed:,} candles computed, {new:,} new signals found", err=True)
    complain_of(derived)


def complain_of(derived: Sequence["Derived"]) -> None:
    """What a person has to look at."""
    for one in derived:
        for signal in one.signals.kept:
            complain(f"{signal} is not found any more, and stays because somebody acted on it")
        if one.failure is not None:
            complain(f"{one.symbol} {one.interval}: indicators and signals: {one.failure}")
