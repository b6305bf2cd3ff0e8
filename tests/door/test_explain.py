"""`tidemark explain` and `tm.explain`: what nobody has traded needs no explanation, what only the backtest traded has
one; the same by both doors."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import build
from pipeline.errors import UsageError
from schemas.control import CONTROL
from tidemark import Tidemark

LIVED = {"_id": "uptime:executor:sim", "kind": "uptime", "role": "executor", "exchange": "sim", "detail": "sim"}


def told(*arguments: str, code: int = 0, width: str = "200") -> Any:
    done = CliRunner().invoke(build(), ["explain", *arguments], env={"COLUMNS": width})
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def lived(filled: Tidemark) -> Iterator[Tidemark]:
    """An executor was there for the last two days, and heard of nothing. Of one contract there are no minutes."""
    filled.backfill("BTCUSDT", "1m", days=1)
    control = filled._opened.db[CONTROL.name]
    control.insert_one(LIVED | {"since": datetime.now(UTC) - timedelta(days=2), "outages": []})
    yield filled
    control.delete_one({"_id": LIVED["_id"]})


def test_where_no_executor_ever_lived_there_is_nothing_to_explain(filled: Tidemark) -> None:
    assert filled.explain().accounts.is_empty()
    assert "nothing was traded" in repr(filled.explain())
    assert "Nothing was traded" in told().stderr
    assert json.loads(told("--json").stdout)["accounts"] == []


def half_a_day_ago() -> str:
    """A moment that stays where it is while a test asks of it twice."""
    return (datetime.now(UTC) - timedelta(hours=12)).isoformat()


def test_what_only_the_backtest_traded_is_late_by_both_doors(lived: Tidemark) -> None:
    since = half_a_day_ago()
    found = lived.explain(since=since)
    (account,) = found.accounts.to_dicts()
    assert (account["asset"], account["live"], account["signals"] > 0) == ("USDT", 0, True)
    assert account["difference"] == -account["backtest"] == found.causes["money"].sum() + account["rest"]
    causes = set(found.causes["cause"])
    assert "corrected" in causes <= {"corrected", "late"}, "a candle was fetched long after its close, or just then"
    assert account["rest"] == 0 == found.rest["USDT"]
    assert found.positions.height == found.costs.height == account["positions"] > 0
    assert found.positions["live"].null_count() == account["positions"]
    assert "its candle was written at" in found.costs["words"][0]
    assert not any("was assumed for them" in one for one in found.notes)
    assert "no 1m candles of ETHUSDT are stored of then: left out" in found.notes[0]
    assert "<table" in found._repr_html_()

    (same,) = json.loads(told("--since", since, "--json").stdout)["accounts"]
    assert len(same["trades"]) == account["positions"]
    assert [one["signal"] for one in same["trades"]] == found.positions["signal"].to_list()


def test_one_symbol_or_strategy_is_shown_of_all_that_is_run(lived: Tidemark) -> None:
    since = half_a_day_ago()
    every = lived.explain(since=since).positions
    assert lived.explain(since=since, symbol="ETHUSDT").positions.is_empty()
    strategy = every["strategy"][0]
    assert lived.explain(since=since, strategy=strategy).positions.equals(every.filter(pl.col("strategy") == strategy))


def test_slippage_of_too_few_orders_is_not_adopted_and_is_forgotten_by_both_doors(lived: Tidemark) -> None:
    assert "0 orders of that window have a fill" in told("--since", "6h", "--adopt-slippage", code=2).output
    with pytest.raises(UsageError, match="0 orders of that window"):
        lived.adopt_slippage(since="6h")
    assert lived._opened.db[CONTROL.name].find_one({"kind": "slippage"}) is None
    assert "a backtest assumes the slippage that is usual" in told("--forget-slippage", "--reason", "a try").stdout
    assert json.loads(told("--forget-slippage", "--json").stdout)["assumed"] is None
    lived.forget_slippage(reason="another")
    kept = lived._opened.db[CONTROL.name].find_one_and_delete({"kind": "slippage"})
    assert kept is not None
    assert [one["reason"] for one in kept["changes"]] == ["a try", None, "another"]


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_what_a_person_reads_fits(lived: Tidemark, width: str) -> None:
    done = told("--since", "6h", width=width)
    assert max(map(len, done.stdout.splitlines())) <= int(width)
    assert "rest" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "yesterday"), "'yesterday' is no time"),
        (("--symbol", "BTCUSD_PERP"), "BTCUSD_PERP"),
        (("--strategy", "macd_turtel"), "macd_turtle"),
        (("--adopt-slippage", "--forget-slippage"), "one of"),
        (("--adopt-slippage", "--symbol", "BTCUSDT"), "all that was traded"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: tuple[str, ...], says: str) -> None:
    done = told(*arguments, code=2)
    assert says in done.output
    assert "Traceback" not in done.output
