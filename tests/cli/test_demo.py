"""`tidemark demo` and `tidemark up` as a person runs them: in a terminal, with everything they start."""

import json
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import pexpect
import psutil
import pytest
import requests

from pipeline.app.sim import READY_KEY, READY_SECRET
from pipeline.cli.conduct import LOCK
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import Account
from pipeline.store.control import ControlStore
from pipeline.store.mongod.folder import Folder
from pipeline.supervise.examples import TWO
from pipeline.supervise.prefect_login import login_of
from schemas.registry import COLLECTIONS
from tests.cli.three_accounts import BY_THE_MINUTE, SYMBOLS, Accounts, accounts_of
from tests.other_user import what_he_can
from tests.prefect_home import PrefectHome
from tests.soak.memory import role_of
from tests.whole import COMMAND, House, until, until_ready


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    made = House(home)
    yield made
    made.kill()


def end(terminal: pexpect.spawn) -> None:
    """Press Ctrl-C, and wait for the last word."""
    terminal.sendintr()
    terminal.expect("stopped; the data stay in")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def who_holds(house: House, *keys: str) -> dict[str, set[str]]:
    """By secret, who has it in his environment: roles, and of those without one their command lines."""
    secrets = {
        "keys": set(keys),
        "password of the database": {Folder(house.home).password.strip()},
        "login of Prefect": {login_of(house.home), login_of(house.home).partition(":")[2]},
    }
    found: dict[str, set[str]] = {name: set() for name in secrets}
    roles = set()
    for one in house.processes():
        with suppress(psutil.NoSuchProcess):  # a run of a flow, which ends when it likes
            role = "flows" if A_RUN in one.cmdline() else role_of(one.cmdline()) or " ".join(one.cmdline())
            told = set(one.environ().values())
            roles.add(role)
            for name, values in secrets.items():
                found[name] |= {role} if any(value in text for text in told for value in values) else set()
    assert {"mongod", "prefect", "flows", "ingester", "executor", "page"} <= roles
    return found


ONLY_WHO_NEEDS_IT = {
    "keys": {"executor"},
    "password of the database": set(),
    "login of Prefect": {"prefect", "flows"},
}


def is_closed_to_others(house: House) -> None:
    """Another user of the machine reads nothing of it, ends nothing and is let in at no door, though the folders above
    lie open to him. Who is not root cannot become him: then he tries the doors, and of the rest the modes are looked
    at."""
    can = what_he_can(house)
    assert can["let in"] == {}
    if os.getuid() == 0:
        assert can["files"] == [LOCK], "there is nothing in it"
        assert (can["environments"], can["ended"]) == ([], [])
    else:
        warnings.warn("not root: whether another user reads files or ends processes was not tried", stacklevel=2)
        kept = [one for one in house.home.iterdir() if one.name != LOCK]
        assert [one.name for one in kept if one.stat().st_mode & 0o077] == []


def look_at_the_page(terminal: pexpect.spawn) -> None:
    """By the link that is said before anything is fetched: what there is, which is nothing yet."""
    terminal.expect(r"look at it +(http://\S+)")
    assert "candles " not in terminal.before
    link = terminal.match[1]
    with requests.Session() as browser:
        assert "<title>Tidemark" in browser.get(link, timeout=60).text
        for name in ("coins", "signals", "runs", "searches", "account"):
            answer = browser.get(f"{link.partition('/enter')[0]}/api/{name}", timeout=60)
            assert answer.status_code == 200, answer.text


def filled_order(db: Any) -> Any:
    """An order that was filled for a live signal, of whichever strategy spoke first."""
    taken = [one["_id"] for one in db["signals"].find(LIVE | {"verdict": "taken"}, {"_id": 1})]
    return db["orders"].find_one({"signal": {"$in": taken}, "state": "filled", "leg": {"$in": ["entry", "trial"]}})


LIVE = {"source": "live"}
A_RUN = "prefect.engine"
"""Of a flow, which begins with the minute."""


def what_became_of_them(db: Any) -> list[str]:
    """A line for each live signal, and for each order."""
    signals = [
        f"{one['_id']}: {one.get('verdict')} {one.get('verdict_reason') or ''}" for one in db["signals"].find(LIVE)
    ]
    return [*signals, *(f"{one['_id']}: {one['leg']} {one['state']}" for one in db["orders"].find())]


def killed_while_all_hold(house: House, accounts: Accounts) -> None:
    """What acts and what keeps the candles dies, of each market, while each holds something. Those that follow close
    it, as they were told while there was nobody to hear it."""
    accounts.watch_minutes()
    accounts.enter()
    victims = [one for one in house.processes() if role_of(one.cmdline()) in {"executor", "ingester"}]
    assert len(victims) == 2 * len(accounts.desks)
    for process in victims:
        process.kill()
    accounts.leave()


A_DAY = 1440
MINUTES = {"exchange": "sim", "symbol": "BTCUSDT", "interval": "1m"}


