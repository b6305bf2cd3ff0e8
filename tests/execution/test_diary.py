"""What the executor's log says of a day, in a trader's words: each thing once, and with its figures."""

from dataclasses import replace
from decimal import Decimal

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.diary import Diary
from pipeline.execution.engine.state import TradingView
from tests.execution.driver import ACCOUNT, POLICY, PRICE, RISK, SYMBOL, Driver, signal

HOUR = 3_600_000


class Written(Driver):
    """A driver whose events and effects are written in a diary."""

    def __init__(self, **options):
        self.diary, self.lines = Diary("sim", options.get("mode", "auto-execute")), []
        super().__init__(**options)

    def __call__(self, event, later=0):
        effects = super().__call__(event, later)
        self.lines += self.diary.told(event, effects, self.now)
        return effects

    def take(self):
        said, self.lines = self.lines, []
        return said


def test_it_says_what_it_begins_with():
    assert Written().take() == ["ready: sim, auto-execute; nothing is held; equity 10000.00"]
    assert Written(mode="signal-only").take() == ["ready: sim, signal-only; nothing is held; equity 10000.00"]
    several = Diary("sim-spot", coins=True)
    told = [ev.AccountSeen(replace(ACCOUNT, asset=asset)) for asset in ("USDT", "BTC")]
    assert not [line for event in told for line in several.told(event, [], 1)]
    (line,) = several.told(ev.Snapshot((), (), (), 1), [], 1)
    assert line.endswith("equity 10000.00 USDT, 10000.00000000 BTC")
    started = Written(ready=False)
    started(ev.HaltSeen(halted=True, flatten=False))
    started.snapshot()
    assert started.take() == [
        "halted: nothing is opened; what is held keeps its stop",
        "ready: sim, auto-execute, HALTED; nothing is held; equity 10000.00",
    ]


def test_a_position_from_its_signal_to_its_stop():
    driver = Written()
    driver.take()
    driver.protected()
    quantity = driver.position().quantity
    stop = driver.position().stop_price.quantize(Decimal("0.1"))
    assert driver.take() == [
        "signal BTCUSDT long entry @ 60000.0 by macd 1h",
        f"entry BTCUSDT buy {quantity} at the market, by macd 1h",
        f"filled BTCUSDT buy {quantity} @ 60000.0",
        f"opened BTCUSDT long {quantity} @ 60000.0, stop {stop}, by macd 1h",
        f"stop placed BTCUSDT @ {stop}",
    ]
    driver.snapshot([driver.told(driver.order("stop"))], quantity)
    assert driver.take() == [], "nothing is said twice"
    stopped = driver.order("stop")
    driver.seen(stopped, "filled", quantity, algo=False, average_price=stop, exchange_id=77)
    driver.holds(0)
    driver.wait(1_500)
    loss = (stop - PRICE) * quantity
    assert driver.take() == [
        f"filled BTCUSDT sell {quantity} @ {stop}",
        f"closed BTCUSDT long {quantity} @ {stop}, {loss:+.2f} before fees, by its stop",
    ]


def test_a_stop_that_moves():
    driver = Written()
    first = driver.protected()
    before = driver.position().stop_price.quantize(Decimal("0.1"))
    driver.take()
    price = PRICE + 400
    driver(ev.PriceSeen(SYMBOL, price, driver.now))
    driver.sent(name="s2", kind="add", price=price)
    added = driver.order("add")
    driver.seen(added, "filled", added.quantity, average_price=price)
    driver.last = driver.holds(first.quantity + added.quantity)
    driver.journal()
    after = driver.position().stop_price.quantize(Decimal("0.1"))
    stop = [one for one in driver.core.orders() if one.leg == "stop"][-1]
    driver.seen(stop)
    said = driver.take()
    assert f"add BTCUSDT buy {added.quantity} at the market, by macd 1h" in said
    assert any(one.startswith(f"more BTCUSDT long {first.quantity + added.quantity} now") for one in said)
    assert f"stop moved BTCUSDT from {before} to {after}" in said


def test_what_is_left_alone_says_why():
    driver = Written(mode="signal-only")
    driver.take()
    driver(ev.SignalSeen(signal()), 1)
    said = driver.take()
    assert said[0] == "signal BTCUSDT long entry @ 60000.0 by macd 1h"
    assert said[1].startswith("would take BTCUSDT long entry by macd 1h: "), said
    driver = Written()
    driver.take()
    driver(ev.TradingSeen(SYMBOL, TradingView(enabled=False)))
    driver(ev.SignalSeen(signal()), 1)
    assert driver.take()[1] == "skipped BTCUSDT long entry by macd 1h: trading of BTCUSDT is off"
    driver(ev.SignalSeen(signal("s1")), 1)
    assert driver.take() == [], "a second sight of it says nothing"


def test_a_limit_order_says_its_price():
    limit = replace(POLICY, risk=RISK.model_copy(update={"entry_order": "limit", "limit_seconds": 20}))
    driver = Written(policy=limit)
    order = driver.sent()
    assert driver.take()[-1] == f"entry BTCUSDT buy {order.quantity} at {order.price:.1f} or better, by macd 1h"


def test_a_refused_order_says_why():
    driver = Written()
    order = driver.sent()
    driver.take()
    driver(ev.OrderRejected(order.id, -2019, "Margin is insufficient."))
    assert any(one.startswith("rejected BTCUSDT buy") and "Margin is insufficient" in one for one in driver.take())


def test_switches_are_said():
    driver = Written()
    driver.take()
    for event, says in [
        (ev.ModeSeen("signal-only"), "mode signal-only: orders are only worked out"),
        (ev.ModeSeen("auto-execute"), "mode auto-execute: orders are sent"),
        (ev.HaltSeen(halted=True, flatten=True), "halted: nothing is opened; what is held is closed"),
        (ev.HaltSeen(halted=False, flatten=False), "resumed: what is fresh may be opened again"),
    ]:
        driver(event)
        assert driver.take() == [says]


def test_each_hour_is_summed_up():
    driver = Written()
    driver.protected()
    quantity = driver.position().quantity
    driver.take()
    driver(ev.Time(), HOUR - driver.now % HOUR)
    hour = [one for one in driver.take() if one.startswith("the hour")]
    assert hour == [
        f"the hour: 1 signal, 1 entry, 1 fill, 1 stop, 0 closes; BTCUSDT long {quantity} is held; equity 10000.00"
    ]
    driver(ev.Time(), HOUR)
    (quiet,) = [one for one in driver.take() if one.startswith("the hour")]
    assert quiet.startswith("the hour: nothing new; BTCUSDT long")


def test_what_another_term_left_is_not_opened_again():
    before = Driver()
    before.protected()
    driver = Written(ready=False, orders=before.core.orders(), positions=before.core.positions())
    driver.diary.takes_over(driver.core.orders(), driver.core.positions())
    driver.snapshot([before.told(before.order("stop"))], before.position().quantity)
    said = driver.take()
    assert said == [f"ready: sim, auto-execute; BTCUSDT long {before.position().quantity} is held; equity 10000.00"]
    assert Decimal(said[0].split("long ")[1].split()[0]) == before.position().quantity
