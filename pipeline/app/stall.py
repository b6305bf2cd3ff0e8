"""What happens at a worker of a search: what trials share is mapped there, and trials are run on it. It knows neither
the database nor the search."""

import asyncio
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distributed import Worker, WorkerPlugin, get_worker

from pipeline.app.parcel import Parcel
from pipeline.app.sources import trial_code
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.research.search.jobs import Job
    from pipeline.research.search.trial import Trials

PURPOSE: Final = "search"
UNABLE: Final = "cannot try anything"


class Stall(WorkerPlugin):  # type: ignore[misc]  # Dask's own has no types
    """What a worker is given: once, before its first trial, also where it comes later or begins anew. `body`: the
    columns themselves, where the worker does not see the file; `own`: the file of the strategy, if it is the user's;
    `code`: of the one who searches. What it takes is loaded beside the worker's own work, which is not to wait."""

    def __init__(self, code: str, parcel: Parcel, own: tuple[str, str, bytes] | None, body: bytes | None) -> None:
        self._parcel, self._own, self._body = parcel, own, body
        self._code = code
        self._file: Path | None = None
        self.refused: str | None = None
        self.trials: Trials | None = None

    async def setup(self, worker: Worker) -> None:
        """Map the columns. What is wrong is said when it is asked for, of which a newcomer's search hears too."""
        if self._body is None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, it is for the one who began the search
        try:
            await asyncio.to_thread(self._open, Path(worker.local_directory))
        except Exception as error:  # noqa: BLE001 - whatever it is, the search is told
            self.refused = f"{type(error).__name__}: {error}"

    def teardown(self, worker: Worker) -> None:
        """Remove what was written for it."""
        del worker
        self.trials = None
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _open(self, folder: Path) -> None:
        from pipeline.strategies.registry import File  # noqa: PLC0415 - here, beside the worker's own work

        if trial_code() != self._code:
            self.refused = "it runs another version of Tidemark"
            return
        if self._own is not None:
            File(*self._own).execute()
        path = self._parcel.path
        if self._body is not None:
            path = self._file = folder / self._parcel.path.name
            path.write_bytes(self._body)
            self._body = None
        self.trials = self._parcel.opened(path)


def done_there(name: str, job: "Job") -> Any:
    """A trial, or what else there is to do with what they share."""
    worker = get_worker()
    stall = worker.plugins[name]
    if stall.trials is None:
        raise UsageError(f"worker {worker.address} {UNABLE}: {stall.refused}")
    return job(stall.trials)
