"""Does a process grow? Its resident memory, sampled over each of its lives, and a verdict on every life that is long
enough to tell.

A process fills its caches at first, so the beginning of a life says nothing: the last third is compared with the middle
third. It is sampled while it does the same all the time: what is asked for once, after the faults, is other work. The
database is judged by its bound instead: it is meant to fill its cache.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import psutil

from pipeline.store.mongod.launch import Limits

MEGABYTE = 1024 * 1024
LONG_ENOUGH = 600.0
MAY_GROW = 0.05
"""Of the middle third's mean, from the middle third to the last: ten minutes of the usual half hour."""
MAY_GROW_MB = 6.0
BOUNDS_MB = {"mongod": Limits().cache_gb * 1024 + 400}
ROLES = {
    "mongod": ("--dbpath",),
    "exchange": ("pipeline.cli", "sim"),
    "ingester": ("pipeline.cli", "live"),
    "executor": ("pipeline.cli", "execute"),
    "prefect": ("flows.server",),
    "flows": ("flows.serve",),
    "page": ("pipeline.cli", "web"),
    "demo": ("demo", "--plain"),
}
"""The processes that last, by words of their command lines that follow each other."""


def role_of(command: Sequence[str]) -> str | None:
    """Which of the processes that last has this command line."""
    said = f" {' '.join(command)} "
    return next((role for role, words in ROLES.items() if f" {' '.join(words)} " in said), None)


@dataclass
class Life:
    """One process from its start to its end: (seconds since the run began, MB) again and again."""

    role: str
    pid: int
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.samples[-1][0] - self.samples[0][0]

    @property
    def by_minute(self) -> list[float]:
        """What it took, the first sample of each minute."""
        begin = self.samples[0][0]
        return list({(at - begin) // 60: size for at, size in reversed(self.samples)}.values())[::-1]

    @property
    def slope(self) -> float:
        """MB an hour, by the straight line that fits best, without the first third."""
        later = self._between(1 / 3, 1)
        middle, mean = _mean(at for at, _ in later), _mean(size for _, size in later)
        spread = sum((at - middle) ** 2 for at, _ in later)
        return 3600 * sum((at - middle) * (size - mean) for at, size in later) / spread if spread else 0.0

    def complaint(self) -> str | None:
        """What is wrong with it, if it can be told."""
        bound = BOUNDS_MB.get(self.role)
        most = max(size for _, size in self.samples)
        if bound is not None:
            return f"{self.role} {self.pid} took {most:.0f} MB, more than {bound:.0f}" if most > bound else None
        if not self.is_long:
            return None
        middle = _mean(size for _, size in self._between(1 / 3, 2 / 3))
        last = _mean(size for _, size in self._between(2 / 3, 1))
        allowed = max(MAY_GROW_MB, MAY_GROW * middle)
        if last - middle <= allowed:
            return None
        return f"{self.role} {self.pid} grew from {middle:.1f} to {last:.1f} MB, by more than {allowed:.1f}"

    @property
    def is_long(self) -> bool:
        """Whether it can be told if it grows."""
        return self.seconds >= LONG_ENOUGH

    def _between(self, first: float, last: float) -> list[tuple[float, float]]:
        begin = self.samples[0][0]
        early, late = begin + first * self.seconds, begin + last * self.seconds
        return [one for one in self.samples if early <= one[0] <= late]


class Memory:
    """The lives of all processes of a run."""

    def __init__(self) -> None:
        self._lives: dict[tuple[int, float], Life] = {}

    def sample(self, processes: Iterable[psutil.Process], at: float) -> None:
        """Look at all of them."""
        for process in processes:
            try:
                role = role_of(process.cmdline())
                if role is not None:
                    life = self._lives.setdefault((process.pid, process.create_time()), Life(role, process.pid))
                    life.samples.append((at, process.memory_info().rss / MEGABYTE))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue

    @property
    def lives(self) -> list[Life]:
        """Process by process, in the order of their start."""
        return [one for one in self._lives.values() if one.samples]

    def complaints(self, lasted: float) -> Iterator[str]:
        """What is wrong; of a run of such a length, also which role never lived long enough to be judged."""
        yield from filter(None, (life.complaint() for life in self.lives))
        if lasted >= 2.5 * LONG_ENOUGH:
            judged = {life.role for life in self.lives if life.is_long}
            yield from (f"no {role} lived long enough to be judged" for role in ROLES if role not in judged)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
