"""A simulated exchange of one's own, run until it is told to end."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from pipeline.simulator.options import READY_KEY, READY_SECRET, Options, Running

__all__ = ["READY_KEY", "READY_SECRET", "Options", "Running", "simulate"]


def simulate(
    options: Options, deposit: str, accounts: Sequence[str], announce: Callable[[Running, Options], None]
) -> None:
    """Until SIGINT or SIGTERM: the ready account with this deposit, and further ones, as text. `announce`: is told once
    it answers, and with which options."""
    from pipeline.simulator.host import parse_account, serve  # noqa: PLC0415

    ready = f"main:{READY_KEY}:{READY_SECRET}:{deposit}"
    chosen = msgspec.structs.replace(options, accounts=tuple(map(parse_account, (ready, *accounts))))
    asyncio.run(serve(chosen, lambda running: announce(running, chosen)))
