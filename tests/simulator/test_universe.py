"""The default contracts: the well known and the odd."""

from decimal import Decimal

import pytest

from pipeline.simulator.market.universe import NON_ASCII, PENDING, QUIET, SETTLED, YOUNG, character_of, universe
from pipeline.simulator.wire.format import grids
from pipeline.timeline import DAY, HOUR

EPOCH = 1_767_225_600_000 + 7 * HOUR
ALL = universe(520, EPOCH)


def test_bitcoin_is_as_the_exchange_has_it() -> None:
    btc = ALL["BTCUSDT"]
    assert (str(btc.tick), str(btc.step), btc.market_max_quantity, btc.min_notional) == ("0.10", "0.001", 120, 50)
    assert (btc.price_precision, btc.quantity_precision) == (2, 3)


def test_the_odd_ones_are_there() -> None:
    assert ALL[YOUNG].onboard // DAY == EPOCH // DAY - 100
    assert ALL[PENDING].tick == 0
    assert ALL[PENDING].status == "PENDING_TRADING"
    assert not NON_ASCII.isascii()
    assert ALL[SETTLED].status == "SETTLING"
    assert ALL[SETTLED].onboard < ALL[SETTLED].delivery < EPOCH
    assert character_of(ALL[QUIET]).trades < 1
    assert {Decimal("0.00001"), Decimal("0.0000001")} < {spec.tick for spec in ALL.values()}
    assert {Decimal(1), Decimal("0.1")} < {spec.step for spec in ALL.values()}


@pytest.mark.parametrize("n", [1, 3, 17, 18, 60, 520])
def test_a_smaller_universe_is_the_beginning_of_a_larger_one(n: int) -> None:
    assert list(universe(n, EPOCH).items()) == list(ALL.items())[:n]


def test_every_grid_can_be_printed_and_every_name_is_its_own() -> None:
    assert len(ALL) == 520
    for spec in ALL.values():
        price, quantity, _quote = grids(spec)
        assert price.text(1) == f"{spec.tick:.{spec.price_precision}f}"
        assert quantity.text(1) == f"{spec.step:.{spec.quantity_precision}f}"
        assert spec.symbol == spec.base + spec.quote


def test_an_unknown_symbol_gets_a_price_that_suits_its_tick() -> None:
    for spec in list(ALL.values())[20:]:
        assert 5_000 <= character_of(spec).price / float(spec.tick) <= 50_001
