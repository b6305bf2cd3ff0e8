"""Every query in docs/querying.md runs as it stands there, against candles and signals of the simulated exchange."""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from typer.testing import CliRunner

from pipeline.cli import app as cli
from pipeline.simulator.handle import Simulator
from pipeline.store.signals.returns import ReturnStore
from tests.mongosh import BESIDE, PAGE, QUERIES, Shell, query

Db = Database[dict[str, Any]]


@pytest.fixture(scope="module")
def filled(
    mongo: MongoClient[dict[str, Any]], mongo_uri: str, shared_simulator: Simulator, scratch: Path
) -> Iterator[Db]:
    """40 days of 1h and 15m with indicators, signals and returns, put there by the commands; one signal is fresh."""
    shared_simulator.faults.clear()
    db = mongo["querying"]
    home = scratch / "querying"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
            patch.delenv(name)
        for name, value in {
            "HOME": str(home),
            "MONGO_URI": mongo_uri,
            "DATABASE": db.name,
            "SIM_URL": shared_simulator.url,
        }.items():
            patch.setenv(f"TIDEMARK_{name}", value)
        patch.chdir(home)
        wanted = ["BTCUSDT", "ETHUSDT", "--interval", "1h", "--interval", "15m", "--days", "40", "--json"]
        result = CliRunner().invoke(cli.build(), ["backfill", *wanted])
        assert result.exit_code == 0, result.output
    db.signals.update_one(
        db.signals.find_one(sort=[("at", -1)]) or {},
        {"$set": {"verdict": "fresh", "fresh_until": datetime.now(UTC) + timedelta(minutes=30)}},
    )
    ReturnStore(db).refresh("sim")
    yield db
    mongo.drop_database(db.name)


def test_there_are_twelve() -> None:
    assert [int(number) for number, *_ in QUERIES] == list(range(1, 13))
    assert sorted(BESIDE) == [int(number) for number, _, language, _ in QUERIES if language == "js"]
    assert PAGE.count("```js") == len(BESIDE) == 10
    assert PAGE.count("```python") == 12 + 1


@pytest.mark.parametrize("number", [int(number) for number, _, language, _ in QUERIES if language == "js"])
def test_a_query_for_mongosh(filled: Db, number: int) -> None:
    now = datetime.now(UTC)
    rows = Shell(query(number), now).run(filled)
    assert rows
    if number == 1:
        assert [row.keys() for row in rows] == [
            {"symbol", "interval", "strategy", "kind", "side", "price", "fresh_until"}
        ]
    if number == 2:
        times = [row["at"] for row in rows]
        assert times == sorted(times, reverse=True)
        assert min(times) > now - timedelta(days=2)
    if number == 3:
        times = [row["at"] for row in rows]
        assert len(times) == 20
        assert times == sorted(times, reverse=True)
        assert len({(row["current_price"], row["return_at"]) for row in rows}) == 1
        now = filled.prices.find_one({"symbol": "BTCUSDT"}, sort=[("at", -1), ("seconds", 1)]) or {}
        assert (rows[0]["current_price"], rows[0]["return_at"]) == (now["price"], now["at"])
    if number == 4:
        returns = [row["return_pct"] for row in rows]
        assert returns == sorted(returns, reverse=True)
        assert returns[0] == filled.signals.find_one(sort=[("return_pct", -1)])["return_pct"]  # type: ignore[index]
    if number == 5:
        told = {row["_id"]: (row["signals"], row["mean"]) for row in rows}
        strategy, (count, mean) = next(iter(told.items()))
        values = [one["return_1d"] for one in filled.signals.find({"strategy": strategy, "return_1d": {"$ne": None}})]
        assert (count, mean) == (len(values), pytest.approx(sum(values) / len(values)))
    if number == 6:
        best = [row["return_4h"]["median"] for row in rows]
        assert best == sorted(best, reverse=True)
    if number == 7:
        assert all(row["worst_pct"] < -2 and row["return_1d"] > 0 for row in rows)
    if number == 8:
        assert [row["t"] for row in rows] == sorted((row["t"] for row in rows), reverse=True)
        assert rows[-1]["rsi"] > 0
    if number == 12:
        (chart,) = rows
        assert len(chart["candles"]) == 500
        assert [one["closed"] for one in chart["candles"]] == [True] * 499 + [False]
        assert chart["candles"][-2]["rsi"] > 0
    if number == 9:
        assert [row["_id"] for row in rows] == [f"sim:{s}USDT:{i}" for s in ("BTC", "ETH") for i in ("15m", "1h")]


@pytest.mark.parametrize("number", sorted(BESIDE))
def test_python_beside_it_finds_the_same(filled: Db, number: int) -> None:
    names: dict[str, Any] = {"db": filled}
    exec(BESIDE[number], names)
    assert names["found"] == _near(Shell(query(number), datetime.now(UTC)).run(filled)) != []
    assert all(time.tzinfo is not None for time in _times(names["found"]))


def _near(value: Any) -> Any:
    """The same, in which a number may differ in its last digit, since the database and Python round by themselves, and
    what is unknown equals itself."""
    if isinstance(value, dict):
        return {name: _near(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_near(inner) for inner in value]
    return pytest.approx(value, rel=1e-9, nan_ok=True) if isinstance(value, float) else value


def _times(value: Any) -> Iterator[datetime]:
    if isinstance(value, datetime):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _times(inner)


def test_hours_of_the_day(filled: Db) -> None:
    names: dict[str, Any] = {"db": filled}
    exec(query(10), names)
    assert set(names["hours"]["hour"]) <= set(range(24))
    assert names["hours"]["signals"].sum() == filled.signals.count_documents({"return_4h": {"$ne": None}})


def test_candles_with_signals_beside_them(filled: Db) -> None:
    names: dict[str, Any] = {"db": filled}
    exec(query(11), names)
    said = names["table"].drop_nulls("strategy")
    assert said.height == names["signals"].height > 0


@pytest.mark.may_say_secrets
def test_how_to_connect(mongo_uri: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", mongo_uri)
    monkeypatch.setenv("TIDEMARK_HOME", str(home))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n# connect\n(.*?)```", PAGE, re.DOTALL)[0], names)
    with names["db"].client as client:
        assert client.admin.command("ping")["ok"] == 1.0
        assert names["db"].name == "tidemark"


@pytest.mark.parametrize(
    "text", ["db.signals.drop()", "db.signals.find({a: Infinity})", "signals.find()", "db.signals.find({a: 1}"]
)
def test_what_the_page_may_not_say(db: Db, text: str) -> None:
    with pytest.raises((SyntaxError, IndexError)):
        Shell(text, datetime.now(UTC)).run(db)


@pytest.mark.parametrize("name", ["fresh_signals", "latest_candles", "charts", "prices"])
def test_a_view_reads_by_index(filled: Db, name: str) -> None:
    plan = str(filled.command("explain", {"find": name, "filter": {"symbol": "BTCUSDT"}}, verbosity="executionStats"))
    assert "IXSCAN" in plan
