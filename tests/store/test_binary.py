"""Which mongod is run, and what a person reads when it does not start."""

import errno
import re
import signal
from pathlib import Path

import pytest

from pipeline.errors import AttentionError
from pipeline.store.mongod import binary
from pipeline.store.mongod.binary import explain_exit, explain_refusal, find_mongod

MONGOD = Path("/opt/mongod")
UPGRADE = (
    '{"s":"F","id":20573,"msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM: Found an invalid feature..."}}'
)
LOADER = "mongod: error while loading shared libraries: {}: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (127, LOADER.format("libcurl.so.4"), "library libcurl is missing.*apt-get install libcurl4"),
        (127, LOADER.format("libssl.so.3"), "library libssl is missing.*apt-get install libssl3"),
        (127, LOADER.format("libcrypto.so.3"), "library libcrypto is missing.*apt-get install libssl3"),
        (127, LOADER.format("libodd-1.so"), "library libodd-1 is missing.*apt-get install libodd-1"),
        (14, '"error":"UnknownError: 28: No space left on device"', "disk of the data folder is full.*TIDEMARK_HOME"),
        (62, UPGRADE, "another version of MongoDB than /opt/mongod.*first on PATH"),
        (14, "unsupported WiredTiger file version: this build only", "another version of MongoDB"),
        (1, "This version of MongoDB is too recent to start up on the existing data files.", "another version"),
        (100, "", "used by another mongod, or belongs to another user"),
        (1, "Attempted to create a lock file: Permission denied", "belongs to another user"),
        (-signal.SIGILL, "", r"instructions that this machine lacks \(AVX\)"),
        (-signal.SIGKILL, "", "killed from outside.*memory"),
        (2, "BadValue: something\nodd", "ended with code 2. Its last words: odd"),
        (2, "", "ended with code 2. Its last words: nothing"),
    ],
)
def test_an_exit_is_explained(code: int, said: str, expected: str) -> None:
    assert re.search(expected, explain_exit(MONGOD, code, said))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, "chmod \\+x /opt/mongod"),
        (errno.ENOENT, "missing.*make install"),
        (errno.ENOEXEC, "no program for this machine.*MongoDB of this platform"),
    ],
)
def test_a_refusal_is_explained(number: int, expected: str) -> None:
    assert re.search(expected, explain_refusal(MONGOD, OSError(number, "reason")))


def test_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mongod"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mongod() == mine


def test_the_packaged_one_is_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mongod().parts[-4:] == ("fiftyone", "db", "bin", "mongod")


def test_without_any_it_says_where_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(AttentionError, match=r"no mongod found.*make install.*TIDEMARK_MONGO_URI"):
        find_mongod()
