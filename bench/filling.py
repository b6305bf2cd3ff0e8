"""One backfill of an empty database, as the benchmarks of it begin and end it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.exchange.archive import Archive
from pipeline.exchange.environments import environment
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill
from pipeline.history.listing import wanted_series
from pipeline.history.report import SeriesReport
from pipeline.store import connect
from pipeline.store.prepare import prepare


@contextmanager
def client_at(url: str, exchange: str = "sim") -> Iterator[RestClient]:
    with RestClient(environment(exchange, url=url)) as client:
        client.sync_clock()
        yield client


@contextmanager
def soon(seconds: float, do: Callable[[], Any]) -> Iterator[None]:
    """Do it after so long, unless all is over before."""
    timer = threading.Timer(seconds, do)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def fill(
    uri: str,
    client: RestClient,
    days: int,
    symbols: list[str] | None = None,
    *,
    archive: bool = False,
    database: str = "bench",
) -> SeriesReport:
    """Fill an empty database; the report of the first series."""
    with connect.client(uri) as mongo:
        mongo.drop_database(database)
        prepare(mongo[database])
        market = MarketData(client)
        series = wanted_series(symbols or ["BTCUSDT"], ["1m"], market.symbols(), client.environment.name)
        zips = Archive(client.environment, clock=client.clock, stop=client.stop) if archive else None
        with Backfill(mongo[database], market, zips) as work:
            return work.fill_all(series, days)[0]
