"""The database for whoever writes candles: those of older versions are brought into today's form first, under a bar
where a person looks. Whoever only reads takes `store.session.database`, and waits for nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo.database import Database

from pipeline.settings import Settings
from pipeline.store.mongod.session import database
from pipeline.store.upgrade import upgrade

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def candle_database(settings: Settings) -> Iterator[Database[dict[str, Any]]]:
    """The prepared database, for the length of a `with` block."""
    with database(settings) as db:
        bring_up(db)
        yield db


def bring_up(db: Database[dict[str, Any]], console: "Console | None" = None) -> None:
    """Bring what is stored into today's form; `UpgradingError` where another process does."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    shown = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bars:
        bar = bars.add_task("candles of an older version", total=None, visible=False)
        upgrade(db, lambda done, total: bars.update(bar, completed=done, total=total, visible=True))
