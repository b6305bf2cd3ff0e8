"""`tidemark account`: what a person reads of it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.store.account import AccountStore
from pipeline.store.funding import FundingStore
from pipeline.store.orders import OrderJournal
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from schemas.funding import Settlement
from tests.cli.conftest import Run
from tests.contracts import contract
from tests.execution.test_periods import DAYS, day
from tests.research.test_why import filled


@pytest.fixture(autouse=True)
def stored(db: Database[dict[str, Any]]) -> None:
    prepare(db)
    for one in DAYS:
        AccountStore(db, "sim").add(one)


def test_months_are_listed_over_all_that_is_stored(tidemark: Run) -> None:
    lines = tidemark("account", "--by", "month").stdout.splitlines()
    assert any("2026-01" in line and "-1.00" in line and "1,000.00" in line for line in lines)
    assert any("2026-03" in line and "+2.00" in line for line in lines)
    found = json.loads(tidemark("account", "--by", "month", "--json").stdout)
    assert [(one["name"], one["days"], one["equity"]) for one in found["months"]] == [
        ("2026-01", 2, "1099"),
        ("2026-03", 2, "1121"),
    ]


def test_days_are_listed_over_all_that_is_stored_or_as_far_back_as_asked(tidemark: Run) -> None:
    assert tidemark("account", "--by", "day").stdout.count("2026-0") == len(DAYS) + 1  # the headline names one too
    since_february = (datetime.now(UTC) - datetime(2026, 2, 15, tzinfo=UTC)).days
    found = json.loads(tidemark("account", "--days", str(since_february), "--json").stdout)
    assert [one["at"][:10] for one in found["days"]] == ["2026-03-02", "2026-03-05"]


def test_a_wrong_word_is_named(tidemark: Run) -> None:
    refused = tidemark("account", "--by", "week")
    assert refused.exit_code == 2
    assert "week" in refused.stderr


def test_why_these_months_goes_by_snapshots_and_journal(tidemark: Run, db: Database[dict[str, Any]]) -> None:
    journal = OrderJournal(db, "sim")
    for number in range(6):
        for one in (
            filled("BTCUSDT", "entry", "BUY", 30 * 24 + 9 * number, "1"),
            filled("BTCUSDT", "exit", "SELL", 30 * 24 + 9 * number + 4, "1", realized=Decimal(10 + number)),
        ):
            moved = {name: getattr(one, name).replace(year=2026) for name in ("created_at", "updated_at")}
            steps = [step.model_copy(update={"at": step.at.replace(year=2026)}) for step in one.history]
            journal.intend(one.model_copy(update={**moved, "history": steps}))
    found = json.loads(tidemark("account", "--why", "--json").stdout)
    assert [(one["month"], one["trades"]) for one in found["months"]] == [("2026-01", 0), ("2026-03", 0)]
    assert found["months"][0]["return_pct"] == pytest.approx(-1.0)
    assert any("no candles of BTCUSDT" in one for one in found["notes"])
    AccountStore(db, "sim").add(day(2, 1, 3.0, equity="1000"))
    AccountStore(db, "sim").add(day(2, 7, -1.0, equity="990"))
    found = json.loads(tidemark("account", "--why", "--json").stdout)
    assert [(one["month"], one["trades"]) for one in found["months"]][1] == ("2026-02", 6)
    side = next(one for one in found["cells"] if one["by"] == "side")
    assert (side["name"], side["profit"]) == ("long", "63")
    assert side["low_pct"] > 0
    shown = tidemark("account", "--why")
    assert "months won" in shown.stdout
    assert "+63.00" in shown.stdout.split()
    assert "2 settlements of BTCUSDT while it was held are not stored" in " ".join(shown.stderr.split())
    assert tidemark("account", "--why", "--csv").stdout.startswith("month,by,name,trades,profit")


def test_why_is_asked_of_each_coin_by_itself(tidemark: Run, db: Database[dict[str, Any]]) -> None:
    """Two coins, each with its snapshots on the same days and its own trades: none of them counts in the other."""
    store, journal = AccountStore(db, "sim-cm"), OrderJournal(db, "sim-cm")
    for asset, symbol, share in (("BTC", "BTCUSD_PERP", 2.0), ("ETH", "ETHUSD_PERP", -1.0)):
        coin = {"exchange": "sim-cm", "margin_asset": asset, "base_asset": asset, "contract_size": Decimal(100)}
        SymbolStore(db).save([contract(symbol, **coin)])
        for number in (1, 7):
            one = day(2, number, share, equity="2")
            store.add(one.model_copy(update={"id": f"{asset}:{number}", "asset": asset, "environment": "sim-cm"}))
        for side, hour, more in (
            ("BUY", 1, {}),
            ("SELL", 2, {"realized": Decimal(f"0.00{len(symbol)}{int(share) + 3}")}),
        ):
            made = filled(symbol, "entry" if side == "BUY" else "exit", side, hour, "1")
            at = datetime(2026, 2, 2, hour, tzinfo=UTC)
            history = [step.model_copy(update={"at": at}) for step in made.history]
            moved = {"history": history, "created_at": at, "updated_at": at, "environment": "sim-cm", **more}
            journal.intend(made.model_copy(update={"id": f"{made.id}-cm", **moved}))
    found = json.loads(tidemark("account", "--why", "--json", "--exchange", "sim-cm").stdout)["accounts"]
    assert [(one["asset"], len(one["months"])) for one in found] == [("BTC", 1), ("ETH", 1)]
    for one, (share, symbol) in zip(found, ((2.0, "BTCUSD_PERP"), (-1.0, "ETHUSD_PERP")), strict=True):
        assert one["months"][0]["return_pct"] == pytest.approx(((1 + share / 100) ** 2 - 1) * 100)
        assert [each["name"] for each in one["cells"] if each["by"] == "symbol"] == [symbol]
    shown = " ".join(tidemark("account", "--why", "--exchange", "sim-cm").stdout.split())
    assert "In BTC: 1 of 1 months won" in shown
    assert "In ETH: 0 of 1 months won" in shown
    lines = tidemark("account", "--why", "--csv", "--exchange", "sim-cm").stdout.splitlines()
    assert {line.rpartition(",")[2] for line in lines} == {"asset", "BTC", "ETH"}


def test_why_counts_the_funding_of_what_was_held(tidemark: Run, db: Database[dict[str, Any]]) -> None:
    AccountStore(db, "sim").add(day(2, 1, 3.0, equity="1000"))
    AccountStore(db, "sim").add(day(2, 7, -1.0, equity="990"))
    SymbolStore(db).save([contract()])
    times = [datetime(2026, 2, 2, 8, tzinfo=UTC) + timedelta(hours=8 * number) for number in range(-1, 3)]
    rates = [Decimal(one).scaleb(-3) for one in (1, 2, -4, 5)]
    settled = [Settlement(t=t, rate=rate, mark=Decimal(1_000)) for t, rate in zip(times, rates, strict=True)]
    FundingStore(db, "sim").add("BTCUSDT", settled)
    journal = OrderJournal(db, "sim")
    steps = (
        ("entry", "SELL", 1, "2", {}),
        ("add", "SELL", 9, "1", {}),
        ("stop", "BUY", 20, "3", {"realized": Decimal(10)}),
    )
    for leg, side, hour, quantity, more in steps:
        one = filled("BTCUSDT", leg, side, hour, quantity)
        at = datetime(2026, 2, 2, hour, tzinfo=UTC)
        history = [step.model_copy(update={"at": at}) for step in one.history]
        journal.intend(one.model_copy(update={"history": history, "created_at": at, "updated_at": at, **more}))
    found = json.loads(tidemark("account", "--why", "--json").stdout)
    (side,) = (one for one in found["cells"] if one["by"] == "side")
    assert (side["name"], side["trades"]) == ("short", 1)
    assert Decimal(side["profit"]) == 10 - 3 + 1_000 * (2 * rates[1] + 3 * rates[2])
    assert not any("are not stored, or" in one for one in found["notes"])


@pytest.mark.parametrize("more", [("--now",), ("--by", "day"), ("--days", "3"), ("--json", "--csv")])
def test_why_is_asked_alone(tidemark: Run, more: tuple[str, ...]) -> None:
    done = tidemark("account", "--why", *more)
    assert done.exit_code == 2
    assert "--" in done.output
    assert tidemark("account", "--csv").exit_code == 2
