"""What a measurement is, whether it meets its target, and how it reads as a table, as Markdown and as JSON."""

import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement beside what it is compared with. Targets are ratios; `at_least` and `at_most` bound `ours`."""

    group: str
    name: str
    ours: float
    unit: str
    peer_name: str = ""
    peer: float | None = None
    limit_name: str = ""
    limit: float | None = None
    times_peer: float | None = None
    share_of_limit: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    lower_is_better: bool = False
    note: str = ""

    @property
    def against_peer(self) -> float | None:
        """How many times better than the peer."""
        return self._ratio(self.peer)

    @property
    def against_limit(self) -> float | None:
        """Which part of what the machine could do at best."""
        return self._ratio(self.limit)

    @property
    def target(self) -> str:
        """What was asked for, in words; empty where the number only informs."""
        parts = [
            f"≥ {self.times_peer:g}x" if self.times_peer is not None else "",
            f"≥ {self.share_of_limit:.0%} of limit" if self.share_of_limit is not None else "",
            f"≥ {figure(self.at_least)}" if self.at_least is not None else "",
            f"≤ {figure(self.at_most)}" if self.at_most is not None else "",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def met(self) -> bool | None:
        """Whether every target is met; None if there is none."""
        checks = [
            (self.against_peer, self.times_peer),
            (self.against_limit, self.share_of_limit),
            (self.ours, self.at_least),
            (None if self.at_most is None else -self.ours, None if self.at_most is None else -self.at_most),
        ]
        asked = [(value, least) for value, least in checks if least is not None]
        return all(value is not None and value >= least for value, least in asked) if asked else None

    def _ratio(self, other: float | None) -> float | None:
        if other is None:
            return None
        return other / self.ours if self.lower_is_better else self.ours / other


def figure(value: float | None) -> str:
    """A number as people read it: three digits, k and M for the large ones."""
    if value is None:
        return ""
    for size, suffix in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def alternate(rounds: int, *ways: Callable[[], float]) -> list[float]:
    """The median result of each way, run in turn, so that a warm cache or a busy minute favours none of them."""
    results: list[list[float]] = [[] for _ in ways]
    for number in range(rounds):
        for way in range(len(ways)):
            turn = (way + number) % len(ways)
            results[turn].append(ways[turn]())
    return [statistics.median(one) for one in results]


def rate(count: int, work: Callable[[], Any]) -> float:
    """How many of `count` a second."""
    begun = perf_counter()
    work()
    return count / (perf_counter() - begun)


def machine() -> dict[str, str]:
    """What was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    memory = next((int(line.split()[1]) >> 20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


_HEADINGS = ("", "ours", "peer", "x peer", "limit", "of limit", "target", "met")


def _cells(row: Row) -> tuple[str, ...]:
    peer = f"{figure(row.peer)} ({row.peer_name})" if row.peer is not None else ""
    limit = f"{figure(row.limit)} ({row.limit_name})" if row.limit is not None else ""
    return (
        row.name,
        f"{figure(row.ours)} {row.unit}".replace("  ", " "),
        peer,
        "" if row.against_peer is None else f"{row.against_peer:.1f}x",
        limit,
        "" if row.against_limit is None else f"{row.against_limit:.0%}",
        row.target,
        {True: "yes", False: "NO", None: ""}[row.met],
    )


SMOKE_TEST = "A smoke test with small data: these numbers are no figures."


def to_table(rows: Sequence[Row], took: Mapping[str, float], whole: float, *, quick: bool = False) -> Table:
    """For the terminal."""
    title = SMOKE_TEST if quick else "Benchmarks: ours beside the best other way and the machine's limit"
    table = Table(*_HEADINGS, title=title, caption=time_line(took, whole))
    for group, members in _groups(rows):
        table.add_row(f"[bold]{group}[/bold]")
        for row in members:
            table.add_row(*_cells(row), style="red" if row.met is False else None)
            if row.note:
                table.add_row(f"[dim]{row.note}[/dim]")
    return table


def to_markdown(
    rows: Sequence[Row], where: Mapping[str, str], took: Mapping[str, float], whole: float, *, quick: bool = False
) -> str:
    """For `docs/benchmarks.md`."""
    lines = [f"**{SMOKE_TEST}**", ""] if quick else []
    lines.append("Measured on " + ", ".join(f"{name}: {value}" for name, value in where.items()) + ".")
    for group, members in _groups(rows):
        lines += ["", f"### {group}", "", "| " + " | ".join(_HEADINGS) + " |", "|---" * len(_HEADINGS) + "|"]
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in members]
        lines += [f"\n{row.name}: {row.note}" for row in members if row.note]
    return "\n".join([*lines, "", time_line(took, whole)]) + "\n"


def time_line(took: Mapping[str, float], whole: float) -> str:
    """How long all of it took, and each part, some of which may have run beside each other."""
    minutes, seconds = divmod(round(whole), 60)
    parts = ", ".join(f"{name} {spent:.0f} s" for name, spent in took.items())
    return f"Measuring took {minutes} min {seconds} s: {parts}."


def to_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """For a later comparison."""
    return [
        asdict(row) | {"against_peer": row.against_peer, "against_limit": row.against_limit, "met": row.met}
        for row in rows
    ]


def _groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(group, [row for row in rows if row.group == group]) for group in dict.fromkeys(row.group for row in rows)]
