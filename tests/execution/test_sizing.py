"""Section "Size" of docs/execution.md: filters and sizes as a table, and what must hold for any of them."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.execution import sizing
from pipeline.execution.sizing import Limits, Sized
from tests.execution.driver import FILTERS


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
        ("500", 60_000, FILTERS, "120"),  # more than the largest market lot
        ("1e9", 60_000, FILTERS, "120"),
        ("0.001", 50_000, FILTERS, "0.001"),  # worth exactly the least notional
        ("1.7", 60, filters(market_step_size="0.01"), "1.7"),
        ("1.777", 60, filters(market_step_size="0.01"), "1.77"),  # a coarser step for market orders
        ("1.777", 60, filters(market_step_size=0), "1.777"),  # none of its own
    ],
)
def test_quantities(wanted, price, rules, quantity):
    found = sizing.sized(D(wanted), D(str(price)), rules, FREE)
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
    ],
)
def test_what_is_too_small_is_skipped_and_never_rounded_up(wanted, price, rules, says):
    assert says in sizing.sized(D(wanted), D(str(price)), rules, FREE)


@pytest.mark.parametrize(
    ("limits", "quantity", "bound"),
    [
        (Limits({"production stage 1": D(20)}, D(10_000), 3, D(0)), None, "production stage 1"),
        (Limits({"production stage 2": D(100)}, D(10_000), 3, D(0)), "0.001", "production stage 2"),
        (Limits({"the symbol's max_position": D(6_000)}, D(10_000), 3, D(0)), "0.1", "the symbol's max_position"),
        (Limits({"a": D(6_000), "b": D(3_000)}, D(10_000), 3, D(0)), "0.05", "b"),
        (Limits({"a": D(-1)}, D(10_000), 3, D(0)), None, "a"),  # more is held already than may be
        (Limits({}, D(2_000), 3, D(0)), "0.1", "the margin available"),
        (Limits({}, D(2_000), 3, D("0.0005")), "0.099", "the margin available"),  # with the fees of both ways
        (Limits({}, D(-5), 3, D(0)), None, "the margin available"),
        (Limits({}, D(10_000), 3, D(0)), "0.2", "the risk"),
    ],
)
def test_the_smallest_limit_binds_and_is_named(limits, quantity, bound):
    found = sizing.sized(D("0.2"), D(60_000), FILTERS, limits)
    if quantity is None:
        assert f"too small: {bound} allows" in found
    else:
        assert (found.quantity, found.bound) == (D(quantity), bound)


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
    assert sizing.stop_price(D(price), side, D(distance), 3, FILTERS) == D(stop)


@pytest.mark.parametrize(
    ("side", "price", "distance", "leverage", "says"),
    [
        ("long", "60000", "0.04", 3, "smaller than a tick"),
        ("short", "60000", "0.04", 3, "smaller than a tick"),
        ("long", "60000", "16000", 3, "liquidates"),  # 60,000 / 3 x 0.8
        ("short", "60000", "500", 100, "liquidates"),
        ("long", "150", "60", 1, "outside the exchange's prices"),
        ("short", "999999", "600", 3, "outside the exchange's prices"),
    ],
)
def test_where_there_can_be_no_stop(side, price, distance, leverage, says):
    assert says in sizing.stop_price(D(price), side, D(distance), leverage, FILTERS)


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
    found = sizing.sized(wanted, price, FILTERS, limits)
    if isinstance(found, Sized):
        assert found.quantity <= wanted
        assert found.notional <= room
        assert found.notional / leverage <= room
        assert found.quantity % FILTERS.market_step_size == 0
        assert FILTERS.min_notional <= found.notional
