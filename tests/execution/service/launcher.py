"""A process that has imported the executor already and forks one for each line on its stdin, so that a test that kills
many need not wait for many imports. A line is JSON; the answer is the process id."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import logs
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.execution.engine.state import Policy
from pipeline.execution.runtime.context import Pace
from pipeline.execution.runtime.executor import opened
from pipeline.settings import Portfolio, Risk
from pipeline.store import connect
from pipeline.timeline import MINUTE


async def run(asked: dict[str, Any]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    window = asked["recv_window"]
    here = at(ENVIRONMENTS[asked.get("exchange", "sim")], asked["url"])
    place, product = replace(here, weight_limit=1_000_000, recv_window=window), here.product
    policy = Policy(
        here.name, Risk(**asked["risk"]), Portfolio(**asked.get("portfolio", {})),
        arithmetic=product.arithmetic, coins=product.margin is None,
        look_at_stops_every=None if product.streams.tells_algos else 1_000,
        recv_window=window, late_margin=200, surely_listed=asked.get("surely_listed", MINUTE),
    )  # fmt: skip
    with (
        connect.client(asked["uri"]) as client,
        opened(
            client[asked["database"]],
            place,
            Credentials(asked["key"], signer_for(asked["secret"])),
            policy,
            mode="auto-execute",
            symbols=lambda: set(asked["symbols"]),
            notify=lambda _: None,
            holder=asked["holder"],
            pace=Pace(sweep=0.3, switches=0.2),
            lease_life=asked["lease_life"],
        ) as executor,
    ):
        await executor.run(stop)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asked = json.loads(line)
            with Path(asked["log"]).open("a", encoding="utf-8") as log:
                logs.configure("json", "debug", stream=log)
                asyncio.run(run(asked))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


main()
