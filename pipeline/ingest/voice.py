"""What strategies say of one series: of each candle once, when it closes, and of the open one while it lasts.

It decides nothing: the strategies are behind `Adviser`. A signal that was said at a close is never taken back here.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.ingest.events import Shown
from pipeline.ingest.window import Columns
from pipeline.store.signals.write import Finding
from schemas.series import SeriesKey


class Adviser(Protocol):
    """What the strategies say of one series. It is told of every final candle, in order, and of some that are open."""

    def closed(self, first: int, columns: Columns, stored: Sequence[float] | None) -> tuple[Finding, ...]:
        """The signals at the last candle of a window, which is final. `first` numbers the window's first candle;
        `stored` are the stored indicators of the last one, where they are known."""

    def opened(self, first: int, columns: Columns, stored: Sequence[float] | None) -> tuple[Finding, ...]:
        """What the signals would be if it closed as it is."""

    def corrected(self) -> None:
        """A final candle of the window has become another."""


Decide = Callable[[SeriesKey, int], Adviser]
"""The adviser of a series, whose prices have so many decimals."""


class Voice:
    """Collects in `signals` and `shown` what is to be written."""

    __slots__ = ("_adviser", "_key", "_on_show", "_shows_open", "shown", "signals")

    def __init__(self, key: SeriesKey, adviser: Adviser | None, *, shows_open: bool) -> None:
        self._key = key
        self._adviser = adviser
        self._shows_open = shows_open
        self._on_show: set[str] | None = None
        self.signals: list[Finding] = []
        self.shown: list[Shown] = []

    def advised_by(self, adviser: Adviser | None) -> None:
        """Somebody else says what the strategies say from here on."""
        self._adviser = adviser

    def closed(self, t: int, first: int, columns: Columns, stored: Sequence[float] | None) -> None:
        """The candle that opens at `t` has closed; it is the last one of the window."""
        if self._adviser is None:
            return
        self.signals += self._adviser.closed(first, columns, stored)
        if self._on_show is None or self._on_show:
            self.shown.append(Shown(self._key, t, ()))
            self._on_show = set()

    def opened(self, t: int, first: int, columns: Columns, stored: Sequence[float] | None) -> None:
        """The candle that opens at `t` is open; it is the last one of the window."""
        if self._adviser is None or not self._shows_open:
            return
        findings = self._adviser.opened(first, columns, stored)
        ids = {one.id for one in findings}
        if ids != self._on_show:
            self.shown.append(Shown(self._key, t, findings))
            self._on_show = ids

    def corrected(self) -> None:
        """A candle that was final has become another."""
        if self._adviser is not None:
            self._adviser.corrected()

    def forget_shown(self) -> None:
        """What was shown may not have been stored: show it again."""
        self._on_show = None
