"""The report of a search: the verdict, the equity out of sample beside the dream, the folds, a surface of two
parameters, and the best trials. One file of HTML like that of a run. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from statistics import median
from typing import Any, Final

import numpy as np

from pipeline.research.report.drawing import LEFT, WIDTH, Line, framed, lines, thinned
from pipeline.research.report.page import document
from pipeline.research.report.tables import table, texts
from pipeline.research.report.words import gain, number, share, signed
from pipeline.research.search.forward import Forward
from pipeline.research.search.objectives import Objectives
from pipeline.research.search.verdict import Verdict
from pipeline.timeline import to_datetime

_BEST: Final = 30
_CELLS: Final = 30
"""Places of a surface to a side at most; values beside each other share one."""
_CELL: Final = 16


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial as the report wants it."""

    name: str
    parameters: Mapping[str, Any]
    figures: Mapping[str, Any]
    equity: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """`trials`: the best first; `times`: when the equity of each is told."""

    title: str
    objectives: Sequence[str]
    space: Mapping[str, Sequence[Any]]
    trials: Sequence[Tried]
    times: Sequence[int]
    forward: Forward | None
    verdict: Verdict
    notes: Sequence[str]


def page_of_search(found: Told) -> str:
    """The whole of it."""
    verdict = found.verdict
    parts = [
        f"<h1>{escape(found.title)}</h1>",
        f"<h2>The best trial: {escape(verdict.word)}</h2>",
        texts([*(("because", one) for one in verdict.because), *(("changes it", one) for one in verdict.would_change)]),
        *_equity(found),
        *_folds(found),
        *_surface(found),
        f"<h2>The best of {len(found.trials):,} trials</h2>",
        _trials(found),
        *(("<h2>Notes</h2>", texts(enumerate(found.notes, 1))) if found.notes else ()),
    ]
    return document(found.title, parts)


def _equity(found: Told) -> Iterable[str]:
    """Out of sample, and dashed that of the trial that is the best in hindsight, from the same money on."""
    best = next((one for one in found.trials if one.equity), None)
    if best is None:
        return
    at = dict(zip(found.times, best.equity, strict=True))
    if found.forward is None:
        yield "<h2>Equity of the best, nothing of it out of sample</h2>"
        yield _drawn(found.times, [Line("market", np.array(best.equity))])
        return
    times, worth = found.forward.times, np.array(found.forward.equity)
    dream = np.array([at[one] for one in times]) / at[times[0]] * worth[0]
    yield "<h2>Equity out of sample, and of the best in hindsight (dashed)</h2>"
    yield _drawn(times, [Line("market", dream), Line("equity", worth)])
    figures, hindsight = found.forward.figures, (dream[-1] / dream[0] - 1) * 100
    yield (
        f"<p>Out of sample {gain(figures['return_pct'])}, Sharpe {number(figures['sharpe'])}, deepest drawdown "
        f"{share(figures['max_drawdown_pct'])}, {figures['trades']:,} trades; in hindsight {gain(hindsight)}.</p>"
    )


def _drawn(times: Sequence[int], drawn: Sequence[Line]) -> str:
    ends = np.array([one.stop - 1 for one in thinned(len(times))])
    return lines(np.array(times)[ends], [Line(one.kind, one.values[ends]) for one in drawn], height=300)


def _folds(found: Told) -> Iterable[str]:
    if found.forward is None:
        return
    first = found.objectives[0]
    rows = [
        (
            f"{_day(one.train[0])} to {_day(one.train[1])}", f"{_day(one.test[0])} to {_day(one.test[1])}",
            ", ".join(f"{name} {value}" for name, value in one.point.items()), number(one.trained.get(first)),
            number(one.brought.get(first)), gain(one.brought["return_pct"]), one.brought["trades"],
        )
        for one in found.forward.steps
    ]  # fmt: skip
    yield "<h2>Chosen on a stretch, traded on the one behind it</h2>"
    head = ("chosen on", "traded on", "parameters", f"{first} there", f"{first} behind", "return behind", "trades")
    yield table(head, rows)


