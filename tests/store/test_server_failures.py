"""A database that cannot start says why and how to mend it, leaves no process, and starts once it is mended."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.errors import AttentionError
from pipeline.store.mongod import server as server_module
from pipeline.store.mongod.binary import find_mongod
from pipeline.store.mongod.server import Server

FindServers = Callable[[Path], list[psutil.Process]]

LOADER_SAYS = (
    'echo "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file" >&2; exit 127'
)
LOG_SAYS_FULL = (
    'while [ "$1" != --logpath ]; do shift; done; '
    """echo '{"s":"F","attr":{"error":"28: No space left on device"}}' >> "$2"; kill -ABRT $$"""
)


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        pytest.param(f"#!/bin/sh\n{LOADER_SAYS}\n", 0o755, "library libcurl is missing", id="missing-library"),
        pytest.param(f"#!/bin/sh\n{LOG_SAYS_FULL}\n", 0o755, "disk of the data folder is full", id="full-disk"),
        pytest.param("#!/bin/sh\nexit 62\n", 0o755, "another version of MongoDB", id="newer-data"),
        pytest.param("#!/bin/sh\nkill -ILL $$\n", 0o755, "AVX", id="old-processor"),
        pytest.param("#!/bin/sh\nexit 48\n", 0o755, "used by another mongod", id="always-taken"),
        pytest.param("#!/bin/sh\nexec sleep 600\n", 0o755, "did not listen within", id="silent"),
        pytest.param("\x7fELF no program", 0o755, "no program for this machine", id="other-platform"),
        pytest.param("#!/no/such/loader\n", 0o755, "the loader it names", id="no-loader"),
        pytest.param("#!/bin/sh\n", 0o644, r"chmod \+x", id="not-executable"),
    ],
)
def test_a_binary_that_fails_is_explained(
    content: str, mode: int, expected: str, prepared: Path, mongods: FindServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    mongod = prepared / "bin" / "mongod"
    mongod.parent.mkdir()
    mongod.write_text(content)
    mongod.chmod(mode)
    monkeypatch.setattr(server_module, "find_mongod", lambda: mongod)
    with pytest.raises(AttentionError, match=expected):
        Server(prepared, timeout=0.5).ensure()
    assert mongods(prepared) == []
    assert server_module.Folder(prepared).has_users() is False


def test_once_mended_it_starts(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = prepared / "bin" / "mongod"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\n{LOADER_SAYS}\n")
    broken.chmod(0o755)
    packaged = find_mongod()
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    server = Server(prepared)
    with pytest.raises(AttentionError, match="libcurl4"):
        server.ensure()
    broken.unlink()
    assert find_mongod() == packaged
    with server.running():
        assert server.status().ready


def test_it_does_not_start_on_a_disk_that_is_nearly_full(prepared: Path, mongods: FindServers) -> None:
    with pytest.raises(AttentionError, match=r"disk of .* is full: \d+ MB free, 999999999 MB wanted.*TIDEMARK_HOME"):
        Server(prepared, minimum_free_mb=999_999_999).ensure()
    assert mongods(prepared) == []


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AttentionError, match=r"cannot write the database folder .*file/home/mongo.*TIDEMARK_HOME"):
        Server(tmp_path / "file" / "home").ensure()


def test_data_that_another_program_holds_is_not_touched(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the folder is mounted into a container: the holder's processes cannot be seen from here."""
    with Server(prepared).running():
        monkeypatch.setattr(server_module.launch, "find_process", lambda _: None)
        monkeypatch.setattr(server_module.launch, "search_process", lambda _: None)
        with pytest.raises(AttentionError, match="its data folder is used by another mongod"):
            Server(prepared).ensure()
        monkeypatch.undo()
        assert Server(prepared).status().ready
