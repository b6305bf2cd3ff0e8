"""What backtests elsewhere have got wrong, trap by trap: the test that shows ours does not, or why it cannot.

The cases here run on both engines, which must agree (`ended`).
"""

import ast
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.execution.engine.state import SignalView, TradingView
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.run import run
from pipeline.research.backtest.trades import Trade
from pipeline.timeline import MINUTE
from tests.research.stage import (
    BEGIN,
    TARGET,
    Candle,
    asked,
    at_market,
    chatter,
    flat,
    minutes,
    said,
    until_funding,
    wild,
)
from tests.research.test_fast import both

TESTS = Path(__file__).parents[1]
EXACT, FAST, HERE = "research/test_exact.py", "research/test_fast.py", "research/test_traps.py"
FUNDING, FIGURES = "research/test_funding.py", "research/test_figures.py"
OWN_AHEAD = ("strategies/test_registry.py", "test_one_of_your_own_that_looks_ahead_is_refused")
ENDS = (FAST, "test_every_hand_made_end_is_the_same")
WAITING = (EXACT, "test_where_a_waiting_order_is_filled")
SHOWN: dict[int, tuple[str, str] | str] = {
    1: OWN_AHEAD,
    2: "a strategy is given the candles of one interval, and reads no other",
    3: OWN_AHEAD,
    4: (EXACT, "test_an_entry_is_filled_at_the_next_open_and_an_exit_too"),
    5: (EXACT, "test_an_entry_is_filled_at_the_next_open_and_an_exit_too"),
    6: "the symbols of a run are named, and are the same from its start to its end",
    7: "what is checked for looking ahead is what a strategy says of candles: it knows no size and no universe",
    8: (HERE, "test_a_trade_by_itself_is_never_better_the_less_favourably_it_is_read"),
    9: WAITING,
    10: (HERE, "test_a_stop_lives_in_the_minute_of_its_entry"),
    11: "nothing is entered by a stop order",
    12: WAITING,
    13: ENDS,
    14: WAITING,
    15: "no stop trails: it is moved by adds only, which are signals",
    16: (HERE, "test_nothing_is_filled_outside_its_minute"),
    17: "orders and exits are filled on the same 1m candles, whatever the interval of the signals",
    18: (EXACT, "test_a_touch_is_not_a_fill"),
    19: (HERE, "test_mirrored_prices_and_sides_give_mirrored_trades_on_both"),
    20: (HERE, "test_a_price_from_before_the_entry_ends_nothing"),
    21: (HERE, "test_a_stop_before_the_price_of_liquidation_comes_first"),
    22: (HERE, "test_a_gap_past_everything_costs_the_margin_and_no_more"),
    23: (HERE, "test_entry_and_exit_at_one_close"),
    24: "a stop is a market order once it is triggered: nothing of it rests",
    25: ("research/test_end_of_a_run.py", "test_a_window_is_the_beginning_of_a_longer_run"),
    26: ("door/test_trial.py", "test_a_hundred_trials_are_the_plain_backtest_of_their_parameters"),
    27: (HERE, "test_nothing_is_gained_in_a_hole"),
    28: (EXACT, "test_a_position_that_is_open_at_the_end_is_told_apart"),
    29: (HERE, "test_a_symbol_that_begins_later_counts_among_the_open_ones"),
    30: (HERE, "test_the_order_of_symbols_changes_nothing_on_both"),
    31: (HERE, "test_a_settlement_is_of_what_was_entered_before_it_and_left_at_it"),
    32: (FUNDING, "test_an_interval_that_changes_is_honoured"),
    33: (EXACT, "test_a_long_pays_funding_where_it_is_positive"),
    34: (FUNDING, "test_a_settlement_that_lacks_between_others_is_filled_and_named"),
    35: (HERE, "test_the_same_size_brings_the_same_at_any_leverage"),
    36: (EXACT, "test_what_the_trades_bring_is_what_the_wallet_changed_by_to_the_last_digit"),
    37: (FIGURES, "test_of_few_days_nothing_is_said"),
    38: (FAST, "test_the_compiled_rules_do_what_the_executor_does"),
    39: ("door/test_search_workers.py", "test_two_processes_of_this_machine_try_the_same"),
    40: ("door/test_runs.py", "test_a_run_is_stale_once_its_candles_were_mended_and_only_then"),
    41: ("exchange/test_archive.py", "test_a_good_file_becomes_closed_candles"),
}


