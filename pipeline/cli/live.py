"""`tidemark live`: the ingester in the foreground, with a table of what it does where a person watches."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.beside import Where

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pipeline.app.ingester import Ingester

app = typer.Typer()

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
    exchange: Where = None,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines instead of a table.")] = False,
) -> None:
    """Keep the watched series current: every candle, open and closed, as it happens."""
    from rich.console import Console  # noqa: PLC0415

    from pipeline.app.ingester import ingest  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.upgrade_bar import bring_up  # noqa: PLC0415

    shown = Console().is_terminal and not plain

    @contextlib.contextmanager
    def beside(ingester: "Ingester") -> Iterator[None]:
        with _metrics(ingester.metrics.registry, metrics_host, metrics_port), _shown(ingester, shown=shown):
            yield

    ingest(begin(exchange, log_is_output=not shown), shard, bring_up, beside)


@contextlib.contextmanager
def _metrics(registry: "CollectorRegistry", host: str, port: int | None) -> Iterator[None]:
    if port is None:
        yield
        return
    from pipeline.app.metrics import metrics_served  # noqa: PLC0415

    with metrics_served(registry, host, port) as address:
        typer.echo(f"metrics: {address}", err=True)
        yield


@contextlib.contextmanager
def _shown(ingester: "Ingester", *, shown: bool) -> Iterator[None]:
    """The live table, redrawn twice a second."""
    if not shown:
        yield
        return
    import asyncio  # noqa: PLC0415

    from pipeline.cli.live_table import LiveTable  # noqa: PLC0415

    table = LiveTable(ingester)
    with table:
        drawing = asyncio.get_running_loop().create_task(table.draw_forever())
        try:
            yield
        finally:
            drawing.cancel()
