"""Market data by REST: what is asked, at what weight, and what comes of the answer."""

from typing import Any

import msgspec
import pytest

from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.timeline import HOUR, MINUTE, Window, interval
from tests.exchange.standing import NOW, standing

START = 1_700_006_400_000
M1 = interval("1m")


@pytest.fixture
def market(place: Environment) -> MarketData:
    with RestClient(place, clock=standing()) as client:
        yield MarketData(client)


def row(opened: int) -> list[Any]:
    return [opened, "2", "3", "1", "2", "5", opened + MINUTE - 1, "10", 7, "1", "2", "0"]


def test_a_page_is_asked_for_exactly_and_costs_two(market: MarketData, exchange: Any, reply: Any) -> None:
    exchange.otherwise = lambda _: reply(msgspec.json.encode([row(START), row(START + MINUTE)]))
    table = market.klines("BTCUSDT", M1, Window(START, START + 498 * MINUTE))
    assert table["t"].to_list() == [START, START + MINUTE]
    assert exchange.seen[0].parameters == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": str(START),
        "endTime": str(START + 498 * MINUTE),
        "limit": "499",
    }
    assert market.client.weight.used == 2


def test_a_short_page_costs_one(market: MarketData, exchange: Any, reply: Any) -> None:
    exchange.otherwise = lambda _: reply(b"[]")
    assert market.klines("BTCUSDT", M1, Window(START, START + 98 * MINUTE)).is_empty()
    assert market.client.weight.used == 1


def test_the_last_row_is_open_while_the_exchange_says_its_time_is_not_over(
    market: MarketData, exchange: Any, reply: Any
) -> None:
    exchange.otherwise = lambda _: reply(msgspec.json.encode([row(START - MINUTE * 2), row(START)]))
    table = market.klines("BTCUSDT", M1, Window(START - 2 * MINUTE, START))
    assert table["closed"].to_list() == [True, False]


@pytest.mark.parametrize("step", [-2 * HOUR, -5_000, 5_000, 2 * HOUR])
def test_a_clock_that_is_set_closes_no_candle_and_is_measured_anew(
    market: MarketData, exchange: Any, reply: Any, step: int
) -> None:
    rows = msgspec.json.encode([row(START - MINUTE), row(START)])

    def answer(seen: Any) -> Any:
        told = msgspec.json.encode({"serverTime": NOW})
        return reply(told if seen.path == "/fapi/v1/time" else rows)

    exchange.otherwise = answer
    market.client.clock.local = lambda: NOW + step
    for _ in range(2):
        table = market.klines("BTCUSDT", M1, Window(START - MINUTE, START))
        assert table["closed"].to_list() == [True, False]
    assert [seen.path for seen in exchange.seen].count("/fapi/v1/time") == 3


def test_nothing_of_a_bad_page_is_used_and_the_error_names_it(market: MarketData, exchange: Any, reply: Any) -> None:
    bad = row(START + MINUTE)[:3]
    exchange.otherwise = lambda _: reply(msgspec.json.encode([row(START), bad]))
    with pytest.raises(BadAnswerError, match=r"BTCUSDT 1m: .*row 1"):
        market.klines("BTCUSDT", M1, Window(START, START + 5 * MINUTE))


@pytest.mark.parametrize("count", [0, 500])
def test_a_page_that_would_cost_more_is_refused_before_it_is_sent(
    market: MarketData, exchange: Any, count: int
) -> None:
    with pytest.raises(ValueError, match=str(count)):
        market.klines("BTCUSDT", M1, Window(START, START + (count - 1) * MINUTE))
    assert exchange.seen == []
