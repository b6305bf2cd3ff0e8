"""Coins that are bought and sold, by both engines: sums by hand, to the last digit of the money."""

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from pipeline.exchange.products.spot import SPOT
from pipeline.research.backtest import exact
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.run import Backtest, run
from pipeline.research.backtest.trades import Trade
from pipeline.simulator.spot.ledger import Accepted, Fill
from pipeline.simulator.venue.ledger import Ended
from pipeline.timeline import MINUTE
from tests.contracts import pair
from tests.research.stage import BEGIN, TARGET, Candle, asked, at_market, chatter, flat, minutes, said, wild

FEE, STEP = Decimal("0.001"), Decimal("0.00001")


EXACT = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])


def ran(candles: list[Candle | None], *signals: Any, exact: bool = True, **more: Any) -> Backtest:
    found = run(asked(minutes(candles), signals, product=SPOT, **more), exact=exact)
    assert found.outcome.engine == ("exact" if exact else "fast")
    return found


def only(found: Backtest) -> Trade:
    (trade,) = found.outcome.trades
    return trade


def money(trade: Trade, bought: Decimal) -> Decimal:
    """What is left of it: a thousandth is kept of the coins, what is left is sold in lots, a thousandth is kept."""
    sold = bought * (1 - FEE) // STEP * STEP
    assert trade.exit_price is not None
    got = sold * trade.exit_price
    return got - (got * FEE).quantize(Decimal("1e-8"), ROUND_DOWN) - bought * trade.entry_price


def bought_by(trade: Trade) -> Decimal:
    """In lots, before the exchange has kept its share."""
    bought = (trade.quantity / (1 - FEE)).quantize(STEP)
    assert bought * (1 - FEE) == trade.quantity
    return bought


@EXACT
@pytest.mark.parametrize(
    ("candle", "exit_price", "reason", "decided_by"),
    [
        ((100_000, 100_050, 99_500, 99_600), "99800.1", "stop", "candle"),
        ((99_000, 100_400, 98_000, 100_300), "98999.1", "stop", "gap"),
        ((100_000, 100_900, 99_950, 100_800), "100199.9", "take-profit", "candle"),
        ((101_000, 101_100, 100_900, 101_000), "100999.0", "take-profit", "gap"),
    ],
)
def test_stop_and_target_sell_what_was_really_received(
    candle: Candle, exit_price: str, reason: str, decided_by: str, exact: bool
) -> None:
    candles = [*flat(100_000, 5), candle, *flat(candle[3], 3)]
    trade = only(ran(candles, said(2, "entry", "long", 100_000), trading=TARGET, exact=exact))
    assert trade.entry_price == Decimal("100001.0")
    assert (trade.reason, trade.decided_by, trade.side) == (reason, decided_by, "long")
    assert trade.exit_price == pytest.approx(Decimal(exit_price), abs=Decimal("1.1"))
    assert trade.profit == money(trade, bought_by(trade))


