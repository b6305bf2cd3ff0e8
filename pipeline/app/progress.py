"""How a backfill shows itself: in a terminal a line for all of it and one for each series at work, in a notebook one
line that moves.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from typing import Any, Final, Self, cast

import psutil
from rich.console import Console
from rich.control import Control
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import ControlType
from rich.text import Text

from pipeline.app.backfill import LimitGate, NoProgress, SeriesReport
from pipeline.app.backfill import Progress as Told
from pipeline.app.so_far import Computed, Fetched, Minutely
from pipeline.app.waits import WORTH_SAYING, waiting_words
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
            if (left := self._gate.waiting_ms) > WORTH_SAYING:
                return Text(waiting_words(left), style="yellow")
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


@contextmanager
def computing(console: Console, say: Callable[[str], None]) -> Iterator[Callable[[int, int], None]]:
    """How far indicators and signals are: a bar in a terminal, elsewhere a line a minute."""
    if not console.is_terminal:
        yield Computed(Minutely(say, at_once=False))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Candles(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("indicators and signals", total=None)
        yield lambda done, wanted: bars.update(bar, completed=done, total=wanted)


class Countdown:
    """What is waited for, in a terminal before there are bars: one line that is written over. Bars say it
    themselves."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_shown = self._is_hidden = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def __call__(self, text: str) -> None:
        """Write it over what was there."""
        if not self._is_hidden:
            self._is_shown = True
            self._console.print(text, end="\r", markup=False, highlight=False)

    def _clear(self) -> None:
        if self._is_shown:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
        self._is_shown = False

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Say nothing for as long as this is entered."""
        self._clear()
        self._is_hidden = True
        try:
            yield
        finally:
            self._is_hidden = False


@contextmanager
def fetching(console: Console, say: Callable[[str], None], countdown: Countdown, weight: LimitGate) -> Iterator[Told]:
    """How far a backfill is, in the same way."""
    if not console.is_terminal:
        yield Fetched(Minutely(say, at_once=False))
        return
    with countdown.hidden(), Bars(console, weight) as bars:
        yield bars


DRAWN_EVERY: Final = 0.2
Display = Callable[..., Any]
"""`IPython.display.display`, or what does the same: shows an object, and gives a handle whose `update` replaces it."""


class Notebook:
    """One line of HTML under a cell: how many candles of how many, and how fast."""

    def __init__(self, display: Display) -> None:
        self._handle = display(_Line(0, 0, 0.0), display_id=True)
        self._lock = threading.Lock()
        self._planned = self._fetched = 0
        self._began = self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()

    def planned(self, key: SeriesKey, missing: int) -> None:  # noqa: ARG002 - a line for all series together
        """So many more are to come."""
        with self._lock:
            self._planned += missing

    def fetched(self, key: SeriesKey, candles: int) -> None:  # noqa: ARG002
        """So many more are there; drawn a few times a second."""
        with self._lock:
            self._fetched += candles
            if time.monotonic() - self._drawn >= DRAWN_EVERY:
                self._draw()

    def finished(self, report: SeriesReport) -> None:
        """The answer says it."""

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._handle.update(_Line(self._fetched, self._planned, self._drawn - self._began))


class _Line:
    """As a notebook shows it, and as text for what shows no HTML."""

    def __init__(self, fetched: int, planned: int, seconds: float) -> None:
        self._fetched, self._planned = fetched, planned
        self._said = f"{fetched:,} of {planned:,} candles, {fetched / max(0.001, seconds):,.0f}/s"

    def __repr__(self) -> str:
        return self._said

    def _repr_html_(self) -> str:
        return f'<progress value="{self._fetched}" max="{max(1, self._planned)}"></progress> {self._said}'


def where_one_looks(weight: LimitGate) -> AbstractContextManager[Told]:
    """The progress of this process: under the cell of a notebook, in a terminal, or nowhere."""
    display = _display_of_a_notebook()
    if display is not None:
        return Notebook(display)
    console = Console(stderr=True)
    return Bars(console, weight) if console.is_terminal else nullcontext(NoProgress())


@contextmanager
def days_done(*, shown: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of days for one long run; it hears what is being done, how far that is, and how far it goes."""
    console = Console(stderr=True)
    seen = console.is_terminal or console.is_jupyter
    with Progress(console=console, transient=True, disable=not (shown and seen)) as bars:
        bar = bars.add_task("", total=None)
        yield lambda what, done, whole: bars.update(bar, description=what, completed=done, total=whole)


class _Memory:
    """Of this process and of all that it began, in bytes; what others map as well is that of this one. Looked at once a
    second."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._bytes, self._next = 0, 0.0

    def __call__(self) -> int:
        """By now."""
        if (now := time.monotonic()) >= self._next:
            self._bytes, self._next = self._own.memory_info().rss + sum(map(_apart, self._own.children(True))), now + 1
        return self._bytes


def _apart(process: psutil.Process) -> int:
    with suppress(psutil.Error):  # it ended
        held = process.memory_info()
        return int(held.rss - getattr(held, "shared", 0))
    return 0


@contextmanager
def trials_done(*, shown: bool = True, console: Console | None = None) -> Iterator[Callable[[Any], None]]:
    """A bar of trials: how many, how many a second, how long still, the best so far, and the memory that this machine
    gives to it."""
    columns = (
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} trials"), BarColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(), TextColumn("{task.fields[best]}"),
    )  # fmt: skip
    with Progress(*columns, console=console or Console(stderr=True), transient=True, disable=not shown) as bars:
        bar = bars.add_task("", total=0, rate="", best="")
        began, memory = time.monotonic(), _Memory()

        def told(at: Any) -> None:
            rate = (at.done - at.kept) / max(time.monotonic() - began, 0.001)
            best = "" if at.best is None else f"best {at.best:,.2f}"
            said = f"{best}  {memory() / 1e6:,.0f} MB"
            bars.update(bar, completed=at.done, total=at.wanted, rate=f"{rate:,.1f}/s", best=said)

        yield told


def _display_of_a_notebook() -> Display | None:
    """What shows something under a cell, where code runs in a notebook's kernel: only then IPython is loaded."""
    interactive = sys.modules.get("IPython")
    shell = interactive and interactive.get_ipython()
    if not shell or not hasattr(shell, "kernel"):
        return None
    return cast("Display", import_module("IPython.display").display)
