"""The same backfill with Prefect and without, each as a program of its own: it fills an empty database, then runs again
with nothing left to fetch, and says how long it took each time. Settings come from the environment."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from pipeline.app.backfill import SERIES_AT_ONCE, Wanted, filling
from pipeline.app.opened import Opened
from pipeline.exchange import environments
from pipeline.settings import load

SAYS = "seconds"
UNLIMITED = 10**9


def plain(symbols: list[str], days: int) -> None:
    """What the flow does, in as many threads."""
    with Opened(load()) as tm, filling(tm, symbols, ["1m"], source="rest", by="bench") as order:
        with order.fetching() as work, ThreadPoolExecutor(SERIES_AT_ONCE) as threads:

            def whole(one: Wanted) -> None:
                work.fill(one, days, "rest")
                (derived,) = order.derive([one.key])
                if derived.failure is not None:
                    raise RuntimeError(derived.failure)

            list(threads.map(whole, order.series))
        order.besides(days, None)


def flow(symbols: list[str], days: int) -> None:
    """Prefect's server is there already."""
    from flows.backfill import BackfillChoice, backfill  # noqa: PLC0415 - the other way goes without

    backfill(BackfillChoice(symbols=symbols, intervals=["1m"], days=days, source="rest"))


def prefect() -> AbstractContextManager[None]:
    """With a database of its own."""
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    import flows.backfill  # noqa: F401, PLC0415 - before anything is measured

    return prefect_test_harness(server_startup_timeout=120)


WAYS: dict[str, tuple[Callable[[list[str], int], None], Callable[[], AbstractContextManager[None]]]] = {
    "plain": (plain, nullcontext), "flow": (flow, prefect),
}  # fmt: skip


def main(way: str, days: str, *symbols: str) -> None:
    """Without a limit of weight."""
    environments.ENVIRONMENTS = {"sim": replace(environments.SIM, weight_limit=UNLIMITED)}  # type: ignore[misc]
    do, beside = WAYS[way]
    with beside():
        for _ in range(2):
            began = time.perf_counter()
            do(list(symbols), int(days))
            print(SAYS, time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
