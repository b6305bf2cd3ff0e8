"""What may be done anywhere with what trials share: by this process, or by workers that were given it. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.research.search.space import Point
from pipeline.research.search.trial import Answer, Trials


class Job(Protocol):
    """It is sent to who does it, and hangs on nothing but what trials share."""

    @property
    def name(self) -> str:
        """As a person calls it."""
        ...

    def __call__(self, trials: Trials) -> Any:
        """Do it."""
        ...


class Doer(Protocol):
    """Who does jobs: what comes of them, as it is ready, with the place of each."""

    def __call__(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]: ...


Doers = Callable[[Trials], Doer]


def in_this_process(trials: Trials) -> Doer:
    """One after the other."""

    def do(jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        for place, job in enumerate(jobs):
            yield place, job(trials)

    return do


@dataclass(frozen=True, slots=True)
class Attempt:
    """A set to try; below the floor on the first training stretch, it ends there."""

    number: int
    point: Point
    floor: float | None

    @property
    def name(self) -> str:
        """By its number."""
        return f"trial {self.number}"

    def __call__(self, trials: Trials) -> Answer:
        """Try it."""
        return trials.answer(self.point, self.floor)
