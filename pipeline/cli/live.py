"""`tidemark live`: the ingester in the foreground, with a table of what it does where a person watches."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pipeline.exchange.listed import Listed
    from pipeline.exchange.rest import RestClient
    from pipeline.history.report import SourceChoice
    from pipeline.ingest.service import Ingester
    from pipeline.ingest.watching import StreamName
    from pipeline.settings import Settings
    from schemas.series import SeriesKey

app = typer.Typer()
log = logging.getLogger(__name__)

EXAMPLES = """
Examples:

  tidemark live                         keep the watched series current until Ctrl-C

  tidemark live --shard 2/4             the second of four processes that share the series

  tidemark live --metrics-port 9464     Prometheus metrics on http://127.0.0.1:9464/metrics
"""


@app.command(epilog=EXAMPLES)
def live(
    shard: Annotated[str, typer.Option(help="Which share of the series: NUMBER/OF.")] = "1/1",
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics on this port.")
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="The address they are served on; nothing but this machine reaches the usual one.")
    ] = "127.0.0.1",
    plain: Annotated[bool, typer.Option("--plain", help="Log lines instead of a table.")] = False,
) -> None:
    """Keep the watched series current: every candle, open and closed, as it happens."""
    from rich.console import Console  # noqa: PLC0415

    from pipeline.cli.candle_database import bring_up  # noqa: PLC0415
    from pipeline.cli.exchange_access import client_of  # noqa: PLC0415
    from pipeline.cli.wiring import begin  # noqa: PLC0415
    from pipeline.ingest.watching import parse_shard  # noqa: PLC0415
    from pipeline.store import connect  # noqa: PLC0415
    from pipeline.store.mongod.session import running  # noqa: PLC0415
    from pipeline.store.prepare import prepare  # noqa: PLC0415

    share = parse_shard(shard)
    settings = begin()
    shown = Console().is_terminal and not plain
    with running(settings) as uri, connect.client(uri) as database_client:
        connect.require(database_client, uri)
        database = database_client[settings.database]
        prepare(database)
        bring_up(database)
        with client_of(settings) as client:
            asyncio.run(_live(settings, uri, database, client, share, (metrics_host, metrics_port), shown=shown))


async def _live(
    settings: "Settings",
    uri: str,
    database: Any,
    client: "RestClient",
    share: Any,
    metrics: tuple[str, int | None],
    *,
    shown: bool,
) -> None:
    from pipeline.store import connect  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    asynchronous = connect.async_client(uri, settings.async_driver, retry_writes=False)
    try:
        with (
            _ingester(settings, client, database, asynchronous[settings.database], share) as ingester,
            _metrics(ingester.metrics.registry, *metrics),
            _shown(ingester, loop, shown=shown),
        ):
            await ingester.run(stop)
    finally:
        await connect.close(asynchronous)


@contextlib.contextmanager
def _ingester(
    settings: "Settings", client: "RestClient", database: Any, async_database: Any, share: Any
) -> "Iterator[Ingester]":
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipeline.cli.exchange_access import archive_of  # noqa: PLC0415
    from pipeline.cli.wiring import derivation_of, keys_of, notifier_of, periods_of, strategies_of  # noqa: PLC0415
    from pipeline.exchange.listed import Listed  # noqa: PLC0415
    from pipeline.exchange.market import Market  # noqa: PLC0415
    from pipeline.history.backfill import Backfill  # noqa: PLC0415
    from pipeline.history.kept import KeptHistory  # noqa: PLC0415
    from pipeline.history.listing import kept_series  # noqa: PLC0415
    from pipeline.ingest.indicators import LiveIndicators  # noqa: PLC0415
    from pipeline.ingest.service import Ingester  # noqa: PLC0415
    from pipeline.ingest.signals import LiveSignals  # noqa: PLC0415
    from pipeline.store.series import SeriesStore  # noqa: PLC0415
    from pipeline.store.symbols import SymbolStore  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415
    from pipeline.timeline import SECOND  # noqa: PLC0415

    market = Market(client)
    listed = Listed(market)
    SymbolStore(database).save(listed.all())
    seeded = kept_series(keys_of(settings), listed.all(), SeriesStore(database), client.clock.now())
    Watchlist(database, settings.environment).seed([one.key for one in seeded], datetime.now(UTC))
    strategies = strategies_of(settings)
    periods = periods_of(settings, strategies)

    with (
        archive_of(client, "auto") as archive,
        Backfill(database, market, archive) as work,
        notifier_of(settings) as notifier,
    ):
        # The archive of a pretend exchange is made by the exchange itself, which is too busy to trade meanwhile.
        source: SourceChoice = "rest" if settings.environment == "sim" else "auto"
        derivation = derivation_of(settings, database)
        past = KeptHistory(database, work, derivation, listed, days=settings.history_days, source=source)
        yield Ingester(
            market,
            database,
            async_database,
            compute=LiveIndicators(periods),
            window=periods.window,
            decimals=past.decimals,
            backfill=past.fill,
            is_whole=past.is_whole,
            must_trade=past.must_trade,
            stream_name=_stream_names(settings, listed),
            shard=share,
            decide=LiveSignals(strategies, periods),
            shows_open=settings.open_signals,
            fresh_at_most=settings.fresh_seconds * SECOND,
            said=notifier.send_signals,
        )


def _stream_names(settings: "Settings", listed: "Listed") -> "StreamName":
    """How the stream of a series is called. Only a perpetual contract is the same market under both names."""
    from pipeline.exchange.frames import continuous_kline_stream  # noqa: PLC0415
    from pipeline.ingest.service import plain_kline  # noqa: PLC0415

    @cache
    def continuous(key: "SeriesKey") -> str:
        symbol = listed.at_hand(key.symbol)
        if symbol is None or "PERPETUAL" not in symbol.contract_type:
            return plain_kline(key)
        return continuous_kline_stream(symbol.pair, symbol.contract_type, key.interval)

    return continuous if settings.stream == "continuousKline" else plain_kline


@contextlib.contextmanager
def _metrics(registry: "CollectorRegistry", host: str, port: int | None) -> Iterator[None]:
    if port is None:
        yield
        return
    from prometheus_client import start_http_server  # noqa: PLC0415

    from pipeline.errors import AttentionError  # noqa: PLC0415
    from pipeline.store.mongod.launch import holder_of  # noqa: PLC0415

    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise AttentionError(
            f"metrics cannot be served on {host}:{port}: {error.strerror}{holder_of(port)}. "
            "Choose another port with --metrics-port, or 0 for any free one"
        ) from None
    typer.echo(f"metrics: http://{host}:{server.server_port}/metrics", err=True)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _shown(ingester: "Ingester", loop: asyncio.AbstractEventLoop, *, shown: bool) -> Iterator[None]:
    """The live table, redrawn twice a second."""
    if not shown:
        yield
        return
    from pipeline.cli.live_table import LiveTable  # noqa: PLC0415

    table = LiveTable(ingester)
    with table:
        drawing = loop.create_task(table.draw_forever())
        try:
            yield
        finally:
            drawing.cancel()
