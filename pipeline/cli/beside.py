"""Which exchange a command means: the option that names one, and, where it is the place where the executor of a data
folder trades, the line beside an answer that says of which place it is. Before any answer stands how trading stands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.app.beside import acting, place_of
from pipeline.cli.figures import UNKNOWN, moment, percent

if TYPE_CHECKING:
    from pymongo.database import Database
    from rich.text import Text

    from pipeline.app.opened import Opened
    from pipeline.app.standing import Halting, Standing
    from pipeline.settings import Settings

Where = Annotated[
    str | None,
    typer.Option(
        "--exchange",
        "--environment",
        metavar="NAME",
        help="Of this exchange, whatever the settings and the folder name.",
    ),
]
"""The type of a command's `exchange` parameter."""


@contextmanager
def answering(settings: "Settings", *, as_json: bool, begins: bool = False) -> "Iterator[tuple[Opened, Standing]]":
    """What an answer is taken from, and how trading stands there, which is said first. `begins`: a folder that has no
    data is given a database."""
    from pipeline.app.opened import Opened, having_data  # noqa: PLC0415

    with Opened(settings if begins else having_data(settings)) as tm:
        say_place(settings, tm.db)
        yield tm, tell_standing(settings, tm.db, as_json=as_json)


def say_place(settings: "Settings", database: "Database[Any]") -> None:
    """Beside an answer: of which place it is, and who acts there."""
    typer.echo(f"{place_of(settings)}; {acting(settings, database) or 'no executor'} acts", err=True)


def tell_standing(settings: "Settings", database: "Database[Any]", *, as_json: bool) -> "Standing":
    """The first line of an answer: how trading stands there. It goes beside an answer in JSON."""
    from rich.console import Console  # noqa: PLC0415

    from pipeline.app.standing import standing  # noqa: PLC0415

    found = standing(database, settings.environment, settings.mode, datetime.now(UTC))
    Console(stderr=as_json).print(standing_line(found))
    return found


def standing_line(found: "Standing") -> "Text":
    """Environment, mode, a halt, what is held, and what today has brought."""
    from rich.text import Text  # noqa: PLC0415

    line = Text(f"{found.environment}, {found.mode}; ")
    if found.halted is not None:
        line.append(halt_words(found.halted), style="bold red").append("; ")
    held = f"held: {', '.join(found.held)}" if found.held else "nothing held"
    line.append(f"{held}; today ")
    moved = {asset: change for asset, change in found.today.items() if change}
    if len(found.today) < 2 or not moved:
        known = found.today_pct if len(found.today) < 2 else 0.0
        return line.append(UNKNOWN if known is None else percent(known, " %"))
    for number, (asset, change) in enumerate(moved.items()):
        line.append(", " if number else "").append(percent(change, f" % in {asset}"))
    return line


def halt_words(halted: "Halting") -> str:
    """Since when, by whom and why; and that what is held is closed as well, where that was asked."""
    closing = " and closes what is held" if halted.flatten else ""
    why = f": {halted.reason}" if halted.reason else ""
    return f"HALTED{closing} since {moment(halted.since)} UTC by {halted.by}{why}"
