"""Charts as inline SVG, thinned to what a screen can show. Pure; text that comes from elsewhere is escaped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.timeline import to_datetime

WIDTH: Final = 1000
LEFT: Final = 70
POINTS: Final = 900
_STEPS: Final = 4
_BARS: Final = 40


class Line(NamedTuple):
    """One value a moment. `kind` is its class in the style."""

    kind: str
    values: Floats
    low: Floats | None = None
    """Where there is one, the stretch between the two is filled."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From moments and values to places."""

    start: int
    end: int
    low: float
    high: float
    height: int

    @classmethod
    def of(cls, times: Sequence[int] | Integers, values: Iterable[Floats], height: int) -> "Scale":
        """All of them have room."""
        lists = list(values)
        low, high = min(float(one.min()) for one in lists), max(float(one.max()) for one in lists)
        return cls(int(times[0]), int(times[-1]), low, high if high > low else low + 1, height)

    def x(self, time: float) -> float:
        """From the left."""
        return round(LEFT + (WIDTH - LEFT) * (time - self.start) / max(self.end - self.start, 1), 1)

    def y(self, value: float) -> float:
        """From the top."""
        return round(6 + (self.height - 26) * (self.high - value) / (self.high - self.low), 1)


def thinned(length: int, most: int = POINTS) -> list[slice]:
    """Stretches, no more than so many, that together are all of it."""
    bounds = np.unique(np.linspace(0, length, min(length, most) + 1).astype(int))
    return [slice(int(first), int(last)) for first, last in pairwise(bounds)]


def lines(times: Integers, drawn: Sequence[Line], *, height: int, unit: str = "") -> str:
    """Lines over time."""
    every = [one for line in drawn for one in (line.values, line.low) if one is not None]
    scale = Scale.of(times, every, height)
    parts = [_axes(scale, unit)]
    for line in drawn:
        if line.low is not None:
            there = [f"{scale.x(at)},{scale.y(value)}" for at, value in zip(times, line.values, strict=True)]
            back = [f"{scale.x(at)},{scale.y(value)}" for at, value in zip(times, line.low, strict=True)]
            parts.append(f'<polygon class="{line.kind}" points="{" ".join([*there, *back[::-1]])}"/>')
        else:
            places = (f"{scale.x(at)},{scale.y(value)}" for at, value in zip(times, line.values, strict=True))
            parts.append(f'<polyline class="{line.kind}" points="{" ".join(places)}"/>')
    return framed(parts, height)


class Mark(NamedTuple):
    """A trade on a chart: from where to where, and what is said of it."""

    kind: str
    opened_at: int
    entry: float
    closed_at: int
    exit: float
    said: str


def candles(times: Integers, columns: tuple[Floats, Floats, Floats, Floats], marks: Iterable[Mark]) -> str:
    """Candles, and trades on them. `columns`: open, high, low, close."""
    opened, high, low, close = columns
    height = 320
    scale = Scale.of(times, (high, low), height)
    wide = max(round((WIDTH - LEFT) / len(times) * 0.6, 1), 0.6)
    paths: dict[str, list[str]] = {"up": [], "down": []}
    for at, o, h, lowest, c in zip(times, opened, high, low, close, strict=True):
        x = scale.x(at)
        body = f"M{x} {scale.y(h)}V{scale.y(lowest)}M{round(x - wide / 2, 1)} {scale.y((o + c) / 2)}h{wide}"
        paths["up" if c >= o else "down"].append(body)
    parts = [_axes(scale, "")]
    parts += [f'<path class="candle {kind}" d="{"".join(drawn)}"/>' for kind, drawn in paths.items() if drawn]
    parts += [
        f'<path class="trade {one.kind}" d="M{scale.x(one.opened_at)} {scale.y(one.entry)}'
        f'L{scale.x(one.closed_at)} {scale.y(one.exit)}"><title>{escape(one.said)}</title></path>'
        for one in marks
    ]
    return framed(parts, height)


def histogram(values: Sequence[float], decimals: int) -> str:
    """How many lie where; those below 0 and those above stand apart."""
    counts, edges = np.histogram(values, bins=min(_BARS, max(len(values), 1)))
    height, most = 180, max(int(counts.max()), 1)
    wide = (WIDTH - LEFT) / len(counts)
    parts = []
    for place, count in enumerate(counts):
        first, last = edges[place], edges[place + 1]
        tall = round(150 * int(count) / most, 1)
        parts.append(
            f'<rect class="{"won" if first + last > 0 else "lost"}" x="{LEFT + wide * place:.1f}" y="{156 - tall:.1f}" '
            f'width="{max(wide - 1, 1):.1f}" height="{tall}">'
            f"<title>{int(count)} from {first:,.{decimals}f} to {last:,.{decimals}f}</title>"
            "</rect>"
        )
    for edge, x, anchor in ((edges[0], LEFT, "start"), (edges[-1], WIDTH, "end")):
        parts.append(f'<text x="{x}" y="174" text-anchor="{anchor}">{edge:,.{decimals}f}</text>')
    parts.append(f'<text x="{LEFT - 6}" y="16" text-anchor="end">{most}</text>')
    return framed(parts, height)


def framed(parts: Iterable[str], height: int) -> str:
    """A picture as wide as the page."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(parts)}</svg>'


def _axes(scale: Scale, unit: str) -> str:
    found = []
    for value in np.linspace(scale.low, scale.high, _STEPS + 1):
        y = scale.y(float(value))
        found.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}"/>')
        found.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{_short(float(value))}{escape(unit)}</text>')
    for time in np.linspace(scale.start, scale.end, _STEPS + 1).astype(int).tolist():
        anchor = "start" if time == scale.start else "end" if time == scale.end else "middle"
        at = f"{to_datetime(time):%Y-%m-%d}"
        found.append(f'<text x="{scale.x(time)}" y="{scale.height - 4}" text-anchor="{anchor}">{at}</text>')
    return "".join(found)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
