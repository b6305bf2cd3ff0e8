"""A mongod process: its command line, its start until it listens, its end. Knows nothing of users or replica sets."""

import os
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from pipeline.errors import AttentionError
from pipeline.settings import without_keys
from pipeline.store.mongod.binary import (
    ADDRESS_IN_USE,
    DATA_IN_USE,
    explain_exit,
    explain_refusal,
    lost_the_port,
)
from pipeline.store.mongod.folder import Folder, Remembered

LOOPBACK: Final = "127.0.0.1"
REPLICA_SET: Final = "tidemark"
PATIENT_EVICTION: Final = (
    "eviction_dirty_target=40,eviction_dirty_trigger=60,eviction_updates_target=30,eviction_updates_trigger=50"
)
"""The open buckets of 2,500 series, 70 to 140 MB, change all the time. By default the server would compress and write
them whenever 5% of the cache is dirty, that is without end; so they wait for the next checkpoint, once a minute."""
SMALL_JOURNAL: Final = "log=(file_max=16MB)"
"""An empty database takes 50 MB of the disk instead of 300: by default three files of the journal are made in advance,
each of 100 MB."""
ALIKE: Final = (
    *("--networkMessageCompressors", "disabled"),  # gains nothing here, and its zlib has shown memory to strangers
    *("--wiredTigerEngineConfigString", f"{PATIENT_EVICTION},{SMALL_JOURNAL}"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    *("--setParameter", "minSnapshotHistoryWindowInSeconds=0"),  # nobody reads the past of a bucket, and it is dear
)
"""What every mongod of ours is called with, wherever it runs: it doubles the speed. `docker-compose.yml` repeats it."""
_POLL: Final = 0.01

_children: dict[int, subprocess.Popen[bytes]] = {}
"""The servers this process started: they outlive whoever started them, and are reaped here when they end before."""


class TakenError(Exception):
    """Another program got the port or the data folder first. The starter looks again and decides anew."""


class PortTakenError(TakenError):
    """Another server listens on the port by now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server may use."""

    cache_gb: float = 0.5
    oplog_mb: int = 990


def command_line(binary: Path, folder: Folder, port: int, limits: Limits) -> list[str]:
    """How mongod is called: closed to the network, closed to users without a password from its first moment."""
    return [
        str(binary),
        *("--dbpath", str(folder.data)),
        *("--bind_ip", LOOPBACK, "--port", str(port), "--nounixsocket"),
        *ALIKE,
        *("--replSet", REPLICA_SET, "--oplogSize", str(limits.oplog_mb)),
        *("--keyFile", str(folder.key_file)),
        *("--wiredTigerCacheSizeGB", str(limits.cache_gb)),
        *("--setParameter", "enableLocalhostAuthBypass=false"),
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
        *("--logpath", str(folder.log), "--logappend", "--quiet"),
    ]


def find_process(folder: Folder) -> psutil.Process | None:
    """The living mongod of this folder. A process that only inherited its number is not taken for it."""
    _reap()
    for number in folder.process_ids():
        try:
            process = psutil.Process(number)
            if str(folder.data) in process.cmdline():
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def search_process(folder: Folder) -> psutil.Process | None:
    """The same among all processes: for a mongod whose starter was killed before it could note the number."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder.data) in (process.info["cmdline"] or ()):
            return process
    return None


def port_of(process: psutil.Process) -> int:
    """The port that mongod was called with."""
    arguments = process.cmdline()
    return int(arguments[arguments.index("--port") + 1])


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def holder_of(port: int) -> str:
    """Who listens there, as " (name, process 4711)"; nothing where the system does not tell us."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f" ({psutil.Process(connection.pid).name()}, process {connection.pid})" if connection.pid else ""
    except psutil.Error:
        return ""
    return ""


def becomes_free(port: int, timeout: float) -> bool:
    """Whether a server could listen there before long: a program that was just killed holds its port a moment more."""
    deadline = time.monotonic() + timeout
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def any_free_port(together: int = 1) -> int:
    """A free port; the first of so many that follow each other."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if all(is_free(port + number) for number in range(1, together)):
            return port


def launch(binary: Path, folder: Folder, port: int, limits: Limits, timeout: float) -> None:
    """Start mongod, in a session of its own so that Ctrl-C does not reach it, and wait until it listens."""
    folder.limit_log()
    written = folder.log.stat().st_size if folder.log.exists() else 0
    with folder.output.open("wb") as output:
        try:
            child = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
                command_line(binary, folder, port, limits),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=without_keys(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise AttentionError(f"the database cannot start: {explain_refusal(binary, error)}") from error
    _children[child.pid] = child
    folder.remember(Remembered(port=port, process_id=child.pid))
    process = psutil.Process(child.pid)
    deadline = time.monotonic() + timeout
    while child.poll() is None:
        if folder.lock_holder() == child.pid and holds(process, port):
            return
        if time.monotonic() > deadline:
            end(process)
            raise AttentionError(
                f"mongod did not listen within {timeout:.0f} seconds and was ended. {folder.log} says why; a slow disk "
                "after a crash may need several tries."
            )
        time.sleep(_POLL)
    _reap()
    said = _what_it_said(folder, written)
    if child.returncode == ADDRESS_IN_USE or lost_the_port(child.returncode, said):
        raise PortTakenError
    if child.returncode == DATA_IN_USE:
        raise TakenError
    reason = explain_exit(binary, child.returncode, said)
    raise AttentionError(f"the database cannot start: {reason} (log: {folder.log})")


def _what_it_said(folder: Folder, since: int) -> str:
    log = folder.log_end(folder.log.stat().st_size - since) if folder.log.exists() else ""
    return log + folder.output.read_text(errors="replace")


def holds(process: psutil.Process, port: int) -> bool:
    """Whether it is this process that listens on the port: another may have taken it in the same moment."""
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


def wait_listens(process: psutil.Process, port: int, timeout: float) -> bool:
    """Whether the process, started by someone else perhaps a moment ago, listens in time. One that was killed a moment
    ago may be a zombie for as long as we look."""
    deadline = time.monotonic() + timeout
    while not _is_gone(process) and time.monotonic() < deadline:
        if holds(process, port):
            return True
        time.sleep(_POLL)
    return False


def end(process: psutil.Process, patience: float = 20) -> bool:
    """Ask the process to end, then make it. Returns whether it had to be made."""
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    if wait_gone(process, patience):
        return False
    with suppress(psutil.NoSuchProcess):
        process.kill()
    wait_gone(process, patience)
    return True


def wait_gone(process: psutil.Process, timeout: float) -> bool:
    """Whether the process ended in time; our own child is reaped, another's is gone when it is a zombie."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        gone = _is_gone(process)
        _reap()  # only now: a child may end between two looks, and is there until its last thread is
        if gone and process.pid not in _children:
            return True
        time.sleep(_POLL)
    return False


def _is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _reap() -> None:
    """Take note of every server of ours that has ended."""
    for number, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(number, None)
