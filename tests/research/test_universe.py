"""Symbols that were listed, or whose trading ended, while others went on."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.run import Outcome, run
from pipeline.timeline import MINUTE
from tests.research.stage import BEGIN, asked, flat, minutes, said

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
