"""The caps of all positions together, as the executor keeps them while everything is under way at once."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import JournalIntent
from pipeline.execution.engine.state import ENTERING, ZERO, OrderRecord, Policy, PositionTold
from pipeline.portfolio.caps import CAPS, Held
from pipeline.settings import Portfolio, Risk
from tests.execution.driver import ACCOUNT, BRACKETS, PRICE, RISK, SYMBOL, Driver, isolated, linear, rules, signal
from tests.execution.test_ladder import settle
from tests.execution.test_many_symbols import SYMBOLS, Day

OTHER = "ETHUSDT"
MOST = {"gross_percent": 150, "net_percent": 30, "side_percent": 70, "margin_percent": 12, "open_risk_percent": 4}
SLACK = D("1.02")
"""What the executor knows of prices and fees is a few answers old."""


class Watched(Day):
    """Counts, by the exchange's own books, what every order that opens would make of each cap. Half of the symbols is
    sold short."""

    def __init__(self, seed: int, portfolio: Portfolio) -> None:
        self.most = dict.fromkeys((one.setting for one in CAPS), ZERO)
        self.under_way: dict[str, OrderRecord] = {}
        self.stops: dict[str, D] = {}
        super().__init__(seed, Risk(max_orders_per_minute=10_000, max_open_positions=14), portfolio)

    def side_of(self, symbol):
        return "long" if SYMBOLS.index(symbol) % 2 else "short"

    def intended(self, order, now):
        super().intended(order, now)
        if order.leg in ENTERING:
            before = self.held()
            self.under_way[order.id] = order
            self.judge(before, self.held())

    def place(self, order, now):
        super().place(order, now)
        if self.under_way.pop(order.id, None):
            self.stops[order.symbol] = order.plan.stop_price

    def judge(self, before, after):
        gains = (quantity * (self.prices[symbol] - entry) for symbol, (quantity, entry) in self.books.held.items())
        equity = self.books.wallet + sum(gains, ZERO)
        for cap in CAPS:
            if cap.counts(after) > cap.counts(before):
                self.most[cap.setting] = max(self.most[cap.setting], cap.counts(after) * 100 / equity)

    def held(self):
        held = []
        for symbol, (quantity, _) in self.books.held.items():
            held.append(self.counted(symbol, quantity, self.stops.get(symbol, ZERO)))
        for order in self.under_way.values():
            sign = 1 if order.side == "BUY" else -1
            held.append(self.counted(order.symbol, sign * order.quantity, order.plan.stop_price))
        return held

    def counted(self, symbol, quantity, stop):
        price = self.prices[symbol]
        at_risk = max(ZERO, quantity * (price - stop))
        return Held(symbol, quantity * price, abs(quantity) * price / self.books.leverage, at_risk)


@pytest.mark.parametrize("setting", MOST)
def test_whatever_comes_in_whatever_order_nothing_that_opens_takes_more_than_its_cap(setting):
    for seed in (0, 2):
        day = Watched(seed, Portfolio(**{setting: D(MOST[setting])}))
        day.run()
        assert day.most[setting] <= MOST[setting] * SLACK, f"seed {seed}"
        kept_back = [one.reason for one in day.verdicts.values() if setting in (one.reason or "")]
        assert len(kept_back) > 5, f"seed {seed}"
        assert day.most[setting] > MOST[setting] * D("0.8"), f"seed {seed}: what there is is used"


def test_without_a_cap_the_same_day_takes_more_of_each():
    day = Watched(0, Portfolio())
    day.run()
    assert all(day.most[setting] > most * SLACK for setting, most in MOST.items()), day.most


def opened(driver, name, symbol):
    """What became of an entry there, at a price of its own."""
    driver(rules(symbol), 1)
    driver(ev.PriceSeen(symbol, PRICE, driver.now))
    asked = signal(name, symbol=symbol, at=driver.now, fresh_until=driver.now + 60_000)
    driver(ev.SignalSeen(asked), 1)
    for intent in driver.got(JournalIntent):
        driver(ev.IntentJournaled(intent.order.id), 1)
    return driver.verdict(name)


def capped(**caps):
    return Driver(Policy("sim", RISK, Portfolio(**{name: D(most) for name, most in caps.items()})))


def test_a_position_of_somebody_else_counts_and_one_without_a_stop_is_at_risk_with_all_it_is_worth():
    driver = capped(open_risk_percent=500)
    driver(ev.Snapshot((), (PositionTold(OTHER, D(1), PRICE),), (replace(ACCOUNT, at=driver.now),), driver.now), 1)
    driver(rules(OTHER), 1)
    driver(ev.PriceSeen(OTHER, PRICE, driver.now))
    said = opened(driver, "s1", SYMBOL)
    assert said.verdict == "skipped"
    assert said.reason.startswith("what is lost where every stop is reached would come to 6")
    assert said.reason.endswith("500 is the most ([portfolio] open_risk_percent)")


def test_what_is_margined_in_another_coin_is_counted_in_that_coin_alone():
    driver = capped(gross_percent=200)
    driver(ev.Snapshot((), (PositionTold(OTHER, D(1), PRICE),), (replace(ACCOUNT, at=driver.now),), driver.now), 1)
    coin = replace(linear(OTHER), margin_asset="ETH")
    driver(ev.RulesSeen(OTHER, coin, isolated(3), driver.now, BRACKETS), 1)
    assert opened(driver, "s1", SYMBOL).verdict == "taken"


def test_what_closes_is_never_kept_back():
    driver = capped(gross_percent=200)
    assert opened(driver, "s1", SYMBOL).verdict == "taken"
    settle(driver)
    driver(ev.PriceSeen(SYMBOL, 3 * PRICE, driver.now), 1)
    driver(ev.SignalSeen(signal("s2", kind="exit", at=driver.now, fresh_until=driver.now + 60_000)), 1)
    assert driver.one(JournalIntent).order.leg == "exit"
