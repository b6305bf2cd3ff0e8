"""Where the tests write: in memory where there is room, else in the temporary folder of the system or of `TMPDIR`.

A disk that is busy keeps a database waiting, for seconds at times; the tests kill processes, and what a killed process
wrote is there in either. A reaper ends what runs in a folder and removes it, even when the test run itself is killed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.secret_watch import passwords_below, search_logs

MEMORY_DISK = Path("/dev/shm")
ROOM = 4 * 2**30

REAPER = """
import shutil, sys
sys.stdin.read()
import psutil
for process in psutil.process_iter(["cmdline"]):
    if process.pid != psutil.Process().pid and any(sys.argv[1] in part for part in process.info["cmdline"] or ()):
        process.kill()
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""

of_the_run = pytest.StashKey["subprocess.Popen[bytes]"]()
_passwords: list[str] = []
"""Of the servers that had a folder and are gone: nobody may say them afterwards either."""


def has_room(disk: Path) -> bool:
    """Whether a run may lie there: enough is free, of the machine's memory too, and programs may be run from it."""
    if not (disk.is_dir() and os.access(disk, os.W_OK)):
        return False
    room = min(shutil.disk_usage(disk).free, psutil.virtual_memory().available // 2)
    return room >= ROOM and not os.statvfs(disk).f_flag & os.ST_NOEXEC


def reaper(folder: Path) -> "subprocess.Popen[bytes]":
    """When this process ends, or closes its standard input, the folder goes, and whatever process still has it in its
    command line."""
    return subprocess.Popen([sys.executable, "-c", REAPER, str(folder)], stdin=subprocess.PIPE, start_new_session=True)


def pytest_configure(config: pytest.Config) -> None:
    """The process that leads the run chooses for all."""
    if hasattr(config, "workerinput") or "TMPDIR" in os.environ or not has_room(MEMORY_DISK):
        return
    folder = Path(tempfile.mkdtemp(prefix="tidemark-run-", dir=MEMORY_DISK))
    config.stash[of_the_run] = reaper(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for this process of the run. A secret in a log file fails the run."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark-test-")).resolve()
    with reaper(folder):
        yield folder
        said = search_logs(folder, tmp_path_factory.getbasetemp(), secrets=_passwords)
    assert said == []


@pytest.fixture
def home(scratch: Path) -> Iterator[Path]:
    """An empty data folder; a secret in a log file in it fails the test."""
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=scratch))
    yield folder
    _passwords.extend(passwords_below(folder))
    assert search_logs(folder) == []
    shutil.rmtree(folder, ignore_errors=True)
