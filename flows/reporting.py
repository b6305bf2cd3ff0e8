"""What flows of many series show in Prefect's UI, how often they try a task again, and how they end where not all was
done. It knows nothing of what the tasks do.

Prefect keeps whatever a run shows, and a table twice: so tasks, rows and lines have a most, however many series there
are.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from pipeline.errors import TidemarkError

P = ParamSpec("P")
R = TypeVar("R")

TASKS: Final = 12
"""Tasks of a run at most: each costs Prefect's server 20 kB of disk, whether it has something to do or not."""
SHOWN: Final = 50
"""Rows of a table at most, and lines of a list."""
RETRY_DELAYS: list[float] = [2, 8, 30]
_SHOWN_EVERY: Final = 1.0


class Tally:
    """How much is wanted and how much done so far, told by many threads; Prefect itself is told by the flow's own."""

    def __init__(self, wanted: int = 0) -> None:
        self._lock = threading.Lock()
        self.wanted = wanted
        self.done = 0

    def plan(self, more: int) -> None:
        """So much more is wanted."""
        with self._lock:
            self.wanted += more

    def count(self, more: int) -> None:
        """So much more is done."""
        with self._lock:
            self.done += more

    @property
    def percent(self) -> float:
        """How far it is. What is tried again counts again."""
        return min(100.0, 100 * self.done / self.wanted) if self.wanted else 0.0


def groups(series: Sequence[R]) -> list[Sequence[R]]:
    """Cut into groups for a task each, no more than `TASKS` of them."""
    size = max(1, -(-len(series) // TASKS))
    return [series[first : first + size] for first in range(0, len(series), size)]


def threads(most: int) -> TaskRunner[PrefectFuture[Any]]:
    """Runs so many tasks at once."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=most))


def retried_task(
    run_name: str, worth_another_run: Callable[[Task[..., Any], TaskRun, State[Any]], bool]
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task of series, tried again three times, ever later, where that is worth it."""
    return task(
        name="series",
        task_run_name=run_name,
        retries=len(RETRY_DELAYS),
        retry_delay_seconds=RETRY_DELAYS,
        retry_jitter_factor=0.3,
        retry_condition_fn=worth_another_run,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def show_progress(
    futures: Sequence[PrefectFuture[Any]],
    tally: Tally,
    *,
    key: str,
    begins: str,
    meanwhile: Callable[[], str],
    ends: Callable[[], str],
) -> None:
    """Keep a progress bar in the UI, at most once a second and where something moved, until all are done."""
    bar = cast("UUID", create_progress_artifact(progress=0.0, key=key, description=begins))
    told = 0.0
    while wait(list(futures), timeout=_SHOWN_EVERY).not_done:
        if tally.percent != told:
            told = tally.percent
            update_progress_artifact(bar, progress=told, description=meanwhile())
    update_progress_artifact(bar, progress=100.0, description=ends())


def show_table(rows: Sequence[dict[str, Any]], *, key: str, description: str) -> None:
    """Keep these rows in the UI, the first of them."""
    left = len(rows) - SHOWN
    more = f"; {left:,} more are not shown" if left > 0 else ""
    create_table_artifact(table=list(rows[:SHOWN]), key=key, description=description + more)


def first_of(lines: Sequence[str]) -> list[str]:
    """These, the first of them, and how many more there are."""
    left = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {left:,} more"] if left > 0 else list(lines)


def fail_with(undone: Sequence[str], asked: int, what: str) -> None:
    """End the run failed, with the list, where something was not done."""
    if undone:
        raise TidemarkError(f"{len(undone)} of {asked} series {what}:\n" + "\n".join(first_of(undone)))


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown, its numbers to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(map(plain, one))} |" for one in lines)


def plain(text: str) -> str:
    """What means nothing to Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;")
