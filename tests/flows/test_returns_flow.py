"""The returns flow on a real Prefect server: what it refreshes, and the table it leaves."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import ParameterTypeError
from pymongo.database import Database

from flows.returns import ReturnsChoice, returns
from pipeline.candle import Candle, CandleWrite
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.returns import returns_at_birth
from pipeline.timeline import HOUR, interval, to_ms
from schemas.series import SeriesKey
from tests.live_writer import write_live

pytestmark = pytest.mark.usefixtures("settings_of_the_run")

START = interval("1h").floor(to_ms(datetime.now(UTC))) - HOUR


def tables() -> list[Any]:
    with get_client(sync_client=True) as client:
        key = ArtifactFilterKey(any_=["returns-best-signals"])
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    return sorted(found, key=lambda artifact: artifact.created)


def newest_table() -> list[dict[str, Any]]:
    return json.loads(tables()[-1].data)


@pytest.fixture
def market(db: Database[Any], signal_document: Callable[..., dict[str, Any]]) -> None:
    """A candle of two symbols that closed at 102, and signals from before it."""
    prepare(db)
    values = (100.0, 103.0, 99.0, 102.0, 1.0, 1.0, 1, 1.0, 1.0)
    keys = [SeriesKey("sim", symbol, "1h") for symbol in ("BTCUSDT", "ETHUSDT")]
    for key in keys:
        write_live(db, [CandleWrite(key, Candle(START, *values, closed=True, u=START + HOUR))])
        SeriesStore(db).recount(key, "stream", START)
    old = START - 30 * 24 * HOUR
    begun = returns_at_birth(START, 100.0)
    db.signals.insert_many(
        [
            signal_document(START, side="short", **begun),
            signal_document(START, **begun),
            signal_document(old, **returns_at_birth(old, 100.0)),
            signal_document(START, symbol="ETHUSDT", **begun),
        ]
    )


@pytest.mark.usefixtures("market")
def test_every_signal_is_refreshed_and_the_best_recent_ones_are_shown() -> None:
    assert returns() == {"symbols": 2, "worked_out": 4, "moved": 0}
    table = newest_table()
    assert [(row["symbol"], row["side"], row["return_pct"]) for row in table] == [
        ("BTCUSDT", "long", 2.0),
        ("ETHUSDT", "long", 2.0),
        ("BTCUSDT", "short", -2.0),
    ]
    assert (table[0]["best_pct"], table[0]["worst_pct"]) == (3.0, -1.0)
    assert returns(ReturnsChoice(symbols=["ethusdt"], anew=True, top=1)) == {
        "symbols": 1,
        "worked_out": 1,
        "moved": 0,
    }
    assert len(newest_table()) == 1
    before = len(tables())
    assert returns() == {"symbols": 2, "worked_out": 0, "moved": 0}
    assert len(tables()) == before, "where nothing has changed, the table of before stands"


def test_a_wish_that_is_none_is_refused() -> None:
    with pytest.raises(ParameterTypeError):
        returns({"top": 0})  # type: ignore[arg-type]
