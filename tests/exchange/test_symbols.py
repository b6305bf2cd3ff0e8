"""exchangeInfo: exact filters; one odd symbol never spoils the rest."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.products.um import UM
from pipeline.exchange.symbols import symbols

NOW = 1_763_600_000_000
BTC: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "aFieldOfTomorrow": {"x": 1},
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "556.80", "maxPrice": "4529764"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "120"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "50"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"},
        {"filterType": "A_FILTER_OF_TOMORROW", "x": 1},
    ],
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**deepcopy(BTC), **fields}


def read(*listed: Any) -> dict[str, Any]:
    return {symbol.symbol: symbol for symbol in symbols({"symbols": list(listed)}, "sim", NOW, UM.listing)}


def test_filters_are_exact_and_tick_and_step_are_not_taken_from_the_precisions() -> None:
    found = read(BTC)["BTCUSDT"]
    assert found.id == "sim:BTCUSDT"
    assert found.onboarded.isoformat() == "2019-09-25T08:00:00+00:00"
    assert found.filters is not None
    assert str(found.filters.tick_size) == "0.10"
    assert (found.filters.step_size, found.filters.market_max_quantity) == (Decimal("0.001"), Decimal(120))
    assert (found.filters.min_notional, found.filters.multiplier_up) == (Decimal(50), Decimal("1.05"))
    assert found.filters.max_orders == 200


def pending() -> dict[str, Any]:
    one = changed(symbol="NEWUSDT", status="PENDING_TRADING")
    one["filters"][0]["tickSize"] = "0"
    return one


def test_a_pending_symbol_has_no_filters_yet() -> None:
    found = read(pending(), BTC)
    assert found["NEWUSDT"].filters is None
    assert found["BTCUSDT"].filters is not None


@pytest.mark.parametrize(
    "odd",
    [
        5,
        {},
        changed(symbol="ODD", filters=[]),
        changed(symbol="ODD", onboardDate=None),
        changed(symbol="ODD", onboardDate=10**18),
        changed(symbol="ODD", filters=[{"filterType": "PRICE_FILTER", "tickSize": "abc"}]),
        changed(symbol="ODD", pricePrecision="two"),
    ],
)
def test_a_symbol_that_cannot_be_read_is_left_out_and_named(odd: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert list(read(odd, BTC)) == ["BTCUSDT"]
    assert "is left out" in caplog.text


def test_symbols_and_statuses_of_tomorrow_are_taken_as_they_are() -> None:
    found = read(changed(symbol="币安人生USDT", status="A_STATUS_OF_TOMORROW", contractType="TRADIFI_PERPETUAL"))
    assert found["币安人生USDT"].status == "A_STATUS_OF_TOMORROW"


@pytest.mark.parametrize("answer", [[], {}, {"symbols": {}}, None])
def test_an_answer_without_symbols_is_refused(answer: Any) -> None:
    with pytest.raises(BadAnswerError, match="no list of symbols"):
        symbols(answer, "sim", NOW, UM.listing)
