"""`tidemark portfolio`, and the same through the Python door."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

import tidemark as door
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.likeness import LikenessStore
from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from schemas.likeness import Likeness
from schemas.positions import Position
from tests.cli.conftest import Run
from tests.contracts import contract
from tests.execution.test_periods import DAYS

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def position(symbol: str, quantity: str, **more: Any) -> Position:
    return Position(
        id=f"sim:{symbol}:BOTH",
        environment="sim",
        symbol=symbol,
        quantity=Decimal(quantity),
        entry_price=Decimal(100),
        mark_price=Decimal(110),
        updated_at=NOW,
        **{"ours": True, "leverage": 5} | more,
    )


@pytest.fixture(autouse=True)
def stored(db: Database[dict[str, Any]]) -> None:
    prepare(db)
    AccountStore(db, "sim").add(DAYS[-1])
    SymbolStore(db).save([contract("BTCUSDT"), contract("ETHUSDT"), contract("SOLUSDT")])
    PositionStore(db, "sim").save(
        [
            position("BTCUSDT", "10", stop_price=Decimal(100)),
            position("ETHUSDT", "-2", stop_price=Decimal(120)),
            position("SOLUSDT", "1", ours=False),
        ]
    )


@pytest.fixture(autouse=True)
def measured(db: Database[dict[str, Any]]) -> None:
    together = {"BTCUSDT": {"ETHUSDT": 0.91, "SOLUSDT": 0.79}, "ETHUSDT": {"BTCUSDT": 0.91}}
    LikenessStore(db, "sim").save(
        (
            Likeness(id=f"sim:{symbol}", exchange="sim", symbol=symbol, at=NOW, correlations=of_it)
            for symbol, of_it in together.items()
        ),
        NOW,
    )


def test_what_everything_comes_to_is_shown_beside_what_it_may(tidemark: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_PORTFOLIO__GROSS_PERCENT", "100")
    found = json.loads(tidemark("portfolio", "--json").stdout)["portfolios"]
    equity = Decimal(found[0]["equity"])
    worth = {
        "everything held": 1100 + 220 + 110,
        "longs less shorts": 1100 - 220 + 110,
        "all longs": 1100 + 110,
        "all shorts": 220,
        "the margin used": (1100 + 220 + 110) / Decimal(5),
        "what is lost where every stop is reached": 100 + 20 + 110,
        "longs less shorts of what moves like BTCUSDT": 1100 - 220,
        "longs less shorts of what moves like ETHUSDT": 1100 - 220,
        "longs less shorts of what moves like SOLUSDT": 110,
    }
    assert {one["counts"]: round(Decimal(one["now_pct"]), 6) for one in found[0]["caps"]} == {
        name: round(Decimal(value) * 100 / equity, 6) for name, value in worth.items()
    }
    lines = tidemark("portfolio", "--wide").stdout.splitlines()
    assert any("everything held" in one and "100" in one and "gross_percent" in one for one in lines)
    assert any("nothing is closed for it" in one for one in lines)
    assert any("all shorts" in one and "no cap" in one for one in lines)


def test_in_python_it_is_told_of_which_cap_more_is_held_than_is_allowed(
    chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**chosen, "TIDEMARK_PORTFOLIO__SIDE_PERCENT": "90"}.items():
        monkeypatch.setenv(name, value)
    with door.open() as tm:
        rows = tm.portfolio().rows(named=True)
    sides = {one["counts"]: (one["most_pct"], one["is_over"]) for one in rows if one["setting"] == "side_percent"}
    assert sides == {"all longs": (90, True), "all shorts": (90, False)}
    assert not any(one["is_over"] for one in rows if one["most_pct"] is None)


def test_a_cap_that_cannot_be_is_refused_by_name(tidemark: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_PORTFOLIO__NET_PERCENT", "-5")
    refused = tidemark("portfolio")
    assert refused.exit_code == 2
    assert "TIDEMARK_PORTFOLIO__NET_PERCENT" in refused.stderr


def test_before_the_first_snapshot_it_says_who_takes_them(tidemark: Run, db: Database[dict[str, Any]]) -> None:
    db["accounts"].delete_many({})
    assert "tidemark execute" in tidemark("portfolio").stderr
