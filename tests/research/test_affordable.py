"""What an account has to begin with so that anything is paid at all, on hand-made minutes."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.execution.engine.state import TradingView
from pipeline.research.backtest.affordable import least_equity
from pipeline.research.backtest.asked import Asked, Change
from pipeline.research.backtest.run import run
from tests.contracts import RULES, contract
from tests.research.stage import BEGIN, MINUTE, asked, flat, minutes, said


def with_equity(question: Asked, equity: Decimal) -> Asked:
    return replace(question, assumptions=replace(question.assumptions, equity=equity))


def signals() -> list[Any]:
    return [said(2, "trial", "long", 100_000), said(8, "entry", "short", 100_000), said(12, "add", "long", 100_000)]


@pytest.mark.parametrize("exact", [False, True])
def test_the_least_pays_one_order_and_less_pays_none(exact: bool) -> None:
    question = asked(minutes(flat(100_000, 20)), signals())
    least = least_equity(with_equity(question, Decimal(1)))
    assert least is not None
    assert run(with_equity(question, least), exact=exact).outcome.taken > 0
    assert run(with_equity(question, least * Decimal("0.8")), exact=exact).outcome.taken == 0
    assert least_equity(with_equity(question, least)) is None


def test_it_goes_by_the_rules_of_the_day() -> None:
    coarse = RULES.model_copy(update={"market_step_size": Decimal(1), "market_min_quantity": Decimal(1)})
    question = asked(minutes(flat(100_000, 20)), signals())
    of_coarse = replace(question, symbols=[contract(filters=coarse)])
    assert least_equity(question) is None
    assert least_equity(of_coarse) is not None
    assert least_equity(replace(of_coarse, changes=[Change(BEGIN + 5 * MINUTE, contract())])) is None


def test_what_more_money_would_not_mend_is_no_matter_of_the_equity() -> None:
    capped = asked(minutes(flat(100_000, 20)), signals(), trading=TradingView(max_position=Decimal(50)))
    nothing = asked(minutes(flat(100_000, 20)), signals(), trading=TradingView(max_position=Decimal(0)))
    assert least_equity(capped) is None
    assert least_equity(nothing) is None
    assert least_equity(asked(minutes(flat(100_000, 20)), [])) is None
