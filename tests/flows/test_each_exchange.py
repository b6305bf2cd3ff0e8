"""The flows of an installation that runs several exchanges: each run sees to all of them, or to the one it is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from flows.backfill import BackfillChoice, backfill
from flows.indicators import indicators
from flows.returns import returns
from flows.running import at_each
from pipeline.errors import TidemarkError
from pipeline.settings import Settings
from pipeline.simulator.handle import Simulator
from pipeline.store.series import SeriesStore

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


def stored(db: Database[Any]) -> set[tuple[str, str]]:
    names = ("sim", "sim-cm", "sim-spot")
    return {(one.exchange, one.symbol) for name in names for one in SeriesStore(db).list(name) if one.stored}


def test_what_is_due_is_done_at_each_exchange(db: Database[Any]) -> None:
    rows = backfill(BackfillChoice(days=9))
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "BTCUSD_PERP", "BTCUSDT"]
    assert stored(db) == {("sim", "BTCUSDT"), ("sim-cm", "BTCUSD_PERP"), ("sim-spot", "BTCUSDT")}
    assert len(indicators()) == 3
    assert returns()["symbols"] == 3


def test_one_that_is_named_is_the_only_one(db: Database[Any]) -> None:
    backfill(BackfillChoice(exchange="sim-cm", days=9))
    assert stored(db) == {("sim-cm", "BTCUSD_PERP")}


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
