"""Coins that are bought and sold, by the executor itself: sums by hand, to the last digit of the money."""

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
from tests.research.stage import BEGIN, TARGET, Candle, asked, at_market, chatter, flat, minutes, said, wild

FEE, STEP = Decimal("0.001"), Decimal("0.00001")


def ran(candles: list[Candle | None], *signals: Any, **more: Any) -> Backtest:
    return run(asked(minutes(candles), signals, product=SPOT, **more))


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
    candle: Candle, exit_price: str, reason: str, decided_by: str
) -> None:
    trade = only(
        ran([*flat(100_000, 5), candle, *flat(candle[3], 3)], said(2, "entry", "long", 100_000), trading=TARGET)
    )
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


def test_nothing_is_sold_short_borrowed_or_funded() -> None:
    market = flat(100_000, 600)
    short = ran(market, said(2, "entry", "short", 100_000))
    assert not short.outcome.trades
    (reason,) = short.outcome.left_out
    assert reason.startswith("nothing is sold short on ")
    sizes = {ran(market, said(2, "entry", "long", 100_000), leverage=one).outcome.trades[0] for one in (1, 20)}
    assert len(sizes) == 1
    assert sizes.pop().funding == 0


def test_the_run_says_that_the_executor_itself_ran_and_what_is_assumed() -> None:
    found = ran(flat(100_000, 20), said(2, "entry", "long", 100_000))
    assert found.assumed["engine"] == (
        "the executor itself, because the compiled rules know no coins that change hands"
    )
    assert found.assumed["funding"] == "there is none"
    assert only(found).closed_at is None
    assert found.outcome.summary.exposure_pct == pytest.approx(18 / 20 * 100)


def test_all_trades_are_what_the_money_changed_by_and_what_is_passed_over_was_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candles = wild(1_500, seed=3)
    signals = [at_market(one, candles) for one in chatter(1_500, seed=3)]
    signals += [said(1_490, "exit", "long", candles[1_489][3])]
    question = asked(minutes(candles), signals, product=SPOT, trading=TARGET, daily_loss_percent=1, unit_percent=3)
    outcome = run(question).outcome
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


def test_an_order_of_many_levels_is_one_end() -> None:
    candles = [*flat(100_000, 5), (100_000, 100_050, 99_500, 99_600), *flat(99_600, 3)]
    question = asked(minutes(candles), [said(2, "entry", "long", 100_000)], product=SPOT)
    found = run(replace(question, assumptions=replace(question.assumptions, equity=Decimal(2_000_000))))
    sold = [one for one in ExactRun(found.asked).run().ledger if isinstance(one, Fill) and one.side == "SELL"]
    assert len(sold) > 2, "the book has fifty thousand at a level"
    trade = only(found)
    assert trade.reason == "stop"
    assert found.outcome.curve.close[-1] == pytest.approx(float(2_000_000 + trade.profit), abs=1e-6)


def test_a_fee_is_that_of_its_day() -> None:
    question = asked(minutes(flat(100_000, 10)), [said(2, "entry", "long", 100_000)], product=SPOT)
    (pair,) = question.symbols
    half = pair.model_copy(update={"taker_fee": Decimal("0.0005")})
    (cheap,) = run(replace(question, symbols=[half])).outcome.trades
    assert cheap.fees == pytest.approx(cheap.quantity * cheap.entry_price * Decimal("0.0005"), rel=Decimal("0.002"))


def test_nothing_is_bought_in_a_hole_and_a_stop_sells_behind_it() -> None:
    assert not ran(
        [*flat(100_000, 3), *[None] * 5, *flat(110_000, 5)], said(3, "entry", "long", 100_000)
    ).outcome.trades
    trade = only(ran([*flat(100_000, 4), *[None] * 5, *flat(99_000, 5)], said(2, "entry", "long", 100_000)))
    assert trade.closed_at == BEGIN + 9 * MINUTE + 1
    assert trade.exit_price == Decimal("98999.1")
