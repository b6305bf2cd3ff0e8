"""Section "Size" of docs/execution.md: a position grows from half a unit to four, whatever caps it."""

from collections import deque
from dataclasses import replace
from decimal import Decimal as D

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Cancel, JournalIntent, Place
from pipeline.execution.engine.state import AccountView, Policy, TradingView
from pipeline.settings import Risk
from tests.execution.driver import FILTERS, PRICE, SYMBOL, Driver, rules, signal

EQUITY = D(100_000)
LOT = FILTERS.market_step_size
ATR = D(180)
STAGES = [("trial", D("0.5")), ("entry", D(2)), ("add", D(3)), ("add", D(4))]


def settle(driver):
    """The exchange does what it is asked for, until nothing is asked for any more."""
    asked = deque(driver.last)
    while asked:
        match asked.popleft():
            case JournalIntent(order):
                asked += driver(ev.IntentJournaled(order.id), 1)
            case Place(order) if order.algo:
                asked += driver.seen(order)
            case Place(order):
                held = sum((one.quantity for one in driver.core.positions()), D(0))
                held += order.quantity if order.side == "BUY" else -order.quantity
                asked += driver.seen(order, "filled", order.quantity, average_price=order.plan.price)
                asked += driver.holds(held)
            case Cancel(order):
                asked += driver.seen(order, "cancelled")


def climbed(policy, side, atr, *events):
    """The units that were held after each signal of the ladder, and the reasons of what was skipped."""
    driver = Driver(policy, ready=False)
    account = AccountView("USDT", EQUITY, EQUITY, driver.now, EQUITY)
    driver(ev.Snapshot((), (), (account,), driver.now), 1)
    for event in events:
        driver(event)
    return climb(driver, side, atr, STAGES)


def climb(driver, side, atr, stages):
    held, price, direction = [], PRICE, 1 if side == "long" else -1
    for number, (kind, _) in enumerate(stages):
        driver(ev.PriceSeen(SYMBOL, price, driver.now))
        asked = signal(
            f"s{number}", kind=kind, side=side, price=price, atr=atr, at=driver.now, fresh_until=driver.now + 60_000
        )
        driver.last = driver(ev.SignalSeen(asked), 1)
        settle(driver)
        for _ in range(8):  # a stop is moved at most once a second
            driver(ev.Time(), 1_000)
            settle(driver)
        verdict = driver.verdict(f"s{number}")
        assert verdict.verdict == "taken", verdict.reason
        held.append(driver.position())
        price += direction * D("1.7") * atr
    return held


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("atr", [D(30), D(180), D(600), D(2400)])
@pytest.mark.parametrize(
    ("risk", "events", "cap"),
    [
        ({}, [], None),
        ({"max_position_percent": D(20)}, [], D(20_000)),
        ({"leverage": 5, "max_open_positions": 2}, [], None),
        ({}, [ev.TradingSeen(SYMBOL, TradingView(max_position=D(9_000)))], D(9_000)),
    ],
)
def test_a_position_is_seen_at_half_a_unit_and_at_two_three_and_four(side, atr, risk, events, cap):
    policy = Policy("sim", Risk(**risk))
    held = climbed(policy, side, atr, *events)
    unit = held[0].unit_quantity
    for position, (_, units) in zip(held, STAGES, strict=True):
        assert position.unit_quantity == unit
        assert 0 <= units * unit - abs(position.quantity) < LOT, f"{position.units} units where {units} should be"
    most = cap or EQUITY * policy.risk.leverage / policy.risk.max_open_positions * D("0.95")
    assert abs(held[-1].quantity) * PRICE <= most
    assert unit <= EQUITY / 100 / (atr * policy.risk.leverage)


def test_a_stage_of_production_shrinks_the_unit_too():
    fine = FILTERS.model_copy(update={"market_step_size": D(0), "step_size": D("0.00001"), "min_notional": D(5)})
    fine = fine.model_copy(update={"min_quantity": D("0.00001"), "market_min_quantity": D("0.00001")})
    policy = replace(Policy("sim", Risk()), production=True)
    held = climbed(
        policy, "long", D(180), rules(filters=fine), ev.StageSeen(2), ev.TradingSeen(SYMBOL, TradingView(enabled=True))
    )
    assert [round(one.units, 1) for one in held] == [units for _, units in STAGES]
    assert held[-1].quantity * PRICE <= 100


@pytest.mark.parametrize(
    ("stages", "kind", "price", "reason"),
    [
        (2, "entry", PRICE, "2.00 units are held, an entry goes to 2"),
        (4, "add", PRICE + 6 * ATR, "4.00 units are held, 4 is the most"),
    ],
)
def test_units_that_lack_less_than_a_lot_are_held(stages, kind, price, reason):
    driver = Driver(Policy("sim", Risk()), ready=False)
    driver(ev.Snapshot((), (), (AccountView("USDT", EQUITY, EQUITY, driver.now, EQUITY),), driver.now), 1)
    climb(driver, "long", ATR, STAGES[:stages])
    units, position = STAGES[stages - 1][1], driver.position()
    assert 0 < units * position.unit_quantity - position.quantity < LOT
    driver(ev.PriceSeen(SYMBOL, price, driver.now))
    again = signal("again", kind=kind, price=price, atr=ATR, at=driver.now, fresh_until=driver.now + 60_000)
    driver(ev.SignalSeen(again), 1)
    verdict = driver.verdict("again")
    assert (verdict.verdict, verdict.reason) == ("skipped", reason)
