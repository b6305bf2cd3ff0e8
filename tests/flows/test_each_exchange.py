"""The flows of an installation that runs several exchanges: each run sees to all of them, or to the one it is told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

from flows.account import account
from flows.backfill import BackfillChoice, backfill
from flows.indicators import indicators
from flows.returns import returns
from flows.running import at_each
from flows.sweep import SweepChoice, sweep
from pipeline.errors import TidemarkError
from pipeline.settings import Settings
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import READY_COINS, READY_KEY, READY_SECRET
from pipeline.store.lease import LeaseStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.timeline import to_ms
from tests.flows.artifacts import newest_artifact

pytestmark = pytest.mark.usefixtures("settings_of_the_run", "three")


@pytest.fixture
def three(settings_of_the_run: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with Simulator.start(markets=("um", "cm", "spot")) as running:
        for name, value in {
            "SIM_URL": running.url, "ALSO": "sim-cm,sim-spot", "SYMBOLS": "BTCUSDT", "INTERVALS": "1d",
            "EXCHANGES__SIM_CM__SYMBOLS": "BTCUSD_PERP", "EXCHANGES__SIM_SPOT__SYMBOLS": "BTCUSDT",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"TIDEMARK_{name}", value)
        yield


SYMBOLS = {"sim": "BTCUSDT", "sim-cm": "BTCUSD_PERP", "sim-spot": "BTCUSDT"}


def stored(db: Database[Any]) -> set[tuple[str, str]]:
    return {(one.exchange, one.symbol) for name in SYMBOLS for one in SeriesStore(db).list(name) if one.stored}


def test_what_is_due_is_done_at_each_exchange(db: Database[Any]) -> None:
    rows = backfill(BackfillChoice(days=9))
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "BTCUSD_PERP", "BTCUSDT"]
    assert stored(db) == set(SYMBOLS.items())
    assert len(indicators()) == 3
    assert returns()["symbols"] == 3


def test_one_that_is_named_is_the_only_one(db: Database[Any]) -> None:
    backfill(BackfillChoice(exchange="sim-cm", days=9))
    assert stored(db) == {("sim-cm", "BTCUSD_PERP")}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the ready account, which trades in all three."""
    monkeypatch.setenv("TIDEMARK_API_KEY", READY_KEY)
    monkeypatch.setenv("TIDEMARK_API_SECRET", READY_SECRET)


@pytest.mark.usefixtures("keys")
def test_each_account_is_looked_at_in_its_own_assets(db: Database[Any]) -> None:
    prepare(db)
    taken = {(one["environment"], one["asset"]): Decimal(one["equity"]) for one in account()}
    coins = {("sim-cm", asset): Decimal(amount) for asset, amount in READY_COINS.items()}
    assert taken == {("sim", "USDT"): 10_000, ("sim-spot", "USDT"): 10_000, **coins}
    assert {(one["environment"], one["asset"]) for one in db.accounts.find()} == taken.keys()
    for name, first in (("account", "# 10,000.00 USDT"), ("account-sim-spot", "# 10,000.00 USDT")):
        assert newest_artifact(name).startswith(first)
    assert "# 2.00000000 ETH" in newest_artifact("account-sim-cm")


@pytest.mark.usefixtures("keys")
def test_a_pass_decides_at_each_exchange_on_what_was_said_there(
    db: Database[Any], signal_document: Callable[..., dict[str, Any]]
) -> None:
    prepare(db)
    now, said = datetime.now(UTC), {}
    for name, symbol in SYMBOLS.items():
        document = signal_document(
            to_ms(now), exchange=name, symbol=symbol, verdict="fresh", source="live", strategy="turtle",
            price=70_000.0, indicators={"atr": 700.0}, fresh_until=now + timedelta(minutes=10),
        )  # fmt: skip
        db.signals.insert_one(document)
        said[name] = document["_id"]
    LeaseStore(db, "executor:sim-cm", "desk:1").acquire()
    decided = sweep(SweepChoice(seconds=120))
    assert len(decided) == 2, "where an executor acts, a pass stands back"
    verdicts = {name: db.signals.find_one({"_id": one})["verdict"] for name, one in said.items()}
    assert verdicts.pop("sim-cm") == "fresh"
    assert "fresh" not in verdicts.values()
    assert list(db.orders.find()) == [], "a pass sends nothing unless it is told to"


def test_one_that_fails_keeps_no_other_from_its_turn() -> None:
    seen: list[str] = []

    def do(settings: Settings) -> list[str]:
        seen.append(settings.environment)
        if settings.environment == "sim":
            raise TidemarkError("it is away")
        return [settings.environment]

    with pytest.raises(TidemarkError, match=r"^sim: it is away$"):
        at_each(None, do)
    assert seen == ["sim", "sim-cm", "sim-spot"]
