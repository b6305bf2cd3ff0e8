"""`tidemark sim`: a Binance-compatible futures exchange on this machine, for any client, alone or with the pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import Json

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark sim

  tidemark sim --port 0 --seed 7 --symbols BTCUSDT,ETHUSDT --json

  tidemark sim --universe 500 --lifted-limits

  tidemark sim --speed 20                    a candle of one minute every three seconds

  tidemark sim --replay candles.csv --replay-symbol BTCUSDT

  tidemark sim --account desk:my-key:my-secret:50000
"""


@app.command(epilog=EXAMPLES)
def sim(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port for REST and websockets; 0: any free one.")
    ] = 9876,
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
            help="A further account, name:key:secret[:deposit]; the secret, or a file with a public key in PEM."
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=600, help="How much faster than real time it runs.")] = 1.0,
    clock_offset: Annotated[int, typer.Option(help="Shift the exchange's time by so many milliseconds.")] = 0,
    lifted_limits: Annotated[bool, typer.Option(help="Count weights and orders, and refuse none.")] = False,
    as_json: Json = False,
) -> None:
    """Run a pretend exchange until Ctrl-C. A ready account has 10,000 USDT behind the key `sim-key` / `sim-secret`."""
    import asyncio  # noqa: PLC0415

    from pipeline.simulator.host import Options, Running, parse_account, serve  # noqa: PLC0415

    options = Options(
        host=host,
        port=port,
        seed=seed,
        symbols=tuple(name.strip() for name in symbols.split(",")) if symbols else (),
        universe=universe or 0,
        replay=str(replay) if replay else None,
        replay_symbol=replay_symbol,
        accounts=(*Options().accounts, *map(parse_account, account or [])),
        clock_offset=clock_offset,
        speed=speed,
        lifted_limits=lifted_limits,
    )

    def announce(running: Running) -> None:
        _announce(running, options.accounts[0].key, options.accounts[0].secret, as_json)

    asyncio.run(serve(options, announce))


def _announce(running: object, key: str, secret: str, as_json: bool) -> None:
    from pipeline.cli.output import print_json  # noqa: PLC0415

    url, ws_url = running.url, running.ws_url  # type: ignore[attr-defined]
    if as_json:
        print_json({"url": url, "ws_url": ws_url, "panel": f"{url}/sim", "key": key, "secret": secret})
        return
    for line in (
        f"REST      {url}",
        f"streams   {ws_url}/market  {ws_url}/public  {ws_url}/private",
        f"panel     {url}/sim",
        f"account   10,000 USDT, key {key}, secret {secret}",
        "Ctrl-C ends it.",
    ):
        typer.echo(line)
