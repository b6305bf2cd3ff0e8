"""Tables "From signal to verdict" and "Limits and breakers" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine import risk
from pipeline.execution.engine.effects import JournalIntent, Place, Query, ResetBreaker, SetMargin, TripBreaker
from pipeline.execution.engine.state import AccountView, BreakerView, PositionRecord, TradingView
from pipeline.settings import Risk
from pipeline.timeline import DAY, MINUTE
from tests.execution.driver import ACCOUNT, FILTERS, POLICY, PRICE, RISK, SYMBOL, Driver, T, isolated, rules, signal

UNIT = Decimal("0.1110")


def held(side="long", units="2", **changes):
    """A position with its plan, as the journal has it after a restart."""
    quantity = (UNIT * Decimal(units)).quantize(Decimal("0.001"))
    plan = PositionRecord(
        SYMBOL,
        quantity if side == "long" else -quantity,
        PRICE,
        side=side,
        strategy="macd",
        interval="1h",
        signal="s0",
        unit_quantity=UNIT,
        atr=Decimal(300),
        last_add_price=PRICE,
        stop_price=Decimal(59_400 if side == "long" else 60_600),
        opened_at=T - 60_000,
    )
    return replace(plan, **changes)


def decided(position=None, **changes):
    """What became of a signal while that was held: the driver, with the order intended if there is one."""
    driver = Driver(ready=False, positions=[position] if position else [])
    driver.snapshot(quantity=position.quantity if position else None)
    if position and not position.ours:
        driver.recalled()
    driver.journal()  # the stop that is missing
    for placed in driver.got(Place):
        driver.seen(placed.order)
    driver(ev.SignalSeen(signal(**changes)), 1)
    return driver


UP, DOWN = PRICE + 300, PRICE - 300


@pytest.mark.parametrize(
    ("position", "changes", "leg", "quantity"),
    [
        (None, {"kind": "trial"}, "trial", "0.055"),
        (None, {"kind": "entry"}, "entry", "0.222"),
        (None, {"kind": "entry", "side": "short"}, "entry", "0.222"),
        (held(units="0.5"), {"kind": "entry"}, "entry", "0.166"),  # what is missing to two units: 2 - 0.056 / 0.111
        (held(units="2"), {"kind": "add", "price": UP}, "add", "0.111"),
        (held("short"), {"kind": "add", "side": "short", "price": DOWN}, "add", "0.111"),
        (held(units="3.5"), {"kind": "add", "price": UP}, "add", "0.056"),  # up to four
        (held(), {"kind": "entry", "side": "short"}, "exit", "0.222"),  # closes, and does not turn round
        (held("short"), {"kind": "entry", "side": "long"}, "exit", "0.222"),
        (held(units="0.5", trial=True), {"kind": "entry", "side": "short"}, "exit", "0.056"),
        (held(interval=None), {"kind": "exit", "interval": "15m"}, "exit", "0.222"),  # from before it was kept
        (held(), {"kind": "exit"}, "exit", "0.222"),
        (held("short"), {"kind": "exit", "side": "short"}, "exit", "0.222"),
    ],
)
def test_a_signal_that_is_acted_on(position, changes, leg, quantity):
    driver = decided(position, **changes)
    order = driver.one(JournalIntent).order
    assert (order.leg, order.quantity) == (leg, Decimal(quantity))
    assert order.reduce_only is (leg == "exit")
    assert not driver.got(Place), "nothing leaves before the intent is journaled"
    driver.journal()
    assert driver.one(Place).order.id == order.id
    verdict = driver.verdict()
    assert (verdict.verdict, verdict.orders, verdict.decision.quantity) == ("taken", (order.id,), Decimal(quantity))
    assert (verdict.decision.bound is None) is (leg == "exit"), "what made a unit so large is kept with what opens"


@pytest.mark.parametrize(
    ("position", "changes", "says"),
    [
        (None, {"kind": "add"}, "no position to add to"),
        (None, {"kind": "exit"}, "no position to close"),
        (held(), {"kind": "trial"}, "past its trial"),
        (held(), {"kind": "entry"}, "2.00 units are held"),
        (held(), {"kind": "trial", "side": "short"}, "only an entry the other way closes it"),
        (held(), {"kind": "add", "side": "short"}, "only an entry the other way closes it"),
        (held(), {"kind": "exit", "side": "short"}, "only an entry the other way closes it"),
        (held(), {"kind": "add", "price": PRICE + 299}, "an add needs an ATR"),
        (held("short"), {"kind": "add", "side": "short", "price": UP}, "an add needs an ATR"),
        (held(units="4"), {"kind": "add", "price": UP}, "4 is the most"),
        (held(), {"kind": "exit", "strategy": "other"}, "held by macd 1h"),
        (held(), {"kind": "exit", "interval": "15m"}, "held by macd 1h"),
        (held(), {"kind": "entry", "interval": "15m"}, "held by macd 1h"),
        (held(), {"kind": "entry", "side": "short", "interval": "15m"}, "held by macd 1h"),
        (held(interval=None), {"kind": "entry", "strategy": "other"}, "held by macd"),
        (held(units="0.5", trial=True), {"kind": "trial"}, "its trial is held already"),
        (held(units="0.5", trial=True), {"kind": "add", "side": "short"}, "only a trial or an entry the other way"),
        (held(units="0.5", trial=True), {"kind": "add", "price": UP}, "is a trial: an add follows an entry"),
        (held(units="0.5"), {"kind": "trial", "side": "short"}, "only an entry the other way closes it"),
        (held(ours=False, signal=None), {"kind": "entry"}, "somebody else holds"),
        (None, {"atr": None}, "no ATR"),
        (None, {"atr": Decimal("NaN")}, "no ATR"),
        (None, {"atr": Decimal(0)}, "no ATR"),
        (None, {"atr": Decimal("0.001")}, "smaller than a tick"),
        (None, {"atr": Decimal(300_000)}, "outside the exchange's prices"),
    ],
)
def test_a_signal_that_is_skipped_says_why(position, changes, says):
    driver = decided(position, **changes)
    assert driver.verdict().verdict == "skipped"
    assert says in driver.verdict().reason
    assert not driver.got(JournalIntent)


def test_an_old_signal_expires_and_one_from_history_is_never_fresh():
    driver = Driver()
    driver(ev.SignalSeen(signal(fresh_until=T)), 10)
    assert driver.verdict().verdict == "expired"
    driver(ev.SignalSeen(signal("s2", fresh_until=None)))
    assert "history" in driver.verdict("s2").reason
    assert not any(isinstance(one, JournalIntent) for one in driver.all)


@pytest.mark.parametrize("changes", [{"confirmed": False}, {"verdict": "skipped"}])
def test_what_is_not_confirmed_or_has_a_verdict_is_not_looked_at(changes):
    driver = Driver()
    assert driver(ev.SignalSeen(signal(**changes))) == []


def test_one_decision_a_signal_ever():
    driver = Driver()
    driver.sent()
    assert driver(ev.SignalSeen(signal())) == []
    driver(ev.OrderRejected(driver.order("entry").id, -2019, "no margin"))
    assert driver(ev.SignalSeen(signal())) == []


def test_a_signal_waits_while_an_order_of_its_symbol_is_under_way():
    driver = Driver()
    order = driver.sent()
    driver(ev.SignalSeen(signal("s2", kind="add", price=UP)))
    assert driver.verdict("s2") is None
    driver.last = [*driver.seen(order, "filled", order.quantity), *driver.holds(order.quantity)]
    driver.journal()
    driver.seen(driver.order("stop"))
    assert driver.one(JournalIntent).order.leg == "add"


def test_a_signal_waits_for_the_first_comparison_and_may_expire_meanwhile():
    driver = Driver(ready=False)
    driver(ev.SignalSeen(signal()))
    assert driver.verdict() is None
    driver.now = T + 60_001
    driver(ev.Time())
    assert driver.verdict() is None, "it may have to close something"
    driver.snapshot()
    assert driver.verdict().verdict == "expired"


LATE = {"at": T + 10, "fresh_until": T + 20}


@pytest.mark.parametrize(
    "says",
    [
        {"kind": "exit"},
        {"kind": "entry", "side": "short"},
        {"kind": "exit", "fresh_until": None},
        {"kind": "exit", "verdict": "expired"},
    ],
)
def test_what_closes_a_held_position_does_not_grow_old(says):
    driver = Driver()
    driver.protected()
    driver(ev.SignalSeen(signal("s2", **LATE | says, last_word=True)), 3_600_000)
    driver.journal()
    assert (driver.verdict("s2").verdict, driver.one(Place).order.leg) == ("taken", "exit")


@pytest.mark.parametrize(
    "says",
    [
        {"kind": "exit", "last_word": False},
        {"kind": "exit", "strategy": "turtle"},
        {"kind": "exit", "interval": "15m"},
        {"kind": "trial", "side": "short"},
        {"kind": "exit", "side": "short"},
        {"kind": "entry"},
        {"kind": "add"},
    ],
)
def test_what_is_late_and_closes_nothing_or_was_taken_back_expires(says):
    driver = Driver()
    driver.protected()
    driver(ev.SignalSeen(signal("s2", **LATE | {"last_word": True} | says)), 3_600_000)
    assert driver.verdict("s2").verdict == "expired"
    assert not driver.got(JournalIntent)


def test_a_late_exit_waits_for_the_comparison_and_closes_what_the_journal_holds():
    life = Driver()
    life.protected()
    driver = Driver(ready=False, orders=life.core.orders(), positions=life.core.positions())
    driver(ev.SignalSeen(signal("s2", kind="exit", **LATE, last_word=True)), 3_600_000)
    assert driver.verdict("s2") is None
    driver.snapshot([driver.told(life.order("stop"))], life.position().quantity)
    driver(ev.OrderNotFound(driver.one(Query).order.id, driver.now))
    driver.journal()
    assert (driver.verdict("s2").verdict, driver.one(Place).order.leg) == ("taken", "exit")


def test_an_exit_that_waits_is_taken_back_by_what_its_strategy_says_next():
    life = Driver()
    life.protected()
    driver = Driver(ready=False, orders=life.core.orders(), positions=life.core.positions())
    driver(ev.SignalSeen(signal("s2", kind="exit", **LATE, last_word=True)))
    driver(ev.SignalSeen(signal("s3", kind="add", at=T + 30, fresh_until=T + 40)), 50)
    driver.snapshot([driver.told(life.order("stop"))], life.position().quantity)
    assert [driver.verdict(name).verdict for name in ("s2", "s3")] == ["expired", "expired"]
    assert not driver.got(JournalIntent)


def test_signals_of_a_symbol_are_decided_in_the_order_in_which_they_were_said():
    driver = Driver()
    driver.sent()
    driver(ev.SignalSeen(signal("s3", kind="exit", at=T + 2, last_word=True)), 1)
    driver(ev.SignalSeen(signal("s2", kind="trial", side="short", at=T + 1, fresh_until=T + 120_000)), 1)
    driver.wait(1_000)
    assert driver.verdict("s2") is driver.verdict("s3") is None
    driver(ev.OrderRejected(driver.order("entry").id, -2019, "no margin"))
    driver.journal()
    assert (driver.verdict("s2").verdict, driver.verdict("s3")) == ("taken", None)


def test_an_intent_that_was_refused_is_decided_again_before_what_was_said_later():
    driver = Driver()
    (intent,) = [one for one in driver(ev.SignalSeen(signal())) if isinstance(one, JournalIntent)]
    driver(ev.IntentRefused(intent.order.id, exists=False, reason="no server"))
    driver(ev.SignalSeen(signal("s2", kind="exit", at=T + 1, last_word=True)))
    again = [one.order.signal for one in driver.wait(2_000) if isinstance(one, JournalIntent)]
    assert (again, driver.verdict("s2")) == (["s1"], None)


def test_signal_only_decides_the_same_and_sends_nothing():
    quiet, busy = Driver(mode="signal-only"), Driver()
    quiet(ev.SignalSeen(signal()), 1)
    busy.sent()
    assert (quiet.verdict().verdict, quiet.verdict().reason) == ("would-take", "signal-only: nothing is sent")
    assert replace(quiet.verdict().decision, mode="auto-execute") == busy.verdict().decision
    assert not any(isinstance(one, JournalIntent | Place) for one in quiet.all)


def test_production_is_capped_by_its_stage():
    driver = Driver(replace(POLICY, production=True))
    driver(ev.TradingSeen(SYMBOL, TradingView(enabled=True)))
    driver(ev.SignalSeen(signal()))
    assert "production stage 1" in driver.verdict().reason
    driver(ev.StageSeen(2))
    driver(ev.SignalSeen(signal("s2")))
    assert "production stage 2 allows 0.0008" in driver.verdict("s2").reason  # two of four units within 100 USDT
    driver(ev.StageSeen(3))
    driver(ev.SignalSeen(signal("s3")))
    assert driver.one(JournalIntent).order.quantity == Decimal("0.222")


def limited(*events, **policy):
    driver = Driver(replace(POLICY, **policy))
    for event in events:
        driver(event)
    driver(ev.SignalSeen(signal()))
    return driver.verdict().reason if driver.verdict() else None


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([ev.HaltSeen(halted=True, flatten=False)], "halted"),
        ([ev.BreakersSeen((BreakerView("key", "no key", T),))], "breaker key: no key"),
        ([ev.BreakersSeen((BreakerView("x", "why", T, symbol=SYMBOL),))], "breaker x: why"),
        ([ev.TradingSeen(SYMBOL, TradingView(enabled=False))], "trading of BTCUSDT is off"),
        ([ev.TradingSeen(SYMBOL, TradingView(strategies=("rsi",)))], "not among the strategies"),
        ([ev.TradingSeen(SYMBOL, TradingView(strategies=()))], "none"),
        (
            [ev.TradingSeen(SYMBOL, TradingView(intervals=("15m", "1d")))],
            "1h is not among the intervals of BTCUSDT: 15m",
        ),
        ([ev.TradingSeen(SYMBOL, TradingView(stop_percent=Decimal(40)))], "the liquidation price"),
        ([ev.TradingSeen(SYMBOL, TradingView(stop_percent=Decimal("0.00001")))], "smaller than a tick"),
        ([ev.TradingSeen(SYMBOL, TradingView(take_profit_percent=Decimal("0.00001")))], "nearer than a tick"),
        ([ev.TradingSeen(SYMBOL, TradingView(take_profit_percent=Decimal(2000)))], "outside the exchange's prices"),
        ([rules(SYMBOL, None, 3, T)], "does not trade BTCUSDT"),
        (
            [rules(SYMBOL, FILTERS, 5, T), ev.MarginNotSet(SYMBOL, isolated(3), "code -4028", refused=True)],
            "does not set leverage 3, isolated: code -4028",
        ),
        ([ev.PriceSeen(SYMBOL, PRICE * Decimal("1.006"), T)], "the price moved"),
        ([ev.PriceSeen(SYMBOL, PRICE * Decimal("0.9"), T)], "outside the exchange's band"),
        ([ev.TradingSeen(SYMBOL, TradingView(max_position=Decimal(40)))], "the symbol's max_position"),
    ],
)
def test_limits(events, says):
    assert says in limited(*events)


@pytest.mark.parametrize(
    "events",
    [
        [ev.HaltSeen(halted=True, flatten=False), ev.HaltSeen(halted=False, flatten=False)],
        [ev.BreakersSeen((BreakerView("x", "why", T, symbol="ETHUSDT"),))],
        [ev.BreakersSeen((BreakerView("x", "why", T),)), ev.BreakersSeen((), (BreakerView("x", "why", T),))],
        [ev.TradingSeen(SYMBOL, TradingView(strategies=("macd",)))],
        [ev.TradingSeen(SYMBOL, TradingView(intervals=("1h",)))],
        [ev.PriceSeen(SYMBOL, PRICE * Decimal("1.005"), T)],
        [ev.PriceSeen(SYMBOL, PRICE * Decimal("0.99"), T)],  # in favour
    ],
)
def test_limits_that_do_not_object(events):
    assert limited(*events) is None


def test_a_stale_feed_stops_and_a_feed_that_is_back_does_not():
    driver = Driver()
    driver(ev.SignalSeen(signal(fresh_until=T + DAY)), 91_000)
    assert "stale data" in driver.verdict().reason
    driver(ev.PriceSeen(SYMBOL, PRICE, driver.now))
    driver(ev.SignalSeen(signal("s2", fresh_until=T + DAY)))
    assert driver.one(JournalIntent)


def test_the_most_positions_count_entries_under_way():
    driver = Driver(replace(POLICY, risk=RISK.model_copy(update={"max_open_positions": 1})))
    driver(rules("ETHUSDT", FILTERS, 3, T))
    driver(ev.PriceSeen("ETHUSDT", PRICE, T))
    driver.sent()
    driver(ev.SignalSeen(signal("s2", symbol="ETHUSDT")))
    assert "1 positions are open" in driver.verdict("s2").reason


ENTRY_COST = Decimal("0.222") * PRICE * (1 / Decimal(3) + 2 * POLICY.taker_fee)


def two_symbols(available):
    """A driver with so much to spend, and the order of a first entry that is on its way."""
    driver = Driver()
    driver(rules("ETHUSDT", FILTERS, 3, T))
    driver(ev.PriceSeen("ETHUSDT", PRICE, T))
    driver(ev.AccountSeen(AccountView("USDT", Decimal(10_000), available, driver.now, Decimal(10_000))))
    return driver, driver.sent()


@pytest.mark.parametrize(("available", "verdict"), [(500 + 2 * ENTRY_COST, None), (499 + 2 * ENTRY_COST, "skipped")])
def test_the_margin_of_entries_under_way_is_spent_already_and_a_cushion_is_left(available, verdict):
    driver, _ = two_symbols(available)
    driver(ev.SignalSeen(signal("s2", symbol="ETHUSDT")))
    if verdict is None:
        assert driver.one(JournalIntent).order.symbol == "ETHUSDT"
    else:
        assert driver.verdict("s2").verdict == verdict
        assert driver.verdict("s2").reason.startswith("no margin: 0.222 needs")


@pytest.mark.parametrize(
    ("filled", "read", "spent"),
    [(False, 5, True), (True, -5, True), (True, 5, False)],
    ids=["not yet filled", "filled after the account was read", "filled before"],
)
def test_an_entry_is_spent_until_the_account_has_told_of_it(filled, read, spent):
    driver, first = two_symbols(500 + ENTRY_COST)
    if filled:
        driver.last = [*driver.seen(first, "filled", first.quantity), *driver.holds(first.quantity)]
        settled = driver.now - 2  # when the exchange filled it
        driver.now += 100
    else:
        settled = driver.now
    account = AccountView("USDT", Decimal(10_000), 500 + ENTRY_COST, settled + read, Decimal(10_000))
    driver(ev.AccountSeen(account), 10)
    driver(ev.SignalSeen(signal("s2", symbol="ETHUSDT", at=driver.now)))
    assert (driver.verdict("s2") is not None) is spent


def test_leverage_is_set_where_it_differs_and_nothing_is_held():
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, TradingView(leverage=7)))
    assert driver.one(SetMargin).margin == isolated(7)
    driver(ev.MarginSet(SYMBOL, isolated(7), driver.now))
    assert not [one for one in driver.wait(120_000, 1000) if isinstance(one, SetMargin)]
    busy = Driver()
    order = busy.sent()
    assert busy(ev.TradingSeen(SYMBOL, TradingView(leverage=7))) == []
    busy(ev.OrderRejected(order.id, -2019, "no margin"))
    busy.snapshot()
    assert busy.one(SetMargin).margin == isolated(7)


def test_leverage_is_not_touched_before_the_first_comparison_nor_under_anybodys_position():
    driver = Driver(ready=False)
    seven = TradingView(leverage=7)
    news = (ev.TradingSeen(SYMBOL, seven), ev.ModeSeen("auto-execute"), rules(SYMBOL, FILTERS, 3, T), ev.Time())
    for event in news:
        driver(event)
    driver.snapshot([], Decimal("0.5"))
    assert not driver.position().ours
    for event in news:
        driver(event)
    driver.wait(120_000, 1000)
    assert not [one for one in driver.all if isinstance(one, SetMargin)]
    driver.snapshot()
    assert driver.one(SetMargin).margin == isolated(7)


@pytest.mark.parametrize(("refused", "pause"), [(False, 5_000), (True, 60_000)])
def test_leverage_that_was_not_set_is_asked_for_again(refused, pause):
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, TradingView(leverage=7)))
    driver(ev.MarginNotSet(SYMBOL, isolated(7), "no answer", refused))
    assert not [one for one in driver.wait(pause - 1000, 1000) if isinstance(one, SetMargin)]
    assert [one.margin.leverage for one in driver.wait(2000, 1000) if isinstance(one, SetMargin)] == [7]


def test_a_signal_waits_for_the_leverage():
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, TradingView(leverage=7)))
    driver(ev.SignalSeen(signal()))
    driver.wait(2000)
    assert driver.verdict() is None
    driver(ev.MarginSet(SYMBOL, isolated(7), driver.now))
    assert driver.one(JournalIntent)
    late = Driver()
    late(ev.TradingSeen(SYMBOL, TradingView(leverage=7)))
    late(ev.SignalSeen(signal()))
    late.wait(61_000, 1000)
    assert late.verdict().verdict == "expired"


def test_the_leverage_of_a_position_stays_and_nothing_is_added_at_another():
    driver = Driver()
    driver.protected(kind="trial")
    driver(ev.TradingSeen(SYMBOL, TradingView(leverage=7)))
    driver(ev.SignalSeen(signal("s2", at=driver.now, fresh_until=driver.now + 60_000)))
    driver.wait(1000)
    assert "leverage 3, isolated set, not leverage 7" in driver.verdict("s2").reason
    assert not [one for one in driver.all if isinstance(one, SetMargin)]


def test_a_leverage_that_was_read_before_it_was_set_is_no_news():
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, TradingView(leverage=7)))
    asked = driver.now
    driver(ev.MarginSet(SYMBOL, isolated(7), driver.now + 5), 10)
    assert driver(rules(SYMBOL, FILTERS, 3, asked)) == []
    driver(ev.SignalSeen(signal()))
    assert driver.one(JournalIntent)
    elsewhere = driver(rules("ETHUSDT", FILTERS, 20, asked))
    assert [one.margin.leverage for one in elsewhere if isinstance(one, SetMargin)] == [3]


def test_leverage_is_set_only_where_orders_are_sent():
    driver = Driver(mode="signal-only")
    assert driver(ev.TradingSeen(SYMBOL, TradingView(leverage=7))) == []
    driver(ev.ModeSeen("auto-execute"))
    assert driver.one(SetMargin).margin == isolated(7)


# Breakers

TODAY = T - T % DAY


@pytest.mark.parametrize(
    ("equity", "settings", "name"),
    [
        (9_500, RISK, "daily-loss"),
        (9_501, RISK, None),
        (10_300, RISK.model_copy(update={"daily_profit_percent": Decimal(3)}), "daily-profit"),
        (10_299, RISK.model_copy(update={"daily_profit_percent": Decimal(3)}), None),
        (99_999, RISK, None),
    ],
)
def test_the_days_limits_hold_until_midnight_utc(equity, settings, name):
    driver = Driver(replace(POLICY, risk=settings))
    driver(ev.AccountSeen(replace(ACCOUNT, equity=Decimal(equity), at=driver.now)))
    found = driver.got(TripBreaker)
    assert [one.breaker.name for one in found] == ([name] if name else [])
    if not name:
        return
    assert found[0].breaker.until == TODAY + DAY
    driver(ev.AccountSeen(replace(ACCOUNT, equity=Decimal(equity), at=driver.now)))
    assert not driver.got(TripBreaker), "said once"
    driver(ev.SignalSeen(signal()))
    assert driver.verdict().reason.startswith(f"breaker {name}")
    driver.now = TODAY + DAY
    assert [one.name for one in (driver(ev.Time()), driver.got(ResetBreaker))[1]] == [name]
    driver(ev.Time())
    assert not driver.got(TripBreaker), "yesterday's equity trips nothing today"


def test_a_day_whose_start_is_not_known_trips_nothing():
    nothing = AccountView("USDT", Decimal(1), Decimal(1), T)
    assert risk.daily(nothing, POLICY, None, T) is None
    assert risk.daily(replace(nothing, day_start=Decimal(0)), POLICY, None, T) is None


def test_a_bad_fill_rests_the_symbol_until_midnight():
    driver = Driver()
    order = driver.sent()
    driver.seen(order, "filled", order.quantity, average_price=PRICE * Decimal("1.0051"))
    breaker = driver.one(TripBreaker).breaker
    assert (breaker.name, breaker.symbol, breaker.until) == ("slippage:BTCUSDT", SYMBOL, TODAY + DAY)
    assert driver.order("entry").slippage_pct == pytest.approx(0.51)


def test_as_many_orders_as_may_leave_in_a_minute():
    driver = Driver(replace(POLICY, risk=RISK.model_copy(update={"max_orders_per_minute": 1})))
    driver.sent()
    assert driver.one(TripBreaker).breaker.until == driver.now + MINUTE
    order = driver.order("entry")
    driver.seen(order, "filled", order.quantity)
    driver.journal()
    assert driver.one(Place).order.leg == "stop", "what protects is never limited"


@pytest.mark.parametrize(("good", "bad", "trips"), [(7, 3, True), (8, 2, False), (0, 9, False), (5, 5, True)])
def test_too_many_calls_that_fail(good, bad, trips):
    driver = Driver()
    for ok in [True] * good + [False] * bad:
        driver(ev.CallCounted(ok))
    assert ("errors" in driver.breakers()) is trips


def test_calls_of_more_than_a_minute_ago_do_not_count():
    driver = Driver()
    for _ in range(9):
        driver(ev.CallCounted(ok=False))
    driver.wait(MINUTE)
    driver(ev.CallCounted(ok=False))
    assert driver.breakers() == set()


def test_a_comparison_that_fails_trips_until_one_succeeds():
    driver = Driver()
    driver(ev.ReconcileFailed("no answer"))
    assert driver.one(TripBreaker).breaker.until is None
    driver(ev.SignalSeen(signal()))
    assert "breaker reconcile" in driver.verdict().reason
    driver.snapshot()
    assert driver.one(ResetBreaker).name == "reconcile"


def test_a_breaker_is_made_longer_and_never_shorter():
    old = BreakerView("x", "old", T, until=T + 5 * MINUTE)
    assert risk.extended(None, old) is old
    assert risk.extended(old, replace(old, until=T + MINUTE)) is None
    assert risk.extended(old, replace(old, until=None, at=T + 1)) == replace(old, until=None)
    assert risk.extended(replace(old, until=None), old) is None


def test_the_settings_of_a_symbol_replace_the_general_ones():
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, TradingView(stop_atr=Decimal(3), take_profit_atr=Decimal(4))))
    order = driver.sent()
    assert (order.plan.stop_price, order.plan.take_profit_price) == (PRICE - 900, PRICE + 1200)


@pytest.mark.parametrize("side", ["long", "short"])
def test_stop_and_take_profit_may_be_percent_of_the_price(side):
    driver = Driver(replace(POLICY, risk=RISK.model_copy(update={"take_profit_atr": Decimal(6)})))
    driver(ev.TradingSeen(SYMBOL, TradingView(stop_percent=Decimal("1.5"), take_profit_percent=Decimal(3))))
    plan = driver.sent(side=side).plan
    way = 1 if side == "long" else -1
    assert (plan.stop_price, plan.take_profit_price) == (PRICE - way * 900, PRICE + way * 1800)


@pytest.mark.parametrize("seen", [None, TradingView(leverage=3)])
def test_in_production_only_what_is_switched_on_is_traded(seen):
    driver = Driver(replace(POLICY, production=True), ready=False)
    driver(ev.StageSeen(3))
    driver(rules(SYMBOL, FILTERS, 5, T))
    if seen is not None:
        driver(ev.TradingSeen(SYMBOL, seen))
    driver.snapshot()
    assert not driver.got(SetMargin), "what is not traded is left as it is"
    driver(ev.SignalSeen(signal()))
    assert driver.verdict().reason == (
        "BTCUSDT is not switched on: in production only what is switched on is traded (tidemark trading BTCUSDT --on)"
    )
    driver(ev.TradingSeen(SYMBOL, TradingView(enabled=True)))
    assert driver.got(SetMargin)


def test_size_and_stop_go_by_the_price_now_and_slippage_by_the_signals():
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, TradingView(max_position=Decimal(6_145))))
    driver(ev.PriceSeen(SYMBOL, PRICE + 250, T))
    order = driver.sent()
    unit = 6_145 / (4 * (PRICE + 250 + 1_200))  # four units, the dearest four ATR above
    assert order.plan.unit_quantity == pytest.approx(unit)
    assert (order.quantity, order.plan.stop_price, order.plan.price) == (Decimal("0.050"), PRICE - 350, PRICE)


def test_with_the_shipped_settings_a_position_has_its_share_of_the_margin():
    driver = Driver(replace(POLICY, risk=Risk()))
    order = driver.sent(atr=Decimal(30))
    assert 4 * order.plan.unit_quantity * PRICE == pytest.approx(Decimal("5671.6"), abs=5)  # 95 % of 3 x 10,000 / 5
    assert order.quantity * PRICE <= ACCOUNT.equity * 3 / 5 / 2


def test_the_fee_is_that_of_the_account_once_it_is_known():
    cheap, dear = Driver(), Driver(replace(POLICY, taker_fee=Decimal("0.01")))
    assert dear.sent().plan.unit_quantity < cheap.sent().plan.unit_quantity
    told = Driver(replace(POLICY, taker_fee=Decimal("0.01")))
    told(ev.FeeSeen(SYMBOL, POLICY.taker_fee))
    assert told.sent().plan == cheap.order("entry").plan


def test_nothing_is_opened_before_it_is_known_what_the_day_began_with():
    driver = Driver(ready=False)
    account = AccountView("USDT", Decimal(10_000), Decimal(10_000), driver.now, None)
    driver(ev.Snapshot((), (), (account,), driver.now))
    driver(ev.SignalSeen(signal()))
    assert driver.verdict().verdict == "skipped"
    assert "the day began with" in driver.verdict().reason
