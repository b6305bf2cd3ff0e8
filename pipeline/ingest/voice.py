"""What strategies say of one series: of each candle once, when it closes, and of the open one while it lasts.

It decides nothing: the strategies are behind `decide`. A signal that was said at a close is never taken back here.
"""

from collections.abc import Callable

from pipeline.ingest.events import Shown
from pipeline.ingest.window import Columns
from pipeline.store.signals import Finding
from schemas.series import SeriesKey

Decide = Callable[[SeriesKey, int, Columns, int], tuple[Finding, ...]]
"""What the strategies say at the last candle of a window, from the series, the number of the window's first candle, its
columns, and the decimals of the symbol's price."""


class Voice:
    """Collects in `signals` and `shown` what is to be written."""

    __slots__ = ("_decide", "_key", "_on_show", "_shows_open", "shown", "signals")

    def __init__(self, key: SeriesKey, decide: Decide | None, *, shows_open: bool) -> None:
        self._key = key
        self._decide = decide
        self._shows_open = shows_open
        self._on_show: set[str] | None = None
        self.signals: list[Finding] = []
        self.shown: list[Shown] = []

    def closed(self, t: int, first: int, columns: Columns, decimals: int) -> None:
        """The candle that opens at `t` has closed; it is the last one of the window."""
        if self._decide is None:
            return
        self.signals += self._decide(self._key, first, columns, decimals)
        if self._on_show is None or self._on_show:
            self.shown.append(Shown(self._key, t, ()))
            self._on_show = set()

    def opened(self, t: int, first: int, columns: Columns, decimals: int) -> None:
        """The candle that opens at `t` is open; it is the last one of the window."""
        if self._decide is None or not self._shows_open:
            return
        findings = self._decide(self._key, first, columns, decimals)
        ids = {one.id for one in findings}
        if ids != self._on_show:
            self.shown.append(Shown(self._key, t, findings))
            self._on_show = ids

    def forget_shown(self) -> None:
        """What was shown may not have been stored: show it again."""
        self._on_show = None
