"""A position as it goes up and down the ladder of docs/execution.md, in units alone: no money, no fees, no stop.

Every signal is carried out at the close it is of. A trial opens half a unit, an entry makes it two, an add after it one
more at each ATR in favour, up to four. A trial the other way turns a position that is still a trial; later only an
entry the other way closes it, and does not open another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.strategies.base import Kind, Side, meaning_of

TRIAL, ENTRY, ADD, MOST = 0.5, 2.0, 1.0, 4.0


@dataclass
class Position:
    """What is held for some candles. The next add goes by the price of the last step and the ATR at the opening."""

    side: Side
    units: float
    last: float
    atr: float
    candles: int = 0

    def go_to(self, units: float, close: float) -> None:
        self.units, self.last = units, close

    def gain(self, close: float) -> float:
        return (close - self.last) * (1 if self.side is Side.LONG else -1)


@dataclass
class Ladder:
    """One position at a time, of one strategy."""

    positions: list[Position] = field(default_factory=list)
    held: Position | None = None

    def told(self, code: int, close: float, atr: float) -> float:
        """The units after this candle, whose code may be 0."""
        if code:
            self._act(*meaning_of(code), close, atr)
        if self.held is None:
            return 0.0
        self.held.candles += 1
        return self.held.units

    def _act(self, side: Side, kind: Kind, close: float, atr: float) -> None:
        held = self.held
        if held is None:
            if kind in {Kind.TRIAL, Kind.ENTRY}:
                self._open(side, kind, close, atr)
        elif side is not held.side:
            if kind is Kind.ENTRY:
                self.held = None
            elif kind is Kind.TRIAL and held.units == TRIAL:
                self._open(side, kind, close, atr)
        elif kind is Kind.EXIT:
            self.held = None
        elif kind is Kind.ENTRY and held.units < ENTRY:
            held.go_to(ENTRY, close)
        elif kind is Kind.ADD and ENTRY <= held.units < MOST and held.gain(close) >= held.atr:
            held.go_to(min(held.units + ADD, MOST), close)

    def _open(self, side: Side, kind: Kind, close: float, atr: float) -> None:
        self.held = Position(side, TRIAL if kind is Kind.TRIAL else ENTRY, close, atr)
        self.positions.append(self.held)


def climb(codes: Iterable[int], close: Iterable[float], atr: Iterable[float]) -> tuple[list[float], list[Position]]:
    """The units after each candle, and every position as it was at its end."""
    ladder = Ladder()
    return [ladder.told(*one) for one in zip(codes, close, atr, strict=True)], ladder.positions
