"""`tidemark signals`, `performance` and `returns`: what they print, and what they refuse."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from typer.testing import CliRunner

from pipeline.cli import app as cli
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import DAY, HOUR, MINUTE, interval, to_ms
from tests.store.test_symbols_store import symbol

Tell = Callable[..., tuple[int, str, str]]
Make = Callable[..., dict[str, Any]]

NOW = to_ms(datetime.now(UTC))
HOUR_AGO = interval("1h").floor(NOW)


@pytest.fixture
def tell(db: Database[Any], mongo_uri: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Runs `tidemark ...` on the test's database: exit code, stdout, stderr."""
    for name, value in {"MONGO_URI": mongo_uri, "DATABASE": db.name, "HOME": str(home)}.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.chdir(home)
    prepare(db)

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli.build(), list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def four(db: Database[Any], tell: Tell, signal_document: Make) -> None:
    """Signals of two symbols and strategies; one of them fresh, one not any more, one on the open candle."""
    gone, soon = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (-4, 4))
    db.signals.insert_many(
        [
            signal_document(HOUR_AGO - 3 * DAY, return_pct=4.0, verdict="fresh", fresh_until=gone),
            signal_document(HOUR_AGO - HOUR, strategy="bollinger", return_pct=-2.0, return_1h=-1.0),
            signal_document(HOUR_AGO, symbol="ETHUSDT", side="short", verdict="fresh", fresh_until=soon),
            signal_document(HOUR_AGO + HOUR, symbol="ETHUSDT", confirmed=False),
            signal_document(HOUR_AGO, exchange="binance-um"),
        ]
    )


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], ["ETHUSDT macd_cross", "BTCUSDT bollinger", "BTCUSDT macd_cross"]),
        (["--open"], ["ETHUSDT macd_cross", "ETHUSDT macd_cross", "BTCUSDT bollinger", "BTCUSDT macd_cross"]),
        (["--fresh"], ["ETHUSDT macd_cross"]),
        (["--symbol", "btcusdt"], ["BTCUSDT bollinger", "BTCUSDT macd_cross"]),
        (["--strategy", "bollinger"], ["BTCUSDT bollinger"]),
        (["--interval", "15m"], []),
        (["--since", "2d"], ["ETHUSDT macd_cross", "BTCUSDT bollinger"]),
        (["--since", "999999w", "--limit", "1"], ["ETHUSDT macd_cross"]),
        (["--since", "2999-01-01"], []),
        (["--sort", "return"], ["BTCUSDT macd_cross", "BTCUSDT bollinger", "ETHUSDT macd_cross"]),
        (["--sort", "return", "--limit", "1"], ["BTCUSDT macd_cross"]),
    ],
)
def test_what_is_listed(tell: Tell, arguments: list[str], found: list[str]) -> None:
    code, out, _ = tell("signals", "--json", *arguments)
    assert code == 0
    assert [f"{one['symbol']} {one['strategy']}" for one in json.loads(out)] == found


@pytest.mark.usefixtures("four")
def test_as_a_table_and_as_csv(tell: Tell) -> None:
    code, out, _ = tell("signals")
    assert code == 0
    assert "+4.00" in out
    assert f"{datetime.fromtimestamp(HOUR_AGO / 1000, UTC):%Y-%m-%d %H:%M}" in out
    code, out, _ = tell("signals", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["return_pct"] for row in rows] == ["", "-2.0", "4.0"]
    assert rows[0]["at"] == f"{datetime.fromtimestamp(HOUR_AGO / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_none(tell: Tell) -> None:
    for command in ("signals", "performance"):
        assert tell(command) == (0, "", "No such signals.\n")
        assert json.loads(tell(command, "--json")[1]) == []
        assert len(tell(command, "--csv")[1].splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["signals", "--since", "yesterday"],
            "--since 'yesterday' is no time; write it like 12h, 2d, 4w or 2026-01-31",
        ),
        (["signals", "--interval", "1x"], "unknown interval '1x'"),
        (["signals", "--strategy", '{"$ne": null}'], """there is no strategy '{"$ne": null}'"""),
        (["signals", "--symbol", "$where"], "no symbol '$WHERE'"),
        (["signals", "--json", "--csv"], "--json and --csv exclude each other"),
        (["performance", "--json", "--csv"], "--json and --csv exclude each other"),
        (["performance", "--by", "luck"], "'luck' is not one of"),
        (["signals", "--sort", "price"], "'price' is not one of"),
    ],
)
def test_what_is_refused(tell: Tell, arguments: list[str], says: str) -> None:
    code, _, error = tell(*arguments)
    assert code == 2
    assert says in " ".join(error.replace("│", "").split())


