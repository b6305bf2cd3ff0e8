"""`tidemark up`: the whole system for the environment that the settings name, in the foreground until Ctrl-C.

It sends orders only where the settings or `--mode` say so, and the executor's own conditions are met.
"""

import os
from typing import Annotated

import typer

from pipeline.cli.demo import Plain, use_own_exchange
from pipeline.memory import be_lean
from schemas.shared import Mode

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark up                                          signals only, unless the settings say otherwise

  TIDEMARK_ENVIRONMENT=binance-um tidemark up --plain

  tidemark up --mode auto-execute
"""


@app.command(epilog=EXAMPLES)
def up(
    *,
    mode: Annotated[Mode | None, typer.Option(help="Whether orders are sent; otherwise as the settings say.")] = None,
    plain: Plain = False,
) -> None:
    """Run everything for the configured environment: database, history, candles, signals, flows. Ctrl-C ends it."""
    be_lean(os.environ)
    from pipeline.app.exchange_access import is_folders_own  # noqa: PLC0415
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.conduct import conduct  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415
    from pipeline.supervise.services import Ports  # noqa: PLC0415
    from pipeline.supervise.whole import Choice  # noqa: PLC0415

    if mode is not None:
        os.environ["TIDEMARK_MODE"] = mode
    asked = load()
    own = is_folders_own(asked)
    with Ports.claimed() as ports:
        if own:
            use_own_exchange(ports, asked.environment)
        conduct(Choice(begin(), ports, own_exchange=own), plain=plain)
