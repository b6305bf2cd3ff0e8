"""How a backfill shows itself in a terminal: a line for all of it, and one for each series at work."""

import threading
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipeline.app.backfill import LimitGate, SeriesReport
from schemas.series import SeriesKey


class _Candles(ProgressColumn):
    """`12,345/432,000` and how many a second."""

    def render(self, task: Task) -> Text:
        rate = f"{task.speed:,.0f}/s" if task.speed else "-"
        return Text(f"{int(task.completed):,}/{int(task.total or 0):,} candles  {rate}")


class _Weight(ProgressColumn):
    """The request weight that the exchange counts in this minute."""

    def __init__(self, gate: LimitGate) -> None:
        super().__init__()
        self._gate = gate

    def render(self, task: Task) -> Text:
        if task.fields.get("is_total"):
            return Text(f"weight {self._gate.used:,}/{int(self._gate.limit * self._gate.share):,}", style="dim")
        return Text()


class Bars:
    """The bars, fed by a backfill from any thread."""

    def __init__(self, console: Console, weight: LimitGate) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Candles(),
            TimeRemainingColumn(),
            _Weight(weight),
            console=console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._tasks: dict[SeriesKey, TaskID] = {}
        self._total = self._progress.add_task("all", total=0, is_total=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def planned(self, key: SeriesKey, missing: int) -> None:
        """A bar for the series, and its candles in the total."""
        with self._lock:
            self._tasks[key] = self._progress.add_task(f"{key.symbol} {key.interval}", total=missing)
            self._progress.update(self._total, total=(self._progress.tasks[0].total or 0) + missing)

    def fetched(self, key: SeriesKey, candles: int) -> None:
        """Both bars move."""
        self._progress.advance(self._tasks[key], candles)
        self._progress.advance(self._total, candles)

    def finished(self, report: SeriesReport) -> None:
        """The series' bar goes, and a line stays."""
        key = next((one for one in self._tasks if (one.symbol, one.interval) == (report.symbol, report.interval)), None)
        if key is not None:
            self._progress.remove_task(self._tasks.pop(key))
        told = f"{report.stored:,} of {report.wanted:,} stored, {report.fetched:,} fetched in {report.seconds:.1f} s"
        self._progress.console.print(f"{report.symbol} {report.interval}: {told}", highlight=False)
