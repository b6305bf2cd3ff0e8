"""The security pass of docs/security.md, as far as a test can make it: a real run is started and then searched."""

import asyncio
import io
import json
import os
import re
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
import websockets
from packaging.version import Version

from pipeline.app.audit_trail import note
from pipeline.app.home_exchange import HomeExchange
from pipeline.errors import AttentionError
from pipeline.exchange import archive
from pipeline.exchange.archive import ArchiveFile
from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.frames import MOST_FRAME_BYTES
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import Account
from pipeline.store import connect
from pipeline.store.mongod.folder import Folder, Remembered
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server
from pipeline.supervise import services
from pipeline.supervise.prefect_login import login_file, login_of
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor
from pipeline.timeline import interval

ROOT = Path(__file__).parents[1]
KEY, SECRET = "CANARYkey8f3a91c2", "CANARYsecret5d7e20b4"
PATIENCE = 120.0
PYTHON = sys.executable
DRIVER = """
import json, logging, os, sys
from typer.testing import CliRunner
from pipeline.cli.app import build
for arguments, others in json.load(sys.stdin):
    os.environ.update(others)
    logging.getLogger().handlers.clear()
    done = CliRunner().invoke(build(), arguments)
    for name in others:
        del os.environ[name]
    wrong = repr(done.exception) if not isinstance(done.exception, SystemExit | None) else ""
    print(json.dumps([done.exit_code, done.stdout, done.stderr + wrong]))
"""
"""Runs commands one after the other in one process: each start of Python costs a second."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Run:
    """An ingester and an executor at work, with a database of their own, and all they and some commands said."""

    home: Path
    simulator: Simulator
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, *arguments: str) -> None:
        with (self.home / f"{arguments[0]}.log").open("wb") as log:
            program = [PYTHON, "-m", "pipeline.cli", *arguments]
            self.processes.append(
                subprocess.Popen(program, env=self.environment, stdout=log, stderr=log, cwd=self.home)
            )

    def tidemark(self, *asked: tuple[list[str], dict[str, str]]) -> list["Done"]:
        """Run commands, each with settings of its own."""
        done = subprocess.run(
            [PYTHON, "-c", DRIVER], input=json.dumps(asked), env=self.environment, capture_output=True, text=True,
            cwd=self.home, timeout=2 * PATIENCE, check=True,
        )  # fmt: skip
        found = [Done(*json.loads(line)) for line in done.stdout.splitlines()]
        assert len(found) == len(asked)
        self.said += [text for one in found for text in (one.stdout, one.stderr)]
        return found

    def secrets(self) -> dict[str, str]:
        return {"key": KEY, "secret": SECRET, "password": Folder(self.home).password, "set": Folder(self.home).key}


def until(so: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := so()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def run(scratch: Path) -> Iterator[Run]:
    home = scratch / "secure"
    folder = Folder(home)
    folder.create()
    folder.remember(Remembered(port=any_free_port()))
    account = Account(name="canary", key=KEY, secret=SECRET)
    with Simulator.start(accounts=(account,), lifted_limits=True) as simulator, Server(home).running() as uri:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")} | {
            "TIDEMARK_HOME": str(home), "TIDEMARK_ENVIRONMENT": "sim", "TIDEMARK_SIM_URL": simulator.url,
            "TIDEMARK_API_KEY": KEY, "TIDEMARK_API_SECRET": SECRET, "TIDEMARK_LOG_LEVEL": "debug",
            "TIDEMARK_SYMBOLS": "BTCUSDT", "TIDEMARK_INTERVALS": "1h", "TIDEMARK_HISTORY_DAYS": "2",
        }  # fmt: skip
        made = Run(home, simulator, environment)
        made.start("live", "--plain", "--metrics-port", "0")
        made.start("execute")
        with connect.client(uri) as client:
            control = client["tidemark"]["control"]
            until(lambda: control.find_one({"kind": "heartbeat", "role": "ingester"}))
            until(lambda: control.find_one({"kind": "lease"}))
            until(lambda: client["tidemark"]["candles"].find_one())
        yield made
        for process in made.processes:
            process.terminate()
        for process in made.processes:
            process.wait(30)


def listeners(process: psutil.Process) -> set[str]:
    family = [process, *process.children(recursive=True)]
    return {
        socket.laddr.ip for one in family for socket in one.net_connections("all") if socket.status == "LISTEN"
    }  # fmt: skip


def test_every_listener_is_for_this_machine_only(run: Run) -> None:
    mongod = Server(run.home).status().process_id
    found = {number: listeners(psutil.Process(number)) for number in (mongod, run.simulator.pid)}
    found |= {process.pid: listeners(psutil.Process(process.pid)) for process in run.processes}
    assert set().union(*found.values()) == {"127.0.0.1"}
    assert found[mongod] == found[run.simulator.pid] == found[run.processes[0].pid] == {"127.0.0.1"}
    prefect = services.prefect_server(run.home, 4200)
    assert prefect.command[prefect.command.index("--host") + 1] == "127.0.0.1"
    assert services.prefect_environment(run.home, 4200)["PREFECT_SERVER_API_HOST"] == "127.0.0.1"


COMMANDS = (
    ["status", "--json"], ["db", "status", "--json"], ["db", "uri", "--redacted"], ["doctor", "--json"],
    ["account", "--json"], ["positions", "--json"], ["orders", "--json"], ["mode", "--json"], ["signals", "--json"],
    ["backup", "copy", "--json"],
)  # fmt: skip


def test_no_secret_is_in_any_output_log_or_document(run: Run) -> None:
    for command, done in zip(COMMANDS, run.tidemark(*((one, {}) for one in COMMANDS)), strict=True):
        assert done.returncode in (0, 3), (command, done.stderr)
    logs = [path.read_text(errors="replace") for path in run.home.rglob("*.log")]
    with connect.client(Server(run.home).uri) as client:
        names = client["tidemark"].list_collection_names(filter={"type": "collection"})
        stored = [str(one) for name in names if name != "system.views" for one in client["tidemark"][name].find()]
    assert len(stored) > 5
    assert sum(map(len, logs)) > 1_000
    for name, secret in run.secrets().items():
        for place, texts in {"output": run.said, "log": logs, "database": stored}.items():
            assert not any(secret in text for text in texts), f"the {name} is in the {place}"


CANARY = "hunter2CANARY"
BROKEN: dict[str, dict[str, str]] = {
    "a server that is away": {"TIDEMARK_MONGO_URI": f"mongodb://me:{CANARY}@127.0.0.1:1/?serverSelectionTimeoutMS=50"},
    "a URI that cannot be read": {"TIDEMARK_MONGO_URI": f"mongodb://me:{CANARY}@@host:port/"},
    "an option that cannot be": {"TIDEMARK_MONGO_URI": f"mongodb://me:{CANARY}@127.0.0.1:1/?authMechanism=none"},
    "no URI at all": {"TIDEMARK_MONGO_URI": CANARY},
    "a proxy that is none": {"TIDEMARK_PROXY": f"me:{CANARY}@nowhere"},
    "two secrets": {"TIDEMARK_API_SECRET": CANARY, "TIDEMARK_API_SECRET_FILE": "/etc/hostname"},
    "a wrong setting beside a secret": {"TIDEMARK_API_SECRET": CANARY, "TIDEMARK_RISK__LEVERAGE": "many"},
    "a setting that does not exist": {"TIDEMARK_API_SECRETS": CANARY},
}


def test_a_failure_shows_no_secret_and_no_traceback(run: Run) -> None:
    asked = [(["account", "--json"], settings) for settings in BROKEN.values()]
    for what, done in zip(BROKEN, run.tidemark(*asked), strict=True):
        assert done.returncode in (1, 2, 3), what
        assert CANARY not in done.stdout + done.stderr, what
        assert "error: " in done.stderr, what


def test_what_the_exchange_says_of_a_wrong_key_shows_neither(run: Run) -> None:
    (done,) = run.tidemark((["doctor", "--only", "keys", "--json"], {"TIDEMARK_API_SECRET": CANARY}))
    assert (done.returncode, json.loads(done.stdout)["healthy"]) == (3, False)
    assert CANARY not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr


def test_data_and_keys_are_their_owners_alone(run: Run) -> None:
    mongo = run.home / "mongo"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (mongo, *mongo.iterdir())}
    assert (modes["mongo"], modes["data"]) == (0o700, 0o700)
    assert (modes["key"], modes["password"], modes["server.json"]) == (0o600, 0o600, 0o600)


def test_other_users_of_the_machine_may_read_nothing_of_a_data_folder(run: Run) -> None:
    """Also where it lies open to them, and what is in it was open to them before."""
    closed = [run.home / name for name in ("mongo", "prefect", "logs", "exchange")]
    for folder in closed[1:]:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    login_of(run.home)
    note(run.home, "an order", by="me", reason=None)
    with HomeExchange(run.home).served({"um": "http://127.0.0.1:1"}):
        pass
    with Reaper() as reaper, Supervisor(run.home / "logs", reaper):
        pass
    assert {folder.name: stat.S_IMODE(folder.stat().st_mode) for folder in closed} == dict.fromkeys(
        (folder.name for folder in closed), 0o700
    )
    beside = {one.name for one in run.home.iterdir() if one.is_file() and one.stat().st_mode & 0o077}
    assert beside <= {"running.lock", *(f"{name}.log" for name in ("live", "execute", "sim"))}, "the test's own logs"


def test_the_login_of_prefect_is_made_once_and_its_owners_alone(tmp_path: Path) -> None:
    made = login_of(tmp_path)
    assert re.fullmatch(r"tidemark:[0-9a-f]{48}", made)
    login_file(tmp_path).chmod(0o644)
    assert login_of(tmp_path) == made
    assert stat.S_IMODE(login_file(tmp_path).stat().st_mode) == 0o600
    assert login_of(tmp_path / "another") != made
    assert made.encode() not in json.dumps(services.prefect_server(tmp_path, 4200).command).encode()
    login_file(tmp_path).unlink()
    login_file(tmp_path).mkdir()
    with pytest.raises(AttentionError, match=f"{login_file(tmp_path)} holds the login of Prefect's pages"):
        login_of(tmp_path)


INJECTED = (
    ["watch", '{"$gt": ""}'],
    ["watch", "BTCUSDT", "--interval", '{"$ne": null}'],
    ["unwatch", "$where"],
    ["backfill", "../../etc/passwd"],
    ["backfill", "BTCUSDT", "--interval", "../1m"],
    ["candles", '{"$ne": 1}', "1h"],
    ["signals", "--symbol", '{"$ne": null}', "--json"],
    ["signals", "--strategy", "$where", "--json"],
    ["trading", '{"$gt": ""}', "--on"],
    ["orders", "--json", "--symbol", '{"$ne": null}'],
)


def test_what_is_typed_is_a_value_and_never_a_query(run: Run) -> None:
    """Refused, or found nothing; never everything, and nothing changed."""
    with connect.client(Server(run.home).uri) as client:
        control = client["tidemark"]["control"]
        switches = {"kind": {"$in": ["watch", "trading", "mode", "halt"]}}
        before = list(control.find(switches, {"at": 0}))
        found = run.tidemark(*((one, {}) for one in INJECTED))
        assert list(control.find(switches, {"at": 0})) == before != []
    for arguments, done in zip(INJECTED, found, strict=True):
        said = (arguments, done)
        assert done.returncode in (1, 2, 3) or json.loads(done.stdout or "[]") in ([], {"signals": []}), said
        assert done.returncode == 0 or re.search("error: |Usage: ", done.stderr), said


def test_a_database_is_named_harmlessly(run: Run) -> None:
    names = ["a.b", "$cmd", "a/b", "..", "x" * 65, "a b"]
    found = run.tidemark(*((["db", "uri", "--redacted"], {"TIDEMARK_DATABASE": name}) for name in names))
    assert [done.returncode for done in found] == [2] * len(names)


FILE = ArchiveFile("BTCUSDT", interval("1m"), date(2026, 1, 1), date(2026, 1, 1))


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as container:
        for name, content in members.items():
            container.writestr(name, content)
    return made.getvalue()


ZIPS = {
    "a path upwards": ({f"../{FILE.name}.csv": b"1"}, "alone, but holds"),
    "an absolute path": ({f"/etc/{FILE.name}.csv": b"1"}, "alone, but holds"),
    "one member too many": ({f"{FILE.name}.csv": b"1", "run.sh": b"1"}, "alone, but holds"),
    "a bomb": ({f"{FILE.name}.csv": b"0" * (archive.CSV_CAP + 1)}, "unpacks to more than"),
}


@pytest.mark.parametrize("what", ZIPS)
def test_a_zip_leads_nowhere_and_bursts_nothing(what: str) -> None:
    members, said = ZIPS[what]
    with pytest.raises(BadAnswerError, match=said):
        archive.unzip(FILE, zipped(members))


def test_no_name_leads_out_of_the_archive() -> None:
    path = ArchiveFile("../../other?x=1#", interval("1m"), date(2026, 1, 1), date(2026, 1, 1)).path("/data/spot")
    assert "?" not in path
    assert "#" not in path


async def test_a_frame_that_is_too_large_ends_the_connection_before_it_is_in_memory() -> None:
    """The bound that the streams give to `websockets`: tried on a real server."""
    sent = asyncio.Event()

    async def flood(connection: Any) -> None:
        sent.set()
        await connection.send(b"x" * (MOST_FRAME_BYTES + 1))

    async with (
        websockets.serve(flood, "127.0.0.1", 0) as server,
        websockets.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", max_size=MOST_FRAME_BYTES) as client,
    ):
        with pytest.raises(websockets.ConnectionClosedError, match="1009"):
            await client.recv()
        assert sent.is_set()
    bounded = re.compile(r"max_size=MOST_FRAME_BYTES")
    opening = [path for path in (ROOT / "pipeline" / "exchange").glob("*.py") if " connect(\n" in path.read_text()]
    assert len(opening) == 2
    assert all(bounded.search(path.read_text()) for path in opening)


def requirements(name: str) -> dict[str, tuple[list[str], int]]:
    """Versions and number of hashes by package."""
    blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text())
    found: dict[str, tuple[list[str], int]] = {}
    for block in blocks:
        if head := re.match(r"([\w.\[\]-]+)==([^\s;]+)", block):
            versions, hashes = found.get(head[1], ([], 0))
            found[head[1]] = ([*versions, head[2]], hashes + block.count("--hash=sha256:"))
        else:
            assert block.startswith("#") or not block.strip(), f"not pinned: {block[:60]}"
    return found


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-dev.txt"])
def test_every_dependency_is_pinned_by_version_and_by_hash(name: str) -> None:
    found = requirements(name)
    assert len(found) > 50
    assert [package for package, (_, hashes) in found.items() if hashes == 0] == []
    text = (ROOT / name).read_text()
    assert not re.search(r"(?m)^(-e|--extra-index|--index|--find-links|git\+|https?:)| @ ", text)


OLDEST_SAFE = {
    "aiohttp": "3.12.14", "certifi": "2024.7.4", "cryptography": "44.0.1", "h11": "0.16.0", "jinja2": "3.1.6",
    "requests": "2.32.4", "starlette": "0.47.2", "urllib3": "2.5.0",
}  # fmt: skip
"""Versions before these have published weaknesses."""


def test_no_dependency_is_older_than_a_known_weakness() -> None:
    found = requirements("constraints.txt")
    old = {
        package: versions
        for package, oldest in OLDEST_SAFE.items()
        for versions in [found.get(package, ([], 0))[0]]
        if any(Version(version) < Version(oldest) for version in versions)
    }
    assert old == {}
