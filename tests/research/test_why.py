"""Why these months: cells that add up, intervals that come out the same, and a sentence that names what was planted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.research.backtest.run import run
from pipeline.research.why.answer import Why, why
from pipeline.research.why.journal import traded
from pipeline.research.why.market import CONDITIONS, History, Hours
from pipeline.research.why.matrix import BY, Part, interval_of, parts_of
from pipeline.timeline import DAY, HOUR, interval, to_datetime, to_ms
from schemas.orders import Order, Plan, Transition
from tests.research.stage import TARGET, asked, chatter, minutes, wild

BEGIN = to_ms(datetime(2025, 1, 1, tzinfo=UTC))
MONTH = interval("1M")


@dataclass(frozen=True)
class Done:
    symbol: str
    side: str
    strategy: str
    opened_at: int
    closed_at: int | None
    profit: Decimal


def hours(
    days: int, seed: int = 1, size: Sequence[float] | float = 0.005, drift: Sequence[float] | float = 0.0
) -> Hours:
    dice = np.random.default_rng(seed)
    count = days * 24
    steps = dice.normal(0, 1, count) * size + drift
    close = 100 * np.exp(np.cumsum(steps))
    opens = np.append(100, close[:-1])
    times = BEGIN + HOUR * np.arange(count)
    funding = {BEGIN + HOUR * at: 0.0001 for at in range(0, count, 8)}
    candles = {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}
    return Hours.of(times, candles | {"volume": np.full(count, 3.0)}, funding)


def months(count: int, returns: Sequence[float], begun: float = 10_000) -> list[Part]:
    """Their days have all the same return."""
    found = []
    start = BEGIN
    for number in range(count):
        end = MONTH.after(start)
        days = (end - start) // DAY
        daily = np.full(days, (1 + returns[number]) ** (1 / days) - 1)
        found.append(Part(f"{to_datetime(start):%Y-%m}", start, end, begun, daily))
        start = end
    return found


def done(day: float, profit: float, *, side: str = "long", strategy: str = "turtle", hours_held: int = 5) -> Done:
    opened = BEGIN + int(day * DAY)
    return Done("BTCUSDT", side, strategy, opened, opened + hours_held * HOUR, Decimal(str(profit)))


def test_the_cells_of_each_kind_add_up_to_the_month() -> None:
    question = asked(minutes(wild(60_000, 7)), chatter(60_000, 7), trading=TARGET)
    outcome = run(question).outcome
    found = why(parts_of(*outcome.curve.daily()), outcome.trades, History({}))
    assert len(found.months) == 2
    for told, month in zip(found.months, outcome.months, strict=True):
        assert (told.month, told.trades) == (month.month, month.trades)
        assert told.return_pct == pytest.approx(month.return_pct)
        for by in BY:
            of_it = [one for one in found.cells if (one.month, one.by) == (month.month, by)]
            assert sum(one.trades for one in of_it) == month.trades
            assert float(sum(one.profit for one in of_it)) == pytest.approx(month.profit)


def test_a_trade_counts_in_the_month_in_which_it_ended_by_the_hour_in_which_it_was_opened() -> None:
    deals = [done(30.9, 50, hours_held=10), replace(done(40, 1), closed_at=None)]
    found = why(months(2, [0.01, 0.01]), deals, History({"BTCUSDT": hours(70)}))
    (cell,) = [one for one in found.cells if one.by == "hour"]
    assert (cell.month, cell.name, cell.trades, cell.return_pct) == ("2025-02", "21", 1, 0.5)


def test_an_interval_is_the_same_again_whatever_stands_beside_it() -> None:
    deals = [done(day, profit) for day, profit in enumerate((5, -3, 8, 2, -1, 9, 4))]
    history = History({"BTCUSDT": hours(70)})
    alone = why(months(1, [0.0]), deals, history)
    beside = why(months(2, [0.0, 0.1]), [*deals, done(3, -5, side="short"), done(40, 7)], history)
    side = next(one for one in alone.cells if (one.by, one.name) == ("side", "long"))
    assert side in beside.cells
    assert side.low_pct is not None
    assert side.low_pct < side.return_pct < (side.high_pct or 0)


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    """Trades of a known mean: the interval of their sum holds what so many bring on average about as often."""
    dice = np.random.default_rng(3)
    held = 0
    for number in range(300):
        found = interval_of(dice.normal(1.0, 2.0, 60), str(number))
        assert found is not None
        held += found[0] <= 60.0 <= found[1]
    assert 0.84 < held / 300 < 0.95


def test_of_few_trades_there_is_no_interval() -> None:
    found = why(months(1, [0.0]), [done(day, 1) for day in range(4)], History({}))
    assert {one.low_pct for one in found.cells} == {None}
    assert not found.clear
    assert found.judged == 0


def test_a_month_is_told_by_what_was_unusual_in_it() -> None:
    size = np.full(365 * 24, 0.005)
    size[31 * 24 : 59 * 24] = 0.02
    found = why(months(4, [0.01] * 4), [], History({"BTCUSDT": hours(365, size=size)}))
    assert found.months[1].because.startswith("volatile: volatility was ")
    assert "higher than in 100 % of all stretches as long" in found.months[1].because
    (told,) = [one for one in found.months[1].conditions if one.condition.name == "volatility"]
    assert told.value == pytest.approx(0.02 * np.sqrt(365 * 24) * 100, rel=0.06)


@pytest.mark.parametrize("goes_with", ["time in trend", "volatility"])
def test_what_the_returns_go_with_is_found(goes_with: str) -> None:
    strength = np.repeat(np.linspace(0, 1, 12), 31 * 24)[: 365 * 24]
    planted = {"time in trend": {"drift": 0.002 * strength}, "volatility": {"size": 0.004 + 0.01 * strength}}
    found = why(
        months(12, [0.01 * one for one in range(12)]), [], History({"BTCUSDT": hours(365, **planted[goes_with])})
    )
    names = {one.condition.name for one in found.goes_with if one.chance < 0.01}
    assert goes_with in names
    assert "the months that earned more were " in found.verdict
    assert found.verdict.startswith("11 of 12 months won")


def test_noise_is_seldom_said_to_explain_anything() -> None:
    said = 0
    for seed in range(60):
        dice = np.random.default_rng(1_000 + seed)
        told = why(months(12, list(dice.normal(0, 0.05, 12))), [], History({"BTCUSDT": hours(365, seed)}))
        said += "earned more were" in told.verdict
    assert said <= 6


def test_where_little_is_stored_little_is_said() -> None:
    for history in (History({}), History({"BTCUSDT": hours(40)})):
        found = why(months(1, [0.1]), [done(2, 5)], history)
        assert found.months[0].because == "too little is stored to say what was unusual"
        assert "it takes 6 months" in found.verdict
        assert not found.goes_with


def test_a_regime_is_what_one_could_know_at_that_moment() -> None:
    drift = np.zeros(100 * 24)
    drift[50 * 24 : 60 * 24] = 0.01
    history = History({"BTCUSDT": hours(100, drift=drift)})
    assert history.regime("BTCUSDT", BEGIN + 55 * DAY).startswith("rising")
    assert not history.regime("BTCUSDT", BEGIN + 50 * DAY).startswith("rising")
    assert history.regime("BTCUSDT", BEGIN + 47 * HOUR) == "unknown"
    assert history.regime("ETHUSDT", BEGIN + 55 * DAY) == "unknown"
    shorter = History({"BTCUSDT": hours(55, drift=drift[: 55 * 24])})
    assert history.regime("BTCUSDT", BEGIN + 54 * DAY)[:6] == shorter.regime("BTCUSDT", BEGIN + 54 * DAY)[:6]


def test_hours_are_the_same_from_minutes_and_a_hole_is_none() -> None:
    times = BEGIN + 60_000 * np.concatenate([np.arange(180), np.arange(240, 300)])
    price = 100.0 + np.arange(240)
    candles = {"open": price, "high": price + 2, "low": price - 2, "close": price + 1, "volume": np.ones(240)}
    found = Hours.of(times, candles, {BEGIN + HOUR: 0.01})
    assert found.open[:5].tolist()[:3] == [100.0, 160.0, 220.0]
    assert np.isnan(found.open[3])
    assert (found.high[1], found.low[1], found.close[1], found.volume[1]) == (221.0, 158.0, 220.0, 60.0)
    assert len(found.close) == 24
    assert found.funding[1] == 0.01


def test_the_symbols_count_in_equal_parts_and_in_any_order() -> None:
    one, other = hours(120, 1), hours(120, 2, size=0.01)
    found = History({"A": one, "B": other}).told(BEGIN, BEGIN + 30 * DAY)
    assert found == History({"B": other, "A": one}).told(BEGIN, BEGIN + 30 * DAY)
    alone = [History({"A": each}).told(BEGIN, BEGIN + 30 * DAY) for each in (one, other)]
    for number in range(len(CONDITIONS)):
        values = [each[number].value or 0 for each in alone]
        assert found[number].value == pytest.approx(sum(values) / 2)


def test_the_whole_is_the_same_again() -> None:
    def once() -> Why:
        deals = [done(day, profit) for day, profit in enumerate(np.random.default_rng(1).normal(0, 9, 200))]
        return why(months(8, [0.01, -0.02] * 4), deals, History({"BTCUSDT": hours(300)}))

    assert once() == once()


def test_every_condition_stands_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backtesting.md").read_text()
    for one in CONDITIONS:
        assert f"| {one.name} | " in page


def filled(symbol: str, leg: str, side: str, hour: float, quantity: str, **more: Any) -> Order:
    at = BASE + timedelta(hours=hour)
    plan = None
    if leg in {"trial", "entry", "add"}:
        plan = Plan(
            strategy="turtle", price=Decimal(100), atr=Decimal(1), unit_quantity=Decimal(1), stop_price=Decimal(99),
            fresh_until=at,
        )  # fmt: skip
    return Order(
        id=f"{symbol}-{leg}-{hour}", environment="sim", symbol=symbol, signal=None, leg=leg, side=side, type="MARKET",
        quantity=Decimal(quantity), plan=plan, fence=1, state="filled", filled=Decimal(quantity),
        history=[Transition(state="intended", at=at, by="executor"), Transition(state="filled", at=at, by="stream")],
        created_at=at, updated_at=at + timedelta(days=1), fee=Decimal(1), **more,
    )  # fmt: skip


BASE = datetime(2025, 1, 3, tzinfo=UTC)


def test_positions_come_out_of_the_journal() -> None:
    orders = [
        filled("A", "trial", "BUY", 0, "1"),
        filled("A", "entry", "BUY", 2, "3"),
        filled("A", "stop", "SELL", 5, "4", realized=Decimal(-20)),
        filled("A", "entry", "SELL", 5.5, "2"),
        filled("B", "entry", "BUY", 1, "1"),
        filled("B", "entry", "SELL", 9, "1"),
    ]
    found = traded(reversed(orders))
    told = [(one.symbol, one.side, one.profit, one.closed_at is not None) for one in found.traded]
    assert told == [
        ("A", "long", -23, True),
        ("B", "long", -1, True),
        ("A", "short", -1, False),
        ("B", "short", -1, False),
    ]
    assert found.traded[0].opened_at == to_ms(BASE)
    assert found.traded[0].closed_at == to_ms(BASE + timedelta(hours=5))
    assert found.unseen == 1
