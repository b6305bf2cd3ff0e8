"""Commands that mean the place where the executor of a data folder trades: the option that names another, and the line
beside an answer that says of which place it is.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.app.beside import Environment, acting, place_of

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.settings import Settings

Where = Annotated[
    Environment | None,
    typer.Option("--environment", help="Ask there, whatever the settings and the executor of the folder name."),
]


def say_place(settings: "Settings", database: "Database[Any]") -> None:
    """Beside an answer: of which place it is, and who acts there."""
    typer.echo(f"{place_of(settings)}; {acting(settings, database) or 'no executor'} acts", err=True)
