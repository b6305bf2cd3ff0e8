"""What ccxt's spot client reads of a market, against the exchange on the desk: nothing of it is changed but where it
connects."""

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from pipeline.simulator.handle import RunningSimulator, Simulator

BTC = "BTC/USDT"
JANUARY = 1_767_225_600_000  # 2026-01-01
MINUTE = 60_000


@pytest.fixture(scope="module")
def own() -> Iterator[RunningSimulator]:
    with Simulator.start(markets=("um", "spot")) as simulator:
        yield simulator.at("spot")


@pytest.fixture(scope="module")
def client(own: RunningSimulator) -> Any:
    options = {"fetchCurrencies": False, "fetchMarkets": {"types": ["spot"]}}
    client = ccxt.binance({"apiKey": "sim-key", "secret": "sim-secret", "options": options})
    addresses = client.urls["api"]
    for name, address in addresses.items():
        if isinstance(address, str):
            addresses[name] = address.replace("https://api.binance.com", own.url)
    return client


def test_time_and_markets(client: Any, own: RunningSimulator) -> None:
    assert abs(client.fetch_time() - own.now()) < MINUTE
    market = client.load_markets()[BTC]
    assert (market["spot"], market["active"], market["contract"]) == (True, True, False)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.00001, 0.01)
    assert market["limits"]["cost"] == {"min": 5, "max": 9_000_000}


def test_candles(client: Any, own: RunningSimulator) -> None:
    truth = own.truth_klines("BTCUSDT", "1m", JANUARY, JANUARY + 999 * MINUTE)
    candles = client.fetch_ohlcv(BTC, "1m", since=JANUARY, limit=1000)
    assert candles == [[row[0], *map(float, row[1:6])] for row in truth]


def test_public_prices(client: Any) -> None:
    assert client.fetch_ticker(BTC)["last"] > 0
    assert {BTC, "ETH/USDT"} == set(client.fetch_tickers([BTC, "ETH/USDT"]))
    book = client.fetch_order_book(BTC)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(client.fetch_trades(BTC, limit=10)) == 10
    assert client.fetch_bids_asks([BTC])[BTC]["bid"] > 0
    assert client.fetch_last_prices([BTC])[BTC]["price"] > 0
