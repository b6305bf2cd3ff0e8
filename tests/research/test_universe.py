"""Symbols that were listed, or whose trading ended, while others went on."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.funding import schedule_of
from pipeline.research.backtest.run import Outcome, run
from pipeline.settings import Portfolio
from pipeline.timeline import DAY, MINUTE
from tests.research.stage import BEGIN, asked, flat, minutes, said, until_funding

ENDS = BEGIN + 20 * MINUTE
either_engine = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])


def of_three(product: Product = UM) -> Asked:
    """One whose trading ends after twenty minutes, one that goes on, and one that is listed after thirty."""
    markets = {
        "ABUSDT": minutes([*flat(100_000, 10), *flat(100_020, 10)], "ABUSDT"),
        "CDUSDT": minutes(flat(100_000, 60), "CDUSDT"),
        "EFUSDT": minutes(flat(100_000, 30), "EFUSDT", begin=BEGIN + 30 * MINUTE),
    }
    signals = [
        said(3, "entry", "long", 100_000, symbol="ABUSDT"),
        said(20, "entry", "short", 100_020, symbol="ABUSDT"),
        *(said(at, "entry", "long", 100_000, symbol="CDUSDT") for at in (5, 25)),
        said(35, "entry", "long", 100_000, symbol="EFUSDT"),
    ]
    found = asked(markets, signals, product=product, max_open_positions=2, unit_percent=1)
    return replace(found, endings={"ABUSDT": ENDS})


def ran(question: Asked, *, exact: bool) -> Outcome:
    outcome = run(question, exact=exact).outcome
    assert outcome.engine == ("exact" if exact else "fast")
    return outcome


@either_engine
def test_what_is_held_as_trading_ends_is_settled_at_the_last_price_and_makes_room(exact: bool) -> None:
    first, second, third = ran(of_three(), exact=exact).trades
    assert (first.symbol, first.reason, first.closed_at) == ("ABUSDT", "settlement", ENDS)
    assert first.exit_price == Decimal(100_020)
    assert float(first.fees) == pytest.approx(float(first.quantity * first.entry_price) * 0.0005), "of its entry alone"
    assert (second.symbol, second.closed_at) == ("CDUSDT", None)
    assert (third.symbol, third.opened_at) == ("EFUSDT", BEGIN + 35 * MINUTE + 600)


@either_engine
def test_what_is_said_as_trading_ends_is_left_out(exact: bool) -> None:
    reasons = ran(of_three(), exact=exact).left_out
    assert sum("trad" in one for one in reasons) == 1


@either_engine
def test_coins_of_a_pair_that_has_ended_stay(exact: bool) -> None:
    first, *_ = ran(of_three(SPOT), exact=exact).trades
    assert (first.symbol, first.reason) == ("ABUSDT", "open")


@either_engine
def test_an_end_that_is_that_of_the_run_is_settled_too(exact: bool) -> None:
    whole = of_three()
    signals = [one for one in whole.signals if one.at < ENDS]
    (first, second) = ran(replace(whole, end=ENDS, signals=signals), exact=exact).trades
    assert [(one.reason, one.closed_at) for one in (first, second)] == [("settlement", ENDS), ("open", None)]


@either_engine
def test_who_ended_before_the_run_has_no_part_in_it(exact: bool) -> None:
    whole = of_three()
    late = [one for one in whole.signals if one.at > ENDS]
    found = ran(replace(whole, start=ENDS + 2 * MINUTE, signals=late), exact=exact)
    assert [one.symbol for one in found.trades] == ["CDUSDT", "EFUSDT"]


@either_engine
@pytest.mark.parametrize(("after", "paid"), [(-1, 0), (0, -28), (1, -28)], ids=["before", "at", "after"])
def test_what_ends_pays_funding_until_then_and_none_after(after: int, paid: int, exact: bool) -> None:
    ends = until_funding() + after
    markets = {name: minutes(flat(100_000, n), name) for name, n in (("ABUSDT", ends), ("CDUSDT", ends + 60))}
    question = asked(markets, [said(3, "entry", "long", 100_000, symbol="ABUSDT")])
    dues = schedule_of((), question.start, question.end)
    question = replace(question, endings={"ABUSDT": BEGIN + ends * MINUTE}, funding=dict.fromkeys(markets, dues))
    (trade,) = ran(question, exact=exact).trades
    assert trade.reason == "settlement"
    assert round(trade.funding * 100) == paid


@either_engine
@pytest.mark.parametrize("has_ended", [False, True])
def test_what_is_held_of_what_has_no_newer_minute_counts_in_a_cap_unless_its_trading_has_ended(
    has_ended: bool, exact: bool
) -> None:
    markets = {name: minutes(flat(100_000, n), name) for name, n in (("ABUSDT", 20), ("CDUSDT", 60))}
    signals = [said(at, "entry", "long", 100_000, symbol=name) for at, name in ((3, "ABUSDT"), (40, "CDUSDT"))]
    question = asked(markets, signals, unit_percent=1)
    bought = ran(question, exact=False).trades[0].quantity * 100_000
    caps = Portfolio(gross_percent=round(bought * 150 / question.assumptions.equity))
    question = replace(question, policy=replace(question.policy, portfolio=caps))
    found = ran(replace(question, endings={"ABUSDT": ENDS} if has_ended else {}), exact=exact)
    assert [one.symbol for one in found.trades] == (["ABUSDT", "CDUSDT"] if has_ended else ["ABUSDT"])
    assert sum(one.startswith("everything held") for one in found.left_out) == (not has_ended)


@either_engine
def test_a_day_that_ends_in_a_hole_of_a_symbol_goes_by_its_last_price(exact: bool) -> None:
    """It begins an hour after midnight, so that its day ends in the hole."""
    markets = {
        "ABUSDT": minutes([*flat(100_000, 1_000), *([None] * 1_000), *flat(101_000, 2_000)], "ABUSDT"),
        "CDUSDT": minutes(flat(100_000, 4_000), "CDUSDT"),
    }
    question = asked(markets, [said(3, "entry", "long", 100_000, symbol="ABUSDT")])
    found = ran(replace(question, funding={}), exact=exact)
    (held,) = found.trades
    begun, in_it, after, _ = found.weigh().daily
    paid = held.fees + (held.entry_price - 100_000) * held.quantity
    assert in_it == pytest.approx(begun - float(paid))
    assert after - in_it == pytest.approx(float(held.quantity * 1_000))
    assert found.weigh().daily.tolist() == pytest.approx(found.curve.daily()[1].tolist())


def test_a_month_in_which_nothing_was_traded_brought_exactly_nothing() -> None:
    signals = [said(3, "entry", "long", 100_000), said(30, "exit", "long", 100_000)]
    months = ran(asked(minutes(flat(100_000, 70 * DAY // MINUTE)), signals), exact=False).months
    assert [(one.month, one.trades) for one in months] == [("2026-03", 1), ("2026-04", 0), ("2026-05", 0)]
    assert [(one.return_pct, one.max_drawdown_pct, one.profit) for one in months[1:]] == [(0, 0, 0)] * 2
