"""The compact table of `tidemark live`: how fast, how far behind, and the newest candle of each series."""

import asyncio
import time
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from pipeline.app.waits import WORTH_SAYING, waiting_words
from pipeline.cli.figures import amount, moment
from pipeline.cli.table import Column, Table
from pipeline.timeline import SECOND, to_datetime

if TYPE_CHECKING:
    from pipeline.app.ingester import Ingester

MOST_ROWS = 30
_SERIES = (
    *(Column("symbol"), Column("interval", 1), Column("opened (UTC)", 5), Column("price", 3, right=True)),
    *(Column("frame age", 4, right=True), Column("missing", 2, right=True)),
)


class LiveTable:
    """Draws the state of an ingester; reads it, changes nothing."""

    def __init__(self, ingester: "Ingester") -> None:
        self._ingester = ingester
        self._live = Live(self, auto_refresh=False, transient=True)
        self._frames_before = 0
        self._drawn_at = time.monotonic()
        self._rate = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    async def draw_forever(self) -> None:
        """Redraw until cancelled."""
        while True:
            self._measure()
            self._live.refresh()
            await asyncio.sleep(0.5)

    def _measure(self) -> None:
        frames, now = self._ingester.feed.counters.frames, time.monotonic()
        if now > self._drawn_at:
            self._rate = (frames - self._frames_before) / (now - self._drawn_at)
        self._frames_before, self._drawn_at = frames, now

    def __rich__(self) -> Group:
        return Group(self._summary(), self._series())

    def _summary(self) -> Text:
        metrics, counters = self._ingester.metrics, self._ingester.feed.counters
        waits = self._ingester.waiting_ms
        return Text(
            (f"{waiting_words(waits)}   " if waits > WORTH_SAYING else "")
            + f"{self._rate:,.0f} frames/s   lag {metrics.recent_lags.quantile(0.5):.2f} s   "
            f"stored after {metrics.recent_stored_after.quantile(0.5) * SECOND:.0f} ms "
            f"(p99 {metrics.recent_stored_after.quantile(0.99) * SECOND:.0f} ms)   "
            f"{counters.connections} connections   Ctrl-C ends it",
            style="bold",
        )

    def _series(self) -> Table:
        now = self._ingester.now()
        views = list(self._ingester.core.view(now))
        rows = [
            (
                view.key.symbol,
                view.key.interval,
                moment(None if view.last_closed is None else to_datetime(view.last_closed)),
                amount(view.price),
                "-" if view.last_event is None else f"{max(0, now - view.last_event) / SECOND:.1f} s",
                Text(str(view.missing), style="red" if view.missing else "green"),
            )
            for view in views[:MOST_ROWS]
        ]
        if len(views) > MOST_ROWS:
            rows.append((f"and {len(views) - MOST_ROWS} more", "", "", "", "", Text()))
        return Table(_SERIES, rows)
