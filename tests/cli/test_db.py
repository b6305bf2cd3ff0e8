"""`tidemark db`: what a person sees and what a script gets."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.audit_trail import file_of
from pipeline.app.trading_access import operator
from pipeline.store import connect
from pipeline.store.mongod.folder import Folder, Remembered
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server

Result = subprocess.CompletedProcess[str]
Db = Callable[..., Result]


@pytest.fixture
def db_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Db]:
    """Runs `tidemark db ...` in an empty data folder, on a port of its own."""
    folder = Folder(home)
    folder.create()
    folder.remember(Remembered(port=any_free_port()))
    monkeypatch.setenv("TIDEMARK_HOME", str(home))
    monkeypatch.delenv("TIDEMARK_MONGO_URI", raising=False)

    def run(*arguments: str) -> Result:
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", "db", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=home, check=False, timeout=60)

    yield run
    Server(home).stop(force=True)


def data(result: Result) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_its_life_from_start_to_stop(db_command: Db, home: Path) -> None:
    stopped = db_command("status", "--json")
    assert stopped.returncode == 3
    assert json.loads(stopped.stdout)["running"] is False

    started = data(db_command("start", "--json"))
    assert started["ready"] is started["kept"] is True

    status = data(db_command("status", "--json"))
    assert status == started | {"in_use": False, "data_mb": status["data_mb"]}
    assert "accepts writes" in db_command("status").stdout

    uri = data(db_command("uri", "--json"))
    with connect.client(uri["uri"]) as client:
        connect.require(client, uri["uri"])
    assert uri["database"] == "tidemark"
    assert db_command("uri").stdout.strip() == uri["uri"]
    redacted = db_command("uri", "--redacted").stdout
    assert Folder(home).password not in redacted
    assert "tidemark:***@127.0.0.1" in redacted

    assert data(db_command("stop", "--json")) == {"stopped": True}
    assert db_command("stop").stdout == "The database was not running.\n"


def test_the_uri_of_a_database_that_does_not_run_is_not_to_be_had(db_command: Db) -> None:
    result = db_command("uri")
    assert (result.returncode, result.stdout) == (3, "")
    assert "tidemark db start" in result.stderr


def test_stop_of_one_in_use_needs_force(db_command: Db, home: Path) -> None:
    with Server(home).running():
        refused = db_command("stop")
        assert refused.returncode == 3
        assert "--force" in refused.stderr
        assert data(db_command("stop", "--force", "--json")) == {"stopped": True}


def test_stop_unused_leaves_what_is_used_or_asked_to_stay(db_command: Db, home: Path) -> None:
    with Server(home).running():
        assert data(db_command("stop", "--unused", "--json")) == {"stopped": False}
    data(db_command("start", "--json"))
    assert data(db_command("stop", "--unused", "--json")) == {"stopped": False}
    db_command("stop")
    contradiction = db_command("stop", "--unused", "--force")
    assert contradiction.returncode == 2
    assert "contradict" in contradiction.stderr


def test_stop_unused_ends_what_a_killed_user_left_behind(db_command: Db, home: Path) -> None:
    code = "import sys; from pathlib import Path; from pipeline.store.mongod.server import Server\n"
    code += "with Server(Path(sys.argv[1])).running(): print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "up\n"
        user.kill()
    assert data(db_command("stop", "--unused", "--json")) == {"stopped": True}


@pytest.mark.may_say_secrets
def test_a_server_that_is_not_ours_is_looked_at_only(
    db_command: Db, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", mongo_uri)
    assert data(db_command("status", "--json"))["ready"] is True
    assert "is not ours" in db_command("status").stdout
    assert data(db_command("uri", "--json"))["uri"] == mongo_uri
    for wish in ("start", "stop"):
        refused = db_command(wish)
        assert refused.returncode == 2
        assert f"not ours to {wish}" in refused.stderr


def test_a_server_that_is_away_is_reported_without_its_password(
    db_command: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"127.0.0.1:{any_free_port()}"
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"mongodb://me:hunter2@{where}/?serverSelectionTimeoutMS=50")
    result = db_command("status")
    assert result.returncode == 3
    assert f"MongoDB at {where} cannot be reached" in result.stderr
    assert "hunter2" not in result.stdout + result.stderr


def test_who_started_and_stopped_it_is_noted(db_command: Db, home: Path) -> None:
    db_command("start")
    db_command("stop")
    db_command("stop")
    trail = [line.split(" ", 1)[1] for line in file_of(home).read_text().splitlines()]
    assert trail == [f"{operator()}: db start", f"{operator()}: db stop"]
