"""Which symbols a stage of production is too small for."""

from decimal import Decimal as D

import pytest

from pipeline.execution.engine import tradable
from pipeline.settings import Risk
from tests.execution.driver import FILTERS, linear

FINE = {"step_size": D("0.01"), "market_step_size": D(0), "min_quantity": D("0.01"), "market_min_quantity": D("0.01")}
BTC = (linear(), D(60_000))
SOL = (linear("SOLUSDT", FILTERS.model_copy(update={**FINE, "min_notional": D(5)})), D(150))


@pytest.mark.parametrize(
    ("stage", "symbols"),
    [(1, ["BTCUSDT"]), (2, ["BTCUSDT"]), (3, [])],  # stage 2: two of four units are 50 USDT, a lot of BTC is 60
)
def test_the_symbols_that_a_stage_cannot_trade(stage, symbols):
    found = tradable.too_small(stage, Risk(), {"BTCUSDT": BTC, "SOLUSDT": SOL})
    assert sorted(found) == symbols
    assert all(f"production stage {stage} allows" in one for one in found.values())


def test_it_is_refused_where_no_chosen_symbol_can_be_traded():
    listed = {"BTCUSDT": BTC, "SOLUSDT": SOL}
    assert tradable.refusal(1, Risk(), ["BTCUSDT", "SOLUSDT"], listed) is None
    assert tradable.refusal(3, Risk(), ["BTCUSDT"], listed) is None
    assert tradable.refusal(1, Risk(), [], listed) is None
    assert tradable.refusal(1, Risk(), ["BTCUSDT", "NEWUSDT"], listed) is None, "of one nothing is known"
    reason = tradable.refusal(1, Risk(), ["BTCUSDT"], listed)
    assert reason.startswith("no chosen symbol can be traded in stage 1: a position is at most 20 USDT, in 4 units.")
    assert "BTCUSDT: too small" in reason
