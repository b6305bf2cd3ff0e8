"""Contracts that are paid in a coin, on both engines: sums by hand, to the eighth decimal of a coin."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.exchange.products.cm import CM
from pipeline.research.backtest.funding import Due
from pipeline.research.backtest.run import Outcome, run
from pipeline.timeline import MINUTE
from tests.contracts import BTC_COIN
from tests.research.stage import BEGIN, Candle, asked, flat, minutes, said

SIDES = ("long", "short")
EXACT = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
PART = Decimal("0.00000001")


def coins(quantity: int, price: str) -> Decimal:
    """What so many contracts of a hundred dollars are worth."""
    return quantity * 100 / Decimal(price)


def ran(candles: list[Candle | None], exact: bool, *signals: Any, **settings: Any) -> Outcome:
    """Of a tenth of a coin."""
    dues = settings.pop("funding", ())
    question = asked(minutes(candles, BTC_COIN), signals, product=CM, **settings)
    outcome = run(replace(question, funding={BTC_COIN: dues}), exact=exact).outcome
    assert outcome.engine == ("exact" if exact else "fast")
    return outcome


def say(after: int, kind: Any, side: Any, price: float, **more: Any) -> Any:
    return said(after, kind, side, price, symbol=BTC_COIN, **more)


@EXACT
@pytest.mark.parametrize(
    ("side", "entry", "exit_", "gross"),
    [("long", "50000.5", "51999.5", "0.00046131"), ("short", "49999.5", "52000.5", "-0.00046177")],
)
def test_a_contract_gains_the_coins_that_are_owed_less_for_it(
    side: Any, entry: str, exit_: str, gross: str, exact: bool
) -> None:
    candles = [*flat(50_000, 3), *flat(52_000, 3)]
    says = (say(1, "entry", side, 50_000, atr=2_500), say(3, "exit", side, 52_000))
    (trade,) = ran(candles, exact, *says).trades
    assert (float(trade.entry_price), float(trade.exit_price or 0)) == pytest.approx((float(entry), float(exit_)))
    assert trade.quantity == 6
    sign = 1 if side == "long" else -1
    assert trade.gross == Decimal(gross) == (sign * (coins(6, entry) - coins(6, exit_))).quantize(PART)
    fees = sum((coins(6, price) * Decimal("0.0005")).quantize(PART) for price in (entry, exit_))
    assert trade.fees == fees


@EXACT
@pytest.mark.parametrize(("side", "sign"), [("long", -1), ("short", 1)])
def test_funding_is_exchanged_in_coins_at_the_mark_price(side: Any, sign: int, exact: bool) -> None:
    due = Due(BEGIN + 3 * MINUTE, Decimal("0.0004"), Decimal(48_000), known=True)
    (trade,) = ran(flat(50_000, 6), exact, say(1, "entry", side, 50_000, atr=2_500), funding=[due]).trades
    assert trade.quantity == 6
    assert trade.funding == sign * Decimal("0.00000500"), "6 x 100 / 48,000 x 0.0004"


@EXACT
def test_what_is_held_is_worth_what_it_would_bring(exact: bool) -> None:
    candles = [*flat(50_000, 3), (50_000, 55_000, 49_000, 54_000), *flat(54_000, 2)]
    outcome = ran(candles, exact, say(1, "entry", "long", 50_000, atr=2_500))
    begun = Decimal("0.1") - (coins(6, "50000.5") * Decimal("0.0005")).quantize(PART)
    for found, price in (
        (outcome.curve.close[3], "54000"), (outcome.curve.worst[3], "49000"), (outcome.curve.best[3], "55000"),
    ):  # fmt: skip
        assert found == pytest.approx(float(begun + coins(6, "50000.5") - coins(6, price)), abs=1e-12)
    assert outcome.summary.equity_end == pytest.approx(outcome.curve.close[3])


@EXACT
@pytest.mark.parametrize("side", SIDES)
def test_a_gap_past_the_margin_loses_the_margin_and_no_more(side: Any, exact: bool) -> None:
    """At leverage 20 a twentieth of what the contracts are worth."""
    beyond = 40_000 if side == "long" else 60_000
    candles = [*flat(50_000, 3), *flat(beyond, 3)]
    outcome = ran(candles, exact, say(1, "entry", side, 50_000, atr=100), leverage=20, stop_atr=1, unit_percent=5)
    (trade,) = outcome.trades
    assert trade.reason == "liquidation"
    paid = trade.quantity * 100 / trade.entry_price
    margin = (paid / 20).quantize(PART)
    opening = (paid * Decimal("0.0005")).quantize(PART)
    assert trade.profit == -margin - opening
    assert outcome.curve.close[-1] == pytest.approx(float(Decimal("0.1") + trade.profit), abs=1e-12)


@EXACT
def test_a_short_that_is_paid_in_full_is_never_liquidated(exact: bool) -> None:
    candles = [*flat(50_000, 3), *flat(200_000, 3)]
    outcome = ran(candles, exact, say(1, "entry", "short", 50_000, atr=100), leverage=1, stop_atr=1, unit_percent=1)
    assert [one.reason for one in outcome.trades] == ["stop"]


@EXACT
def test_all_trades_are_what_the_wallet_changed_by(exact: bool) -> None:
    candles = [*flat(50_000, 3), *flat(51_000, 3), *flat(50_300, 5)]
    says = (
        say(1, "entry", "long", 50_000, atr=1_500), say(4, "exit", "long", 51_000),
        say(5, "entry", "short", 51_000, atr=1_500), say(8, "exit", "short", 50_300),
    )  # fmt: skip
    outcome = ran(candles, exact, *says)
    assert len(outcome.trades) == 2
    gained = sum((one.profit for one in outcome.trades), Decimal())
    assert outcome.curve.close[-1] == pytest.approx(float(Decimal("0.1") + gained), abs=1e-15)
    assert outcome.summary.asset == "BTC"
