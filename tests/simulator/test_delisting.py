"""A symbol is delisted while everybody looks: its trading ends with the minute, and everything that is asked agrees."""

from typing import Any

import pytest

from pipeline.simulator.handle import Simulator, SimulatorError
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import universe
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE

Desk = Any
EPOCH = 1_767_225_600_000  # 2026-01-01
NOW = EPOCH + 90 * MINUTE + 20_000
END = EPOCH + 91 * MINUTE
KLINES = "/fapi/v1/klines"


def market() -> SyntheticMarket:
    return SyntheticMarket(7, universe(3, EPOCH))


def test_what_was_before_stays_and_nothing_comes_after() -> None:
    ended, going_on = market(), market()
    for one in (ended, going_on):  # everything that is remembered is remembered of a symbol that trades
        one.forming("BTCUSDT", INTERVALS["4h"], NOW)
        one.klines("BTCUSDT", INTERVALS["1h"], EPOCH, EPOCH + 5 * HOUR)
        one.ticks("BTCUSDT", NOW, END + 10 * MINUTE)
    ended.delist("BTCUSDT", "CLOSE", NOW)
    minutes = ended.klines("BTCUSDT", INTERVALS["1m"], EPOCH, EPOCH + DAY)
    assert (minutes == going_on.klines("BTCUSDT", INTERVALS["1m"], EPOCH, END - 1)).all()
    assert ended.klines("BTCUSDT", INTERVALS["1h"], EPOCH, EPOCH + DAY)["t"].tolist() == [EPOCH, EPOCH + HOUR]
    assert ended.klines("BTCUSDT", INTERVALS["1h"], EPOCH + HOUR, EPOCH + DAY)["volume"] == minutes[60:]["volume"].sum()
    assert max(tick.time for tick in ended.ticks("BTCUSDT", NOW, NOW + DAY)) < END
    assert ended.price("BTCUSDT", NOW + DAY) == minutes["close"][-1]
    assert len(ended.klines("ETHUSDT", INTERVALS["1m"], EPOCH, EPOCH + DAY)) == 24 * 60 + 1


def test_relisted_it_is_as_if_nothing_had_been() -> None:
    ended, untouched = market(), market()
    ended.delist("BTCUSDT", "SETTLING", NOW)
    ended.klines("BTCUSDT", INTERVALS["1h"], EPOCH, EPOCH + DAY)
    ended.relist()
    assert ended.specs == untouched.specs
    asked = ("BTCUSDT", INTERVALS["1h"], EPOCH, EPOCH + DAY)
    assert (ended.klines(*asked) == untouched.klines(*asked)).all()


@pytest.mark.parametrize("status", ["SETTLING", "CLOSE"])
def test_it_is_listed_as_ended_and_takes_no_orders(desk: Desk, simulator: Simulator, status: str) -> None:
    end = simulator.delist("BTCUSDT", status)
    assert 0 < end - simulator.now() <= MINUTE
    (listed,) = [one for one in desk.public("/fapi/v1/exchangeInfo").body["symbols"] if one["symbol"] == "BTCUSDT"]
    assert (listed["status"], listed["deliveryDate"]) == (status, end)
    rows = desk.public(KLINES, symbol="BTCUSDT", interval="1m", startTime=end - 3 * MINUTE).body
    assert [row[0] for row in rows] == [end - 3 * MINUTE, end - 2 * MINUTE]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert desk.signed("POST", "/fapi/v1/order", **order).code == -4141
    simulator.faults.clear()
    assert desk.public(KLINES, symbol="BTCUSDT", interval="1m", limit=1).body[0][6] > simulator.now()


def test_unlisted_nobody_can_ask_for_it(desk: Desk, simulator: Simulator) -> None:
    simulator.delist("BTCUSDT", "UNLISTED")
    assert "BTCUSDT" not in {one["symbol"] for one in desk.public("/fapi/v1/exchangeInfo").body["symbols"]}
    assert desk.public(KLINES, symbol="BTCUSDT", interval="1m").code == -1121
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert desk.signed("POST", "/fapi/v1/order", **order).code == -1121
    truth = simulator.truth_klines("BTCUSDT", "1m", simulator.now() - 5 * MINUTE, simulator.now() - 2 * MINUTE)
    assert len(truth) == 3, "what truly was can still be looked at"


@pytest.mark.parametrize(("symbol", "status", "why"), [("NOPE", "CLOSE", "no symbol"), ("BTCUSDT", "DEAD", "SETTLING")])
def test_what_cannot_be_delisted_is_refused(simulator: Simulator, symbol: str, status: str, why: str) -> None:
    with pytest.raises(SimulatorError, match=why):
        simulator.delist(symbol, status)
