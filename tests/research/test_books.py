"""Strategies that hold one contract together, or coins beside each other, in a backtest: each trade is its strategy's,
and together they are the account.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from pipeline.exchange.products.spot import SPOT
from pipeline.execution.engine.state import SignalView
from pipeline.research.backtest import fast
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.run import Backtest, run
from pipeline.settings import Portfolio
from pipeline.timeline import HOUR, MINUTE, SECOND
from tests.research.explained import explained
from tests.research.stage import BEGIN, Candle, asked, chatter, flat, minutes, ran, said, until_funding, wild


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
