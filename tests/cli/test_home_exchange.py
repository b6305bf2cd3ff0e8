"""The simulated exchange of a data folder: one for all its commands, there while somebody uses it, gone after that."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from typer.testing import CliRunner

from pipeline.app.home_exchange import HomeExchange
from pipeline.cli.app import build
from pipeline.errors import AttentionError
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewOrder, Trading
from pipeline.simulator.options import READY_KEY, READY_SECRET

PATIENCE = 30.0
USER = """
import sys, time
from pathlib import Path
from pipeline.app.home_exchange import HomeExchange
with HomeExchange(Path(sys.argv[1])).running() as url:
    print(url, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def user(home: Path) -> Iterator[Callable[[], tuple["subprocess.Popen[str]", str]]]:
    """Another process that uses the exchange; and where it says that it found it."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple["subprocess.Popen[str]", str]:
        process = subprocess.Popen([sys.executable, "-c", USER, str(home)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def exchanges(home: Path) -> list[psutil.Process]:
    """The exchanges of that folder that live."""
    return [
        one
        for one in psutil.process_iter(["cmdline", "status"])
        if "pipeline.app.home_exchange" in (one.info["cmdline"] or ())
        and str(home / "exchange") in one.info["cmdline"]
        and one.info["status"] != psutil.STATUS_ZOMBIE
    ]


def until(so: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline, f"in vain waited for {what}"
        time.sleep(0.05)


def test_all_who_use_a_folder_use_one_exchange(home: Path, user: Any) -> None:
    (_, one), (_, two) = user(), user()
    with HomeExchange(home).running() as three:
        assert one == two == three
        assert len(exchanges(home)) == 1


def test_it_ends_with_the_last_that_leaves(home: Path, user: Any) -> None:
    with HomeExchange(home).running():
        process, url = user()
    assert requests.get(f"{url}/fapi/v1/ping", timeout=PATIENCE).ok, "somebody uses it still"
    with HomeExchange(home).running():
        process.kill()
        process.wait()
    assert exchanges(home) == []
    assert HomeExchange(home).url is None


def test_it_ends_by_itself_when_all_who_used_it_were_killed(home: Path, user: Any) -> None:
    process, _ = user()
    process.kill()
    until(lambda: not exchanges(home), "its end")
    _, again = user()
    assert requests.get(f"{again}/fapi/v1/ping", timeout=PATIENCE).ok


@pytest.mark.parametrize("used", [True, False], ids=["used", "left"])
def test_it_ends_by_itself_when_its_folder_is_gone(home: Path, user: Any, used: bool) -> None:
    process, _ = user()
    (exchange,) = exchanges(home)
    if not used:
        process.kill()
        process.wait()
    shutil.rmtree(home)
    until(lambda: not exchange.is_running() or exchange.status() == psutil.STATUS_ZOMBIE, "its end")


def test_one_that_was_killed_is_started_again_where_it_was(home: Path, user: Any) -> None:
    _, url = user()
    (process,) = exchanges(home)
    process.kill()
    until(lambda: HomeExchange(home).url is None, "its death to be seen")
    _, again = user()
    assert again == url, "those who used it know no other address"
    assert requests.get(f"{url}/fapi/v1/ping", timeout=PATIENCE).ok


def test_one_that_somebody_looks_after_is_the_folders(home: Path, user: Any, simulator: Any) -> None:
    with HomeExchange(home).served({"um": simulator.url}):
        assert user()[1] == HomeExchange(home).url == simulator.url
        with (
            pytest.raises(AttentionError, match="already, at http"),
            HomeExchange(home).served({"um": "http://127.0.0.1:1"}),
        ):
            pass
    assert exchanges(home) == []
    assert HomeExchange(home).url is None
    assert requests.get(f"{simulator.url}/fapi/v1/ping", timeout=PATIENCE).ok, "nobody but its keeper ends it"


def test_commands_of_one_folder_ask_the_same_exchange(
    home: Path, user: Any, db: Any, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = user()
    with RestClient(at(SIM, url), Credentials(READY_KEY, signer_for(READY_SECRET))) as client:
        trading = Trading(client)
        order = NewOrder(symbol="BTCUSDT", side="BUY", client_id="by-hand", quantity=Decimal("0.01"))
        trading.place_order(order)
        for name in list(os.environ):
            if name.startswith("TIDEMARK_"):
                monkeypatch.delenv(name)
        chosen = {"HOME": str(home), "MONGO_URI": mongo_uri, "DATABASE": db.name}
        environment = {f"TIDEMARK_{name}": value for name, value in chosen.items()}
        monkeypatch.chdir(home)
        done = CliRunner().invoke(build(), ["halt", "--flatten", "--json"], env=environment)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["flattened"]["others"] == ["BTCUSDT"], "it looked where the position is"
