"""A Dask cluster of processes of their own, each on a port of its own, as somebody else would have one running."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from distributed import Client

from pipeline.store.mongod.launch import any_free_port

DASK = str(Path(sys.executable).with_name("dask"))
PATIENCE = 300


class DaskCluster:
    """Workers without anybody who watches over them: one that is killed is gone."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self.address = f"tcp://127.0.0.1:{any_free_port()}"
        self._scheduler = self._start("scheduler", "--port", self.address.rpartition(":")[2])
        self.workers: list[subprocess.Popen[bytes]] = []
        for _ in range(workers):
            self.add()

    def add(self, given: Mapping[str, str] | None = None) -> None:
        """One worker more, with these variables and no others."""
        port = str(any_free_port())
        options = ("--no-nanny", "--nthreads", "1", "--worker-port", port, "--local-directory", str(self._folder))
        self.workers.append(self._start("worker", self.address, *options, "--memory-limit", "0", given=given))

    def kill(self, place: int) -> None:
        """As the machine does when it runs out of memory."""
        killed = self.workers.pop(place)
        killed.kill()
        killed.wait(20)

    def has(self, workers: int) -> None:
        """Wait until so many are there, and no more."""
        with Client(self.address, timeout=PATIENCE) as client:
            deadline = time.monotonic() + PATIENCE
            while (found := len(client.nthreads())) != workers:
                assert time.monotonic() < deadline, f"{found} workers"
                time.sleep(0.1)

    def end(self) -> None:
        """All of it."""
        for one in (*self.workers, self._scheduler):
            one.kill()
            one.wait(20)

    def _start(self, kind: str, *arguments: str, given: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = [DASK, kind, *arguments, "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
        with (self._folder / "dask.log").open("ab") as log:
            return subprocess.Popen([*command, "--no-dashboard"], stdout=log, stderr=log, cwd=self._folder, env=given)