def test_stop_and_target_are_one_pair_for_the_same_coins() -> None:
    candles = [*flat(100_000, 5), (100_000, 100_050, 99_500, 99_600), *flat(99_600, 3)]
    record = ExactRun(asked(minutes(candles), [said(2, "entry", "long", 100_000)], product=SPOT, trading=TARGET)).run()
    buy, *pair = [one for one in record.ledger if isinstance(one, Accepted)]
    assert sorted(one.type for one in pair) == ["STOP_LOSS", "TAKE_PROFIT"]
    assert {one.list_id for one in pair} != {-1}
    assert {one.quantity for one in pair} == {buy.quantity * (1 - FEE) // STEP * STEP}
    assert [one.side for one in record.ledger if isinstance(one, Fill)] == ["BUY", "SELL"]
    (gone,) = [one for one in record.ledger if isinstance(one, Ended)]
    assert (gone.status, record.orders[gone.client_id].leg) == ("EXPIRED", "take_profit")


def test_a_stop_alone_is_replaced_when_more_is_bought() -> None:
    signals = [said(2, "trial", "long", 100_000), said(6, "entry", "long", 100_000)]
    record = ExactRun(asked(minutes(flat(100_000, 20)), signals, product=SPOT)).run()
    first, second = [one for one in record.ledger if isinstance(one, Accepted) and one.type == "STOP_LOSS"]
    (gone,) = [one for one in record.ledger if isinstance(one, Ended)]
    assert (gone.client_id, gone.status, gone.time) == (first.client_id, "CANCELED", second.time)
    assert second.quantity > first.quantity
    assert {one.state for one in record.orders.values()} == {"filled", "cancelled", "accepted"}


@EXACT
def test_nothing_is_sold_short_borrowed_or_funded(exact: bool) -> None:
    market = flat(100_000, 600)
    short = ran(market, said(2, "entry", "short", 100_000), exact=exact)
    assert not short.outcome.trades
    (reason,) = short.outcome.left_out
    assert reason.startswith("nothing is sold short")
    entry = said(2, "entry", "long", 100_000)
    sizes = {ran(market, entry, leverage=one, exact=exact).outcome.trades[0] for one in (1, 20)}
    assert len(sizes) == 1
    assert sizes.pop().funding == 0


@EXACT
def test_what_is_held_at_the_end_and_what_is_assumed(exact: bool) -> None:
    found = ran(flat(100_000, 20), said(2, "entry", "long", 100_000), exact=exact)
    assert found.assumed["engine"] == ("the executor itself" if exact else "the executor's rules, compiled")
    assert found.assumed["funding"] == "there is none"
    assert only(found).closed_at is None
    assert found.outcome.summary.exposure_pct == pytest.approx(18 / 20 * 100)


@EXACT
def test_a_sale_waits_until_the_stop_is_gone(exact: bool) -> None:
    says = (said(2, "entry", "long", 100_000), said(5, "exit", "long", 100_000))
    trade = only(ran(flat(100_000, 20), *says, exact=exact))
    assert (trade.opened_at, trade.closed_at) == (BEGIN + 2 * MINUTE + 600, BEGIN + 5 * MINUTE + 800)


@EXACT
def test_the_other_side_sells_and_opens_nothing(exact: bool) -> None:
    says = (said(2, "entry", "long", 100_000), said(5, "trial", "short", 100_000), said(9, "entry", "short", 100_000))
    found = ran(flat(100_000, 20), *says, exact=exact, turn="entries")
    assert only(found).reason == "signal"
    assert (found.outcome.taken, sum(found.outcome.left_out.values())) == (2, 1)


@EXACT
def test_a_loss_of_the_day_ends_it_also_where_no_signal_asks(exact: bool) -> None:
    """The price falls through the limit of the day and is back before the next signal."""
    candles = [*flat(100_000, 5), (100_000, 100_000, 97_000, 100_000), *flat(100_000, 30)]
    says = (said(2, "entry", "long", 100_000), said(20, "exit", "long", 100_000), said(25, "entry", "long", 100_000))
    limits = {"stop_atr": 50, "daily_loss_percent": Decimal("0.1"), "max_open_positions": 1, "unit_percent": 10}
    found = ran(candles, *says, exact=exact, **limits)
    assert only(found).closed_at == BEGIN + 20 * MINUTE + 800
    assert found.outcome.taken == 2


@EXACT
def test_what_could_not_be_protected_is_not_bought(exact: bool) -> None:
    """At its stop it would be worth less than the exchange takes."""
    listed = pair()
    found = asked(minutes(flat(100_000, 20)), [said(2, "entry", "long", 100_000, atr=20_000)], product=SPOT, stop_atr=1)
    probe = run(found, exact=True).outcome.trades[0]
    least = probe.quantity * Decimal(90_000)
    filters = listed.filters and listed.filters.model_copy(update={"min_notional": least})
    dear = replace(found, symbols=[listed.model_copy(update={"filters": filters})])
    outcome = run(dear, exact=exact).outcome
    assert (outcome.engine, list(outcome.trades), outcome.taken) == ("exact" if exact else "fast", [], 0)


def test_what_coins_have_not_is_not_asked_of_the_rules() -> None:
    """Their entries are market orders, and there is no margin, whatever the settings say."""
    candles, entry = flat(100_000, 20), said(2, "entry", "long", 100_000)
    plain = only(ran(candles, entry, exact=False))
    assert only(ran(candles, entry, exact=False, entry_order="limit", margin_type="crossed")) == plain
    assert only(ran(candles, entry, exact=True, entry_order="limit", margin_type="crossed")).entry_price == (
        plain.entry_price
    )


def test_two_orders_of_a_minute_in_one_pair_are_the_executors() -> None:
    exit_ = replace(said(2, "exit", "long", 100_000), id="sim:BTCUSDT:1m:later")
    found = run(asked(minutes(flat(100_000, 20)), [said(2, "entry", "long", 100_000), exit_], product=SPOT))
    assert found.outcome.engine == "exact"


def test_all_trades_are_what_the_money_changed_by_and_what_is_passed_over_was_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candles = wild(1_500, seed=3)
    signals = [at_market(one, candles) for one in chatter(1_500, seed=3)]
    signals += [said(1_490, "exit", "long", candles[1_489][3])]
    question = asked(minutes(candles), signals, product=SPOT, trading=TARGET, daily_loss_percent=1, unit_percent=3)
    outcome = run(question, exact=True).outcome
    assert len(outcome.trades) > 10
    assert {one.reason for one in outcome.trades} >= {"stop", "take-profit"}
    gained = sum((one.profit for one in outcome.trades), Decimal())
    assert outcome.curve.close[-1] == pytest.approx(float(10_000 + gained), abs=1e-8)
    jumping = ExactRun(question).run()
    monkeypatch.setattr(exact, "first_event", lambda *arguments: arguments[-2])
    looking = ExactRun(question).run()
    told = [[(one.time, one.client_id, one.price, one.quantity) for one in each.ledger if isinstance(one, Fill)]
            for each in (jumping, looking)]  # fmt: skip
    assert told[0] == told[1]
    assert jumping.verdicts.keys() == looking.verdicts.keys()


@EXACT
def test_an_order_of_many_levels_is_one_end(exact: bool) -> None:
    candles = [*flat(100_000, 5), (100_000, 100_050, 99_500, 99_600), *flat(99_600, 3)]
    question = asked(minutes(candles), [said(2, "entry", "long", 100_000)], product=SPOT)
    rich = replace(question, assumptions=replace(question.assumptions, equity=Decimal(2_000_000)))
    found = run(rich, exact=exact)
    sold = [one for one in ExactRun(found.asked).run().ledger if isinstance(one, Fill) and one.side == "SELL"]
    assert len(sold) > 2, "the book has fifty thousand at a level"
    trade = only(found)
    assert trade.reason == "stop"
    assert found.outcome.curve.close[-1] == pytest.approx(float(2_000_000 + trade.profit), abs=1e-6)


@EXACT
def test_a_fee_is_that_of_its_day(exact: bool) -> None:
    question = asked(minutes(flat(100_000, 10)), [said(2, "entry", "long", 100_000)], product=SPOT)
    (pair,) = question.symbols
    half = pair.model_copy(update={"taker_fee": Decimal("0.0005")})
    (cheap,) = run(replace(question, symbols=[half]), exact=exact).outcome.trades
    assert cheap.fees == pytest.approx(cheap.quantity * cheap.entry_price * Decimal("0.0005"), rel=Decimal("0.002"))


@EXACT
def test_a_stop_sells_behind_a_hole(exact: bool) -> None:
    candles = [*flat(100_000, 4), *[None] * 5, *flat(99_000, 5)]
    trade = only(ran(candles, said(2, "entry", "long", 100_000), exact=exact))
    assert trade.closed_at == BEGIN + 9 * MINUTE + 1
    assert trade.exit_price == Decimal("98999.1")


def test_nothing_is_bought_in_a_hole() -> None:
    candles = [*flat(100_000, 3), *[None] * 5, *flat(110_000, 5)]
    assert not ran(candles, said(3, "entry", "long", 100_000)).outcome.trades
