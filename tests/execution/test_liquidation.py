"""Where the exchange would take a position away, and that a stop comes first: by hand, and against the simulator's own
arithmetic."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.execution.engine import events as ev
from pipeline.execution.engine import liquidation
from pipeline.execution.engine.effects import JournalIntent
from pipeline.execution.engine.state import Bracket, Policy
from pipeline.settings import Risk
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import margin as theirs
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.brackets import brackets_of
from pipeline.simulator.venue.orders import PositionSide
from pipeline.simulator.venue.positions import Position
from tests.execution.driver import BRACKETS, PRICE, SYMBOL, Driver, T, isolated, linear, signal


@pytest.mark.parametrize(
    ("quantity", "entry", "leverage", "price"),
    [
        ("1", "56000", 100, D(56_000) * D("0.99") / D("0.996")),
        ("-1", "56000", 100, D(56_000) * D("1.01") / D("1.004")),
        ("0.001", "60000", 3, D(40_000) / D("0.996")),
        ("10", "60000", 20, (D(600_000) * D("0.95") - 300) / D("9.95")),  # in the second bracket
        ("-10", "60000", 20, (D(600_000) * D("1.05") + 300) / D("10.05")),
        ("1", "60000", 1, None),  # paid in full: there is none
    ],
)
def test_the_liquidation_price(quantity, entry, leverage, price):
    found = liquidation.price(linear(), D(quantity), D(entry), leverage, BRACKETS)
    assert found == (None if price is None else pytest.approx(price))


SPEC = SymbolSpec(SYMBOL, "BTC", "USDT", D("0.1"), D("0.001"), 0)
OURS = tuple(Bracket(one.cap, one.rate, one.cum, one.leverage) for one in brackets_of(SPEC))


@given(
    st.sampled_from(["long", "short"]),
    st.decimals("0.001", "150", places=3),
    st.decimals("1000", "100000", places=1),
    st.integers(2, 125),
)
def test_it_is_where_the_simulator_liquidates(side, quantity, entry, leverage):
    quantity = quantity if side == "long" else -quantity
    account = Account("a", "a", 0, isolated={SYMBOL})
    position = Position(SYMBOL, PositionSide.BOTH, quantity, quantity * entry, abs(quantity * entry) / leverage)
    account.positions[SYMBOL, PositionSide.BOTH] = position
    found = theirs.liquidation_price(account, position, {SYMBOL: SPEC}, lambda _: entry)
    assert float(liquidation.price(linear(), quantity, entry, leverage, OURS)) == pytest.approx(float(found))


@pytest.mark.parametrize(
    ("leverage", "atr", "side", "says"),
    [
        (100, 134, "long", None),
        (100, 136, "long", "the stop 55728 lies too near to the liquidation price 55662.651"),
        (100, 221, "long", "the stop 55558 lies beyond the liquidation price 55662.651"),
        (100, 221, "short", "the stop 56442 lies beyond the liquidation price 56334.661"),
        (3, 9_000, "long", "the stop 38000 lies too near to the liquidation price 37483.26"),
        (3, 200, "long", None),
    ],
)
def test_a_stop_that_would_come_after_the_liquidation_is_refused_with_both_prices(leverage, atr, side, says):
    price = D(56_000)
    driver = Driver(Policy("sim", Risk(leverage=leverage)), ready=False)
    driver(ev.PriceSeen(SYMBOL, price, T))
    driver.snapshot()
    driver(ev.SignalSeen(signal(side=side, price=price, atr=D(atr))))
    verdict = driver.verdict()
    if says is None:
        assert verdict is None
        assert driver.one(JournalIntent)
    else:
        assert says in verdict.reason


def test_an_add_is_judged_with_what_is_held():
    driver = Driver(Policy("sim", Risk(leverage=100)))
    driver.protected(atr=D(134))
    add = signal("s2", kind="add", price=PRICE + 200, atr=D(134), at=driver.now, fresh_until=driver.now + 60_000)
    driver(ev.PriceSeen(SYMBOL, PRICE + 200, driver.now))
    driver(ev.SignalSeen(add), 1)
    assert driver.one(JournalIntent).order.leg == "add"


@pytest.mark.parametrize(("leverage", "most"), [(125, 50_000), (100, 100_000), (101, 50_000), (126, 0)])
def test_a_higher_leverage_holds_less(leverage, most):
    rising = (Bracket(D(50_000), D("0.004"), D(0), 125), Bracket(D(100_000), D("0.005"), D(50), 100))
    assert liquidation.most(leverage, rising) == most


def test_nothing_is_opened_while_the_brackets_are_not_known():
    driver = Driver()
    driver(ev.RulesSeen(SYMBOL, linear(), isolated(3), T))
    driver(ev.SignalSeen(signal()))
    assert driver.verdict().reason == "the margin brackets of BTCUSDT are not known"
