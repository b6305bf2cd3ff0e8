import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from pipeline.app import checks
from pipeline.cli import app as cli
from pipeline.exchange.clock import local_time
from pipeline.store.mongod import binary
from pipeline.store.mongod.folder import Folder, Remembered


@pytest.fixture(autouse=True)
def _alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIDEMARK_HOME", str(home))
    monkeypatch.chdir(home)
    Folder(home).create()
    Folder(home).remember(Remembered(port=free_port()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def examine(*only: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    options = [part for name in only for part in ("--only", name)]
    result = CliRunner().invoke(cli.build(), ["doctor", "--json", *options])
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["healthy"] == (result.exit_code == 0)
    findings: dict[str, list[dict[str, str]]] = {}
    for finding in told["findings"]:
        findings.setdefault(finding["check"], []).append(finding)
    return result.exit_code, findings


def the_problem(check: str) -> dict[str, str]:
    code, findings = examine(check)
    assert code == 3
    (problem,) = (each for found in findings.values() for each in found if each["state"] == "problem")
    assert problem["mend"]
    return problem


def test_a_good_machine_is_healthy() -> None:
    code, findings = examine()
    assert code == 0, findings
    assert list(findings) == [
        "python",
        "prefect",
        "ta-lib",
        "strategies",
        "disk",
        "mongod",
        "database",
        "exchange",
        "keys",
    ]


def test_strategies_are_named_with_their_parameters_and_a_wrong_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_STRATEGIES", "ma_breakout,bollinger")
    monkeypatch.setenv("TIDEMARK_STRATEGY_PARAMETERS__MA_BREAKOUT__N", "60")
    assert examine("strategies")[1]["strategies"][0]["found"] == "ma_breakout(n=60), bollinger"
    monkeypatch.setenv("TIDEMARK_STRATEGY_PARAMETERS__MA_BREAKOUT__N", "1")
    code, findings = examine("strategies")
    assert (code, findings["strategies"][0]["state"]) == (3, "problem")
    assert "n must be at least 2, not 1" in findings["strategies"][0]["found"]


def test_what_the_chosen_strategies_will_store_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(**variables: str) -> tuple[str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(f"TIDEMARK_{name}", value)
        found = examine("strategies")[1]["strategies"][1]
        return found["state"], found["found"]

    some = told(SYMBOLS="BTCUSDT,ETHUSDT,SOLUSDT", INTERVALS="15m,1h,1d")
    assert some == ("good", "about 144 signals a day, 0.04 MB, of 3 symbols; ma_breakout on 15m says the most")
    more = told(INTERVALS="1m,15m,1h,1d")
    assert more[1].startswith("about 1,8")
    assert told(STRATEGIES__MA_BREAKOUT__INTERVALS="1h")[1] == (
        "about 9 signals a day, 0.00 MB, of 3 symbols; ma_breakout on 1h says the most"
    )
    monkeypatch.delenv("TIDEMARK_STRATEGIES__MA_BREAKOUT__INTERVALS")
    many = ",".join(f"S{number}USDT" for number in range(500))
    assert told(SYMBOLS=many)[0] == "note", "where they are to run may be said"


def test_a_person_reads_what_is_wrong_and_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MINIMUM_FREE_MB", "999999999")
    result = CliRunner().invoke(cli.build(), ["doctor", "--only", "disk", "--only", "python"])
    assert result.exit_code == 3
    first, second, third = result.stdout.splitlines()
    assert first.startswith("ok      python")
    assert second.startswith("PROBLEM disk")
    assert third.strip().startswith("Free some space")


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MODE", "yolo")
    assert "TIDEMARK_MODE = 'yolo'" in the_problem("disk")["found"]


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_FIRST", (9, 9))
    assert "is not supported" in the_problem("python")["found"]


@pytest.mark.parametrize("installed", ["3.0.0", None])
def test_another_prefect_than_the_pinned_one(installed: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(_: str) -> str:
        if installed is None:
            raise checks.importlib.metadata.PackageNotFoundError
        return installed

    monkeypatch.setattr(checks.importlib.metadata, "version", version)
    assert the_problem("prefect")["found"].startswith(installed or "none is installed")


def test_a_talib_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks.sys.modules, "talib", None)
    assert "cannot be loaded" in the_problem("ta-lib")["found"]


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MINIMUM_FREE_MB", "999999999")
    assert "999,999,999 MB wanted" in the_problem("disk")["found"]


def test_no_mongod_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "_packaged", lambda: None)
    assert "no mongod found" in the_problem("mongod")["found"]


@pytest.mark.parametrize(
    ("script", "mend"),
    [
        (
            "echo 'mongod: error while loading shared libraries: libcurl.so.4: cannot open' >&2; exit 127",
            "apt-get install libcurl4",
        ),
        ("kill -ILL $$", "AVX"),
        ("echo oops; exit 9", "Its last words: oops"),
    ],
)
def test_a_mongod_that_does_not_run(script: str, mend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stranger = tmp_path / "mongod"
    stranger.write_text(f"#!/bin/sh\n{script}\n")
    stranger.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert mend in the_problem("mongod")["mend"]


def test_a_mongod_that_is_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mongod").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "mongod").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "is no program for this machine" in the_problem("mongod")["mend"]


def test_a_port_taken_by_a_stranger(home: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        Folder(home).remember(Remembered(port=port))
        found = the_problem("database")["found"]
    assert f"port {port} is taken by another program" in found
    assert f"process {os.getpid()}" in found


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mongodb://user:hunter2@127.0.0.1:{port}/?serverSelectionTimeoutMS=300", "cannot be reached"),
        ("mongodb://user:hunter2@", "cannot be read"),
        ("postgres://user:hunter2@127.0.0.1", "must begin with mongodb://"),
    ],
)
def test_a_bad_uri(uri: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", uri.format(port=free_port()))
    problem = the_problem("database")
    assert said in problem["found"]
    assert "hunter2" not in str(problem)


def test_a_good_uri(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", mongo_uri)
    code, findings = examine("database", "mongod")
    assert code == 0
    assert "replica set tidemark" in findings["database"][0]["found"]


def test_a_wrong_password(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = mongo_uri.split("@", maxsplit=1)[0].rsplit(":", maxsplit=1)[0]
    monkeypatch.setenv("TIDEMARK_MONGO_URI", f"{user}:hunter2@{mongo_uri.rpartition('@')[2]}")
    problem = the_problem("database")
    assert "refuses the user or the password" in problem["found"]
    assert "hunter2" not in str(problem)


class Exchange:
    """An exchange that tells the time and who may trade; `ahead` is how wrong its clock is."""

    def __init__(self) -> None:
        self.ahead = 0
        self.can_trade = True
        self.url = ""

    async def time(self, _: web.Request) -> web.Response:
        return web.json_response({"serverTime": local_time() + self.ahead})

    async def account(self, request: web.Request) -> web.Response:
        if request.headers.get("X-MBX-APIKEY") != "good-key":
            return web.json_response({"code": -2015, "msg": "Invalid API-key, IP, or permissions."}, status=401)
        return web.json_response({"canTrade": self.can_trade})


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """A running exchange, named in the settings."""
    served = Exchange()
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/fapi/v1/time", served.time)
        app.router.add_get("/fapi/v1/accountConfig", served.account)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def live() -> None:
        runner = loop.run_until_complete(serve())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=live)
    thread.start()
    assert started.wait(10)
    monkeypatch.setenv("TIDEMARK_SIM_URL", served.url)
    yield served
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def test_clocks_that_agree(exchange: Exchange) -> None:
    code, findings = examine("exchange")
    assert code == 0
    assert [each["found"] for each in findings["exchange"]] == ["sim answers"]
    assert "ms from the exchange's" in findings["clock"][0]["found"]


@pytest.mark.parametrize(("ahead", "said"), [(5_000, "behind"), (-5_000, "ahead of")])
def test_a_clock_that_is_wrong(ahead: int, said: str, exchange: Exchange) -> None:
    exchange.ahead = ahead
    problem = the_problem("exchange")
    assert (problem["check"], said in problem["found"]) == ("clock", True)


def test_an_exchange_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_SIM_URL", f"http://127.0.0.1:{free_port()}")
    assert the_problem("exchange")["mend"].startswith("Check the network")


def test_trading_on_a_real_exchange_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", "binance-um-demo")
    code, findings = examine("keys")
    assert (code, findings["keys"][0]["found"]) == (0, "none, and none needed for signal-only")
    monkeypatch.setenv("TIDEMARK_MODE", "auto-execute")
    assert "auto-execute on binance-um-demo needs them" in the_problem("keys")["found"]


def test_a_key_that_may_trade(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_API_KEY", "good-key")
    monkeypatch.setenv("TIDEMARK_API_SECRET", "hunter2")
    code, findings = examine("keys")
    assert (code, findings["keys"][0]["found"]) == (0, "accepted, and may trade")


def test_a_key_that_may_not_trade_is_a_problem_only_where_it_should(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.can_trade = False
    monkeypatch.setenv("TIDEMARK_API_KEY", "good-key")
    monkeypatch.setenv("TIDEMARK_API_SECRET", "hunter2")
    code, findings = examine("keys")
    assert (code, findings["keys"][0]["state"]) == (0, "note")
    monkeypatch.setenv("TIDEMARK_MODE", "auto-execute")
    assert "may not trade" in the_problem("keys")["found"]


def test_a_key_that_is_refused(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_API_KEY", "hunter2")
    monkeypatch.setenv("TIDEMARK_API_SECRET", "hunter2")
    assert "hunter2" not in str(the_problem("keys"))


def test_keys_that_others_can_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = home / "key.pem"
    path.write_bytes(key)
    path.chmod(0o644)
    monkeypatch.setenv("TIDEMARK_API_KEY", "good-key")
    monkeypatch.setenv("TIDEMARK_PRIVATE_KEY_FILE", str(path))
    assert the_problem("keys") == {
        "check": "keys",
        "state": "problem",
        "found": f"{path} can be read by others",
        "mend": f"Run `chmod 600 {path}`.",
    }
    path.chmod(stat.S_IRUSR)
    assert examine("keys")[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----", "cannot be read as")],
)
def test_a_key_file_that_holds_no_key(
    content: str | None, said: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "key.pem"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    monkeypatch.setenv("TIDEMARK_API_KEY", "good-key")
    monkeypatch.setenv("TIDEMARK_PRIVATE_KEY_FILE", str(path))
    problem = the_problem("keys")
    assert said in problem["found"]
    assert "hunter2" not in str(problem)
