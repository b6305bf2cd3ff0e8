"""The pairs of coins that spot lists. Each follows the path of its USD-M contract, on the finer grid of spot."""

from decimal import Decimal
from typing import Final

from pipeline.simulator.types import SymbolSpec

PRINTED: Final = 8
"""Digits of every number."""

KIND: Final = "SPOT"

_OPENED: Final = 1_502_942_400_000

# symbol, its USD-M contract, tick, step, most, market most, pace
_Row = tuple[str, str, str, str, str, str, float]
_PAIRS: Final[tuple[_Row, ...]] = (
    ("BTCUSDT", "BTCUSDT", "0.01", "0.00001", "9000", "84", 0.12),
    ("ETHUSDT", "ETHUSDT", "0.01", "0.0001", "9000", "1600", 0.12),
    ("BNBUSDT", "BNBUSDT", "0.01", "0.001", "900000", "2000", 0.12),
    ("SOLUSDT", "SOLUSDT", "0.01", "0.001", "90000", "6000", 0.12),
    ("XRPUSDT", "XRPUSDT", "0.0001", "0.1", "9222449", "900000", 0.12),
    ("DOGEUSDT", "DOGEUSDT", "0.00001", "1", "9000000", "9000000", 0.12),
    ("ADAUSDT", "ADAUSDT", "0.0001", "0.1", "900000", "400000", 0.1),
    ("LINKUSDT", "LINKUSDT", "0.01", "0.01", "90000", "20000", 0.1),
    ("AVAXUSDT", "AVAXUSDT", "0.01", "0.01", "90000", "10000", 0.1),
    ("BTCUSDC", "BTCUSDT", "0.01", "0.00001", "9000", "60", 0.06),
    ("ETHUSDC", "ETHUSDT", "0.01", "0.0001", "9000", "1000", 0.06),
)


def spot_pairs(n: int, epoch: int) -> dict[str, SymbolSpec]:
    """So many of the pairs, or all for 0."""
    del epoch
    return {row[0]: _pair(row) for row in _PAIRS[: n or None]}


def _pair(row: _Row) -> SymbolSpec:
    symbol, contract, tick, step, most, market_most, pace = row
    base, quote = symbol[:-4], symbol[-4:]
    return SymbolSpec(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal(tick),
        step=Decimal(step),
        onboard=_OPENED,
        min_notional=Decimal(5),
        max_quantity=Decimal(most),
        market_max_quantity=Decimal(market_most),
        price_precision=PRINTED,
        quantity_precision=PRINTED,
        multiplier_up=Decimal(5),
        multiplier_down=Decimal("0.2"),
        max_algo_orders=5,
        kind=KIND,
        underlying=contract,
        pace=pace,
        quote_precision=PRINTED,
    )
