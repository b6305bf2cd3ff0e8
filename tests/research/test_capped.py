"""Caps of all positions together, in a backtest."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.run import run
from pipeline.settings import Portfolio
from pipeline.timeline import DAY, MINUTE
from tests.research.stage import BEGIN, asked, flat, minutes, said, wild

either_engine = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])


def of_two(most: int, rises_to: float = 100_000) -> Asked:
    """An entry in each of two symbols, one after the other; the first may rise in between."""
    way = np.linspace(100_000, rises_to, 60).tolist()
    walks = {"ABUSDT": [*flat(100_000, 4), *((one, one, one, one) for one in way)], "CDUSDT": flat(100_000, 64)}
    markets = {name: minutes(walk, name) for name, walk in walks.items()}
    signals = [said(3 + 60 * n, "entry", "long", 100_000, symbol=name) for n, name in enumerate(markets)]
    question = asked(markets, signals, unit_percent=1, daily_profit_percent=None)
    policy = replace(question.policy, portfolio=Portfolio(gross_percent=Decimal(most)))
    return replace(question, policy=policy)


@either_engine
def test_what_a_cap_leaves_no_room_for_is_left_out(exact: bool) -> None:
    plenty, scarce = run(of_two(1_000), exact=exact), run(of_two(40), exact=exact)
    assert [one.symbol for one in plenty.outcome.trades] == ["ABUSDT", "CDUSDT"]
    assert [one.symbol for one in scarce.outcome.trades] == ["ABUSDT"]
    ((reason, count),) = scarce.outcome.left_out.items()
    assert (count, reason.partition(" would")[0]) == (1, "everything held")
    assert scarce.outcome.engine == ("exact" if exact else "fast")


@either_engine
def test_what_is_held_counts_at_its_newest_price_which_before_a_hole_is_the_last(exact: bool) -> None:
    worth = 100_000 * float(run(of_two(1_000), exact=exact).outcome.trades[0].quantity) / 100
    most = round(2.2 * worth)
    traded = [[one.symbol for one in run(of_two(most, to), exact=exact).outcome.trades] for to in (100_000, 150_000)]
    assert traded == [["ABUSDT", "CDUSDT"], ["ABUSDT"]]
    holed = of_two(most, 150_000)
    there = holed.minutes["ABUSDT"].there.copy()
    there[-5:-1] = False
    market = replace(holed.minutes["ABUSDT"], there=there)
    found = run(replace(holed, minutes={**holed.minutes, "ABUSDT": market}), exact=exact).outcome
    assert ([one.symbol for one in found.trades], found.engine) == (["ABUSDT"], "exact" if exact else "fast")


@either_engine
@pytest.mark.parametrize(("leaves", "opens"), [("ABUSDT", 1), ("EFUSDT", 2)], ids=["the long leaves", "it stays"])
def test_what_is_being_closed_takes_nothing_off_the_other_side(leaves: str, opens: int, exact: bool) -> None:
    """A trial is held as four times as much is to be opened the other way: three times as much is left, or four."""
    signals = [
        said(3, "trial", "long", 100_000, symbol="ABUSDT"),
        said(6, "exit", "long", 100_000, symbol=leaves),
        said(6, "entry", "short", 100_000, symbol="CDUSDT"),
    ]
    question = asked({name: minutes(flat(100_000, 9), name) for name in ("ABUSDT", "CDUSDT", "EFUSDT")}, signals)
    trial = float(run(question, exact=exact).outcome.trades[0].quantity) * 100_000 / 100
    policy = replace(question.policy, portfolio=Portfolio(net_percent=round(3.5 * trial)))
    found = run(replace(question, policy=policy), exact=exact).outcome
    assert (len(found.trades), found.engine) == (opens, "exact" if exact else "fast")


@either_engine
def test_what_takes_no_more_of_a_cap_goes_through_however_much_that_is(exact: bool) -> None:
    """The long has risen beyond the cap; a short makes longs less shorts less, and not so much less as to be within."""
    rising, _ = of_two(1_000, 150_000).minutes.values()
    markets = {"ABUSDT": rising, "CDUSDT": minutes(flat(100_000, 64), "CDUSDT")}
    signals = [said(3, "entry", "long", 100_000, symbol="ABUSDT"), said(63, "trial", "short", 100_000, symbol="CDUSDT")]
    question = asked(markets, signals, unit_percent=1, daily_profit_percent=None)
    bought = float(run(question, exact=exact).outcome.trades[0].quantity) * 100_000 / 100
    policy = replace(question.policy, portfolio=Portfolio(net_percent=round(1.02 * bought)))
    found = run(replace(question, policy=policy), exact=exact).outcome
    assert [one.side for one in found.trades] == ["long", "short"]


@either_engine
def test_what_is_on_its_way_counts_at_the_price_of_its_signal(exact: bool) -> None:
    """Two are to be opened at one moment; since the signal of the first its price has risen."""
    markets = {
        "ABUSDT": minutes([*flat(100_000, 3), *flat(100_400, 6)], "ABUSDT"),
        "CDUSDT": minutes(flat(100_000, 9), "CDUSDT"),
    }
    signals = [said(3, "entry", "long", 100_000, symbol=name) for name in markets]
    question = asked(markets, signals)
    bought = sum(float(one.quantity) * 100_000 / 100 for one in run(question, exact=exact).outcome.trades)
    policy = replace(question.policy, portfolio=Portfolio(gross_percent=Decimal(str(round(bought * 1.001, 3)))))
    found = run(replace(question, policy=policy), exact=exact).outcome
    assert [one.symbol for one in found.trades] == ["ABUSDT", "CDUSDT"]


@either_engine
def test_what_moves_alike_is_what_moved_alike_until_then(exact: bool) -> None:
    """Two symbols walk together and one by itself. Of the first week nothing is known, and nothing is opened."""
    together, alone = wild(10 * DAY // MINUTE, seed=1), wild(10 * DAY // MINUTE, seed=2)
    walks = {"ABUSDT": together, "CDUSDT": together, "EFUSDT": alone}
    markets = {name: minutes(walk, name) for name, walk in walks.items()}
    early, late = DAY // MINUTE, 9 * DAY // MINUTE
    signals = [
        said(after + n, "entry", "long", walk[after + n - 1][3], symbol=name)
        for after in (early, late)
        for n, (name, walk) in enumerate(walks.items())
    ]
    question = asked(markets, signals)
    policy = replace(question.policy, portfolio=Portfolio(group_percent=Decimal(40)))
    found = run(replace(question, policy=policy), exact=exact).outcome
    assert [one.symbol for one in found.trades] == ["ABUSDT", "EFUSDT"]
    assert {one.opened_at // DAY for one in found.trades} == {(BEGIN + 9 * DAY) // DAY}
    reasons = sorted(found.left_out)
    assert reasons[0].startswith("longs less shorts of what moves")
    assert all(" is not known" in one for one in reasons[1:])
    assert sum(found.left_out.values()) == 1 + len(walks)


@either_engine
def test_a_strategy_goes_by_its_share_of_the_equity(exact: bool) -> None:
    question = asked(minutes(flat(100_000, 9)), [said(3, "entry", "long", 100_000)])
    whole, half = (run(one, exact=exact) for one in (question, replace(question, shares={"rule": Decimal(50)})))
    sizes = [one.outcome.trades[0].quantity for one in (whole, half)]
    assert 0 <= sizes[0] - 2 * sizes[1] <= Decimal("0.002"), "in lots"
    none = run(replace(question, shares={"other": Decimal(50)}), exact=exact).outcome
    assert not none.trades
    assert [one.startswith("no share of the equity is allocated to") for one in none.left_out] == [True]
