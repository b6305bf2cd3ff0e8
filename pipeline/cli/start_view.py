"""The start of `demo` and `up` for whoever watches: a line a step, with a bar of words while it works."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import typer
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipeline.app.so_far import Minutely

_NAME_WIDTH = 12


def _is_agreed(said: Sequence[str], question: str) -> bool:
    for line in said:
        typer.echo(line, err=True)
    return not sys.stdin.isatty() or typer.confirm(question, err=True)


def show_link(console: Console, text: str) -> None:
    """The link to the page, in one piece."""
    console.print(f"{'look at it':<{_NAME_WIDTH}} {text}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{'':<{_NAME_WIDTH}} (lets in once, within five minutes; `tidemark page` prints another)", style="dim"
    )


class PlainStart:
    """A line for each step that is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = ""
        self._waits = Minutely(self.done, at_once=True)
        self._details = Minutely(self.done, at_once=False)

    def begin(self, name: str) -> None:
        """Said when it is done."""
        self._name = name
        self._details = Minutely(self.done, at_once=False)

    def detail(self, text: str) -> None:
        """Said once a minute: a log has no line that moves."""
        self._details(text)

    def waits(self, text: str) -> None:
        """Said at once, and then once a minute."""
        self._waits(text)

    def done(self, text: str) -> None:
        """Say it."""
        self._console.print(f"{self._name:<{_NAME_WIDTH}} {text}", highlight=False, markup=False, soft_wrap=True)

    def link(self, text: str) -> None:
        """The same of a link."""
        show_link(self._console, text)

    def is_agreed(self, said: Sequence[str], question: str) -> bool:
        """A log is asked nothing; a terminal is, in whichever way it is shown."""
        return _is_agreed(said, question)


@dataclass(slots=True)
class _Step:
    name: str
    began: float
    text: str = ""
    seconds: float | None = None


class RichStart:
    """The steps as a table that moves: done, and at work."""

    def __init__(self, console: Console) -> None:
        self._steps: list[_Step] = []
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(self, console=console, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, name: str) -> None:
        """A line with a spinner."""
        self._steps.append(_Step(name, time.monotonic()))

    def detail(self, text: str) -> None:
        """The rest of that line."""
        self._steps[-1].text = text

    def waits(self, text: str) -> None:
        """The same."""
        self.detail(text)

    def done(self, text: str) -> None:
        """The spinner becomes a tick."""
        step = self._steps[-1]
        step.text, step.seconds = text, time.monotonic() - step.began

    def link(self, text: str) -> None:
        """Above the table, which would break it in two."""
        show_link(self._live.console, text)

    def is_agreed(self, said: Sequence[str], question: str) -> bool:
        """What moves stands still while somebody thinks."""
        self._live.stop()
        agreed = _is_agreed(said, question)
        self._live.start()
        return agreed

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for step in self._steps:
            mark = self._spinner if step.seconds is None else Text("✓", style="green")
            seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
            table.add_row(
                mark, Text(f"{step.name:<{_NAME_WIDTH}}", style="bold"), Text(step.text), Text(seconds, "dim")
            )
        return table
