"""`tidemark demo`: the whole system on embedded defaults, from nothing to "ready", until Ctrl-C.

It trades on a simulated exchange with paper money, whatever is configured for another one.
"""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.exchange_names import SIM, market_of
from pipeline.memory import be_lean

if TYPE_CHECKING:
    from pipeline.supervise.services import Ports

app = typer.Typer()

EXAMPLES = """
Examples:

  tidemark demo

  TIDEMARK_HOME=/var/lib/tidemark tidemark demo --plain
"""

OTHER_KEYS = ("TIDEMARK_API_KEY_FILE", "TIDEMARK_API_SECRET_FILE", "TIDEMARK_PRIVATE_KEY_FILE")

OTHER_MARKETS = {
    "TIDEMARK_ALSO": "sim-cm,sim-spot",
    "TIDEMARK_EXCHANGES__SIM_CM__SYMBOLS": "BTCUSD_PERP",
    "TIDEMARK_EXCHANGES__SIM_SPOT__SYMBOLS": "BTCUSDT",
}
"""A contract of COIN-M and a pair of spot beside what is traded, where nobody says otherwise."""

Plain = Annotated[bool, typer.Option("--plain", help="Print lines instead of a view that moves.")]


@app.command(epilog=EXAMPLES)
def demo(plain: Plain = False) -> None:
    """Run everything on embedded defaults, with a simulated exchange and paper money. Ctrl-C ends it; the data stay."""
    be_lean(os.environ)
    from pipeline.app.wiring import begin  # noqa: PLC0415
    from pipeline.cli.conduct import conduct  # noqa: PLC0415
    from pipeline.supervise.services import Ports  # noqa: PLC0415
    from pipeline.supervise.whole import Choice  # noqa: PLC0415

    with Ports.claimed() as ports:
        use_own_exchange(ports)
        os.environ["TIDEMARK_MODE"] = "auto-execute"
        for name, value in OTHER_MARKETS.items():
            os.environ.setdefault(name, value)
        settings = begin()
        conduct(Choice(settings, ports, own_exchange=True, minutes_of=settings.symbols[0]), plain=plain)


def use_own_exchange(ports: "Ports", environment: str = SIM) -> None:
    """For this process and all that it starts: the simulated exchange with its markets, and the keys of its account,
    which are those that every command in the folder has for it."""
    from pipeline.app.sim import READY_KEY, READY_SECRET  # noqa: PLC0415

    for name in OTHER_KEYS:
        os.environ.pop(name, None)
    os.environ |= {
        "TIDEMARK_ENVIRONMENT": environment,
        "TIDEMARK_SIM_URL": ports.exchange_urls[market_of(environment)],
        "TIDEMARK_API_KEY": READY_KEY,
        "TIDEMARK_API_SECRET": READY_SECRET,
    }
