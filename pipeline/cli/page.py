"""`tidemark web`, `tidemark page`: the page's server in the foreground, and a link that lets a browser in."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]tidemark web[/bold], [bold]tidemark web --port 0[/bold], "
    "[bold]tidemark web --url https://tidemark.example.org[/bold] behind a proxy with TLS"
)
def web(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8420,
    host: Annotated[
        str, typer.Option(help="The address to listen on; nothing but this machine reaches the usual one.")
    ] = "127.0.0.1",
    url: Annotated[
        list[str] | None,
        typer.Option(help="Where browsers find it, if not there: the address of a proxy before it. Repeat it."),
    ] = None,
) -> None:
    """Serve the page: coins, charts, signals, settings, account, monitors, and the button that stops trading.

    `tidemark page` prints the link that lets a browser in. When this ends, nothing else does.
    """
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.web.server import serve  # noqa: PLC0415

    serve(begin(), host, port, lambda text: typer.echo(text, err=True), url or ())


@app.command(epilog="Examples: [bold]tidemark page[/bold], [bold]tidemark page --read-only[/bold] to show a result")
def page(
    read_only: Annotated[
        bool, typer.Option("--read-only", help="A link for somebody who may look, not order.")
    ] = False,
) -> None:
    """Print a link to the page. It lets one browser in, once, within five minutes."""
    from pipeline.app.door import Door, address_of, link  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.errors import AttentionError  # noqa: PLC0415

    home = begin().home
    address = address_of(home)
    if address is None:
        raise AttentionError(
            f"no page is served from {home}: start it with `tidemark web`, `tidemark demo` or `tidemark up`"
        )
    typer.echo(link(address, Door(home).code("read" if read_only else "trade")))
