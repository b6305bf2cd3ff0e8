"""Contracts that are margined in a coin, through the same engine: sizes, liquidation, the day's limit coin by coin, and
the stops that no stream tells of. The figures are the exchange's own examples, to eight decimals."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from pipeline.exchange.products.arithmetic import INVERSE
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.reports import Account, AccountPosition, Wallet
from pipeline.exchange.user_events import decode_event
from pipeline.execution.engine import events as ev
from pipeline.execution.engine import liquidation, sizing, tradable
from pipeline.execution.engine.diary import Diary
from pipeline.execution.engine.effects import JournalIntent, Query
from pipeline.execution.engine.state import AccountView, Bracket, Holding, OrderTold, Policy, TradingView
from pipeline.execution.gateway import reports_in
from pipeline.settings import Risk
from pipeline.timeline import SECOND
from tests.execution.driver import FILTERS, IDENTITY, SYMBOL, Driver, T, isolated, signal

RULES = FILTERS.model_copy(
    update={
        name: D(value)
        for name, value in {
            "step_size": 1, "min_quantity": 1, "market_step_size": 1, "market_min_quantity": 1, "min_notional": 0,
            "max_quantity": 1_000_000, "market_max_quantity": 60_000,
        }.items()
    }
)  # fmt: skip
BTC = Instrument(SYMBOL, "BTC", "USD", "BTC", INVERSE, D(100), RULES)
ETH = Instrument("ETHUSD_PERP", "ETH", "USD", "ETH", INVERSE, D(10), RULES)
BRACKETS = (Bracket(D(5), D("0.004"), D(0), 125), Bracket(D(833), D("0.005"), D("0.005"), 100))
POLICY = Policy("sim-cm", Risk(), arithmetic=INVERSE, coins=True, look_at_stops_every=5 * SECOND, taker_fee=D(0))
WIDE = replace(POLICY, risk=Risk(max_position_percent=D(1_000)))
"""Where the risk alone decides how large a unit is."""
PRICE = D(60_000)


def eight(value):
    return None if value is None else round(value, 8)


def wallet(asset, equity, **more):
    return AccountView(asset, D(str(equity)), D(str(equity)), T, D(str(equity)), D(str(equity)), **more)


class Coins(Driver):
    """A core of COIN-M, where Bitcoin and Ether are margin."""

    def __init__(self, policy=POLICY):
        super().__init__(policy, ready=False)
        self(ev.RulesSeen(SYMBOL, BTC, isolated(3), T, BRACKETS))
        self(ev.RulesSeen(ETH.symbol, ETH, isolated(3), T, BRACKETS))
        self(ev.PriceSeen(ETH.symbol, D(3_000), T))
        self(ev.Snapshot((), (), (wallet("BTC", 1), wallet("ETH", 20)), T))
        self.all.clear()


@pytest.mark.parametrize(
    ("quantity", "price"), [("100", "45636.36363636"), ("-100", "55333.33333333"), ("1", "45636.36363636")]
)
def test_the_liquidation_price(quantity, price):
    found = liquidation.price(BTC, D(quantity), D(50_000), 10, (Bracket(D(5), D("0.004"), D(0), 125),))
    assert eight(found) == D(price)


def test_a_short_that_is_paid_in_full_is_never_liquidated():
    assert liquidation.price(BTC, D(-1), PRICE, 1, BRACKETS) is None


@pytest.mark.parametrize(
    ("state", "filled", "average", "margin"), [("filled", 30, PRICE, "0.01666667"), ("accepted", 0, None, 0)]
)
def test_an_entry_that_is_found_again_without_its_plan_counts_by_what_it_was_filled_at(state, filled, average, margin):
    driver = Coins()
    told = OrderTold(
        IDENTITY.order_id("s1", "entry"), SYMBOL, "BUY", state, D(filled), T + 1, exchange_id=7, average_price=average,
        quantity=D(30),
    )  # fmt: skip
    driver(ev.OrderSeen(told, "stream"), 1)
    assert eight(driver.core._worth.of("BTC").reserved()) == D(margin)


def test_a_unit_loses_its_percent_of_the_coins_when_the_price_goes_an_atr_against_it():
    driver = Coins(WIDE)
    driver(ev.SignalSeen(signal(side="long", atr=D(300))))
    decision = driver.one(JournalIntent).order
    unit = decision.plan.unit_quantity
    lost = D(100) / (PRICE - 300) - D(100) / PRICE
    assert unit * lost * 3 == pytest.approx(D("0.01")), "one percent of a Bitcoin, at leverage 3"
    assert decision.quantity == int(2 * unit), "whole contracts, rounded down"


def test_a_short_loses_less_of_the_coin_and_may_be_larger():
    sizes = {}
    for side in ("long", "short"):
        driver = Coins(WIDE)
        driver(ev.SignalSeen(signal(side=side, atr=D(300))))
        sizes[side] = driver.one(JournalIntent).order.plan.unit_quantity
    assert sizes["short"] > sizes["long"]


def test_what_is_free_of_one_coin_pays_for_nothing_in_another():
    driver = Coins()
    driver(ev.AccountSeen(replace(wallet("ETH", 20), available=D(0))), 1)
    driver(ev.SignalSeen(signal("s1", symbol=ETH.symbol, price=D(3_000), atr=D(30))))
    assert driver.verdict("s1").reason.startswith("no margin: ")
    assert driver.verdict("s1").reason.endswith("and -1.00000000 is free")
    driver(ev.SignalSeen(signal("s2", atr=D(300))))
    assert driver.one(JournalIntent).order.symbol == SYMBOL


def test_the_days_loss_is_that_of_a_coin_and_stops_what_is_margined_in_it():
    driver = Coins()
    driver(ev.AccountChanged("ETH", D("18.9"), (), driver.now + 1, earned=True), 1)
    assert driver.breakers() == {"daily-loss:ETH"}
    driver(ev.SignalSeen(signal("s1", symbol=ETH.symbol, price=D(3_000), atr=D(30))))
    assert driver.verdict("s1").reason.startswith("breaker daily-loss:ETH: the day's loss is 5.50 %")
    driver(ev.SignalSeen(signal("s2", atr=D(300))))
    assert driver.one(JournalIntent).order.symbol == SYMBOL


def test_a_price_changes_the_worth_of_its_coins_alone():
    driver = Coins()
    held = Holding(SYMBOL, D(400), D(60_000), D(60_000), T, D(100))
    driver(ev.AccountSeen(replace(wallet("BTC", 1), holdings=(held,), at=driver.now)), 1)
    driver(ev.PriceSeen(SYMBOL, D(55_000), driver.now))
    btc, eth = driver.core._worth.of("BTC").now(), driver.core._worth.of("ETH").now()
    assert eight(btc.equity - 1) == eight(400 * (D(100) / 60_000 - D(100) / 55_000))
    assert eth.equity == 20
    assert driver.breakers() == {"daily-loss:BTC"}


def test_what_a_person_allows_is_said_in_dollars():
    driver = Coins()
    driver(ev.TradingSeen(SYMBOL, TradingView(max_position=D(2_000))))
    driver(ev.SignalSeen(signal(atr=D(300))))
    assert driver.one(JournalIntent).order.quantity == 10, "two of four units of twenty contracts of 100 dollars"


@pytest.mark.parametrize(("stage", "too_small"), [(1, [SYMBOL]), (2, [SYMBOL]), (3, [])])
def test_the_contracts_that_a_stage_cannot_trade(stage, too_small):
    listed = {SYMBOL: (BTC, PRICE), ETH.symbol: (ETH, D(3_000))}
    assert sorted(tradable.too_small(stage, Risk(), listed)) == sorted(too_small)


@pytest.mark.parametrize(("side", "dearest"), [("long", 60_000), ("short", 58_800)])
def test_the_dearest_price_is_the_lowest(side, dearest):
    assert sizing.dearest_price(PRICE, side, D(300), Risk(), BTC) == dearest


def test_a_stop_that_stands_is_asked_for_and_one_that_is_gone_is_placed_again():
    driver = Coins()
    driver.protected(atr=D(300))
    stop = driver.order("stop")
    driver.wait(4 * SECOND)
    assert driver.got(Query) == []
    driver.wait(3 * SECOND)
    assert {one.order.id for one in driver.got(Query)} == {stop.id}
    driver(ev.OrderNotFound(stop.id, driver.now + 1), 2)
    assert driver.core.order(stop.id).state == "abandoned"
    driver.wait(2 * SECOND)
    assert driver.order("stop").id != stop.id


def test_a_statement_is_one_of_each_coin_with_what_is_held_by_its_contracts():
    market = reports_in.Market(CM, {SYMBOL: BTC, ETH.symbol: ETH})
    lost = 100 * (D(100) / 60_000 - D(100) / 50_000)
    held = AccountPosition(symbol=SYMBOL, position_amt=D(100), entry_price=D(60_000), unrealized_profit=lost)
    account = Account(
        (Wallet("BTC", D(1), lost, 1 + lost, D("0.9")), Wallet("ETH", D(20), D(0), D(20), D(20))), (), (held,)
    )
    btc, eth = reports_in.account_views(account, T, {"BTC": D(1)}, {}, market)
    ((holding,),) = (btc.holdings,)
    assert (btc.asset, btc.day_start, eth.day_start, eth.holdings) == ("BTC", 1, None, ())
    assert (eight(holding.mark_price), holding.size) == (50_000, 100)


def test_the_stream_tells_of_the_coin_that_changed():
    market = reports_in.Market(CM, {})
    frame = (
        f'{{"e":"ACCOUNT_UPDATE","E":{T},"T":{T},"i":"x","a":{{"m":"ORDER","B":[{{"a":"BTC","wb":"0.0099966","cw":"0.01",'
        '"bc":"0"}],"P":[{"s":"BTCUSD_PERP","pa":"1","ep":"82945.2","bep":"82978.37807935","cr":"-0.00000037","up":'
        '"-0.00000012","mt":"cross","iw":"0","ps":"BOTH","ma":"BTC"}]}}'
    )
    (change,) = reports_in.account_changes(decode_event(frame.encode()), market)
    assert (change.asset, change.wallet, change.earned) == ("BTC", D("0.0099966"), True)
    assert [one.symbol for one in change.holdings] == ["BTCUSD_PERP"]


def test_the_log_names_each_coin():
    diary = Diary("sim-cm", coins=True)
    lines = diary.told(ev.Snapshot((), (), (wallet("BTC", 1), wallet("ETH", 20), wallet("ADA", 0)), T), (), T)
    assert lines == ["ready: sim-cm, auto-execute; nothing is held; equity 1.00000000 BTC, 20.00000000 ETH"]
