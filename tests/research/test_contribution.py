"""What each strategy adds to a run, counted by hand and beside plain runs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.research.backtest.contribution import contributions, daily, ends_of
from pipeline.research.backtest.run import run
from pipeline.timeline import DAY, MINUTE
from tests.research.stage import BEGIN, asked, chatter, flat, minutes, said, wild

LENGTH = 3 * DAY // MINUTE


def of_two(length=LENGTH):
    """One strategy on each of two symbols, and a third that speaks of the first symbol too late to be heard."""
    markets = {name: minutes(wild(length, seed=n), name) for n, name in enumerate(("ABUSDT", "CDUSDT"))}
    first, second = (
        [replace(one, strategy=strategy, id=f"{strategy}:{one.id}") for one in chatter(length, seed=n, symbol=name)]
        for n, (name, strategy) in enumerate((("ABUSDT", "first"), ("CDUSDT", "second")))
    )
    return asked(markets, [*first, *second])


@pytest.mark.parametrize("exact", [False, True])
def test_without_a_strategy_the_run_is_the_one_that_never_heard_it(exact):
    question = of_two()
    whole = run(question, exact=exact)
    found = {one.strategy: one for one in contributions(whole, [], exact=exact)}
    assert set(found) == {"first", "second"}
    for name, one in found.items():
        alone = run(replace(question, signals=[s for s in question.signals if s.strategy != name]), exact=exact)
        assert one.without == alone.outcome.summary
        trades = [trade for trade in whole.outcome.trades if trade.strategy == name]
        assert len(trades) > 5
        assert one.profit == pytest.approx(float(sum(trade.profit for trade in trades)))


@pytest.mark.parametrize(("days", "is_told"), [(18, False), (20, True)])
def test_how_days_go_together_is_told_of_as_many_as_tell_it(days, is_told):
    found = {one.strategy: one.correlations for one in contributions(run(of_two(days * DAY // MINUTE)), [])}
    together = found["first"]["second"]
    assert (together is not None) is is_told
    assert found["second"]["first"] == (pytest.approx(together) if is_told else None)
    assert together is None or 0 < abs(together) < 0.9


def test_a_strategy_that_said_nothing_or_never_traded_adds_nothing():
    question = of_two(30 * DAY // MINUTE)
    question = replace(question, shares={"first": Decimal(50), "silent": Decimal(50)})
    whole = run(question)
    runs = []
    found = {one.strategy: one for one in contributions(whole, ["first", "second", "silent"], runs.append)}
    assert runs == ["first", "second"], "it is not run again without what said nothing"
    for name in ("second", "silent"):
        assert (found[name].profit, found[name].correlations["first"]) == (0, None)
    assert found["silent"].without == whole.outcome.summary
    assert found["second"].without.return_pct == whole.outcome.summary.return_pct
    assert found["first"].without.trades == 0


def test_days_are_those_on_which_trades_ended_and_the_last_one_of_what_is_open():
    candles = [*flat(100_000, DAY // MINUTE), *flat(101_000, DAY // MINUTE), *flat(102_000, DAY // MINUTE)]
    half = DAY // MINUTE // 2
    signals = [
        said(half, "entry", "long", 100_000),
        said(3 * half, "exit", "long", 101_000),
        said(5 * half, "entry", "long", 102_000),
    ]
    found = run(asked(minutes(candles), signals))
    closed, still = found.outcome.trades
    days = daily(ends_of(found.outcome.trades), ["rule", "silent"], BEGIN, BEGIN + 3 * DAY)
    wanted = [0.0] * 4
    wanted[closed.closed_at // DAY - BEGIN // DAY] = float(closed.profit)
    wanted[-1] = float(still.profit)
    assert days["rule"].tolist() == pytest.approx(wanted)
    assert days["silent"].tolist() == [0] * 4
    assert closed.profit > Decimal(0)


def test_of_one_strategy_there_is_nothing_to_tell_apart():
    found = run(asked(minutes(flat(100_000, 9)), [said(3, "entry", "long", 100_000)]))
    assert contributions(found, ["rule"]) == []
