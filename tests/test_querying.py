"""Every query in docs/querying.md runs as it stands there, against candles and signals of the simulated exchange.

There is no mongosh here, so a small reader understands the part of its language that the page uses, and nothing else:
what it does not know fails the test.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
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

Db = Database[dict[str, Any]]

PAGE = (Path(__file__).parents[1] / "docs" / "querying.md").read_text()
QUERIES = re.findall(r"^## (\d+)\. (.*?)\n.*?```(js|python)\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|\"([^\"\\]*)\"|(\$?[A-Za-z_]\w*)|(.))", re.DOTALL)
WORDS = {"true": True, "false": False, "null": None}


class Shell:
    """Reads `db.name.method(...).method(...)`: objects, arrays, texts, numbers, products, and `new Date(...)`."""

    def __init__(self, text: str, now: datetime) -> None:
        self._tokens = list(TOKEN.finditer(text.strip()))
        self._at = 0
        self._now = now

    def run(self, db: Db) -> list[dict[str, Any]]:
        """What the statement finds."""
        self._take("db")
        self._take(".")
        target: Any = db[self._name()]
        while self._at < len(self._tokens):
            self._take(".")
            target = self._call(target, self._name(), self._arguments())
        return list(target)

    def _call(self, target: Any, method: str, arguments: list[Any]) -> Any:
        if method == "sort":
            return target.sort(list(arguments[0].items()))
        if method not in {"find", "aggregate", "limit"}:
            raise SyntaxError(f"the page may not use {method}")
        return getattr(target, method)(*arguments)

    def _arguments(self) -> list[Any]:
        self._take("(")
        return self._until(")", self._value)

    def _until(self, end: str, read: Callable[[], Any]) -> list[Any]:
        found = []
        while not self._is(end):
            found.append(read())
            if not self._is(end):
                self._take(",")
        self._take(end)
        return found

    def _pair(self) -> tuple[str, Any]:
        _, text, name, _ = self._next()
        self._take(":")
        return text if text is not None else name, self._value()

    def _value(self) -> Any:
        if self._is("{"):
            self._take("{")
            return dict(self._until("}", self._pair))
        if self._is("["):
            self._take("[")
            return self._until("]", self._value)
        number, text, name, other = self._peek()
        if number is not None or other == "-":
            return self._product()
        self._at += 1
        if text is not None:
            return text
        if name == "new":
            return self._date()
        if name in WORDS:
            return WORDS[name]
        raise SyntaxError(f"not a value: {name or other}")

    def _product(self) -> float:
        result = self._number()
        while self._is("*"):
            self._take("*")
            result *= self._number()
        return result

    def _date(self) -> datetime:
        for part in ("Date", "(", "Date", ".", "now", "(", ")", "-"):
            self._take(part)
        ago = timedelta(milliseconds=self._product())
        self._take(")")
        return self._now - ago

    def _number(self) -> float:
        if self._is("-"):
            self._take("-")
            return -self._number()
        number = self._next()[0]
        return float(number) if "." in number else int(number)

    def _name(self) -> str:
        return self._next()[2]

    def _peek(self) -> tuple[Any, ...]:
        return self._tokens[self._at].groups()

    def _next(self) -> tuple[Any, ...]:
        self._at += 1
        return self._tokens[self._at - 1].groups()

    def _is(self, text: str) -> bool:
        _, _, name, other = self._peek()
        return text in (name, other)

    def _take(self, text: str) -> None:
        if not self._is(text):
            raise SyntaxError(f"{text} expected, not {self._peek()}")
        self._at += 1


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


def query(number: int) -> str:
    return next(text for found, _, _, text in QUERIES if int(found) == number)


def test_there_are_eleven() -> None:
    assert [int(number) for number, *_ in QUERIES] == list(range(1, 12))
    assert PAGE.count("```js") + PAGE.count("```python") == 11 + 1


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
        returns = [row["return_pct"] for row in rows]
        assert returns == sorted(returns, reverse=True)
        assert returns[0] == filled.signals.find_one(sort=[("return_pct", -1)])["return_pct"]  # type: ignore[index]
    if number == 4:
        told = {row["_id"]: (row["signals"], row["mean"]) for row in rows}
        strategy, (count, mean) = next(iter(told.items()))
        values = [one["return_1d"] for one in filled.signals.find({"strategy": strategy, "return_1d": {"$ne": None}})]
        assert (count, mean) == (len(values), pytest.approx(sum(values) / len(values)))
    if number == 5:
        best = [row["return_4h"]["median"] for row in rows]
        assert best == sorted(best, reverse=True)
    if number == 6:
        assert all(row["worst_pct"] < -2 and row["return_1d"] > 0 for row in rows)
    if number == 7:
        assert [row["t"] for row in rows] == sorted((row["t"] for row in rows), reverse=True)
        assert rows[-1]["rsi"] > 0
    if number == 11:
        (chart,) = rows
        assert len(chart["candles"]) == 500
        assert [one["closed"] for one in chart["candles"]] == [True] * 499 + [False]
        assert chart["candles"][-2]["rsi"] > 0
    if number == 8:
        assert [row["_id"] for row in rows] == [f"sim:{s}USDT:{i}" for s in ("BTC", "ETH") for i in ("15m", "1h")]


def test_hours_of_the_day(filled: Db) -> None:
    names: dict[str, Any] = {"db": filled}
    exec(query(9), names)
    assert set(names["hours"]["hour"]) <= set(range(24))
    assert names["hours"]["signals"].sum() == filled.signals.count_documents({"return_4h": {"$ne": None}})


def test_candles_with_signals_beside_them(filled: Db) -> None:
    names: dict[str, Any] = {"db": filled}
    exec(query(10), names)
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


@pytest.mark.parametrize("name", ["fresh_signals", "latest_candles", "charts"])
def test_a_view_reads_by_index(filled: Db, name: str) -> None:
    plan = str(filled.command("explain", {"find": name, "filter": {"symbol": "BTCUSDT"}}, verbosity="executionStats"))
    assert "IXSCAN" in plan
