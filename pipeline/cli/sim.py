"""`tidemark sim`: a Binance-compatible futures exchange on this machine, for any client, alone or with the pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import Json, print_json

if TYPE_CHECKING:
    from pipeline.app.sim import Options, Running

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark sim

  tidemark sim --port 0 --seed 7 --symbols BTCUSDT,ETHUSDT --json

  tidemark sim --universe 500 --lifted-limits

  tidemark sim --markets um,cm,spot          COIN-M on the next port, spot on the one after

  tidemark sim --speed 20                    a candle of one minute every three seconds

  tidemark sim --replay candles.csv --replay-symbol BTCUSDT

  tidemark sim --account desk:my-key:my-secret:50000
"""


@app.command(epilog=EXAMPLES)
def sim(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the first market; 0: any free ones.")] = 9876,
    markets: Annotated[str, typer.Option(help="Which of um, cm and spot there are, separated by commas.")] = "um",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Another seed, another market.")] = 0,
    symbols: Annotated[str | None, typer.Option(help="List only these, separated by commas.")] = None,
    universe: Annotated[int | None, typer.Option(min=1, max=1000, help="List so many contracts.")] = None,
    replay: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Replay candles of a CSV, Parquet or feather file.")
    ] = None,
    replay_symbol: Annotated[str, typer.Option(help="What the replayed contract is called.")] = "BTCUSDT",
    account: Annotated[
        list[str] | None,
        typer.Option(
            help="A further account: name, key, secret (or a PEM file of a public key), deposit, with colons between."
        ),
    ] = None,
    deposit: Annotated[str, typer.Option(help="What the ready account begins with, in USDT.")] = "10000",
    speed: Annotated[float, typer.Option(min=0.1, max=600, help="How much faster than real time it runs.")] = 1.0,
    clock_offset: Annotated[int, typer.Option(help="Shift the exchange's time by so many milliseconds.")] = 0,
    lifted_limits: Annotated[bool, typer.Option(help="Count weights and orders, and refuse none.")] = False,
    as_json: Json = False,
) -> None:
    """Run the simulated exchange until Ctrl-C. An account has 10,000 USDT behind the key `sim-key` / `sim-secret`."""
    from pipeline.app.sim import Options, simulate  # noqa: PLC0415

    options = Options(
        host=host,
        port=port,
        markets=tuple(name.strip() for name in markets.split(",")),
        seed=seed,
        symbols=tuple(name.strip() for name in symbols.split(",")) if symbols else (),
        universe=universe or 0,
        replay=str(replay) if replay else None,
        replay_symbol=replay_symbol,
        clock_offset=clock_offset,
        speed=speed,
        lifted_limits=lifted_limits,
    )

    def announce(running: "Running", options: "Options") -> None:
        _announce(running, options, as_json)

    simulate(options, deposit, account or [], announce)


def _announce(running: "Running", options: "Options", as_json: bool) -> None:
    ready = options.accounts[0]
    if as_json:
        print_json(
            {
                "url": running.url,
                "ws_url": running.ws_url,
                "panel": f"{running.url}/sim",
                "key": ready.key,
                "secret": ready.secret,
                "markets": {
                    name: {"url": at.url, "ws_url": at.ws_url, **({"ws_api": at.ws_api} if at.ws_api else {})}
                    for name, at in running.markets.items()
                },
            }
        )
        return
    for name, address in running.markets.items():
        rest = "REST" if len(running.markets) == 1 else f"REST {name}"
        typer.echo(f"{rest:<9} {address.url}")
        typer.echo(f"streams   {'  '.join(address.streams)}")
        if address.ws_api is not None:
            typer.echo(f"ws api    {address.ws_api}")
    typer.echo(f"panel     {running.url}/sim")
    typer.echo(f"account   {ready.name}: {ready.deposit} USDT, key {ready.key}, secret {ready.secret}")
    for name, address in list(running.markets.items())[1:]:
        if address.deposits:
            amounts = ", ".join(f"{amount} {asset}" for asset, amount in address.deposits.items())
            typer.echo(f"{f'in {name}':<9} {amounts}")
    for account in options.accounts[1:]:
        typer.echo(f"account   {account.name}: {account.deposit} USDT, key {account.key}")
    typer.echo("Ctrl-C ends it.")
