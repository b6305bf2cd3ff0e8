"""Strategies that hold one contract together, or coins beside each other, in a backtest: each trade is its strategy's,
and together they are the account.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

import numpy as np
import pytest

from pipeline.exchange.products.spot import SPOT
from pipeline.execution.engine.state import SignalView, TradingView
from pipeline.research.backtest import exact, fast
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.run import Backtest, run
from pipeline.research.backtest.trades import trades_of
from pipeline.research.explain.paper import paper_of
from pipeline.settings import Portfolio
from pipeline.timeline import HOUR, MINUTE, SECOND
from schemas.signals import Kind, Side
from tests.contracts import BTC
from tests.research.explained import explained
from tests.research.stage import BEGIN, TARGET, Candle, asked, chatter, flat, minutes, ran, said, until_funding, wild


def by(strategy: str, signals: Iterable[SignalView]) -> list[SignalView]:
    """The same, said by another strategy."""
    return [replace(one, strategy=strategy, id=one.id.replace(":rule:", f":{strategy}:")) for one in signals]


def with_books(market: object, signals: Iterable[SignalView]) -> Backtest:
    question = asked(market, signals)  # type: ignore[arg-type]
    return run(replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True))))


def test_each_has_its_own_trade() -> None:
    market = minutes([*flat(100_000, 3), *flat(100_200, 3), *flat(100_400, 3), *flat(100_300, 3)])
    one = [said(2, "entry", "long", 100_000), said(8, "exit", "long", 100_400)]
    other = by("other", [said(4, "entry", "short", 100_200, atr=500), said(10, "exit", "short", 100_300)])
    found = with_books(market, [*one, *other])
    assert found.beyond == "books of several strategies"
    long, short = found.outcome.trades
    assert (long.strategy, long.side, long.reason) == ("rule", "long", "signal")
    assert (short.strategy, short.side, short.reason) == ("other", "short", "signal")
    assert (long.entry_price, long.exit_price) == (Decimal("100001.0"), Decimal("100399.0"))
    assert (short.entry_price, short.exit_price) == (Decimal("100199.0"), Decimal("100301.0"))
    assert long.gross == long.quantity * (long.exit_price - long.entry_price)


def test_of_one_strategy_it_is_what_it_was() -> None:
    market, signals = minutes(wild(600, seed=5)), chatter(600, seed=5)
    plain = ran(market, signals)
    assert with_books(market, signals).outcome.trades == run(asked(market, signals)).outcome.trades
    question = asked(market, signals)
    books = replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True)))
    assert run(books, exact=True).outcome.trades == plain.outcome.trades
    assert fast.beyond(books) is None


def test_what_the_trades_bring_is_what_the_wallet_changed_by() -> None:
    """All of them are closed at the end; funding was paid on the way."""
    count = until_funding() + 300
    market, candles = minutes(wild(count, seed=7)), wild(count, seed=7)
    own = chatter(count, seed=7)
    out = [said(count - 30, "exit", side, candles[count - 31][3]) for side in ("long", "short")]
    later = [
        replace(one, at=one.at + 7 * MINUTE, fresh_until=one.at + 12 * MINUTE, id=f"{one.id} later") for one in own
    ]
    at_market = [replace(one, price=price_at(candles, one)) for one in later if one.at < market.end - HOUR]
    question = asked(market, [*own, *out, *by("other", [*at_market, *out]), *by("third", [*own[::2], *out])])
    question = replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True)))
    record, trades = ExactRun(question).run(), run(question).outcome.trades
    assert {one.strategy for one in trades} == {"rule", "other", "third"}
    assert len(trades) > 12
    assert not [one for one in trades if one.closed_at is None]
    assert sum(one.funding for one in trades)
    gained = sum((one.profit for one in trades), Decimal(0))
    assert abs(gained - (record.equity[-1].equity - 10_000)) < Decimal("1e-12")


# What only the executor watches


def against(candles: Sequence[Candle], *, other: Kind = "trial", target: int | None = None) -> Asked:
    """One strategy is long from the third close on, the other is short: a quarter of it, or as much."""
    long = said(3, "entry", "long", 100_000)
    (short,) = by("other", [said(3, other, "short", 100_000)])
    trading = TradingView(take_profit_atr=None if target is None else Decimal(target))
    question = asked(minutes([*flat(100_000, 5), *candles]), [long, short], trading=trading)
    return replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True)))


RISES: Final[list[Candle]] = [(100_000, 100_300, 100_000, 100_300), *flat(100_300, 5)]
FALLS: Final[list[Candle]] = [(100_000, 100_000, 99_850, 99_850), *flat(99_850, 5)]
JUMPS: Final = flat(100_400, 5)
BY_STOP, BY_TARGET = ("stop", "candle"), ("take-profit", "candle")
SOARS: Final[list[Candle]] = [(100_000, 109_000, 100_000, 109_000), *flat(109_000, 5)]
"""By six ticks in a millisecond."""


@pytest.mark.parametrize(
    ("question", "at", "price", "end"),
    [
        # up by 300 from 25 s to 40 s; the order is there 100 ms after the price, which is 2 higher by then
        pytest.param(against(RISES), 35_000, "100203", BY_STOP, id="the stop of what faces the position"),
        pytest.param(against(RISES, other="entry"), 35_000, "100203", BY_STOP, id="a stop where they come to nothing"),
        pytest.param(against(SOARS), 25_333, "100260.8", BY_STOP, id="a stop that is passed within a millisecond"),
        pytest.param(against(JUMPS), 1, "100401", ("stop", "gap"), id="a stop behind a gap"),
        pytest.param(against(FALLS, target=1), 20_000, "99899.9", BY_TARGET, id="its target"),
    ],
)  # fmt: skip
def test_what_only_the_executor_watches_ends_where_the_price_has_come_to_it(
    question: Asked, at: int, price: str, end: tuple[str, str]
) -> None:
    """And for a trader it is its stop, or its target, that ended it."""
    short, long = run(question).outcome.trades
    assert (short.strategy, short.closed_at) == ("other", BEGIN + 5 * MINUTE + at + 100)
    assert (short.exit_price, long.closed_at) == (Decimal(price), None)
    assert (short.reason, short.decided_by) == end


def test_what_settled_it_is_the_minute_in_which_that_was_seen() -> None:
    """The order was filled in the next, which opened beyond the stop."""
    question = against(RISES)
    record = ExactRun(question).run()
    *before, closed = record.ledger
    record.ledger = [*before, replace(closed, time=closed.time + 30 * SECOND)]
    (short,) = (one for one in trades_of(record, question) if one.side == "short")
    assert (short.closed_at, short.reason, short.decided_by) == (BEGIN + 6 * MINUTE + 5 * SECOND + 100, *BY_STOP)


def test_of_a_stop_and_a_target_that_only_the_executor_watches_one_minute_does_not_tell_which_came_first() -> None:
    question = against([(100_000, 100_300, 99_850, 100_000), *flat(100_000, 5)], target=1)
    long, short = question.signals
    later = replace(short, at=short.at + MINUTE, fresh_until=short.at + 6 * MINUTE)  # it never had an order that waits
    found = run(replace(question, signals=[long, later]))
    ends = [(one.reason, one.decided_by) for outcome in found.outcomes for one in outcome.trades if one.side == "short"]
    assert sorted(set(ends)) == [("stop", "assumption"), ("take-profit", "assumption")]


def test_what_a_stop_has_left_of_its_own_ends_by_that_stop() -> None:
    """It closed what all of them come to; the rest is closed at the market."""
    sinks: list[Candle] = [(100_000, 100_000, 99_700, 99_700), *flat(99_700, 5)]
    question = against(sinks)
    record = ExactRun(question).run()
    (long,) = (one for one in trades_of(record, question) if one.side == "long")
    assert [record.orders[one].leg for one in long.orders] == ["entry", "stop", "flatten"]
    assert (long.reason, long.decided_by) == ("stop", "candle")


def test_what_ended_by_its_stop_did_so_for_explain_too_where_the_price_was_back_before_the_order_came() -> None:
    touched = against([(100_000, 100_200, 99_850, 99_850), *flat(99_850, 5)])
    (short,) = (one for one in paper_of(ExactRun(touched).run(), touched, {}).deals if one.side == "short")
    (closed,) = short.closing
    assert (closed.leg, closed.purpose, closed.trigger) == ("flatten", "stop", 100_200)
    assert closed.price < 100_200
    rows, _ = explained(touched, touched)
    assert {one.strategy: (dict(one.by_cause), one.rest) for one in rows} == {"rule": ({}, 0), "other": ({}, 0)}


@pytest.mark.parametrize("other", ["trial", "entry"])
def test_what_strategies_hold_against_each_other_is_not_looked_at_while_nothing_can_end_it(
    other: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    watch = ExactRun._watch_minute
    monkeypatch.setattr(ExactRun, "_watch_minute", lambda *one: looked.append(one[1]) or watch(*one))
    quiet: list[Candle] = [(100_000, 100_199, 99_801, 100_000)] * 1_000
    short, _ = run(against([*quiet, *RISES], other=other)).outcome.trades
    assert short.closed_at == BEGIN + 1_005 * MINUTE + 35_100
    assert len(looked) < 20


def at_random(seed: int, count: int = 200) -> Asked:
    """Three strategies say what comes to their minds of one contract, and leave it in the end."""
    dice, candles = np.random.default_rng(seed), wild(count, seed)
    kinds: Sequence[Kind] = ("trial", "entry", "entry", "add", "exit")
    sides: Sequence[Side] = ("long", "short")
    signals: list[SignalView] = []
    for strategy in ("rule", "other", "third"):
        moments = sorted(map(int, dice.choice(np.arange(2, count - 30), 10, replace=False)))
        told = [said(at, kinds[dice.integers(5)], sides[dice.integers(2)], candles[at - 1][3]) for at in moments]
        leaves = [said(count - 20, "exit", side, candles[count - 21][3]) for side in sides]
        signals += by(strategy, [*told, *leaves])
    question = asked(minutes(candles), signals, trading=TARGET if seed % 2 else None, stop_atr=1 + seed % 2)
    return replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True)))


@pytest.mark.parametrize("seed", [0, 1, 2, 12])
def test_no_book_outlives_its_stop_and_all_together_are_the_account(seed: int) -> None:
    question = at_random(seed)
    record = ExactRun(question).run()
    market, trades = question.minutes[BTC], trades_of(record, question)
    assert len(trades) > 10
    for trade in trades:
        planned = [one for one in map(record.orders.__getitem__, trade.orders) if one.plan is not None]
        began = market.at(max(one.updated_at for one in planned)) + 1
        held = slice(began, market.at(trade.closed_at or market.end))
        stops = [one.plan.stop_price / market.tick for one in planned if one.plan is not None]
        is_long = trade.side == "long"
        passed = market.low[held] <= max(stops) if is_long else market.high[held] >= min(stops)
        assert not passed.any(), trade
        assert trade.reason in {"signal", "stop", "take-profit"}, trade
        assert (trade.closed_at or 0) % MINUTE != 1 or trade.decided_by == "gap", trade
    assert not [one for one in trades if one.closed_at is None]
    gained = sum((one.profit for one in trades), Decimal(0))
    assert abs(gained - (record.equity[-1].equity - 10_000)) < Decimal("1e-12")


@pytest.mark.parametrize("seed", range(2))
def test_what_is_passed_over_between_books_was_quiet(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run, looking at every minute, comes to the same."""
    jumping = ExactRun(at_random(seed)).run()
    monkeypatch.setattr(exact, "first_event", lambda *arguments: arguments[-2])
    looking = ExactRun(at_random(seed)).run()
    assert jumping.orders.keys() == looking.orders.keys()
    assert [one.equity for one in jumping.equity] == [one.equity for one in looking.equity]


