"""The end of a run is a moment like any other: what happens between the last signal and the end of the candles is what
happens there in a longer run, by both engines."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.record import Record
from pipeline.research.backtest.run import run
from pipeline.timeline import MINUTE
from tests.contracts import BTC, BTC_COIN
from tests.research.stage import TARGET, asked, at_market, chatter, flat, minutes, said, until_funding, wild

EXACT = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
NAMES = {UM.name: BTC, CM.name: BTC_COIN, SPOT.name: BTC}


@EXACT
@pytest.mark.parametrize("product", [UM, CM], ids=repr)
def test_a_settlement_at_the_very_end_is_paid(product: Product, exact: bool) -> None:
    name, due = NAMES[product.name], until_funding()
    says = [said(2, "entry", "long", 100_000, symbol=name)]
    (trade,), (longer,) = (
        run(asked(minutes(flat(100_000, length), name), says, product=product), exact=exact).outcome.trades
        for length in (due, due + 5)
    )
    assert trade.funding == longer.funding != 0


@EXACT
def test_the_day_that_ends_with_the_run_has_that_settlement(exact: bool) -> None:
    market = minutes(flat(100_000, 23 * 60))
    outcome = run(asked(market, [said(2, "entry", "long", 100_000)]), exact=exact).outcome
    (trade,) = outcome.trades
    paid = trade.quantity * 100_000 * Decimal("0.0003")
    assert trade.funding == -paid, "at 08:00, at 16:00, and at the midnight that is the end"
    lost = trade.fees + trade.quantity + paid
    assert outcome.weigh().daily[-1] == pytest.approx(float(10_000 - lost), abs=1e-6)
    assert outcome.summary.equity_end == outcome.weigh().daily[-1]


def test_the_journal_knows_at_the_end_how_its_orders_ended() -> None:
    market = minutes([*flat(100_000, 5), (100_000, 100_050, 99_500, 99_600), *flat(99_600, 20)])
    record = ExactRun(asked(market, [said(2, "entry", "long", 100_000)], trading=TARGET)).run()
    assert {one.leg: one.state for one in record.orders.values()} == {
        "entry": "filled", "stop": "filled", "take_profit": "cancelled",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("product", "entry", "count"),
    [(UM, "market", 1_000), (UM, "limit", 600), (CM, "market", 1_000), (SPOT, "market", 1_000)],
)
def test_a_window_is_the_beginning_of_a_longer_run(product: Product, entry: str, count: int) -> None:
    candles, name = wild(count, seed=11), NAMES[product.name]
    signals = [at_market(one, candles) for one in chatter(count, seed=11, symbol=name)]
    limits: dict[str, Any] = {"unit_percent": 3, "daily_loss_percent": 1, "entry_order": entry}
    question = asked(minutes(candles, name), signals, product=product, trading=TARGET, **limits)
    whole = ExactRun(question).run()
    outcome = run(question).outcome
    for length in (until_funding(), count - 123):
        part = cut(question, length)
        record, ended = ExactRun(part).run(), run(part).outcome
        assert told(record) == [one for one in told(whole) if one[0] <= part.end], length
        assert record.breakers == [one for one in whole.breakers if one.at <= part.end], length
        closed = [one for one in ended.trades if one.closed_at is not None]
        assert closed == list(outcome.trades[: len(closed)])
        assert ended.curve.close == pytest.approx(outcome.curve.close[:length], abs=1e-9)
        assert len(closed) > 3


def told(record: Record) -> list[tuple[Any, ...]]:
    """What happened, without the numbers that the exchange gave it."""
    return [
        (one.time, *(value for name, value in one.as_dict().items() if not name.endswith("_id")))
        for one in record.ledger
    ]


def cut(question: Asked, length: int) -> Asked:
    """Only so many minutes of it."""
    end = question.start + length * MINUTE
    columns = ("open", "high", "low", "close", "there")
    return replace(
        question,
        end=end,
        minutes={
            name: replace(one, **{column: getattr(one, column)[:length] for column in columns})
            for name, one in question.minutes.items()
        },
        funding={name: [one for one in due if one.time <= end] for name, due in question.funding.items()},
        signals=[one for one in question.signals if one.at < end],
    )
