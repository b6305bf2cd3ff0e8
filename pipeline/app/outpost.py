"""What happens at a worker of a backfill: series are fetched there, by a client of its own, into the database of who
ordered them. Its settings are its own; keys it needs none. It decides nothing: it is told which series, and how far
back.
"""

import asyncio
import threading
from contextlib import ExitStack
from dataclasses import astuple
from typing import Final

from distributed import Worker, WorkerPlugin, get_worker
from pymongo.errors import PyMongoError

from pipeline.app.backfill import Reach
from pipeline.app.exchange_access import archive_of, client_of
from pipeline.app.opened import Opened, having_data, in_words
from pipeline.app.sources import backfill_code
from pipeline.errors import AttentionError, TidemarkError
from pipeline.exchange.market import MarketData
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted
from pipeline.history.marks import bring_up_marks
from pipeline.history.report import SeriesReport
from pipeline.settings import load
from pipeline.store.identity import identity_of
from schemas.series import SeriesKey

PURPOSE: Final = "backfill"
UNABLE: Final = "cannot fetch anything"
PLANNED: Final = "planned"
FETCHED: Final = "fetched"
WAITS: Final = "waits"


class Outpost(WorkerPlugin):  # type: ignore[misc]  # Dask's own has no types
    """What a worker is given: once, before its first series, also where it comes later or begins anew. `code`: of who
    ordered; `exchange`, `database`: which they are; `topic`: where it tells how far it is."""

    def __init__(self, code: str, exchange: str, database: str, reach: Reach, topic: str) -> None:
        self._code, self._exchange, self._database = code, exchange, database
        self._reach, self._topic = reach, topic
        self.refused: str | None = None

    async def setup(self, worker: Worker) -> None:
        """Open the database, and a client of the exchange. What is wrong is said when it is asked for."""
        self.stop, self._ends = threading.Event(), ExitStack()
        try:
            await asyncio.to_thread(self._open, worker)
        except TidemarkError as error:
            self.refused = str(error)
        except PyMongoError as error:
            self.refused = in_words(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, who ordered is told
            self.refused = f"{type(error).__name__}: {error}"

    async def teardown(self, worker: Worker) -> None:
        """Let go of all that; what is being fetched ends soon."""
        del worker
        self.stop.set()
        await asyncio.to_thread(self._ends.close)

    def fill(self, series: Wanted) -> SeriesReport:
        """As in any process; and the mark prices of its symbol, where it is of minutes. What is missing of these who
        ordered asks for again."""
        report = self._work.fill(series, self._reach.days, self._reach.source, limit=self._reach.limit)
        if not self.stop.is_set():
            archive, market = self._archive, self._work.market
            bring_up_marks(self._db, market, archive, [series], self._reach.days, self._reach.source, self._reach.limit)
        return report

    def _open(self, worker: Worker) -> None:
        if backfill_code() != self._code:
            self.refused = "it runs another version of Tidemark"
            return
        settings = having_data(load().at(self._exchange))
        self._db = self._ends.enter_context(Opened(settings)).candle_db
        if identity_of(self._db) != self._database:
            self.refused = "its settings lead to another database: give it TIDEMARK_MONGO_URI of this one"
            return
        waits = lambda said: worker.log_event(self._topic, [WAITS, worker.address, said])  # noqa: E731
        client = self._ends.enter_context(client_of(settings, self.stop, waits=waits))
        self._archive = self._ends.enter_context(archive_of(client, self._reach.source))
        made = Backfill(self._db, MarketData(client), self._archive, progress=_Told(worker, self._topic))
        self._work = self._ends.enter_context(made)


class _Told:
    """How far it is, for who ordered."""

    def __init__(self, worker: Worker, topic: str) -> None:
        self._worker, self._topic = worker, topic

    def planned(self, key: SeriesKey, missing: int) -> None:
        """So many are to be fetched."""
        self._worker.log_event(self._topic, [PLANNED, *astuple(key), missing])

    def fetched(self, key: SeriesKey, candles: int) -> None:
        """So many more are stored."""
        self._worker.log_event(self._topic, [FETCHED, *astuple(key), candles])

    def finished(self, report: SeriesReport) -> None:
        """Its report says it."""


def fetched_there(name: str, series: Wanted) -> SeriesReport:
    """One series, at a worker that was given an outpost of that name."""
    worker = get_worker()
    outpost: Outpost = worker.plugins[name]
    if outpost.refused is not None:
        raise AttentionError(f"worker {worker.address} {UNABLE}: {outpost.refused}")
    return outpost.fill(series)


def told_to_stop(name: str, dask_worker: Worker) -> None:
    """At each worker: what is being fetched ends, and nothing more is begun."""
    if name in dask_worker.plugins:
        dask_worker.plugins[name].stop.set()
