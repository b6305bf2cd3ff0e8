"""Trials in many processes: those of a cluster of this machine, made for one search, or of any Dask cluster; and what
else of a search takes long.

What trials share goes to each worker once, and is mapped there; a trial travels as its parameters, and its answer comes
back to the one process that writes. It keeps nothing and decides nothing.
"""

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from distributed import Client

from pipeline.app.cluster import Errand, Errands, cluster_at, cluster_here, given
from pipeline.app.interrupts import signals_set
from pipeline.app.parcel import Parcel, packed
from pipeline.app.room import free_bytes
from pipeline.app.sources import trial_code
from pipeline.app.stall import PURPOSE, UNABLE, Stall, done_there
from pipeline.errors import UsageError
from pipeline.research.search.jobs import Doer, Doers, Job
from pipeline.research.search.trial import Trials
from pipeline.strategies.registry import file_of


@contextmanager
def dask_workers(folder: Path, count: int, address: str | None) -> Iterator[Doers]:
    """So many of this machine, or those that a cluster has, as long as the block lasts. `folder`: where the file lies
    that they map."""
    with ExitStack() as ends:
        client = ends.enter_context(cluster_here(count) if address is None else cluster_at(address))
        stop = threading.Event()
        ends.enter_context(signals_set(stop, signal.SIGINT))

        def workers(trials: Trials) -> Doer:
            parcel = ends.enter_context(packed(trials.settle(), folder))
            _require_room(client, parcel, trials, travels=address is not None)
            body = None if address is None else parcel.path.read_bytes()
            stall = Stall(trial_code(), parcel, file_of(trials.stage.space.kind), body)
            name = ends.enter_context(given(client, stall, PURPOSE, UNABLE))
            kept = "What was tried is kept, and --resume goes on"
            return _doer(Errands(client, name, done_there, where=address or "this machine", kept=kept), stop)

        yield workers


def _doer(errands: Errands, stop: threading.Event) -> Doer:
    def heed() -> None:
        """Ctrl-C ends it here: where it strikes, an object of Dask's may be at its end, and Python forgets it there."""
        if stop.is_set():
            raise KeyboardInterrupt

    def do(jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        return errands([Errand(one.name, (one,)) for one in jobs], heed)

    return do


def _require_room(client: Client, parcel: Parcel, trials: Trials, *, travels: bool) -> None:
    """Refuse what would not fit into the memory that is free at the workers, with both figures."""
    each = trials.stage.working_bytes + (2 * parcel.size if travels else 0)
    free: Mapping[str, int] = client.run(free_bytes)
    at = {worker: worker.rpartition(":")[0] for worker in free}
    for host, count in Counter(at.values()).items():
        needed = count * each + (0 if travels else parcel.size)
        there = min(free[worker] for worker in free if at[worker] == host)
        if needed > there:
            raise UsageError(
                f"{count} workers at {host} need about {needed / 1e6:,.0f} MB of memory for this, and "
                f"{there / 1e6:,.0f} MB are free there: take fewer workers, fewer days (--days), fewer symbols, or "
                "longer candles"
            )
