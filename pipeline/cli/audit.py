"""`tidemark audit`: prove what is stored, and mend what is not right."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, complain, print_json, print_table
from pipeline.cli.table import Column

if TYPE_CHECKING:
    from pipeline.app.audit import SeriesAudit

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark audit                          everything that is stored

  tidemark audit BTCUSDT -i 1m --samples 20

  tidemark audit --repair --json
"""


@app.command(epilog=EXAMPLES)
def audit(
    *,
    symbols: Annotated[list[str] | None, typer.Argument(help="Which contracts; none: all that are stored.")] = None,
    interval: Annotated[
        list[str] | None, typer.Option("--interval", "-i", help="Candle length; repeat it for several.")
    ] = None,
    repair: Annotated[
        bool, typer.Option(help="Fetch again whatever is wrong; record what the exchange lacks.")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=0, max=1_000, help="Stretches of each series to compare with the exchange.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="Another seed, other stretches.")] = 0,
    exchange: Where = None,
    as_json: Json = False,
) -> None:
    """Check stored candles: no holes, sound buckets, sound prices, intervals that agree, the exchange's answers."""
    from pipeline.app import audit as ordering  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.trading_access import operator  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.indicators import tell  # noqa: PLC0415
    from pipeline.cli.upgrade_bar import bring_up  # noqa: PLC0415

    with Opened(having_data(begin(exchange)), bring_up) as tm:
        done = ordering.audit(
            tm, symbols or (), interval or (), repair=repair, samples=samples, seed=seed, by=operator()
        )
    if done.derived is not None:
        tell(done.derived)
    _show(done.audits, as_json=as_json)


def _show(audits: Sequence["SeriesAudit"], *, as_json: bool) -> None:
    if as_json:
        print_json([_as_json(one) for one in audits])
    else:
        columns = ("symbol", "interval", Column("candles", 3), Column("compared", 4), "findings", Column("verdict", 1))
        print_table(
            columns,
            [(one.symbol, one.interval, one.candles, one.sampled, len(one.flaws), _verdict(one)) for one in audits],
        )
        for one in audits:
            for flaw in one.flaws:
                typer.echo(f"{one.symbol} {one.interval}: {flaw.check}: {flaw.what} ({flaw.state})")
    wrong = [one for one in audits if not one.is_sound]
    for one in wrong:
        complain(f"{one.symbol} {one.interval}: {'; '.join(one.failures) or 'not sound; see --repair'}")
    if wrong:
        raise typer.Exit(1)


def _verdict(one: "SeriesAudit") -> str:
    return "sound" if one.is_sound else "not sound"


def _as_json(one: "SeriesAudit") -> dict[str, object]:
    from pipeline.timeline import to_datetime  # noqa: PLC0415

    return {
        "symbol": one.symbol,
        "interval": one.interval,
        "candles": one.candles,
        "sampled": one.sampled,
        "sound": one.is_sound,
        "findings": [
            {
                "check": flaw.check,
                "start": to_datetime(flaw.start),
                "end": to_datetime(flaw.end),
                "candles": flaw.candles,
                "what": flaw.what,
                "state": flaw.state,
            }
            for flaw in one.flaws
        ],
        "failures": one.failures,
    }
