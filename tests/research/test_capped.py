"""Caps of all positions together, in a backtest."""

from dataclasses import replace
from decimal import Decimal

from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.run import run
from pipeline.settings import Portfolio
from tests.research.stage import asked, flat, minutes, said


def of_two(most: int) -> Asked:
    """An entry in each of two symbols, one after the other."""
    markets = {name: minutes(flat(100_000, 9), name) for name in ("ABUSDT", "CDUSDT")}
    question = asked(markets, [said(3 + n, "entry", "long", 100_000, symbol=name) for n, name in enumerate(markets)])
    policy = replace(question.policy, portfolio=Portfolio(gross_percent=Decimal(most)))
    return replace(question, policy=policy)


def test_what_a_cap_leaves_no_room_for_is_left_out_and_the_executor_itself_says_so() -> None:
    plenty, scarce = run(of_two(1_000)), run(of_two(40))
    assert [one.symbol for one in plenty.outcome.trades] == ["ABUSDT", "CDUSDT"]
    assert [one.symbol for one in scarce.outcome.trades] == ["ABUSDT"]
    ((reason, count),) = scarce.outcome.left_out.items()
    assert (count, reason.partition(" would")[0]) == (1, "everything held")
    assert scarce.outcome.engine == "exact"
    assert scarce.assumed["engine"].endswith("because the compiled rules know no caps of all positions together")
