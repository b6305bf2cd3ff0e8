"""What a backfill did, series by series, and how it tells of its progress meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from schemas.series import SeriesKey

Source = Literal["archive", "rest", "mixed"]
SourceChoice = Literal["auto", "rest", "archive"]


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """One series at the end, counted from the store.

    `holes` are the wanted candles that are not stored; `known_holes` of them the exchange itself does not have.
    """

    symbol: str
    interval: str
    wanted: int
    stored: int
    fetched: int
    holes: int
    known_holes: int
    source: Source | None
    seconds: float
    note: str | None = None
    failures: Sequence[str] = field(default_factory=tuple)
    exit_code: int = 0

    @property
    def is_complete(self) -> bool:
        """Everything that the exchange has is stored."""
        return not self.failures and self.holes == self.known_holes


class Progress(Protocol):
    """Who wants to know meanwhile. Called from several threads."""

    def planned(self, key: SeriesKey, missing: int) -> None:
        """So many candles of the series are to be fetched."""
        ...

    def fetched(self, key: SeriesKey, candles: int) -> None:
        """So many more candles of the series are stored."""
        ...

    def finished(self, report: SeriesReport) -> None:
        """The series is done, or as far as it goes."""
        ...


class NoProgress:
    """Nobody wants to know."""

    def planned(self, key: SeriesKey, missing: int) -> None:
        """Not told."""

    def fetched(self, key: SeriesKey, candles: int) -> None:
        """Not told."""

    def finished(self, report: SeriesReport) -> None:
        """Not told."""
