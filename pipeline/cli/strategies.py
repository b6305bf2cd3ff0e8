"""`tidemark strategies` lists them, `tidemark check-strategy` shows whether one can be trusted. No database needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.beside import Where
from pipeline.cli.output import Json, Wide, print_json, print_table
from pipeline.cli.table import Column
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.app.strategies import Checked, Listed

app = typer.Typer()


@app.command(epilog="Examples: [bold]tidemark strategies[/bold] · [bold]tidemark strategies --json[/bold]")
def strategies(exchange: Where = None, wide: Wide = False, as_json: Json = False) -> None:
    """List the strategies: the rule in words, the parameters in force, how far back each looks, and whether it runs."""
    from pipeline.app.strategies import listed  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    found = listed(load().at(exchange))
    if as_json:
        print_json(found)
        return
    print_table(
        (
            *(Column("strategy"), Column("runs", 1), Column("rule", 2, long="wrap", least=24)),
            *(Column("parameters", 3, long="wrap"), Column("looks back", 4)),
        ),
        [
            (each.name, "yes" if each.runs else "no", each.rule.split("\n")[0], _text(each), each.lookback)
            for each in found
        ],
        wide=wide,
    )


@app.command(
    name="check-strategy",
    epilog="Examples: [bold]tidemark check-strategy macd_cross[/bold] · "
    "[bold]tidemark check-strategy mine.py:Mine --set n=30 --candles btc_1h.csv[/bold]",
)
def check_strategy(
    strategy: Annotated[str, typer.Argument(help="A name, or path/to/file.py:Name.")],
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    candles: Annotated[
        Path | None,
        typer.Option("--candles", help="Candles of yours too: a .csv, .parquet or .feather file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a strategy runs, answers in form, and looks neither ahead nor further back than it says.

    With the parameters of the settings (`strategy_parameters`), and with those given here.
    It runs on made-up markets, cut short at many places: an answer that changes with later candles is a look ahead.
    Exits with 0 when no fault is found, with 1 when there is one.
    """
    from pipeline.app.strategies import checked  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    found = checked(load(), strategy, dict(map(pair, parameters or [])), candles)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found.sound:
        raise typer.Exit(1)


@app.command(name="new-strategy", epilog="Example: [bold]tidemark new-strategy mine.py[/bold]")
def new_strategy(
    path: Annotated[Path, typer.Argument(help="Where to write it; the file's name is the strategy's.")],
) -> None:
    """Write a strategy of your own to begin with, and a test beside it. Overwrites nothing."""
    from pipeline.app.strategies import write_new  # noqa: PLC0415

    kind, rule, test = write_new(path)
    typer.echo(
        f"wrote {rule} with the class {kind}, and {test}\n"
        f"try it    pytest {test}   (make install-dev brings pytest)\n"
        f"check it  tidemark check-strategy {rule}:{kind}\n"
        f'run it    strategy_paths = ["{rule}:{kind}"] in tidemark.toml: it alone;\n'
        f'          with strategies = ["macd_turtle"] as well: beside macd_turtle'
    )


def _show(found: "Checked") -> None:
    print_table(
        ("market", "candles", "signals", Column("fault", 0, long="wrap", least=24)),
        [(each.market, each.candles, each.signals, each.fault or "none") for each in found.findings],
        title=found.strategy,
    )


def _text(listed: "Listed") -> str | None:
    """The parameters in force; beside those that are not the default, what that is."""
    return (
        ", ".join(_parameter(name, value, listed.defaults[name]) for name, value in listed.parameters.items()) or None
    )


def _parameter(name: str, value: Any, default: Any) -> str:
    return f"{name}={value}" if value == default else f"{name}={value} (default {default})"


def pair(text: str) -> tuple[str, str]:
    """A parameter as `--set` takes it."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set takes NAME=VALUE, not {text!r}")
    return name, value
