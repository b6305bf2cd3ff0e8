"""What goes into the ingest core and what comes out of it. Data only."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.candle import Candle, CandleWrite, IndicatorWrite
from pipeline.finding import Finding
from pipeline.timeline import Window
from schemas.series import SeriesKey


class ClosedCandles:
    """Closed candles as columns, the oldest first. A start holds so many of them that it would take longer to make a
    `Candle` of each than to read them."""

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """A column for each field of `Candle`, all of one length."""
        self._columns = columns

    @classmethod
    def of(cls, candles: Iterable[Candle]) -> "ClosedCandles":
        """The same candles, which are few."""
        rows = tuple(candles)
        return cls(
            {
                name: np.array([row[place] for row in rows], kind)
                for place, (name, kind) in enumerate(Candle.__annotations__.items())
            }
        )

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, some: slice) -> "ClosedCandles":
        return ClosedCandles({name: column[some] for name, column in self._columns.items()})

    def __iter__(self) -> Iterator[Candle]:
        return map(Candle._make, zip(*(self._columns[name].tolist() for name in Candle._fields), strict=True))

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """When each opens."""
        return self._columns["t"]

    @property
    def prices(self) -> npt.NDArray[np.float64]:
        """Rows open, high, low, close, volume."""
        return np.array([self._columns[name] for name in Candle._fields[1:6]])


NO_CANDLES: Final = ClosedCandles.of(())


@dataclass(frozen=True, slots=True)
class Answer:
    """What REST said about a window of a series. `asof` is a moment before the exchange wrote the answer."""

    key: SeriesKey
    asked: Window
    candles: tuple[Candle, ...]
    asof: int


@dataclass(frozen=True, slots=True)
class FetchCandles:
    """Ask REST for these candles, and hand the answer, or the failure, back."""

    key: SeriesKey
    window: Window


@dataclass(frozen=True, slots=True)
class RecordHole:
    """The exchange was asked again and again and does not have these candles."""

    key: SeriesKey
    window: Window
    evidence: str


@dataclass(frozen=True, slots=True)
class SilentStream:
    """REST tells of trades that the stream, connected and acknowledged, did not: it has to be subscribed again."""

    key: SeriesKey
    silent_for: int


@dataclass(frozen=True, slots=True)
class AskWhetherTraded:
    """REST has had nothing of this series for long: the exchange may not trade it any more."""

    key: SeriesKey


@dataclass(frozen=True, slots=True)
class FinerPrices:
    """A price of this series has so many decimals, more than were known: what was computed before is computed anew."""

    key: SeriesKey
    decimals: int


Effect = FetchCandles | RecordHole | SilentStream | AskWhetherTraded | FinerPrices


class Shown(NamedTuple):
    """The signals on the open candle `t` are exactly these, and those shown on candles before it are gone."""

    key: SeriesKey
    t: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that changed since the last flush."""

    candles: tuple[CandleWrite, ...]
    indicators: tuple[IndicatorWrite, ...]
    signals: tuple[Finding, ...] = ()
    shown: tuple[Shown, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.candles or self.indicators or self.signals or self.shown)

    def pieces(self, most: int) -> "Iterator[Batch]":
        """The same in portions of at most `most` candles. What builds on candles comes after all of them."""
        if len(self.candles) + len(self.indicators) <= most:
            yield self
            return
        for begin in range(0, len(self.candles), most):
            yield Batch(self.candles[begin : begin + most], ())
        for begin in range(0, len(self.indicators), most):
            yield Batch((), self.indicators[begin : begin + most])
        yield Batch((), (), self.signals, self.shown)
