"""Funding, fetched from the exchange over HTTP into a real database: once, whole, and only when it is due."""

from itertools import pairwise
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history import funding
from pipeline.history.funding import Settlements
from pipeline.store.funding import FundingStore
from pipeline.store.prepare import prepare
from pipeline.timeline import DAY, HOUR, to_ms
from schemas.symbols import Symbol


@pytest.fixture
def store(db: Database[dict[str, Any]]) -> FundingStore:
    prepare(db)
    return FundingStore(db, "sim")


@pytest.fixture
def market(client: RestClient) -> MarketData:
    return MarketData(client)


def perpetuals(market: MarketData) -> list[Symbol]:
    return [one for one in market.symbols() if one.symbol in {"BTCUSDT", "ETHUSDT"}]


def test_settlements_are_stored_as_the_exchange_says_them(
    db: Database[dict[str, Any]], store: FundingStore, market: MarketData
) -> None:
    now = market.client.clock.now()
    since = now - 90 * DAY
    assert Settlements(db, market).bring_up(perpetuals(market), since) == pytest.approx(2 * 270, abs=4)
    stored = store.load("BTCUSDT", since, now)
    told = market.settlements("BTCUSDT", since)
    assert stored == [one for one in told if to_ms(one.t) <= now]
    gaps = {to_ms(after.t) - to_ms(before.t) for before, after in pairwise(stored)}
    assert gaps == {8 * HOUR}
    assert all(one.mark for one in stored)


def test_a_second_run_asks_for_nothing_and_one_twice_stores_nothing_twice(
    db: Database[dict[str, Any]], store: FundingStore, market: MarketData, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = market.client.clock.now() - 30 * DAY
    settlements = Settlements(db, market)
    settlements.bring_up(perpetuals(market), since)
    before = store.load("ETHUSDT", since, since + 40 * DAY)
    store.add("ETHUSDT", before[5:20])
    assert store.load("ETHUSDT", since, since + 40 * DAY) == before
    asked: list[str] = []
    monkeypatch.setattr(MarketData, "settlements", lambda _, symbol, __: asked.append(symbol) or [])
    assert settlements.bring_up(perpetuals(market), since) == 0
    assert not asked


def test_an_interruption_goes_on_from_the_newest_that_is_stored(
    db: Database[dict[str, Any]], store: FundingStore, market: MarketData
) -> None:
    since = market.client.clock.now() - 20 * DAY
    told = market.settlements("BTCUSDT", since)
    store.add("BTCUSDT", told[:10])
    bitcoin = [one for one in perpetuals(market) if one.symbol == "BTCUSDT"]
    fetched = Settlements(db, market).bring_up(bitcoin, since)
    stored = store.load("BTCUSDT", since, since + 30 * DAY)
    assert (stored[: len(told)], len(stored)) == (told, 10 + fetched), "one more where it was settled meanwhile"


def test_a_symbol_without_an_answer_is_said_and_keeps_no_other(
    db: Database[dict[str, Any]], store: FundingStore, market: MarketData, caplog: pytest.LogCaptureFixture
) -> None:
    since = market.client.clock.now() - 5 * DAY
    known = perpetuals(market)
    unknown = known[0].model_copy(update={"symbol": "NOSUCHUSDT"})
    assert Settlements(db, market).bring_up([unknown, *known], since) > 0
    assert "the funding of NOSUCHUSDT could not be asked for" in caplog.text
    assert store.load("ETHUSDT", since, since + 6 * DAY)


def test_no_more_is_asked_in_five_minutes_than_the_exchange_takes(
    db: Database[dict[str, Any]], store: FundingStore, market: MarketData, monkeypatch: pytest.MonkeyPatch
) -> None:
    del store
    clock, waited = [0.0], []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(MarketData, "settlements", lambda *_: [])
    monkeypatch.setattr(funding, "ASKED_AT_MOST", 3)
    many = [perpetuals(market)[0].model_copy(update={"symbol": f"X{n}USDT"}) for n in range(7)]
    Settlements(db, market, wait, lambda: clock[0]).bring_up(many, 0)
    assert waited == [300.0, 300.0]