def price_at(candles: Sequence[Candle], signal: SignalView) -> Decimal:
    return Decimal(str(candles[(signal.at - BEGIN) // MINUTE - 1][3]))


# Coins


def coins(count: int = 500, **changes: object) -> Asked:
    """Three strategies that buy the same coins; all that is held is sold at the end."""
    candles = wild(count, seed=11)
    out = [said(count - 30, "exit", "long", candles[count - 31][3])]
    own = [one for one in chatter(count, seed=11) if one.side == "long" and one.at < BEGIN + (count - 60) * MINUTE]
    later = [
        replace(one, at=one.at + 7 * MINUTE, fresh_until=one.at + 12 * MINUTE, id=f"{one.id} later") for one in own
    ]
    others = [replace(one, price=price_at(candles, one)) for one in later]
    said_by_all = [*own, *out, *by("other", [*others, *out]), *by("third", [*own[::2], *out])]
    question = asked(minutes(candles), said_by_all, product=SPOT)
    return replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True)), **changes)


def test_of_coins_each_has_its_own_trades_and_together_they_are_what_the_account_has_gained() -> None:
    question = coins()
    found, record = run(question), ExactRun(question).run()
    trades = found.outcome.trades
    assert found.beyond == "books of several strategies"
    assert {one.strategy for one in trades} == {"rule", "other", "third"}
    assert not [one for one in trades if one.closed_at is None]
    assert any(a.opened_at < b.opened_at < a.closed_at for a in trades for b in trades if a.strategy != b.strategy)
    gained = sum((one.profit for one in trades), Decimal(0))
    assert abs(gained - (record.equity[-1].equity - 10_000)) < Decimal("1e-8")


def test_of_one_strategys_coins_it_is_what_it_was() -> None:
    market, signals = minutes(wild(400, seed=5)), chatter(400, seed=5)
    question = asked(market, signals, product=SPOT)
    books = replace(question, policy=replace(question.policy, portfolio=Portfolio(books=True)))
    assert run(books, exact=True).outcome.trades == run(question, exact=True).outcome.trades


def test_coins_of_several_strategies_are_explained_to_the_last_digit() -> None:
    live = coins(300)
    rows, _ = explained(live, replace(live, assumptions=replace(live.assumptions, signal_delay=30 * SECOND)))
    assert {one.strategy for one in rows} == {"rule", "other", "third"}
    assert [one.rest for one in rows if one.rest] == []
