"""Trials in many processes: those of a cluster of this machine, made for one search, or of any Dask cluster.

What trials share goes to each worker once, and is mapped there; a trial travels as its parameters, and its answer comes
back to the one process that writes. A worker that dies loses nothing: Dask gives what it was at to another. It keeps
nothing and decides nothing.
"""

import itertools
import logging
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Final

import dask
from distributed import Client, Future, KilledWorker, LocalCluster

from pipeline.app.parcel import Parcel, packed
from pipeline.app.room import free_bytes
from pipeline.app.sources import trial_code
from pipeline.app.stall import STALL, Stall, attempt, left_by_the_dead, refusal
from pipeline.app.trying import Evaluator, Workers
from pipeline.errors import AttentionError, UsageError
from pipeline.research.search.asking import Wanted
from pipeline.research.search.trial import Answer, Trials
from pipeline.strategies.registry import file_of

ANSWERS_WITHIN: Final = 30
"""Seconds in which a scheduler answers."""
THERE_WITHIN: Final = 20
"""Seconds in which its first worker is there."""
GONE_FOR: Final = 60
"""Seconds for which all workers of a cluster may be away: whoever watches them begins them anew."""
_LOOKS: Final = 0.2
_ASKS: Final = 2
_DEATHS: Final = 10
"""So many workers of this machine may die at the same trial until it is held to be its fault."""
_CONFIG: Final = {
    "distributed.scheduler.allowed-failures": _DEATHS,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def dask_workers(folder: Path, count: int, address: str | None) -> Iterator[Workers]:
    """So many of this machine, or those that a cluster has, as long as the block lasts. `folder`: where the file lies
    that they map."""
    _silence()
    with ExitStack() as ends:
        client = ends.enter_context(_cluster_here(count) if address is None else _cluster_at(address))

        def workers(trials: Trials) -> Evaluator:
            parcel = ends.enter_context(packed(trials.settle(), folder))
            _require_room(client, parcel, trials, travels=address is not None)
            body = None if address is None else parcel.path.read_bytes()
            stall = Stall(trial_code(), parcel, file_of(trials.stage.space.kind), body)
            name = ends.enter_context(_given(client, stall))
            return _Asked(client, name, address or "this machine")

        yield workers


class _Asked:
    """Trials at the workers of a client."""

    def __init__(self, client: Client, name: str, where: str) -> None:
        self._client, self._name, self._where = client, name, where
        self._scheduler = client.scheduler_info()["id"]
        self._submitted = itertools.count()

    def __call__(self, wanted: Sequence[Wanted], floor: float | None) -> Iterator[tuple[int, Answer]]:
        ready: SimpleQueue[Future] = SimpleQueue()
        lost: list[Future] = []
        open_: dict[str, tuple[Wanted, Future]] = {}

        def submit(one: Wanted) -> None:
            key = f"{self._name}-{one.number}-{next(self._submitted)}"
            future = self._client.submit(attempt, self._name, dict(one.point), floor, key=key, pure=False)
            open_[key] = one, future
            future.add_done_callback(ready.put)

        try:
            for one in wanted:
                submit(one)
            while open_:
                future = self._next(ready, lost)
                if future.key not in open_:
                    continue
                one, _ = open_[future.key]
                try:
                    answer = self._answer(one.number, future)
                except CancelledError:  # as is every one that is open, where the connection breaks
                    self._reach()
                    for key, (each, of_it) in list(open_.items()):
                        if key == future.key or of_it.cancelled():
                            del open_[key]
                            submit(each)
                    continue
                if answer is None:
                    lost.append(future)
                else:
                    del open_[future.key]
                    yield one.number, answer
        finally:
            if self._client.status == "running":
                with suppress(OSError, CancelledError):
                    self._client.cancel([future for _, future in open_.values()], force=True)

    def _next(self, ready: SimpleQueue[Future], lost: list[Future]) -> Future:
        """The next that is ready, for the first time or again. Whether there is still somebody is looked at where
        nothing comes."""
        looked, alone_since = monotonic(), None
        while True:
            with suppress(Empty):
                return ready.get(timeout=_LOOKS)
            again = next((one for one in lost if one.status != "lost"), None)
            if again is not None:
                lost.remove(again)
                return again
            if monotonic() - looked > _ASKS:
                alone_since = None if self._are_there() else alone_since or monotonic()
                looked = monotonic()
            if alone_since is not None and monotonic() - alone_since > GONE_FOR:
                raise self._lost("has had no worker for a minute")

    def _are_there(self) -> bool:
        """Whether there is any worker."""
        if self._client.status != "running":
            self._reach()
        try:
            return bool(self._client.nthreads())
        except OSError:
            self._reach()
            return False

    def _reach(self) -> None:
        """Wait until the scheduler answers. A connection that breaks is made anew; another scheduler at its place knows
        nothing of this search."""
        while self._client.status == "connecting":
            sleep(_LOOKS)
        if self._client.status == "running":
            with suppress(OSError):
                if self._client.scheduler_info()["id"] == self._scheduler:
                    return
        raise self._lost("does not answer any more")

    def _answer(self, number: int, future: Future) -> Answer | None:
        """None where it was ready and is lost with the worker that had it: another one is at it."""
        try:
            answer: Answer | None = None if future.status == "lost" else future.result(timeout=ANSWERS_WITHIN)
        except OSError:
            if future.status == "error":
                raise
            return None
        except KilledWorker:
            raise AttentionError(
                f"every worker that was given trial {number} ended at it: have they too little memory? What was tried "
                "is kept, and --resume goes on"
            ) from None
        return answer

    def _lost(self, what: str) -> AttentionError:
        return AttentionError(f"the cluster at {self._where} {what}. What was tried is kept, and --resume goes on")


def _silence() -> None:
    """What goes wrong at a cluster is said in a sentence of ours."""
    for name in [one for one in logging.root.manager.loggerDict if one.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _cluster_here(count: int) -> Iterator[Client]:
    """Processes of this machine, which nobody else can ask: what they hear is encrypted and signed."""
    with (
        dask.config.set(_CONFIG),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,
            security=True,
            silence_logs=logging.CRITICAL,
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _cluster_at(address: str) -> Iterator[Client]:
    """That of somebody: it goes on afterwards."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = Client(address, timeout=ANSWERS_WITHIN)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--cluster {address}: no Dask scheduler answers there ({error or type(error).__name__}). Is it "
            "running, and the address as it says it, tcp://HOST:8786?"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=THERE_WITHIN)
        except TimeoutError:
            raise UsageError(
                f"--cluster {address}: it has no worker. Start one beside it: dask worker {address} --nthreads 1"
            ) from None
        _forget_the_dead(client)
        yield client


@contextmanager
def _given(client: Client, stall: Stall) -> Iterator[str]:
    """The stall, set up at all workers that are there, and those that come, until the block ends."""
    name = f"{STALL}:{client.id}:{uuid.uuid4().hex}"
    client.register_plugin(stall, name=name)
    try:
        refused = client.run(refusal, name)
        for worker, said in refused.items():
            if said is not None:
                raise UsageError(f"worker {worker} cannot try anything: {said}")
        yield name
    finally:
        if client.status == "running":
            with suppress(OSError):  # of a scheduler that is gone there is nothing to take back
                client.unregister_worker_plugin(name)


def _forget_the_dead(client: Client) -> None:
    """Take back what searches that were killed have left at the workers."""
    for name in client.run_on_scheduler(left_by_the_dead):
        client.unregister_worker_plugin(name)


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
