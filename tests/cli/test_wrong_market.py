"""A symbol of another market, or candles of a length that this one does not have: the right exchange is named."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.exchange.markets import meant

Run = Callable[..., Any]
COIN_M = "BTCUSD_PERP is COIN-M: --exchange sim-cm"


@pytest.mark.parametrize(
    ("symbol", "exchange", "says"),
    [
        ("BTCUSD_PERP", "binance-um", " BTCUSD_PERP is COIN-M: --exchange binance-cm."),
        ("BTCUSD_261225", "binance-spot-demo", " BTCUSD_261225 is COIN-M: --exchange binance-cm-demo."),
        ("BTCUSDT", "binance-cm", " BTCUSDT is USD-M or spot: --exchange binance-um or binance-spot."),
        ("BTCUSDT_261225", "sim-cm", " BTCUSDT_261225 is USD-M: --exchange sim."),
        ("BNBEUR", "sim", " BNBEUR is spot: --exchange sim-spot."),
        ("BTCUSD_PERP", "binance-spot-testnet", ""),
        ("XYZZY", "binance-um", ""),
        ("DOGEUSDT", "binance-um", ""),
        ("BTCUSD", "sim", " Did you mean BTCUSDT?"),
        ("BTCUSD_PERP", "moon", ""),
    ],
)
def test_where_a_symbol_is_traded(symbol: str, exchange: str, says: str) -> None:
    assert meant(symbol, exchange, ["BTCUSDT", "ETHUSDT"] if exchange == "sim" else []) == says


@pytest.mark.parametrize(
    "asked",
    [
        ["candles", "BTCUSD_PERP", "1h"], ["signals", "--symbol", "BTCUSD_PERP"], ["watch", "BTCUSD_PERP"],
        ["backfill", "BTCUSD_PERP", "-i", "1d"], ["audit", "BTCUSD_PERP"], ["indicators", "BTCUSD_PERP"],
        ["trading", "BTCUSD_PERP", "--off"], ["orders", "--symbol", "BTCUSD_PERP"], ["close", "BTCUSD_PERP"],
        ["halt", "--symbol", "BTCUSD_PERP"], ["resume", "--symbol", "BTCUSD_PERP"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_names_the_right_exchange(tidemark: Run, db: Any, asked: list[str]) -> None:
    refused = tidemark(*asked)
    assert refused.exit_code == 2, refused.output
    assert COIN_M in " ".join(refused.stderr.split())


@pytest.mark.parametrize("asked", [["backfill", "BTCUSDT", "-i", "1s"], ["watch", "BTCUSDT", "-i", "60s", "-i", "1s"]])
def test_candles_of_a_second_are_those_of_spot(tidemark: Run, db: Any, asked: list[str]) -> None:
    refused = tidemark(*asked)
    assert refused.exit_code == 2
    assert "sim has no 1s candles: --exchange sim-spot" in refused.stderr
