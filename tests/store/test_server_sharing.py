"""The embedded database among several processes: started once, stopped with its last user, never pulled away."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.errors import AttentionError
from pipeline.log_file import LIMIT
from pipeline.store.mongod.folder import Folder
from pipeline.store.mongod.launch import wait_gone
from pipeline.store.mongod.server import Server

USER = """
import select, sys
from pathlib import Path
from pipeline.store.mongod.server import Server
with Server(Path(sys.argv[1])).running() as uri:
    print(Server(Path(sys.argv[1])).status().process_id, flush=True)
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        pass  # in one long piece it would not hear of a signal that comes as it begins
"""

FindServers = Callable[[Path], list[psutil.Process]]
StartUser = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start_user(prepared: Path) -> Iterator[StartUser]:
    """Starts processes that use the server until their standard input is closed."""
    users: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        users.append(
            subprocess.Popen(
                [sys.executable, "-c", USER, str(prepared)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return users[-1]

    yield start
    for user in users:
        user.kill()
        user.communicate()


def server_of(user: "subprocess.Popen[str]") -> int:
    assert user.stdout is not None
    return int(user.stdout.readline())


def leave(user: "subprocess.Popen[str]") -> None:
    user.communicate(timeout=60)
    assert user.returncode == 0


def test_four_at_once_start_one_server(prepared: Path, mongods: FindServers, start_user: StartUser) -> None:
    users = [start_user() for _ in range(4)]
    assert len({server_of(user) for user in users}) == 1
    assert len(mongods(prepared)) == 1
    for user in users[:-1]:
        leave(user)
        assert Server(prepared).status().ready
    leave(users[-1])
    assert mongods(prepared) == []


def test_ctrl_c_in_the_starter_leaves_a_clean_end_and_no_process(
    prepared: Path, mongods: FindServers, start_user: StartUser
) -> None:
    user = start_user()
    server_of(user)
    os.killpg(user.pid, signal.SIGINT)
    user.wait(timeout=60)
    assert mongods(prepared) == []
    with Server(prepared).running():
        assert "Detected unclean shutdown" not in Folder(prepared).log_end()


@pytest.mark.parametrize("step", ["pipeline.store.mongod.launch.holds", "pipeline.store.mongod.replica._form_set"])
def test_ctrl_c_during_the_first_start_leaves_no_process(
    step: str, prepared: Path, mongods: FindServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        Server(prepared).ensure()
    assert mongods(prepared) == []
    assert Folder(prepared).has_users() is False


def test_a_server_that_was_asked_to_stay_stays_until_stop(prepared: Path, mongods: FindServers) -> None:
    server = Server(prepared)
    with server.running():
        server.keep()
    assert server.status().ready
    assert server.status().kept
    with Server(prepared).running():
        pass
    assert server.status().ready
    assert server.stop() is True
    assert mongods(prepared) == []
    assert server.stop() is False


def test_stop_does_not_pull_the_server_away_from_others(
    prepared: Path, mongods: FindServers, start_user: StartUser
) -> None:
    user = start_user()
    server_of(user)
    with pytest.raises(AttentionError, match=r"in use by another tidemark process.*--force"):
        Server(prepared).stop()
    assert Server(prepared).status().ready
    assert Server(prepared).stop(force=True)
    assert mongods(prepared) == []


def test_a_user_that_was_killed_is_a_user_no_more(prepared: Path, mongods: FindServers, start_user: StartUser) -> None:
    user = start_user()
    first = server_of(user)
    user.kill()
    user.wait()
    server = Server(prepared)
    server.ensure()
    assert server.status().process_id == first
    server.release()
    assert mongods(prepared) == []


def test_nothing_runs_and_nothing_is_made_by_asking(home: Path) -> None:
    server = Server(home)
    assert server.status().running is False
    assert server.stop() is False
    with pytest.raises(AttentionError, match="tidemark db start"):
        _ = server.uri
    assert list(home.iterdir()) == []


def test_a_server_that_does_not_react_is_ended_all_the_same(
    prepared: Path, mongods: FindServers, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(prepared, timeout=30)
    server.ensure()
    process = psutil.Process(server.status().process_id)
    process.suspend()
    assert Server(prepared, timeout=0.3).stop(force=True)
    assert wait_gone(process, 10)
    assert f"mongod (process {process.pid}) did not end when asked and was killed" in caplog.text
    server.release()


def test_a_long_log_is_put_aside(prepared: Path, mongods: FindServers) -> None:
    folder = Folder(prepared)
    folder.log.write_bytes(b"x" * LIMIT)
    folder.limit_log()
    assert folder.log.exists()
    folder.log.write_bytes(b"y" * (LIMIT + 1))
    folder.limit_log()
    assert not folder.log.exists()
    assert folder.path.joinpath("mongod.log.1").stat().st_size == LIMIT + 1
