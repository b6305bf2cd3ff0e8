"""The embedded database: a real mongod in the data folder, shared by every process that uses the folder.

`ensure` makes this process a user of the server and starts it if nobody did. `release` leaves; the last one to leave
stops it, unless `keep` asked it to stay. Whoever dies without a word leaves only a server behind, which the next user
takes over. Speaks to nothing but this machine.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pipeline.errors import AttentionError
from pipeline.store.mongod import launch, replica
from pipeline.store.mongod.binary import DATA_IN_USE, explain_exit, find_mongod
from pipeline.store.mongod.folder import Folder
from pipeline.store.mongod.launch import Limits, PortTakenError, TakenError

log = logging.getLogger(__name__)

DEFAULT_PORT: Final = 27417
DEFAULT_LIMITS: Final = Limits()
_TRIES: Final = 5
_PORT_PATIENCE: Final = 3.0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What a person asks about the server."""

    running: bool
    ready: bool
    address: str | None
    process_id: int | None
    kept: bool
    in_use: bool
    data_mb: float
    folder: Path
    log: Path


class Server:
    """One database server a data folder. `port` fixes the port; without it the last one is used again."""

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        minimum_free_mb: int = 512,
        timeout: float = 60,
    ) -> None:
        self._folder = Folder(home)
        self._wanted_port = port
        self._limits = limits
        self._minimum_free_mb = minimum_free_mb
        self._timeout = timeout
        self._patience = min(timeout, 10)
        self._membership: int | None = None

    def ensure(self) -> str:
        """Start the server or join the one that runs; returns its URI. Calling it again changes nothing."""
        self._folder.create()
        with self._folder.starting(self._timeout):
            joined = self._membership is None
            if joined:
                self._membership = self._folder.enter()
            try:
                self._bring_up()
            except BaseException as error:
                if joined:
                    self._leave()
                if not isinstance(error, Exception):  # Ctrl-C: leave nothing behind
                    self._stop_unused()
                raise
        return self.uri

    def revive(self) -> bool:
        """Start the server again if it has died while this process uses it; returns whether it had. It comes back where
        it was: those who use it know no other port."""
        if self._is_lost() or launch.find_process(self._folder) is not None:
            return False
        self._wanted_port = self._preferred_port()
        self.ensure()
        return True

    def keep(self) -> None:
        """Let the server stay when its last user leaves, until `stop`."""
        self._folder.remember(replace(self._folder.remembered(), kept=True))

    def release(self) -> None:
        """Leave. The last user stops the server, unless it was asked to stay."""
        if self._membership is None:
            return
        if self._is_lost():
            self._leave()
            self._end_lost()
            return
        with self._folder.starting(self._timeout):
            self._leave()
            self._stop_unused()

    @contextmanager
    def running(self) -> Iterator[str]:
        """The URI of the server, for the length of a `with` block."""
        try:
            yield self.ensure()
        finally:
            self.release()

    def stop(self, *, force: bool = False) -> bool:
        """End the server; returns whether there was one. While others use it, only with `force`."""
        if not self._folder.path.is_dir():
            return False
        with self._folder.starting(self._timeout):
            self._leave()
            if not force and self._folder.has_users():
                raise AttentionError(
                    f"the database in {self._folder.path} is in use by another tidemark process. "
                    "End that first, or stop it all the same with --force."
                )
            return self._stop()

    def stop_unused(self) -> bool:
        """End the server if nobody uses it and nobody asked it to stay; returns whether it was ended."""
        if not self._folder.path.is_dir():
            return False
        with self._folder.starting(self._timeout):
            return self._stop_unused()

    def status(self) -> ServerStatus:
        """How the server is, without starting or changing anything."""
        folder = self._folder
        process = launch.find_process(folder)
        port = launch.port_of(process) if process else None
        return ServerStatus(
            running=process is not None,
            ready=port is not None and replica.is_ready(folder, port, self._patience),
            address=replica.address(port) if port else None,
            process_id=process.pid if process else None,
            kept=folder.remembered().kept,
            in_use=folder.has_users(),
            data_mb=folder.size_mb(),
            folder=folder.path,
            log=folder.log,
        )

    @property
    def is_running(self) -> bool:
        """Whether its process lives, ready or not."""
        return launch.find_process(self._folder) is not None

    @property
    def uri(self) -> str:
        """How to reach the server, password and all: for drivers, not for logs."""
        process = launch.find_process(self._folder)
        if process is None:
            raise AttentionError("the database does not run. Start it with `tidemark db start`.")
        where = replica.address(launch.port_of(process))
        return (
            f"mongodb://{replica.USER}:{self._folder.password}@{where}/"
            f"?replicaSet={launch.REPLICA_SET}&authSource=admin"
        )

    def _bring_up(self) -> None:
        beaten = False
        for attempt in range(_TRIES):
            process = launch.find_process(self._folder)
            if process is None and (attempt or not launch.is_free(self._preferred_port())):
                process = launch.search_process(self._folder)
            if process is not None:
                port = launch.port_of(process)
                if launch.wait_listens(process, port, self._timeout):
                    if replica.is_ready(self._folder, port, self._patience):
                        return
                    if launch.wait_listens(process, port, self._timeout):  # it may have died while it was asked
                        replica.make_ready(self._folder, port, self._timeout, self._patience)
                        return
                self._stop()
            self._folder.require_space(self._minimum_free_mb)
            port = launch.any_free_port() if beaten and not self._wanted_port else self._choose_port()
            try:
                launch.launch(find_mongod(), self._folder, port, self._limits, self._timeout)
            except TakenError as error:
                beaten = isinstance(error, PortTakenError)
                continue
            replica.make_ready(self._folder, port, self._timeout, self._patience)
            return
        raise AttentionError(f"the database cannot start: {explain_exit(find_mongod(), DATA_IN_USE, '')}")

    def _preferred_port(self) -> int:
        return self._wanted_port or self._folder.remembered().port or DEFAULT_PORT

    def _choose_port(self) -> int:
        wanted = self._preferred_port()
        if launch.becomes_free(wanted, _PORT_PATIENCE):
            port = wanted
        elif self._wanted_port:
            raise AttentionError(
                f"port {wanted}, which mongo_port (TIDEMARK_MONGO_PORT) asks for, is taken by another program"
                f"{launch.holder_of(wanted)}. End that program, choose another port, or leave mongo_port out: "
                "a free one is found then."
            )
        else:
            port = launch.any_free_port()
            log.warning("port %d is taken by another program; the database listens on %d", wanted, port)
        return port

    def _stop_unused(self) -> bool:
        return not self._folder.remembered().kept and not self._folder.has_users() and self._stop()

    def _stop(self) -> bool:
        process = launch.find_process(self._folder)
        if process is None:
            return False
        port = launch.port_of(process)
        agreed = launch.holds(process, port) and replica.shut_down(self._folder, port, self._patience)
        if agreed and launch.wait_gone(process, self._timeout):
            return True
        if launch.end(process, self._timeout):
            log.warning("mongod (process %d) did not end when asked and was killed", process.pid)
        return True

    def _is_lost(self) -> bool:
        """Whether the folder was deleted under this user: its lock in there has no name any more."""
        return self._membership is not None and not os.fstat(self._membership).st_nlink

    def _end_lost(self) -> None:
        """End the server of a folder that is gone: it has nothing to save, and no file is left to ask it by."""
        process = launch.search_process(self._folder)
        if process is not None:
            launch.end(process, self._timeout)

    def _leave(self) -> None:
        if self._membership is not None:
            os.close(self._membership)
            self._membership = None
