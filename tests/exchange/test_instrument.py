"""What a quantity is worth in each market: the exchange's own examples, to eight decimals."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.products.arithmetic import INVERSE, LINEAR, SPOT_COINS, Arithmetic
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.product import NotOfferedError

D = Decimal
PERP = Instrument("BTCUSD_PERP", "BTC", "USD", "BTC", INVERSE, D(100))
USDT = Instrument("BTCUSDT", "BTC", "USDT", "USDT", LINEAR)
COINS = Instrument("BTCUSDT", "BTC", "USDT", "USDT", SPOT_COINS)
MOON = Instrument(
    "CHEESE",
    "CHEESE",
    "USD",
    "DUST",
    Arithmetic(lambda p, c: p * c / 1000, lambda v, c: v * 1000 / c, "contracts", True),
    D(7),
)
"""A contract of a fourth kind: seven thousandths of its price, whatever that is, in dust."""


def eight(amount: Decimal) -> Decimal:
    return amount.quantize(D("1e-8"))


@pytest.mark.parametrize(
    ("instrument", "quantity", "entry", "exit_", "gain"),
    [
        (PERP, 100, 50_000, 55_000, "0.01818182"),
        (PERP, -100, 50_000, 55_000, "-0.01818182"),
        (USDT, 2, 50_000, 55_000, "10000"),
        (USDT, -2, 50_000, 55_000, "-10000"),
        (COINS, "0.5", 50_000, 55_000, "2500"),
        (MOON, 10, 1_000, 1_500, "35"),
    ],
)
def test_profit(instrument: Instrument, quantity: str, entry: int, exit_: int, gain: str) -> None:
    assert eight(instrument.pnl(D(quantity), D(entry), D(exit_))) == D(gain)


def test_one_contract_that_was_bought_on_the_demo() -> None:
    """Bought at 82945.2 and closed for -0.00000015, at a fee of 0.00000048 (0.04 %), all in coins."""
    worth = PERP.notional(D(1), D("82945.2"))
    assert round(worth, 10) == D("0.0012056153")
    assert eight(worth * D("0.0004")) == D("0.00000048")


@pytest.mark.parametrize(
    ("instrument", "quantity", "price", "worth"),
    [
        (PERP, 100, 25_000, "0.4"),
        (PERP, -100, 25_000, "0.4"),
        (USDT, "-0.4", 25_000, "10000"),
        (COINS, "0.4", 25_000, "10000"),
    ],
)
def test_worth(instrument: Instrument, quantity: str, price: int, worth: str) -> None:
    assert eight(instrument.notional(D(quantity), D(price))) == D(worth)


def test_the_average_entry_of_an_inverse_contract_is_harmonic() -> None:
    fills = [(D(10), D(50_000)), (D(30), D(60_000))]
    assert eight(PERP.average_entry(fills)) == D("57142.85714286")
    assert eight(USDT.average_entry(fills)) == D(57_500)
    assert eight(PERP.average_entry([(-quantity, price) for quantity, price in fills])) == D("57142.85714286")


@pytest.mark.parametrize(("quantity", "at"), [(100, "45636.36363636"), (-100, "55333.33333333")])
def test_liquidation_of_an_isolated_inverse_position(quantity: int, at: str) -> None:
    found = PERP.liquidation(D(quantity), D(50_000), D("0.02"), D("0.004"))
    assert found is not None
    assert eight(found) == D(at)


def test_a_position_with_margin_enough_has_no_liquidation() -> None:
    assert PERP.liquidation(D(-100), D(50_000), D("0.2"), D("0.004")) is None, "a short loses at most what it sold"
    assert USDT.liquidation(D(1), D(50_000), D(50_000), D("0.004")) is None


@given(
    instrument=st.sampled_from([PERP, USDT, MOON]),
    side=st.sampled_from([1, -1]),
    quantity=st.decimals(1, 1_000, places=0),
    entry=st.decimals(10, 100_000, places=1),
    leverage=st.integers(2, 50),
    rate=st.sampled_from([D("0.004"), D("0.01")]),
)
def test_at_its_liquidation_price_a_position_has_its_maintenance_margin_left(
    instrument: Instrument, side: int, quantity: Decimal, entry: Decimal, leverage: int, rate: Decimal
) -> None:
    held = side * quantity
    margin = instrument.notional(held, entry) / leverage
    price = instrument.liquidation(held, entry, margin, rate)
    assert price is not None
    left = margin + instrument.pnl(held, entry, price)
    assert abs(left - instrument.notional(held, price) * rate) <= margin * D("1e-15")


def test_units_and_what_fees_are_paid_in() -> None:
    assert [one.unit for one in (PERP, USDT, COINS, MOON)] == ["contracts", "BTC", "BTC", "contracts"]
    assert [one.margin_asset for one in (PERP, USDT)] == ["BTC", "USDT"]
    assert [(one.fee_asset("BUY"), one.fee_asset("SELL")) for one in (PERP, USDT, COINS)] == [
        ("BTC", "BTC"),
        ("USDT", "USDT"),
        ("BTC", "USDT"),
    ]


def test_coins_that_were_bought_cannot_be_liquidated() -> None:
    with pytest.raises(NotOfferedError, match="BTCUSDT is bought with what is paid for it"):
        COINS.liquidation(D(1), D(50_000), D(50_000), D("0.004"))


def test_the_size_of_a_contract_counts() -> None:
    assert replace(PERP, size=D(10)).notional(D(100), D(25_000)) == D("0.04")
