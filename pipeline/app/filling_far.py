"""A backfill at the workers of a Dask cluster: series are given out, each worker fetches by a client of its own, from
its own address, and writes into the one database; how far it is and what came of it is told here.

A series whose worker dies is given to another, which goes on from what is stored. What is computed of the candles is
computed here, by the settings of whoever ordered.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from distributed import Client

from pipeline.app.backfill import Fetchers, Filling, Reach, Shown
from pipeline.app.cluster import Errand, Errands, cluster_at, given
from pipeline.app.opened import Opened
from pipeline.app.outpost import PLANNED, PURPOSE, UNABLE, WAITS, Outpost, fetched_there, told_to_stop
from pipeline.app.so_far import Minutely
from pipeline.app.sources import backfill_code
from pipeline.history.report import Progress, SeriesReport
from pipeline.store.identity import identity_of
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

_SAID_EVERY: Final = 1.0
_KEPT: Final = "What is stored stays; run the backfill again"


@contextmanager
def fetchers_of(address: str) -> Iterator[Fetchers]:
    """The workers of the cluster at that address."""
    with cluster_at(address) as client:

        def fill_all(tm: Opened, order: Filling, shown: Shown, reach: Reach) -> Sequence[SeriesReport]:
            topic = f"backfill {uuid.uuid4().hex}"
            outpost = Outpost(backfill_code(), tm.environment, identity_of(tm.candle_db), reach, topic)
            with given(client, outpost, PURPOSE, UNABLE) as name, shown(order.client.weight) as progress:
                errands = Errands(client, name, fetched_there, where=address, kept=_KEPT)
                with _heard(client, topic, progress) as heard:
                    return _reports(order, errands, heard, _stopping(client, name, order.client.stop))

        yield fill_all


def _reports(order: Filling, errands: Errands, heard: "Heard", meanwhile: Callable[[], None]) -> Sequence[SeriesReport]:
    wanted = [Errand(f"{one.key.symbol} {one.key.interval}", (one,)) for one in order.series]
    found: dict[int, SeriesReport] = {}
    for place, report in errands(wanted, meanwhile):
        found[place] = report
        heard.finished(order.series[place].key, report)
    return [found[place] for place in range(len(wanted))]


def _stopping(client: Client, name: str, stop: threading.Event) -> Callable[[], None]:
    """Passes on that it is told to stop, until all has ended: a worker that comes meanwhile hears it too."""
    said = 0.0

    def pass_on() -> None:
        nonlocal said
        if stop.is_set() and monotonic() - said > _SAID_EVERY:
            client.run(told_to_stop, name, on_error="ignore")
            said = monotonic()

    return pass_on


@contextmanager
def _heard(client: Client, topic: str, progress: Progress) -> Iterator["Heard"]:
    """What workers tell of their progress, while it is entered."""
    heard = Heard(progress, Minutely(log.info, at_once=True))
    client.subscribe_topic(topic, lambda event: heard.told(*event[1]))
    try:
        yield heard
    finally:
        if client.status == "running":
            client.unsubscribe_topic(topic)


class Heard:
    """Makes of what workers tell what one process would have told: of a series that is begun again, or of which a word
    was lost, no candle counts twice, and of one that is whole none is left out."""

    def __init__(self, progress: Progress, waits: Callable[[str], None]) -> None:
        self._progress, self._waits = progress, waits
        self._left: dict[SeriesKey, int] = {}
        self._ended: set[SeriesKey] = set()
        self._lock = threading.Lock()

    def told(self, what: str, *said: Any) -> None:
        """By one of them."""
        if what == WAITS:
            self._waits(": ".join(said))
            return
        *named, candles = said
        key = SeriesKey(*named)
        with self._lock:
            if key in self._ended:
                return
            if what == PLANNED and key not in self._left:
                self._plan(key, candles)
            else:
                self._leave(key, candles if what == PLANNED else self._left.get(key, 0) - candles)

    def finished(self, key: SeriesKey, report: SeriesReport) -> None:
        """Its report is here."""
        with self._lock:
            if key not in self._left:
                self._plan(key, report.fetched)
            if report.is_complete:
                self._leave(key, 0)
            self._ended.add(key)
        self._progress.finished(report)

    def _plan(self, key: SeriesKey, missing: int) -> None:
        self._left[key] = missing
        self._progress.planned(key, missing)

    def _leave(self, key: SeriesKey, left: int) -> None:
        before, left = self._left.get(key, 0), max(left, 0)
        if left < before:
            self._left[key] = left
            self._progress.fetched(key, before - left)
