"""Section "Size" of docs/execution.md: filters and sizes as a table, and what must hold for any of them."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.execution.engine import sizing
from pipeline.execution.engine.sizing import Limits, Sized
from pipeline.settings import Risk
from tests.execution.driver import FILTERS, linear


def filters(**changes):
    return FILTERS.model_copy(update={name: D(str(value)) for name, value in changes.items()})


COARSE = filters(step_size=1, market_step_size=1, min_quantity=1, market_min_quantity=1, min_notional=5)
CHEAP = filters(
    tick_size="0.00001", min_price="0.00001", max_price=200, step_size=1, market_step_size=1,
    min_quantity=1, market_min_quantity=1, market_max_quantity=10_000_000, max_quantity=10_000_000, min_notional=5,
)  # fmt: skip
FREE = Limits({}, D(10) ** 12, 10, D(0))


@pytest.mark.parametrize(
    ("wanted", "price", "rules", "quantity"),
    [
        ("0.1665", 60_000, FILTERS, "0.166"),  # step 0.001, down
        ("0.1669999999999999999999", 60_000, FILTERS, "0.166"),
        ("0.166", 60_000, FILTERS, "0.166"),  # exactly on the step
        ("17.9", 3, COARSE, "17"),  # step 1
        ("123456.7", "0.00008", CHEAP, "123456"),  # a tick of 0.00001
        ("120", 60_000, FILTERS, "120"),  # the largest market lot
        ("0.001", 50_000, FILTERS, "0.001"),  # worth exactly the least notional
        ("1.7", 60, filters(market_step_size="0.01"), "1.7"),
        ("1.777", 60, filters(market_step_size="0.01"), "1.77"),  # a coarser step for market orders
        ("1.777", 60, filters(market_step_size=0), "1.777"),  # none of its own
    ],
)
def test_quantities(wanted, price, rules, quantity):
    found = sizing.sized(D(wanted), "the risk", D(str(price)), linear(filters=rules), FREE)
    assert isinstance(found, Sized)
    assert (found.quantity, found.notional) == (D(quantity), D(quantity) * D(str(price)))


@pytest.mark.parametrize(
    ("wanted", "price", "rules", "says"),
    [
        ("0.0009999", 60_000, FILTERS, "too small: the risk allows"),  # below a step
        ("0.9", 3, COARSE, "the least is 1"),
        ("0.001", "49999.9", FILTERS, "and the least is 50"),  # a cent below the least notional: not rounded up
        ("0", 60_000, FILTERS, "too small"),
        ("0.005", 60_000, filters(market_min_quantity="0.01"), "the least is 0.01"),
        ("120.001", 60_000, FILTERS, "too large: 120.001 is more than the exchange's market lot of 120"),
    ],
)
def test_what_the_exchange_does_not_take_is_left_out_and_never_rounded_up(wanted, price, rules, says):
    assert says in sizing.sized(D(wanted), "the risk", D(str(price)), linear(filters=rules), FREE)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits({"the symbol's max_position": D(12_000)}, D(10_000), 3, D(0)), None),
        (Limits({"a": D(12_000), "b": D("11999.99")}, D(10_000), 3, D(0)), "no room: b leaves 11999.99, and 0.2"),
        (Limits({"a": D(-1)}, D(10_000), 3, D(0)), "no room: a leaves -1.00"),  # more is held already than may be
        (Limits({}, D(4_000), 3, D(0)), None),
        (Limits({}, D(4_000), 3, D("0.0005")), "no margin: 0.2 needs 4012.00 with its fees, and 4000.00 is free"),
        (Limits({}, D(-5), 3, D(0)), "no margin"),
    ],
)
def test_what_does_not_fit_is_left_out_and_not_cut(limits, says):
    found = sizing.sized(D("0.2"), "the risk", D(60_000), linear(), limits)
    if says:
        assert says in found
    else:
        assert found == Sized(D("0.2"), D(12_000))


@pytest.mark.parametrize(
    ("by_risk", "caps", "quantity", "bound"),
    [
        ("0.1", {}, "0.1", "the risk"),
        ("0.1", {"a": D(24_001)}, "0.1", "the risk"),
        ("0.1", {"a": D(12_000)}, "0.05", "a"),  # four units are worth what they may
        ("0.1", {"a": D(12_000), "b": D(6_000)}, "0.025", "b"),
        ("500", {}, "30", "the exchange's market lot"),  # four units are closed by one order
        ("0.1", {"a": D(-1)}, "0", "a"),
    ],
)
def test_the_unit_shrinks_until_every_unit_fits(by_risk, caps, quantity, bound):
    assert sizing.fitting(D(by_risk), D(60_000), caps, FILTERS, D(4)) == sizing.Unit(D(quantity), bound)


@pytest.mark.parametrize(
    ("side", "settings", "price"),
    [
        ("long", {}, 61_200),  # two adds, each up to two ATR later
        ("short", {}, 60_000),
        ("long", {"max_units": 2}, 60_000),
        ("long", {"max_units": 3, "add_units": 2}, 60_600),
    ],
)
def test_the_dearest_price_of_a_position(side, settings, price):
    assert sizing.dearest_price(D(60_000), side, D(300), Risk(**settings), linear()) == price


@pytest.mark.parametrize(
    ("equity", "percent", "atr", "leverage", "price", "fee", "unit"),
    [
        (10_000, 1, 300, 3, 60_000, 0, D(100) / 900),
        (10_000, 2, 300, 3, 60_000, 0, D(200) / 900),
        (10_000, 1, 300, 1, 60_000, 0, D(100) / 300),
        (10_000, 1, "0.5", 10, 20, 0, D(20)),
        (10_000, 1, 300, 3, 60_000, "0.0005", D(100) / D("900.6")),
    ],
)
def test_a_unit_is_the_users_rule(equity, percent, atr, leverage, price, fee, unit):
    found = sizing.unit_quantity(D(equity), D(percent), D(str(atr)), leverage, D(price), D(str(fee)))
    assert found == unit
    left = D(equity) - 2 * D(str(fee)) * D(price) * found
    assert found * D(str(atr)) * leverage == pytest.approx(left * D(percent) / 100)


@pytest.mark.parametrize(
    ("side", "price", "distance", "stop"),
    [
        ("long", "60000", "600", "59400"),
        ("short", "60000", "600", "60600"),
        ("long", "60000", "600.05", "59400"),  # between two ticks: the nearer to the price
        ("short", "60000", "600.05", "60600"),
        ("long", "60000.05", "0.11", "60000"),
    ],
)
def test_the_stop_is_on_the_tick_nearer_to_the_price(side, price, distance, stop):
    assert sizing.stop_price(D(price), side, D(distance), FILTERS) == D(stop)


@pytest.mark.parametrize(
    ("side", "price", "distance", "says"),
    [
        ("long", "60000", "0.04", "smaller than a tick"),
        ("short", "60000", "0.04", "smaller than a tick"),
        ("long", "150", "60", "outside the exchange's prices"),
        ("short", "999999", "600", "outside the exchange's prices"),
    ],
)
def test_where_there_can_be_no_stop(side, price, distance, says):
    assert says in sizing.stop_price(D(price), side, D(distance), FILTERS)


@pytest.mark.parametrize(
    ("side", "distance", "target"),
    [("long", "600.05", "60600"), ("short", "600.05", "59400"), ("long", "0.04", None), ("short", "60000", None)],
)
def test_the_take_profit_is_on_the_tick_nearer_to_the_price(side, distance, target):
    found = sizing.take_profit_price(D(60_000), side, D(distance), FILTERS)
    assert found == D(target) if target else isinstance(found, str)


@pytest.mark.parametrize(
    ("held", "quantity"),
    [("0.1665", "0.166"), ("-0.1665", "0.166"), ("300", "120"), ("0.0004", "0")],
)
def test_what_one_order_can_close(held, quantity):
    assert sizing.closing_quantity(D(held), FILTERS) == D(quantity)


@pytest.mark.parametrize(("price", "inside"), [(57_000, True), (63_000, True), (56_999, False), (63_001, False)])
def test_the_price_band(price, inside):
    assert sizing.in_band(D(price), D(60_000), FILTERS) is inside


@pytest.mark.parametrize(("stage", "cap"), [(1, D(20)), (2, D(100)), (3, None)])
def test_the_stages_of_production(stage, cap):
    assert sizing.stage_cap(stage) == cap


amounts = st.decimals("0.00000001", "1e12", allow_nan=False, places=8)
steps = st.sampled_from([D("1e-8"), D("0.001"), D("0.1"), D(1), D(25), D(1000)])


@given(amounts, steps)
def test_rounding_is_exact_whatever_the_size(value, step):
    down = sizing.floor_to(value, step)
    assert down <= value < down + step
    assert down % step == 0


@given(amounts, st.decimals("0.01", "1e6", places=2), st.decimals("0", "1e9", places=2), st.integers(1, 125))
def test_no_limit_is_ever_passed(wanted, price, room, leverage):
    limits = Limits({"room": room}, room, leverage, D("0.0005"))
    found = sizing.sized(wanted, "the risk", price, linear(), limits)
    if isinstance(found, Sized):
        assert wanted - FILTERS.market_step_size < found.quantity <= wanted
        assert found.notional <= room
        assert found.notional / leverage <= room
        assert found.quantity % FILTERS.market_step_size == 0
        assert FILTERS.min_notional <= found.notional


@given(amounts, amounts, st.decimals("0.01", "1e6", places=2))
def test_every_unit_fits_whatever_the_cap(by_risk, cap, price):
    unit = sizing.fitting(by_risk, price, {"cap": cap}, FILTERS, D(4)).quantity
    assert unit <= by_risk
    assert unit * 4 * price <= cap * (1 + D("1e-25"))
    assert unit * 4 <= FILTERS.market_max_quantity
