"""`tidemark performance`: how well signals did, by strategy, symbol, interval or month. Asks the database only."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.figures import percent
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.signals import Interval, Since, Strategy, Symbol, print_csv
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.app.signals import Fees, Performance

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark performance

  tidemark performance --by symbol --strategy macd_turtle --since 30d

  tidemark performance --by strategy --by interval --csv
"""

FIGURES = ("count", "hit_rate", "mean", "median")
_TELLING = (
    *((horizon, figure) for horizon in ("1d", "4h", "7d", "1h") for figure in ("median", "hit_rate")),
    *((horizon, "mean") for horizon in ("1d", "4h", "7d", "1h")),
)
"""What is shown, the most telling first."""


class By(StrEnum):
    """What signals are put together by."""

    STRATEGY = "strategy"
    SYMBOL = "symbol"
    INTERVAL = "interval"
    MONTH = "month"


@app.command(epilog=EXAMPLES)
def performance(
    *,
    by: Annotated[list[By] | None, typer.Option(help="What to put together; repeat it for several.")] = None,
    symbol: Symbol = None,
    strategy: Strategy = None,
    interval: Interval = None,
    since: Since = None,
    exchange: Where = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    wide: Wide = False,
) -> None:
    """How well signals did 1 hour, 4 hours, 1 day and 7 days later: hit rate, mean and median return.

    The hit rate is the share with a positive return. In percent, after a taker fee on the way in and on the way out:
    what the account pays in each symbol, as it was last asked; `taker_fee_percent` where it was not. The best median
    after a day comes first.
    """
    from pipeline.app import signals as asking  # noqa: PLC0415
    from pipeline.app.moments import since as since_of  # noqa: PLC0415
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; choose one")
    chosen = [one.value for one in by or [By.STRATEGY]]
    settings = having_data(begin(exchange))
    with Opened(settings) as tm:
        asked = asking.asked_for(
            tm, symbol=symbol, strategy=strategy, interval=interval, since=since_of("--since", since)
        )
        found, fees = asking.performance(tm, asked, chosen), asking.fees(tm, asked)
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(" ".join(chosen), found)
    elif found:
        _show(" ".join(chosen), found, f"in percent, after {_told(fees)}", wide=wide)
    else:
        typer.echo("No such signals.", err=True)


def _told(fees: "Fees") -> str:
    setting = f"{fees.otherwise.normalize():f} %"
    if not fees.own:
        return f"fees of {setting} each way (taker_fee_percent: the account was not asked)"
    least, most = (f"{rate.normalize():f}" for rate in (min(fees.own.values()), max(fees.own.values())))
    each_way = f"the account's fees of {least if least == most else f'{least} to {most}'} % each way"
    return each_way if fees.alike else f"{each_way} ({setting}, taker_fee_percent, where it was not asked)"


def _print_csv(heading: str, found: "Sequence[Performance]") -> None:
    horizons = list(found[0].horizons) if found else []
    columns = [f"{name}_{figure}" for name in horizons for figure in FIGURES]
    print_csv((heading, "signals", *columns), ([one.name, one.signals, *_flat(one)] for one in found))


def _flat(one: "Performance") -> Iterator[Any]:
    return (getattr(outcome, figure) for outcome in one.horizons.values() for figure in FIGURES)


def _show(heading: str, found: "Sequence[Performance]", title: str, *, wide: bool) -> None:
    shown = ("hit_rate", "mean", "median")
    names = {"hit_rate": "hit rate", "mean": "mean", "median": "median"}
    horizons = [name.removeprefix("return_") for name in found[0].horizons]
    ranks = {name: rank for rank, name in enumerate(_TELLING)}
    columns = (
        Column(heading),
        Column("signals", 1),
        *(
            Column(f"{horizon} {names[figure]}", 2 + ranks[horizon, figure], right=True)
            for horizon in horizons
            for figure in shown
        ),
    )
    rows = [
        [
            one.name,
            one.signals,
            *(_cell(figure, getattr(outcome, figure)) for outcome in one.horizons.values() for figure in shown),
        ]
        for one in found
    ]
    print_table(columns, rows, title=title, wide=wide)


def _cell(figure: str, value: float | None) -> Any:
    if figure != "hit_rate":
        return percent(value)
    return None if value is None else f"{value:.0%}"
