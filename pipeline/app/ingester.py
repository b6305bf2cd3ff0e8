"""The ingester made of its parts, and run until it is told to end."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.ingest.service import Ingester, Pace

if TYPE_CHECKING:
    from pipeline.app.candle_database import BringUp
    from pipeline.exchange.listed import Listed
    from pipeline.exchange.products.product import Streams
    from pipeline.exchange.rest import RestClient
    from pipeline.history.report import SourceChoice
    from pipeline.ingest.watching import StreamName
    from pipeline.settings import Settings
    from pipeline.strategies.base import Strategy
    from schemas.series import SeriesKey

__all__ = ["Beside", "Ingester", "ingest"]

Beside = Callable[[Ingester], contextlib.AbstractContextManager[None]]


def ingest(settings: "Settings", shard: str, bring_up: "BringUp", beside: Beside) -> None:
    """Keep this share of the watched series current until SIGINT or SIGTERM. `beside`: what goes on while it runs,
    entered in its event loop."""
    from pipeline.app.exchange_access import client_of  # noqa: PLC0415
    from pipeline.ingest.watching import parse_shard  # noqa: PLC0415
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.mongod.session import running  # noqa: PLC0415
    from pipeline.store.prepare import prepare  # noqa: PLC0415

    share = parse_shard(shard)
    with running(settings) as uri, connect.client(uri) as database_client:
        connect.require(database_client, uri)
        database = database_client[settings.database]
        prepare(database)
        bring_up(database)
        with client_of(settings) as client:
            asyncio.run(_run(settings, uri, database, client, share, beside))


async def _run(settings: "Settings", uri: str, database: Any, client: "RestClient", share: Any, beside: Beside) -> None:
    from pipeline.store import connect  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    asynchronous = connect.async_client(uri, settings.async_driver, retry_writes=False)
    try:
        with (
            _ingester(settings, client, database, asynchronous[settings.database], share) as ingester,
            beside(ingester),
        ):
            await ingester.run(stop)
    finally:
        await connect.close(asynchronous)


@contextlib.contextmanager
def _ingester(
    settings: "Settings", client: "RestClient", database: Any, async_database: Any, share: Any
) -> Iterator[Ingester]:
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.app.exchange_access import archive_of  # noqa: PLC0415
    from pipeline.app.wiring import (  # noqa: PLC0415
        derivation_of,
        intervals_of,
        keys_of,
        notifier_of,
        periods_of,
        strategies_of,
    )
    from pipeline.exchange.listed import Listed  # noqa: PLC0415
    from pipeline.exchange.market import MarketData  # noqa: PLC0415
    from pipeline.history.backfill import Backfill  # noqa: PLC0415
    from pipeline.history.kept import KeptHistory  # noqa: PLC0415
    from pipeline.history.listing import kept_series  # noqa: PLC0415
    from pipeline.ingest.indicators import LiveIndicators  # noqa: PLC0415
    from pipeline.ingest.signals import LiveSignals  # noqa: PLC0415
    from pipeline.ingest.window import Recipe  # noqa: PLC0415
    from pipeline.store.series import SeriesStore  # noqa: PLC0415
    from pipeline.store.symbols import SymbolStore  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415
    from pipeline.strategies.renewal import Renewal  # noqa: PLC0415

    market = MarketData(client)
    listed = Listed(market)
    SymbolStore(database).save(listed.all())
    seeded = kept_series(keys_of(settings), listed.all(), SeriesStore(database), client.clock.now())
    Watchlist(database, settings.environment).seed([one.key for one in seeded], datetime.now(UTC))
    renewal = Renewal(map(str, settings.strategy_paths), lambda: strategies_of(settings))

    with (
        archive_of(client, "auto") as archive,
        Backfill(database, market, archive) as work,
        notifier_of(settings) as notifier,
    ):
        # The archive of a simulated exchange is made by the exchange itself, which is too busy to trade meanwhile.
        source: SourceChoice = "rest" if settings.environment == "sim" else "auto"
        derivation = derivation_of(settings, database, renewal.running)
        past = KeptHistory(database, work, derivation, listed, days=settings.history_days, source=source)

        def recipe(strategies: "Sequence[Strategy]") -> Recipe:
            periods = periods_of(settings, strategies)
            decide = LiveSignals(strategies, periods, intervals=intervals_of(settings))
            return Recipe(LiveIndicators(periods), periods.window, decide, settings.open_signals)

        def renewed() -> Recipe | None:
            found = renewal.look()
            if found is None:
                return None
            past.use(derivation_of(settings, database, found))
            return recipe(found)

        yield Ingester(
            market,
            database,
            async_database,
            past,
            recipe(renewal.running),
            pace=Pace(fresh=settings.fresh_seconds),
            stream_name=_stream_names(settings, listed, client.environment.product.streams),
            shard=share,
            said=notifier.send_signals,
            renewed=renewed,
        )


def _stream_names(settings: "Settings", listed: "Listed", streams: "Streams") -> "StreamName":
    """How the stream of a series is called. Only a perpetual contract is the same market under both names."""
    from pipeline.exchange.frames import continuous_kline_stream  # noqa: PLC0415
    from pipeline.ingest.service import plain_kline  # noqa: PLC0415

    @cache
    def continuous(key: "SeriesKey") -> str:
        symbol = listed.at_hand(key.symbol)
        if symbol is None or symbol.contract_type not in streams.continuous:
            return plain_kline(key)
        return continuous_kline_stream(symbol.pair, symbol.contract_type, key.interval)

    return continuous if settings.stream == "continuousKline" else plain_kline