def stored_minutes(db: Any) -> int:
    """The closed candles of the one series of minutes."""
    return sum(bucket["stored"] for bucket in db["candles"].find(MINUTES, {"stored": 1}))


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default:not root")
def test_from_nothing_to_executed_signals_in_three_markets_and_on_after_kills_and_a_restart(
    house: House, prefect_home: PrefectHome
) -> None:
    prefect_home.furnish(house.home / "prefect")
    house.environment |= {"TIDEMARK_STRATEGIES": BY_THE_MINUTE, **SYMBOLS}
    terminal = house.run("demo")
    for step in ("database", "exchange", "candles", "ingester", "executor", "indicators", "returns"):
        terminal.expect(step)
    with house.database() as db:
        assert 2 * A_DAY <= stored_minutes(db) < 3 * A_DAY, "until everything runs nothing old is fetched beside it"
        assert db["funding"].find_one({"symbol": "BTCUSDT"}), "what a backtest asks for is there with the candles"
    terminal.expect("flows")
    terminal.expect("the newest signals")
    terminal.expect(r"Prefect +http://127\.0\.0\.1:\d+")
    terminal.expect("ready after")
    terminal.expect("candles/s")

    second = house.runs("demo", "--plain")
    assert second.returncode == 3
    assert "another `tidemark demo` or `tidemark up` runs in" in second.stderr

    assert who_holds(house, READY_KEY, READY_SECRET) == ONLY_WHO_NEEDS_IT
    is_closed_to_others(house)
    with house.database() as db, accounts_of(house, db) as accounts:
        killed_while_all_hold(house, accounts)
        until(lambda: stored_minutes(db) >= 12 * A_DAY, "the rest of the minutes")
        order = until(
            lambda: filled_order(db), "a live signal to be executed", otherwise=lambda: what_became_of_them(db)
        )
        assert db["signals"].count_documents({"source": "history", "return_pct": {"$ne": None}})
        assert db["accounts"].find_one({"environment": "sim"})
        stored = db["candles"].count_documents({})
        halted = house.runs("halt", "--flatten", "--json")
        assert halted.returncode == 0, halted.stderr
        assert json.loads(halted.stdout)["acting"], "the executor of the demo"
        assert json.loads(halted.stdout)["flattened"]["flat"] is True
        assert [one for one in db["positions"].find({"environment": "sim"}) if one["quantity"].to_decimal()] == []
        accounts.until_candles_are_as_they_were()
    house.kill()
    until(lambda: not (house.processes() or terminal.isalive()), "all that were killed at once to be gone")
    terminal.close()

    house.environment["TIDEMARK_STRATEGIES"] = "bollinger"
    others = house.run("demo", "--plain")
    others.expect(r"[0-9,]+ stored signals of ma_breakout are withdrawn")
    others.expect("name it in `strategies` again")
    others.expect("Withdraw them")
    others.sendline("n")
    others.expect("nothing is withdrawn")
    others.expect(pexpect.EOF)
    others.close()
    assert others.exitstatus == 1
    assert house.processes() == []
    house.environment["TIDEMARK_STRATEGIES"] = BY_THE_MINUTE

    again = house.run("demo", "--plain")
    again.expect(f"{len(COLLECTIONS)}, 0 of them made now")
    again.expect("the account goes on, without its positions")
    until_ready(again)
    with house.database() as db:
        assert db["orders"].find_one({"_id": order["_id"]})["state"] == "filled"
        assert db["candles"].count_documents({}) >= stored
    end(again)
    assert house.processes() == []


@pytest.mark.timeout(600)
def test_up_elsewhere_gives_the_keys_to_the_executor_alone_and_killed_it_leaves_no_process_behind(
    house: House, prefect_home: PrefectHome, start_simulator: Callable[..., Simulator]
) -> None:
    prefect_home.furnish(house.home / "prefect")
    key, secret = token_hex(32), token_hex(32)
    exchange = start_simulator(lifted_limits=True, accounts=(Account(name="main", key=key, secret=secret),))
    house.environment |= {
        "TIDEMARK_ENVIRONMENT": "binance-um-demo",
        "TIDEMARK_REST_URL": exchange.url,
        "TIDEMARK_STREAM_URL": exchange.ws_url,
        "TIDEMARK_API_KEY": key,
        "TIDEMARK_API_SECRET": secret,
    }
    terminal = house.run("up", "--plain")
    terminal.expect(r"\nexecutor +signal-only")
    terminal.expect("deployments are served")
    given_to = " ".join([sys.executable, COMMAND, "up", "--plain"])
    assert who_holds(house, key, secret) == ONLY_WHO_NEEDS_IT | {"keys": {"executor", given_to}}
    terminal.kill(signal.SIGKILL)
    terminal.close()
    until(lambda: not house.processes(), "everything to end")


@pytest.mark.timeout(600)
def test_there_is_something_to_look_at_and_a_data_folder_that_is_deleted_is_said_at_once_and_ends_it(
    house: House, prefect_home: PrefectHome
) -> None:
    prefect_home.furnish(house.home / "prefect")
    for name in ("TIDEMARK_STRATEGIES", "TIDEMARK_STRATEGY_PATHS"):
        del house.environment[name]
    terminal = house.run("demo", "--plain")
    look_at_the_page(terminal)
    until_ready(terminal)
    with house.database() as db:
        until(lambda: db["searches"].find_one({"ended_at": {"$ne": None}}), "a search with its verdict")
        assert db["runs"].find_one({"inputs.strategies": list(TWO)})
        assert set(ControlStore(db, "sim").allocation().shares) == set(TWO)
    shutil.rmtree(house.home, ignore_errors=True)
    terminal.expect(r"the data folder \S+ is gone: everything is ended")
    terminal.expect(r"the data folder \S+ was deleted or moved away while Tidemark ran on it")
    assert "the data stay" not in terminal.before
    assert "Traceback" not in terminal.before
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    until(lambda: not house.processes(), "everything to end")


def test_it_says_what_is_wrong_and_leaves_nothing_behind(house: House) -> None:
    house.environment["TIDEMARK_MINIMUM_FREE_MB"] = "999999999"
    refused = house.runs("demo")
    assert refused.returncode == 3
    assert "error: the disk of " in refused.stderr
    assert house.processes() == []
