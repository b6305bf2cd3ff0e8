"""What holds of the embedded database while it runs: ready, private, closed to everybody else."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from pipeline.store import connect
from pipeline.store.mongod.folder import Folder
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server, ServerStatus


def direct(status: ServerStatus, **options: Any) -> "MongoClient[dict[str, Any]]":
    return MongoClient(f"mongodb://{status.address}", directConnection=True, serverSelectionTimeoutMS=5_000, **options)


@pytest.fixture(scope="module")
def server(scratch: Path) -> Iterator[Server]:
    server = Server(scratch / "one", port=any_free_port())
    with server.running():
        yield server


def test_it_is_ready_when_ensure_returns(server: Server) -> None:
    with connect.client(server.uri) as client:
        client.db.notes.insert_one({"_id": 1})
        with client.db.watch() as changes:
            client.db.notes.update_one({"_id": 1}, {"$set": {"text": "a"}})
            assert next(changes)["operationType"] == "update"


def test_asking_again_changes_nothing(server: Server) -> None:
    before = server.status()
    assert server.ensure() == server.uri
    assert server.status().process_id == before.process_id


def test_status_tells_what_is(server: Server) -> None:
    status = server.status()
    assert (status.running, status.ready, status.kept, status.in_use) == (True, True, False, True)
    assert status.data_mb > 1
    assert status.log.exists()


def test_nobody_else_can_look_into_the_folder(server: Server) -> None:
    folder = server.status().folder
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes.pop("mongo") == modes.pop("data") == 0o700
    private = {"key", "password", "server.json", "mongod.log", "users.lock"}
    assert {name: modes[name] for name in private} == dict.fromkeys(private, 0o600)


def test_it_listens_on_this_machine_only(server: Server) -> None:
    listening = [
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(server.status().process_id).net_connections(kind="all")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert [f"{ip}:{port}" for ip, port in listening] == [server.status().address]
    assert listening[0][0] == "127.0.0.1"


@pytest.mark.parametrize("command", ["listDatabases", "replSetGetStatus", "shutdown"])
def test_without_the_password_it_says_nothing(server: Server, command: str) -> None:
    with direct(server.status()) as stranger, pytest.raises(OperationFailure, match="requires authentication"):
        stranger.admin.command(command)


def test_a_wrong_password_is_refused(server: Server) -> None:
    with (
        direct(server.status(), username="tidemark", password="guess") as stranger,
        pytest.raises(OperationFailure, match="Authentication failed"),
    ):
        stranger.admin.command("ping")


def test_it_is_out_of_reach_of_ctrl_c(server: Server) -> None:
    process = server.status().process_id
    assert process is not None
    assert os.getsid(process) == os.getpgid(process) == process


def test_a_stranger_is_offered_no_compression(server: Server) -> None:
    with direct(server.status()) as stranger:
        assert "compression" not in stranger.admin.command("hello", compression=["zlib", "snappy", "zstd"])


def test_no_secret_is_on_its_command_line_or_in_its_log(server: Server) -> None:
    folder = Folder(server.status().folder.parent)
    text = " ".join(psutil.Process(server.status().process_id).cmdline()) + folder.log_end()
    assert folder.password not in text
    assert folder.key not in text
