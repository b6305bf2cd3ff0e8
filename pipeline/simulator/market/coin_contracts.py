"""The COIN-M contracts the exchange lists: perpetuals of so many dollars of a coin, and quarterlies of the great ones.

Each follows the path of the coin's USD-M contract. A quarterly ends at 08:00 UTC on the last Friday of a quarter; the
one after the next is listed at that moment.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from math import ceil, log10
from typing import Final

from pipeline.simulator.market.quarters import deliveries
from pipeline.simulator.types import QUARTER, SymbolSpec
from pipeline.simulator.worth import Inverse
from pipeline.timeline import DAY

# base, contract size, tick, price digits, max quantity, market max, price, listed, bracket unit in coins, pace
_Row = tuple[str, int, str, int, int, int, float, int, str, float]
_PERPETUALS: Final[tuple[_Row, ...]] = (
    ("BTC", 100, "0.1", 1, 1_000_000, 60_000, 62_000, 1_597_042_800_000, "0.0001", 0.25),
    ("ETH", 10, "0.01", 2, 1_000_000, 100_000, 3_100, 1_597_734_000_000, "0.002", 0.2),
    ("BNB", 10, "0.010", 3, 1_000_000, 30_000, 610, 1_602_831_600_000, "0.005", 0.2),
    ("SOL", 10, "0.010", 3, 1_000_000, 100_000, 155, 1_631_689_200_000, "0.02", 0.2),
    ("XRP", 10, "0.0001", 4, 1_000_000, 100_000, 0.62, 1_602_745_200_000, "5", 0.2),
    ("DOGE", 10, "0.00001", 5, 1_000_000, 50_000, 0.16, 1_618_815_600_000, "20", 0.1),
    ("ADA", 10, "0.00010", 5, 1_000_000, 50_000, 0.48, 1_597_820_400_000, "5", 0.1),
    ("LINK", 10, "0.001", 3, 1_000_000, 50_000, 14.5, 1_597_820_400_000, "0.2", 0.1),
    ("AVAX", 10, "0.001", 3, 1_000_000, 20_000, 31, 1_632_294_000_000, "0.1", 0.1),
)
DATED: Final = ("BTC", "ETH", "BNB", "SOL", "XRP")
MARGIN_COINS: Final = tuple(row[0] for row in _PERPETUALS)
BRACKET_UNITS: Final = {row[0]: Decimal(row[8]) for row in _PERPETUALS}
LIQUIDATION_FEE: Final = Decimal("0.015")
"""Of a perpetual."""

_QUARTERLY_PACE: Final = 0.02  # of the coin's USD-M trades: quiet for minutes
_AHEAD: Final = 6  # quarters from the one that an exchange is started in: enough for a year at any speed
_TWO_QUARTERS: Final = 200 * DAY  # and a little more
_COUNTED: Final = 8  # digits of a coin


def coin_contracts(n: int, epoch: int) -> dict[str, SymbolSpec]:
    """The contracts: perpetuals first, then quarterlies; so many of them, or all for 0."""
    perpetuals = [_perpetual(row) for row in _PERPETUALS]
    dated = [each for spec in perpetuals if spec.base in DATED for each in _quarterlies(spec, epoch)]
    specs = [*perpetuals, *dated]
    return {spec.symbol: spec for spec in specs[: n or None]}


def _perpetual(row: _Row) -> SymbolSpec:
    base, size, tick, digits, most, market_most, price, listed, unit, pace = row
    return SymbolSpec(
        symbol=f"{base}USD_PERP",
        base=base,
        quote="USD",
        tick=Decimal(tick),
        step=Decimal(1),
        onboard=listed,
        min_notional=Decimal(0),
        max_quantity=Decimal(most),
        market_max_quantity=Decimal(market_most),
        price_precision=digits,
        quantity_precision=0,
        max_algo_orders=20,
        liquidation_fee=LIQUIDATION_FEE,
        worth=Inverse(base, Decimal(size)),
        underlying=f"{base}USDT",
        pace=pace,
        coins=_COUNTED + max(0, ceil(log10(price / size))),
        bracket_unit=Decimal(unit),
    )


def _quarterlies(perpetual: SymbolSpec, epoch: int) -> Iterator[SymbolSpec]:
    """From the quarter of `epoch` on. Each is listed when the one two before it ends."""
    past = [moment for moment in islice(deliveries(epoch - _TWO_QUARTERS), _AHEAD) if moment <= epoch][-2:]
    moments = [*past, *islice(deliveries(epoch), _AHEAD)]
    for listed, delivery in zip(moments, moments[2:], strict=False):
        yield replace(
            perpetual,
            symbol=f"{perpetual.pair}_{datetime.fromtimestamp(delivery / 1_000, UTC):%y%m%d}",
            onboard=listed,
            delivery=delivery,
            kind=QUARTER,
            pace=_QUARTERLY_PACE,
            liquidation_fee=Decimal("0.01"),
        )