@pytest.mark.parametrize("trap", range(1, 42))
def test_each_trap_is_shown_or_cannot_be(trap: int) -> None:
    found = SHOWN[trap]
    if isinstance(found, str):
        assert len(found.split()) > 5
        return
    path, name = found
    tree = ast.parse((TESTS / path).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def ended(question: Asked) -> Sequence[Trade]:
    """The trades, equal on both engines."""
    return both(question).trades


def mirrored(candles: Sequence[Candle]) -> list[Candle]:
    return [(200_000 - o, 200_000 - low, 200_000 - high, 200_000 - c) for o, high, low, c in candles]


def turned(signals: Sequence[SignalView]) -> list[SignalView]:
    return [
        said((one.at - BEGIN) // MINUTE, one.kind, "short" if one.side == "long" else "long", 100_000)
        for one in signals
    ]


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_trade_by_itself_is_never_better_the_less_favourably_it_is_read(side: Any) -> None:
    differed = 0
    for seed in range(20):
        candles = [*flat(100_000, 2), *wild(60, seed)]
        question = asked(minutes(candles), [said(2, "entry", side, 100_000, atr=20)], trading=TARGET, stop_atr=1)
        both(question)
        outcomes = {one.inside: one.trades[0].profit for one in run(question).outcomes}
        profits = [outcomes[inside] for inside in Inside if inside in outcomes]
        assert profits == sorted(profits), seed
        differed += profits[0] != profits[-1]
    assert differed


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_stop_lives_in_the_minute_of_its_entry(side: Any) -> None:
    candles: list[Candle] = [*flat(100_000, 2), (100_000, 100_020, 99_500, 99_600), *flat(99_600, 3)]
    candles = candles if side == "long" else mirrored(candles)
    (trade,) = ended(asked(minutes(candles), [said(2, "entry", side, 100_000)]))
    assert trade.closed_at is not None
    assert (trade.reason, trade.closed_at // MINUTE) == ("stop", trade.opened_at // MINUTE)


def test_nothing_is_filled_outside_its_minute() -> None:
    """But for the spread, and for levels of the book."""
    for seed in range(4):
        candles = wild(1_200, seed)
        market = minutes(candles)
        for trade in ended(asked(market, [at_market(s, candles) for s in chatter(1_200, seed)], trading=TARGET)):
            for time, price in ((trade.closed_at, trade.exit_price), (trade.opened_at, trade.entry_price)):
                if time is not None and trade.entries == 1 and price is not None:
                    _, high, low, _ = candles[market.at(time)]
                    assert low * 0.9998 <= float(price) <= high * 1.0002


def test_mirrored_prices_and_sides_give_mirrored_trades_on_both() -> None:
    candles, signals = wild(1_200, seed=5), chatter(1_200, seed=5)
    one = ended(asked(minutes(candles), [at_market(s, candles) for s in signals]))
    other = ended(asked(minutes(mirrored(candles)), [at_market(s, mirrored(candles)) for s in turned(signals)]))
    assert [(t.opened_at, t.closed_at, t.reason) for t in one] == [(t.opened_at, t.closed_at, t.reason) for t in other]
    assert len(one) > 4


def test_a_price_from_before_the_entry_ends_nothing() -> None:
    market = minutes([*flat(100_000, 2), (100_000, 150_000, 50_000, 100_000), *flat(100_000, 4)])
    (trade,) = ended(asked(market, [said(3, "entry", "long", 100_000)], leverage=20))
    assert trade.reason == "open"


@pytest.mark.parametrize(("opens", "price"), [(100_000, 99_800), (97_000, 97_000)])
def test_a_stop_before_the_price_of_liquidation_comes_first(opens: float, price: float) -> None:
    market = minutes([*flat(100_000, 4), (opens, opens, 85_000, 88_000), *flat(88_000, 3)])
    (trade,) = ended(asked(market, [said(2, "entry", "long", 100_000)], leverage=20))
    assert trade.reason == "stop"
    assert float(trade.exit_price or 0) == pytest.approx(price, rel=2e-4)


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("beyond", [90_000, 60_000, 20_000])
def test_a_gap_past_everything_costs_the_margin_and_no_more(side: Any, beyond: float) -> None:
    """The exchange takes the position over, and bears what its margin does not."""
    candles = [*flat(100_000, 4), *flat(beyond, 4)]
    market = minutes(candles if side == "long" else mirrored(candles))
    outcome = both(asked(market, [said(2, "entry", side, 100_000)], leverage=20))
    (trade,) = outcome.trades
    assert (trade.reason, trade.decided_by) == ("liquidation", "candle")
    entered = trade.quantity * trade.entry_price
    assert float(trade.profit) == pytest.approx(float(-entered / 20 - entered * Decimal("0.0005")), rel=1e-6)
    assert outcome.curve.close[-1] == pytest.approx(10_000 + float(trade.profit))


def test_no_market_makes_an_account_owe() -> None:
    """However it jumps, at whatever leverage."""
    forced = 0
    for seed in range(6):
        dice = np.random.default_rng(seed)
        jumps = np.repeat(dice.choice([0.6, 0.9, 1.0, 1.1, 1.6], 20), 60).tolist()
        candles = [
            tuple(round(one * by, 1) for one in candle) for candle, by in zip(wild(1_200, seed), jumps, strict=True)
        ]
        signals = [at_market(one, candles) for one in chatter(1_200, seed)]
        outcome = both(asked(minutes(candles), signals, leverage=50, daily_loss_percent=99))
        forced += sum(one.reason == "liquidation" for one in outcome.trades)
        assert outcome.curve.worst.min() > 0
    assert forced > 3


def test_entry_and_exit_at_one_close() -> None:
    """By their ids, one after the other: the entry, and the exit once it is filled."""
    market = minutes(flat(100_000, 8))
    close = [said(3, "exit", "long", 100_000), said(3, "entry", "long", 100_000)]
    assert [(one.opened_at, one.closed_at) for one in ended(asked(market, close))] == [
        (BEGIN + 3 * MINUTE + 600, BEGIN + 3 * MINUTE + 1_000)
    ]
    held = [said(1, "entry", "long", 100_000), *close]
    assert [one.closed_at for one in ended(asked(market, held))] == [BEGIN + 3 * MINUTE + 600]
    reversed_at_once = [said(1, "entry", "long", 100_000), said(3, "entry", "short", 100_000)]
    found = ended(asked(market, reversed_at_once, turn="entries"))
    assert [(one.side, one.reason) for one in found] == [("long", "signal"), ("short", "open")]


def test_nothing_is_gained_in_a_hole() -> None:
    market = minutes([*flat(100_000, 4), *[None] * 5, *flat(1_100_000, 4)])
    (trade,) = ended(asked(market, [said(2, "entry", "long", 100_000)], trading=TARGET))
    assert (trade.closed_at, trade.decided_by) == (BEGIN + 9 * MINUTE + 1, "gap")


def test_a_symbol_that_begins_later_counts_among_the_open_ones() -> None:
    markets = {"AUSDT": minutes(flat(100_000, 20), "AUSDT")}
    markets["BUSDT"] = minutes(flat(100_000, 10), "BUSDT", BEGIN + 10 * MINUTE)
    signals = [said(2, "entry", "long", 100_000, symbol="AUSDT"), said(15, "entry", "long", 100_000, symbol="BUSDT")]
    assert [one.symbol for one in ended(asked(markets, signals, max_open_positions=1))] == ["AUSDT"]
    assert [one.symbol for one in ended(asked(markets, signals, max_open_positions=2))] == ["AUSDT", "BUSDT"]


def test_the_order_of_symbols_changes_nothing_on_both() -> None:
    markets = {f"{name}USDT": minutes(wild(800, seed=n), f"{name}USDT") for n, name in enumerate("ABC")}
    signals = [one for n, symbol in enumerate(markets) for one in chatter(800, seed=n, symbol=symbol)]
    one = ended(asked(markets, signals, max_open_positions=2))
    assert one == ended(asked(dict(reversed(markets.items())), signals[::-1], max_open_positions=2))


def test_a_settlement_is_of_what_was_entered_before_it_and_left_at_it() -> None:
    """An exit that is said at that moment arrives after it."""
    due = until_funding()
    market = minutes(flat(100_000, due + 10))
    for entry, leaves, paid in ((2, due, 1), (due, due + 2, 0), (2, due - 2, 0)):
        question = asked(market, [said(entry, "entry", "long", 100_000), said(leaves, "exit", "long", 100_000)])
        (trade,) = ended(question)
        assert trade.funding == -paid * trade.quantity * 100_000 * Decimal("0.0001")


def test_the_same_size_brings_the_same_at_any_leverage() -> None:
    candles = wild(1_200, seed=2)
    signals = [at_market(s, candles) for s in chatter(1_200, seed=2)]
    small = TradingView(max_position=Decimal(900))
    one, other = (ended(asked(minutes(candles), signals, trading=small, leverage=times)) for times in (2, 10))
    assert [(t.quantity, t.profit) for t in one] == [(t.quantity, t.profit) for t in other]
    assert len(one) > 4
