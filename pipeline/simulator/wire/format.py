"""Whole ticks and steps as the decimal strings the exchange prints. Exact: no number passes through a float."""

from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.simulator.types import Klines, SymbolSpec
from pipeline.timeline import Interval

Integers = npt.NDArray[np.int64]

COIN_DIGITS = 8
_LARGEST = 2**63 - 1

Row = list[int | str]
"""A kline as REST answers it: twelve cells."""


class Grid(NamedTuple):
    """A unit as it is printed: `units` of the last printed digit, with `digits` after the point. `parts`: how many of
    it make a unit, where more is known than is printed."""

    units: int
    digits: int
    parts: int = 1

    def text(self, count: int) -> str:
        """`count` units, written out."""
        return _point(count * self.units // self.parts, self.digits)

    def texts(self, counts: Integers) -> list[str]:
        """Many counts, none below zero, written out: digit by digit, each for all of them at once."""
        if int(counts.max(initial=0)) * self.units > _LARGEST:
            return [self.text(count) for count in counts.tolist()]
        left = counts * self.units // self.parts
        width = max(len(str(left.max(initial=0))), self.digits + 1)
        written = np.full((len(counts), width + 2), ord(" "), np.uint8)
        column = width
        for place in range(width):
            if place == self.digits > 0:
                written[:, column] = ord(".")
                column -= 1
            rest = left // 10
            written[:, column] = left - rest * 10 + ord("0")
            if place > self.digits:
                written[left == 0, column] = ord(" ")  # no leading zeros
            column -= 1
            left = rest
        return written.tobytes().decode().split()


class Grids(NamedTuple):
    """How the three kinds of number of a contract are printed."""

    price: Grid
    quantity: Grid
    quote: Grid


@lru_cache(maxsize=4096)
def grids(spec: SymbolSpec) -> Grids:
    """Prices have `price_precision` digits, quantities `quantity_precision`, and their products both together, unless
    the market writes everything alike. Coins are written with eight."""
    price = _grid(spec.tick, spec.price_precision)
    quantity = _grid(spec.step, spec.quantity_precision)
    if spec.coins is not None:
        return Grids(price, quantity, Grid(1, COIN_DIGITS, 10 ** (spec.coins - COIN_DIGITS)))
    digits = spec.quote_precision
    product = spec.price_precision + spec.quantity_precision if digits is None else digits
    return Grids(price, quantity, _grid(spec.tick * spec.step, product))


def price_text(spec: SymbolSpec, ticks: int) -> str:
    """A price, as `60685.20`."""
    return grids(spec).price.text(ticks)


def turnover_text(spec: SymbolSpec, counted: int) -> str:
    """What was turned over, as `44039.40000`."""
    return grids(spec).quote.text(counted)


def quantity_text(spec: SymbolSpec, steps: int) -> str:
    """A quantity, as `0.014`."""
    return grids(spec).quantity.text(steps)


def rest_rows(spec: SymbolSpec, interval: Interval, klines: Klines) -> list[Row]:
    """Candles as `klines` answers them, in every market."""
    if not len(klines):
        return []
    price, quantity, quote = grids(spec)
    prices = (price.texts(klines[name]) for name in ("open", "high", "low", "close"))
    return [
        list(cells)
        for cells in zip(
            klines["t"].tolist(),
            *prices,
            quantity.texts(klines["volume"]),
            _close_times(interval, klines).tolist(),
            quote.texts(klines["quote"]),
            klines["trades"].tolist(),
            quantity.texts(klines["taker_base"]),
            quote.texts(klines["taker_quote"]),
            ["0"] * len(klines),
            strict=True,
        )
    ]


def _close_times(interval: Interval, klines: Klines) -> Integers:
    """The last millisecond of each candle."""
    opened: Integers = klines["t"]
    if interval.milliseconds is None:
        return np.array([interval.close_time(time) for time in opened.tolist()], dtype=np.int64)
    return opened + (interval.milliseconds - 1)


def _grid(unit: Decimal, precision: int) -> Grid:
    units = unit.scaleb(precision)
    if units != units.to_integral_value():
        raise ValueError(f"a unit of {unit} does not fit {precision} digits after the point")
    return Grid(int(units), precision)


def _point(scaled: int, digits: int) -> str:
    if not digits:
        return str(scaled)
    sign = "-" if scaled < 0 else ""
    whole, rest = divmod(abs(scaled), 10**digits)
    return f"{sign}{whole}.{rest:0{digits}d}"
