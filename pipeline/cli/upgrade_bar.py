"""A bar over what brings the candles of an older version into today's form, where a person looks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.database import Database
    from rich.console import Console


def bring_up(db: "Database[dict[str, Any]]", console: "Console | None" = None) -> None:
    """Bring what is stored into today's form; `UpgradingError` where another process does."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from pipeline.app.candle_database import upgrade  # noqa: PLC0415

    shown = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bars:
        bar = bars.add_task("candles of an older version", total=None, visible=False)
        upgrade(db, lambda done, total: bars.update(bar, completed=done, total=total, visible=True))
