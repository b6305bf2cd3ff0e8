"""Workers of Dask: those of this machine, made for one errand, or those that a cluster has. What they need goes to each
of them once; what they are to do, and what came of it, travels.

A worker that dies loses nothing: what it was at is given to another. It keeps nothing, and knows nothing of what is
done.
"""

import itertools
import logging
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin

from pipeline.errors import AttentionError, UsageError

ANSWERS_WITHIN: Final = 30
"""Seconds in which a scheduler answers."""
THERE_WITHIN: Final = 20
"""Seconds in which its first worker is there."""
GONE_FOR: Final = 60
"""Seconds for which all workers of a cluster may be away: whoever watches them begins them anew."""
OURS: Final = "tidemark"
"""What workers are given is called so, and goes on with what it is for and the client whose it is."""
_SILENT: Final = logging.CRITICAL + 1
"""Dask calls it critical where a worker that was told to end hears no more."""
_LOOKS: Final = 0.2
_ASKS: Final = 2
_DEATHS: Final = 10
"""So many workers of this machine may die at the same errand until it is held to be its fault."""
_CONFIG: Final = {
    "distributed.scheduler.allowed-failures": _DEATHS,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.nanny.pre-spawn-environ": {
        "MALLOC_TRIM_THRESHOLD_": 64 << 20,
        "MALLOC_MMAP_THRESHOLD_": 32 << 20,
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1),
    },
}
"""Dask lets workers give memory back at once, and get it again for every column: a fifth of all seconds of a search."""


class Errand(NamedTuple):
    """What one worker is to do: what a person calls it, and what it is told."""

    name: str
    told: Sequence[Any]


class Errands:
    """What the workers of a client are to do: `act`, called with the name of what they were given and what each errand
    is told. `where` they are, and what becomes of what is done where it ends early, in words."""

    def __init__(self, client: Client, given: str, act: Callable[..., Any], *, where: str, kept: str) -> None:
        self._client, self._given, self._act = client, given, act
        self._where, self._kept = where, kept
        self._scheduler = client.scheduler_info()["id"]
        self._submitted = itertools.count()

    def __call__(
        self, wanted: Sequence[Errand], meanwhile: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Any]]:
        """What comes of them, as it is ready, with the place of each. `meanwhile` is done while that is waited for."""
        ready: SimpleQueue[Future] = SimpleQueue()
        lost: list[Future] = []
        open_: dict[str, tuple[int, Future]] = {}

        def submit(place: int) -> None:
            key = f"{self._given}-{place}-{next(self._submitted)}"
            future = self._client.submit(self._act, self._given, *wanted[place].told, key=key, pure=False)
            open_[key] = place, future
            future.add_done_callback(ready.put)

        try:
            for place in range(len(wanted)):
                submit(place)
            while open_:
                future = self._next(ready, lost, meanwhile)
                if future.key not in open_:
                    continue
                place, _ = open_[future.key]
                try:
                    found = self._found(wanted[place].name, future)
                except CancelledError:  # as is every one that is open, where the connection breaks
                    self._reach()
                    for key, (each, of_it) in list(open_.items()):
                        if key == future.key or of_it.cancelled():
                            del open_[key]
                            submit(each)
                    continue
                if found is None:
                    lost.append(future)
                else:
                    del open_[future.key]
                    yield place, found
        finally:
            if self._client.status == "running":
                with suppress(OSError, CancelledError):
                    self._client.cancel([future for _, future in open_.values()], force=True)

    def _next(self, ready: SimpleQueue[Future], lost: list[Future], meanwhile: Callable[[], None]) -> Future:
        """The next that is ready, for the first time or again. Whether there is still somebody is looked at where
        nothing comes."""
        looked, alone_since = monotonic(), None
        while True:
            meanwhile()
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
                raise self._ended("has had no worker for a minute")

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
        nothing of what was asked."""
        while self._client.status == "connecting":
            sleep(_LOOKS)
        if self._client.status == "running":
            with suppress(OSError):
                if self._client.scheduler_info()["id"] == self._scheduler:
                    return
        raise self._ended("does not answer any more")

    def _found(self, name: str, future: Future) -> Any:
        """None where it was ready and is lost with the worker that had it: another one is at it."""
        try:
            return None if future.status == "lost" else future.result(timeout=ANSWERS_WITHIN)
        except OSError:
            if future.status == "error":
                raise
            return None
        except KilledWorker:
            raise AttentionError(
                f"every worker that was given {name} ended at it: have they too little memory? {self._kept}"
            ) from None

    def _ended(self, what: str) -> AttentionError:
        return AttentionError(f"the cluster at {self._where} {what}. {self._kept}")


def silence() -> None:
    """What goes wrong at a cluster is said in a sentence of ours."""
    for name in [one for one in logging.root.manager.loggerDict if one.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(_SILENT)


@contextmanager
def cluster_here(count: int) -> Iterator[Client]:
    """Processes of this machine, which nobody else can ask: what they hear is encrypted and signed."""
    silence()
    with (
        dask.config.set(_CONFIG),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,
            security=True,
            silence_logs=_SILENT,
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def cluster_at(address: str) -> Iterator[Client]:
    """That of somebody: it goes on afterwards."""
    silence()
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
def given(client: Client, what: WorkerPlugin, purpose: str, unable: str) -> Iterator[str]:
    """What all workers that are there, and those that come, are given until the block ends; its name. Who is `refused`
    by what he was given is `unable` to do what it is for."""
    name = f"{OURS}-{purpose}:{client.id}:{uuid.uuid4().hex}"
    client.register_plugin(what, name=name)
    try:
        for worker, said in client.run(_refusal, name).items():
            if said is not None:
                raise UsageError(f"worker {worker} {unable}: {said}")
        yield name
    finally:
        if client.status == "running":
            with suppress(OSError):  # of a scheduler that is gone there is nothing to take back
                client.unregister_worker_plugin(name)


def _refusal(name: str, dask_worker: Any) -> str | None:
    """At a worker: why it cannot do anything."""
    refused: str | None = dask_worker.plugins[name].refused
    return refused


def _forget_the_dead(client: Client) -> None:
    """Take back what clients that were killed have left at the workers."""
    for name in client.run_on_scheduler(_left_by_the_dead):
        client.unregister_worker_plugin(name)


def _left_by_the_dead(dask_scheduler: Any) -> list[str]:
    named = [one for one in dask_scheduler.worker_plugins if one.startswith(f"{OURS}-")]
    return [one for one in named if one.split(":")[1] not in dask_scheduler.clients]