@pytest.fixture
def history(db: Database[Any], tell: Tell, signal_document: Make) -> None:
    """Five signals of `a`, one of `b`; exits, open ones and other exchanges are no part of it."""
    start = to_ms(datetime(2026, 1, 31, 22, tzinfo=UTC))
    a = [1.0, -1.0, 0.05, 2.0, 3.0]
    db.signals.insert_many(
        [
            *(
                signal_document(start + n * HOUR, strategy="a", return_1h=value, return_1d=None if n else 5.0)
                for n, value in enumerate(a)
            ),
            signal_document(start, strategy="b", symbol="ETHUSDT"),
            signal_document(start, strategy="a", kind="exit", return_1h=50.0),
            signal_document(start, strategy="a", side="short", confirmed=False, return_1h=50.0),
            signal_document(start, strategy="a", exchange="binance-um", return_1h=50.0),
        ]
    )


@pytest.mark.usefixtures("history")
def test_how_well_they_did_after_fees(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = tell("performance", "--json")
    a, b = json.loads(out)
    assert (code, a["name"], a["signals"], b["name"], b["signals"]) == (0, "a", 5, "b", 1)
    after_1h = a["horizons"]["return_1h"]
    assert (after_1h["count"], after_1h["hit_rate"]) == (5, 0.6), "0.05 is not enough to pay 0.1 of fees"
    assert after_1h["mean"] == pytest.approx(5.05 / 5 - 0.1)
    assert after_1h["median"] == pytest.approx(0.9)
    assert a["horizons"]["return_1d"] == {"count": 1, "hit_rate": 1.0, "mean": 4.9, "median": 4.9}
    assert b["horizons"]["return_1h"] == {"count": 0, "hit_rate": None, "mean": None, "median": None}
    monkeypatch.setenv("TIDEMARK_TAKER_FEE_PERCENT", "0")
    assert json.loads(tell("performance", "--json")[1])[0]["horizons"]["return_1h"]["median"] == 1.0


@pytest.fixture
def pays(db: Database[Any]) -> Callable[..., None]:
    """What the account pays in percent, symbol by symbol, as the exchange said it."""

    def pay(**fees: str) -> None:
        store = SymbolStore(db)
        store.save([symbol(name) for name in fees])
        for name, percent in fees.items():
            store.note_fee("sim", name, Decimal(percent) / 100)

    return pay


@pytest.mark.usefixtures("history")
def test_the_fees_are_those_of_the_account(tell: Tell, pays: Callable[..., None]) -> None:
    pays(BTCUSDT="0.02")
    after_1h = json.loads(tell("performance", "--json")[1])[0]["horizons"]["return_1h"]
    assert (after_1h["hit_rate"], after_1h["median"]) == (0.8, pytest.approx(0.96)), "0.05 pays 0.04 of fees"


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("fees", "says"),
    [
        ({}, "after fees of 0.05 % each way (taker_fee_percent: the account was not asked)"),
        ({"BTCUSDT": "0.05", "ETHUSDT": "0.05"}, "after the account's fees of 0.05 % each way"),
        (
            {"BTCUSDT": "0.02", "ETHUSDT": "0.04"},
            "after the account's fees of 0.02 to 0.04 % each way (0.05 %, taker_fee_percent, where it was not asked)",
        ),
        (
            {"BTCUSDT": "0.02"},
            "after the account's fees of 0.02 % each way (0.05 %, taker_fee_percent, where it was not asked)",
        ),
    ],
)
def test_the_header_says_which_fees(tell: Tell, pays: Callable[..., None], fees: dict[str, str], says: str) -> None:
    pays(**fees)
    assert f"in percent, {says}" in tell("performance")[1]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("by", "names"),
    [
        (["month"], {"2026-01": 3, "2026-02": 3}),
        (["symbol"], {"BTCUSDT": 5, "ETHUSDT": 1}),
        (["interval"], {"1h": 6}),
        (["strategy", "month"], {"a 2026-01": 2, "a 2026-02": 3, "b 2026-01": 1}),
    ],
)
def test_put_together_by(tell: Tell, by: list[str], names: dict[str, int]) -> None:
    options = [part for one in by for part in ("--by", one)]
    assert {one["name"]: one["signals"] for one in json.loads(tell("performance", "--json", *options)[1])} == names


@pytest.mark.usefixtures("history")
def test_performance_as_a_table_and_as_csv(tell: Tell) -> None:
    code, out, _ = tell("performance")
    assert code == 0
    assert "after fees of 0.05 % each way" in out
    assert "60%" in out
    rows = list(csv.DictReader(io.StringIO(tell("performance", "--csv", "--strategy", "a")[1])))
    assert [(row["strategy"], row["signals"], row["return_1h_count"]) for row in rows] == [("a", "5", "5")]


def test_returns_by_hand(db: Database[Any], tell: Tell, signal_document: Make) -> None:
    db.signals.insert_one(signal_document(HOUR_AGO - 10 * MINUTE, symbol="NEWUSDT", interval="1m"))
    assert json.loads(tell("returns", "--json")[1]) == {"symbols": 0, "worked_out": 0, "moved": 0}
    code, out, _ = tell("returns", "--symbol", "newusdt", "--anew")
    assert code == 0
    assert "0 symbols: 0 signals worked out" in out