def _surface(found: Told) -> Iterable[str]:
    """The first objective by the two parameters that have the most values, whatever the others are."""
    numbers = {
        name: sorted(values)
        for name, values in found.space.items()
        if len(values) > 1 and not any(isinstance(one, str | bool) for one in values)
    }
    if len(numbers) < 2:
        return
    across, down = max(combinations(numbers, 2), key=lambda pair: len(numbers[pair[0]]) * len(numbers[pair[1]]))
    objectives = Objectives.of(found.objectives[:1])
    cells: dict[tuple[int, int], list[float]] = {}
    columns, rows = _places(numbers[across]), _places(numbers[down])
    for one in found.trials:
        scores = objectives.scores(one.figures)
        if scores is not None:
            place = columns[one.parameters[across]], rows[one.parameters[down]]
            cells.setdefault(place, []).append(float(one.figures[found.objectives[0]]))
    if not cells:
        return
    yield f"<h2>{escape(found.objectives[0])} by {escape(across)} (to the right) and {escape(down)} (downwards)</h2>"
    yield _grid(cells, numbers[across], numbers[down], across, down)
    yield "<p>The middle of the trials that share a place: blue above 0, red below, the stronger the further.</p>"


def _places(values: Sequence[Any]) -> dict[Any, int]:
    return {value: place for place, part in enumerate(thinned(len(values), _CELLS)) for value in values[part]}


def _grid(
    cells: Mapping[tuple[int, int], Sequence[float]], across: Sequence[Any], down: Sequence[Any], *names: str
) -> str:
    columns, rows = thinned(len(across), _CELLS), thinned(len(down), _CELLS)
    wide = (WIDTH - LEFT) / len(columns)
    middles = {place: median(one) for place, one in cells.items()}
    most = max(abs(one) for one in middles.values()) or 1
    parts = []
    for (x, y), value in sorted(middles.items()):
        said = f"{names[0]} {_span(across, columns[x])}, {names[1]} {_span(down, rows[y])}: {value:,.2f}"
        parts.append(
            f'<rect class="{"above" if value > 0 else "below"}" fill-opacity="{0.08 + 0.92 * abs(value) / most:.2f}" '
            f'x="{LEFT + wide * x:.1f}" y="{_CELL * y}" width="{wide - 1:.1f}" height="{_CELL - 1}">'
            f"<title>{escape(said)}, {len(cells[x, y])} trials</title></rect>"
        )
    tall = _CELL * len(rows)
    for text, y in ((down[0], 12), (down[-1], tall - 4)):
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{escape(str(text))}</text>')
    for text, x, anchor in ((across[0], LEFT, "start"), (across[-1], WIDTH, "end")):
        parts.append(f'<text x="{x}" y="{tall + 14}" text-anchor="{anchor}">{escape(str(text))}</text>')
    return framed(parts, tall + 20)


def _span(values: Sequence[Any], part: slice) -> str:
    first, last = values[part.start], values[part.stop - 1]
    return str(first) if first == last else f"{first} to {last}"


def _trials(found: Told) -> str:
    names = [*found.objectives, *(one for one in ("return_pct", "max_drawdown_pct", "sharpe", "trades", "profit_factor")
                                  if one not in found.objectives)]  # fmt: skip
    rows = [
        (one.name, *(_figure(name, one.figures.get(name)) for name in names), *one.parameters.values())
        for one in found.trials[:_BEST]
    ]
    return table(("trial", *names, *found.space), rows)


def _figure(name: str, value: Any) -> str:
    if value is None or isinstance(value, int):
        return "-" if value is None else f"{value:,}"
    return signed(value) if name == "return_pct" else number(value)


def _day(time: int) -> str:
    return f"{to_datetime(time):%Y-%m-%d}"
