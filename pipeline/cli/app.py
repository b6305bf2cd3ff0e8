"""Puts the commands together and turns every expected failure into one line and an exit code.

A group of commands is a module of this package that defines `app = typer.Typer()`: with `name=` its commands live under
that name (`tidemark db start`), without one they join the top level (`tidemark doctor`). `MODULES` is the only list.
Such a module imports what is heavy inside its commands, so that `tidemark --help` stays instant.
"""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.cli.output import complain
from pipeline.errors import TidemarkError

MODULES = (
    "demo",
    "up",
    "doctor",
    "db",
    "sim",
    "backfill",
    "candles",
    "audit",
    "indicators",
    "signals",
    "performance",
    "backtest",
    "runs",
    "explain",
    "search",
    "returns",
    "strategies",
    "live",
    "status",
    "watch",
    "page",
    "execute",
    "halt",
    "close",
    "account",
    "portfolio",
    "allocate",
    "trading",
    "backup",
    "shell",
    "alive",
)
"""In the order of `tidemark --help`."""


class Root(TyperGroup):
    """The top level: 0 done, 1 failed, 2 usage, 3 needs attention, 130 interrupted."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _naming_the_value(error)
            raise
        except TidemarkError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from None


def _naming_the_value(error: typer.BadParameter) -> str:
    """What is wrong with an option, with what was typed. Typer hands on what pydantic says, which leaves it out."""
    found = getattr(error.__cause__, "errors", None)
    if found is None:
        return error.message
    first = found()[0]
    limits, said = first.get("ctx", {}), first["msg"]
    match first["type"]:
        case "int_parsing" | "int_from_float":
            said = "is not a whole number"
        case "float_parsing":
            said = "is not a number"
        case "greater_than_equal":
            said = f"is less than {limits['ge']}"
        case "less_than_equal":
            said = f"is more than {limits['le']}"
    return f"{first['input']!r} {said}"


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"tidemark {version('tidemark')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Candles of crypto futures in MongoDB, complete and correct; signals from them; orders on the signals."""


def build() -> typer.Typer:
    """The whole command line."""
    root = typer.Typer(
        cls=Root,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,  # its tracebacks may show local variables, and those may be secrets
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback()(_root)
    for module in MODULES:
        root.add_typer(import_module(f"pipeline.cli.{module}").app)
    return root
