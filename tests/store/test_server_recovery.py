"""Whatever state the last run left behind, the next one gets a working database, with what was stored in it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from pipeline.errors import AttentionError
from pipeline.store import connect
from pipeline.store.counts import Count
from pipeline.store.mongod import launch, replica
from pipeline.store.mongod import server as server_module
from pipeline.store.mongod.folder import Folder, Remembered
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server

FindServers = Callable[[Path], list[psutil.Process]]
Start = Callable[..., str]

KILLED_STARTER = """
import os, pkgutil, signal, sys
from pathlib import Path
from pipeline.store.mongod.server import Server
owner, _, name = sys.argv[2].rpartition(".")
setattr(pkgutil.resolve_name(owner), name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
server = Server(Path(sys.argv[1]))
server.ensure()
server.keep()
"""


def kill_starter_before(step: str, home: Path) -> None:
    """Start the server in another process, which is killed with SIGKILL when it comes to `step`."""
    starter = subprocess.run([sys.executable, "-c", KILLED_STARTER, str(home), step], check=False, timeout=60)
    assert starter.returncode == -signal.SIGKILL


def write_and_read(uri: str) -> int:
    """Store one more document; returns how many there are."""
    with connect.client(uri) as client:
        client.db.notes.insert_one({})
        return client.db.notes.count_documents({})


@pytest.fixture
def stored_once(prepared: Path, start: Start) -> Path:
    """A folder with one document and no server: it was killed."""
    assert write_and_read(start()) == 1
    kill_server(prepared)
    return prepared


def kill_server(home: Path) -> None:
    process = psutil.Process(Server(home).status().process_id)
    process.kill()
    assert launch.wait_gone(process, 30)


def test_documents_are_counted_right_after_a_kill(prepared: Path, start: Start) -> None:
    with connect.client(start()) as client:
        client.db.notes.insert_many([{} for _ in range(3)])
        client.admin.command("fsync")
        client.db.notes.insert_many([{} for _ in range(4)])
    kill_server(prepared)
    with connect.client(start()) as client:
        assert client.db.notes.estimated_document_count() == 3, "what the server says of itself"
        count = Count(client.db.notes)
        assert count.now() == 7
        client.db.notes.insert_one({})
        assert count.now() == 8
        client.db.notes.drop()
        assert count.now() == 0


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("pipeline.store.mongod.server.find_mongod", id="before-mongod"),
        pytest.param("pipeline.store.mongod.folder.Folder.remember", id="mongod-just-started"),
        pytest.param("pipeline.store.mongod.launch.holds", id="mongod-not-yet-listening"),
        pytest.param("pipeline.store.mongod.replica._form_set", id="before-initiate"),
        pytest.param("pipeline.store.mongod.replica._wait_writable", id="after-initiate"),
        pytest.param("pipeline.store.mongod.replica._set_password", id="before-first-user"),
        pytest.param("pipeline.store.mongod.server.Server.keep", id="ready"),
    ],
)
def test_a_first_start_killed_at_any_moment_is_finished_by_the_next(
    step: str, prepared: Path, start: Start, mongods: FindServers
) -> None:
    kill_starter_before(step, prepared)
    assert write_and_read(start()) == 1
    assert len(mongods(prepared)) == 1
    assert Server(prepared).status().in_use


@pytest.mark.parametrize("step", ["_form_set", "_wait_writable", "_set_password"])
def test_a_connection_that_breaks_during_a_first_start_ends_nothing(
    step: str, prepared: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    do, breaks = getattr(replica, step), iter([AutoReconnect("connection pool paused")])

    def breaking_once(*arguments: Any) -> None:
        for broken in breaks:
            raise broken
        do(*arguments)

    monkeypatch.setattr(replica, step, breaking_once)
    assert write_and_read(start()) == 1
    assert next(breaks, None) is None


def test_a_server_that_breaks_every_connection_is_given_up(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    start()
    folder = Folder(prepared)
    monkeypatch.setattr(replica, "_form_set", Mock(side_effect=AutoReconnect("connection pool paused")))
    with pytest.raises(AttentionError, match=r"stopped answering while it was set up: connection pool paused.*db stop"):
        replica.make_ready(folder, folder.remembered().port, timeout=0.1, patience=5)


def test_nobody_can_make_the_first_user_in_our_place(prepared: Path, start: Start) -> None:
    kill_starter_before("pipeline.store.mongod.replica._set_password", prepared)
    port = Folder(prepared).remembered().port
    with (
        MongoClient("127.0.0.1", port, directConnection=True) as stranger,
        pytest.raises(OperationFailure, match="requires authentication"),
    ):
        stranger.admin.command("createUser", "thief", pwd="x", roles=["root"])
    assert write_and_read(start()) == 1


def test_a_server_killed_under_its_user_is_brought_back_by_the_same_user(prepared: Path) -> None:
    server = Server(prepared)
    assert write_and_read(server.ensure()) == 1
    kill_server(prepared)
    assert write_and_read(server.ensure()) == 2
    server.release()
    assert server.status().running is False


def test_a_server_that_ends_between_two_looks_is_taken_note_of(prepared: Path, start: Start) -> None:
    start()
    process = psutil.Process(Server(prepared).status().process_id)

    class Dying(psutil.Process):
        """Ends the moment it is looked at."""

        def is_running(self) -> bool:
            process.kill()
            while process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.001)
            return True

    assert launch.wait_gone(Dying(process.pid), 30)
    assert process.pid not in launch._children


@pytest.mark.timeout(60)
def test_a_server_that_was_killed_and_that_nobody_took_note_of_is_not_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as killed:
        process = psutil.Process(killed.pid)
        killed.kill()
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.001)
        assert not launch.wait_listens(process, any_free_port(), timeout=3_600)
        assert process.status() == psutil.STATUS_ZOMBIE


def test_servers_that_ended_unseen_are_taken_note_of(prepared: Path, start: Start) -> None:
    start()
    (ended,) = (child for number, child in launch._children.items() if number == Server(prepared).status().process_id)
    ended.kill()
    psutil.wait_procs([psutil.Process(ended.pid)], timeout=30)
    Folder(prepared).remember(Remembered(port=any_free_port()))
    (Folder(prepared).data / "mongod.lock").write_text("")
    assert write_and_read(start()) == 1
    assert ended.pid not in launch._children


def test_a_number_that_now_belongs_to_another_program_is_left_alone(stored_once: Path, start: Start) -> None:
    folder = Folder(stored_once)
    with subprocess.Popen(["sleep", "600"]) as other:
        (folder.data / "mongod.lock").write_text(f"{other.pid}\n")
        folder.remember(Remembered(port=folder.remembered().port, process_id=other.pid))
        assert Server(stored_once).status().running is False
        assert write_and_read(start()) == 2
        assert Server(stored_once).stop(force=True)
        assert other.poll() is None
        other.kill()


@pytest.fixture
def strangers_port() -> Iterator[int]:
    """A port on which another program accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_taken_by_a_stranger_is_left_for_another_one_aloud(
    stored_once: Path, start: Start, strangers_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    Folder(stored_once).remember(Remembered(port=strangers_port))
    assert write_and_read(start()) == 2
    moved = Folder(stored_once).remembered().port
    assert moved != strangers_port
    assert f"port {strangers_port} is taken by another program; the database listens on {moved}" in caplog.text
    kill_server(stored_once)
    assert f":{moved}/" in start()


def test_a_stranger_on_the_port_that_the_replica_set_knows_keeps_it_waiting_only(
    stored_once: Path, start: Start
) -> None:
    """While mongod asks there whether it is itself who answers, it takes no other configuration."""
    with socket.create_server(("127.0.0.1", Folder(stored_once).remembered().port or 0)) as listener:
        closing = threading.Thread(target=close_each_after, args=(listener, 0.5), daemon=True)
        closing.start()
        assert write_and_read(start()) == 2
        listener.shutdown(socket.SHUT_RDWR)
        closing.join()


def close_each_after(listener: socket.socket, seconds: float) -> None:
    with suppress(OSError):  # until the listener is shut down
        while True:
            connection, _ = listener.accept()
            with connection:
                time.sleep(seconds)


def test_another_mongod_on_the_port_is_a_stranger_too(
    prepared: Path, start: Start, mongo: "MongoClient[dict[str, object]]"
) -> None:
    assert mongo.address is not None
    Folder(prepared).remember(Remembered(port=mongo.address[1]))
    assert write_and_read(start()) == 1
    assert Folder(prepared).remembered().port != mongo.address[1]
    assert "notes" not in mongo.db.list_collection_names()


def test_a_server_that_is_ending_and_whose_port_is_another_mongods_by_now_is_not_joined(
    prepared: Path, start: Start, mongo: "MongoClient[dict[str, object]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mongo.address is not None
    port = mongo.address[1]
    program = [sys.executable, "-c", "import time; time.sleep(300)", str(Folder(prepared).data), "--port", str(port)]
    with subprocess.Popen(program) as ending:
        Folder(prepared).remember(Remembered(port=port, process_id=ending.pid))

        def look(process: psutil.Process, where: int) -> bool:
            if process.pid == ending.pid:
                ending.kill()
            return truly(process, where)

        truly = launch.holds
        monkeypatch.setattr(launch, "holds", look)
        assert write_and_read(start()) == 1
    assert Folder(prepared).remembered().port != port


def test_databases_that_start_at_once_and_want_one_port_all_get_one(tmp_path: Path) -> None:
    """Two may bind a port while neither listens; the one that listens later aborts."""
    port, servers = any_free_port(), [Server(tmp_path / str(number)) for number in range(4)]
    for number in range(4):
        Folder(tmp_path / str(number)).create()
        Folder(tmp_path / str(number)).remember(Remembered(port=port))
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Server.ensure, servers))
        assert len({server.status().address for server in servers}) == 4
    finally:
        for server in servers:
            server.stop(force=True)


def test_a_port_that_was_asked_for_is_not_exchanged(prepared: Path, strangers_port: int, mongods: FindServers) -> None:
    with pytest.raises(AttentionError, match=rf"port {strangers_port}, which mongo_port .*, is taken") as refused:
        Server(prepared, port=strangers_port).ensure()
    assert f"process {os.getpid()})" in str(refused.value)
    assert mongods(prepared) == []
    assert Folder(prepared).has_users() is False


def test_a_port_snatched_at_the_last_moment_is_given_up(
    prepared: Path, start: Start, strangers_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([True, True])
    monkeypatch.setattr(launch, "is_free", lambda port: next(looks, port != strangers_port))
    Folder(prepared).remember(Remembered(port=strangers_port))
    assert write_and_read(start()) == 1
    assert Folder(prepared).remembered().port != strangers_port


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        (["password"], None),
        (["key"], ""),
        (["server.json"], '{"port": 27'),
        (["server.json"], "[]"),
        (["password", "key", "server.json"], None),
    ],
)
def test_a_lost_file_is_made_anew(
    lost: list[str], left: str | None, stored_once: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = any_free_port()
    monkeypatch.setattr(server_module, "DEFAULT_PORT", usual)
    for name in lost:
        file = Folder(stored_once).path / name
        file.unlink() if left is None else file.write_text(left)
    uri = start()
    assert write_and_read(uri) == 2
    assert (f"@127.0.0.1:{usual}/" in uri) is ("server.json" in lost)


def test_secrets_lost_while_the_server_runs_need_it_stopped_first(
    prepared: Path, start: Start, mongods: FindServers
) -> None:
    assert write_and_read(start()) == 1
    folder = Folder(prepared)
    folder.key_file.unlink()
    (folder.path / "password").unlink()
    with pytest.raises(AttentionError, match=r"runs with another key.*tidemark db stop --force"):
        Server(prepared).ensure()
    assert Server(prepared).stop(force=True)
    assert mongods(prepared) == []
    assert write_and_read(start()) == 2


def test_files_that_others_could_read_are_closed_again(prepared: Path, start: Start) -> None:
    folder = Folder(prepared)
    folder.path.chmod(0o755)
    folder.key_file.chmod(0o644)
    start()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.key_file.stat().st_mode & 0o777 == 0o600


def test_waiting_for_a_starter_that_hangs_has_an_end(prepared: Path) -> None:
    with (
        Folder(prepared).starting(timeout=1),
        pytest.raises(AttentionError, match="another tidemark has been starting or stopping the database"),
    ):
        Server(prepared, timeout=0.05).ensure()


def test_a_database_that_hangs_is_named_and_can_be_ended(prepared: Path, start: Start, mongods: FindServers) -> None:
    start()
    (process,) = mongods(prepared)
    process.suspend()
    with pytest.raises(AttentionError, match=r"stopped answering while it was set up.*tidemark db stop --force"):
        start(timeout=0.3)
    assert Server(prepared, timeout=0.3).stop(force=True)
    assert mongods(prepared) == []
