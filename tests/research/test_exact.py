"""The exact engine on hand-made minutes: at which price, in which minute, and by which rule a trade ends."""

from decimal import Decimal

import pytest

from pipeline.research.backtest import exact
from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.run import Backtest
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
    ran,
    said,
    until_funding,
    wild,
)


def only(backtest: Backtest) -> Trade:
    (trade,) = backtest.outcome.trades
    return trade


def test_an_entry_is_filled_at_the_next_open_and_an_exit_too() -> None:
    market = minutes([*flat(100_000, 3), *flat(100_200, 3), *flat(100_400, 3)])
    trade = only(ran(market, [said(3, "entry", "long", 100_000), said(6, "exit", "long", 100_200)]))
    assert (trade.entry_price, trade.exit_price) == (Decimal("100201.0"), Decimal("100399.0"))
    assert (trade.opened_at, trade.closed_at) == (BEGIN + 3 * MINUTE + 600, BEGIN + 6 * MINUTE + 600)
    assert (trade.reason, trade.side, trade.entries) == ("signal", "long", 1)


def test_what_the_trades_bring_is_what_the_wallet_changed_by_to_the_last_digit() -> None:
    found = ran(minutes(wild(4_000, seed=3)), chatter(4_000, seed=3))
    trades = found.outcome.trades
    assert len(trades) > 20
    record = ExactRun(asked(minutes(wild(4_000, seed=3)), chatter(4_000, seed=3))).run()
    open_ones = [one for one in trades if one.closed_at is None]
    unrealised = record.equity[-1].equity - 10_000 - sum(one.profit for one in trades)
    assert bool(open_ones) == bool(unrealised)
    assert found.outcome.curve.close[-1] == pytest.approx(float(record.equity[-1].equity), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "candle", "price", "reason", "decided_by"),
    [
        ("at its trigger, not at the low", (100_000, 100_050, 99_500, 99_600), "99800.2", "stop", "candle"),
        ("at the open, where that lies beyond", (99_000, 100_400, 98_000, 100_300), "98999.1", "stop", "gap"),
        ("a target at its trigger", (100_000, 100_900, 99_950, 100_800), "100199.8", "take-profit", "candle"),
        ("a target at a better open", (101_000, 101_100, 100_900, 101_000), "100999.0", "take-profit", "gap"),
    ],
)
def test_where_a_waiting_order_is_filled(name: str, candle: Candle, price: str, reason: str, decided_by: str) -> None:
    market = minutes([*flat(100_000, 5), candle, *flat(candle[3], 3)])
    trade = only(ran(market, [said(2, "entry", "long", 100_000)], trading=TARGET))
    assert trade.exit_price == pytest.approx(Decimal(price), abs=Decimal("1.1")), name
    assert (trade.reason, trade.decided_by) == (reason, decided_by)


def test_stop_and_target_in_one_minute_are_told_three_ways_and_named() -> None:
    market = minutes([*flat(100_000, 5), (100_000, 100_900, 99_000, 100_000), *flat(100_000, 3)])
    found = ran(market, [said(2, "entry", "long", 100_000)], trading=TARGET)
    ends = {one.inside: one.trades[0].reason for one in found.outcomes}
    assert ends == {Inside.PESSIMISTIC: "stop", Inside.RESOLVED: "take-profit", Inside.OPTIMISTIC: "take-profit"}
    assert only(found).decided_by == "assumption"
    assert found.outcome.summary.on_an_assumption == 1


def test_where_no_minute_is_in_doubt_there_is_one_outcome() -> None:
    market = minutes([*flat(100_000, 5), (100_000, 100_050, 99_500, 99_600), *flat(99_600, 3)])
    assert len(ran(market, [said(2, "entry", "long", 100_000)]).outcomes) == 1


@pytest.mark.parametrize(("low", "filled"), [(99_900.0, False), (99_899.9, True)])
def test_a_touch_is_not_a_fill(low: float, filled: bool) -> None:
    market = minutes([*flat(100_000, 2), (100_000, 100_010, low, 100_000), *flat(100_000, 4)])
    found = ran(market, [said(2, "entry", "long", 99_900)], entry_order="limit")
    assert [one.entry_price for one in found.outcome.trades] == ([Decimal("99900.0")] if filled else [])


def test_nothing_fills_in_a_hole() -> None:
    market = minutes([*flat(100_000, 3), *[None] * 5, *flat(110_000, 5)])
    found = ran(market, [said(3, "entry", "long", 100_000)])
    assert not found.outcome.trades
    (left_out,) = found.outcome.left_out or {"taken, and never carried out": 1}
    assert left_out


def test_a_stop_behind_a_hole_is_filled_at_the_first_price_after_it() -> None:
    market = minutes([*flat(100_000, 4), *[None] * 5, *flat(99_000, 5)])
    trade = only(ran(market, [said(2, "entry", "long", 100_000)]))
    assert trade.closed_at == BEGIN + 9 * MINUTE + 1
    assert trade.exit_price == Decimal("98999.1")


@pytest.mark.parametrize(("side", "sign"), [("long", -1), ("short", 1)])
def test_a_long_pays_funding_where_it_is_positive(side: str, sign: int) -> None:
    market = minutes(flat(100_000, until_funding() + 10))
    trade = only(ran(market, [said(2, "entry", side, 100_000)]))  # type: ignore[arg-type]
    assert trade.funding == sign * trade.quantity * 100_000 * Decimal("0.0001")


def test_a_settlement_at_the_moment_of_the_entry_is_not_paid() -> None:
    market = minutes(flat(100_000, until_funding() + 10))
    assert only(ran(market, [said(until_funding(), "entry", "long", 100_000)])).funding == 0


def test_a_position_that_is_open_at_the_end_is_told_apart() -> None:
    found = ran(minutes(flat(100_000, 10)), [said(2, "entry", "long", 100_000)])
    assert (only(found).reason, only(found).closed_at) == ("open", None)
    assert (found.outcome.summary.trades, found.outcome.summary.still_open) == (0, 1)


def test_a_day_that_has_lost_its_limit_opens_nothing_more() -> None:
    drops = [*flat(100_000, 3), (100_000, 100_000, 90_000, 90_000), *flat(90_000, 5)]
    later = [said(2, "entry", "long", 100_000), said(7, "entry", "long", 90_000)]
    wild_risk = {"unit_percent": 10, "stop_atr": 200, "max_open_positions": 1}
    held = ran(minutes(drops), later, daily_loss_percent=1, **wild_risk)
    assert len(held.outcome.trades) == 1
    assert any("daily-loss" in reason for reason in held.outcome.left_out)
    assert len(ran(minutes(drops), later, daily_loss_percent=50, **wild_risk).outcome.trades) == 1


def test_mirrored_prices_and_sides_give_mirrored_trades() -> None:
    candles = wild(1_200, seed=5)
    mirrored = [(200_000 - o, 200_000 - low, 200_000 - high, 200_000 - c) for o, high, low, c in candles]
    signals = chatter(1_200, seed=5)
    turned = [
        said((one.at - BEGIN) // MINUTE, one.kind, "short" if one.side == "long" else "long", 100_000)
        for one in signals
    ]
    for entry in ("market", "limit"):
        one = ran(minutes(candles), [at_market(s, candles) for s in signals], entry_order=entry)
        other = ran(minutes(mirrored), [at_market(s, mirrored) for s in turned], entry_order=entry)
        ends = [[(t.opened_at, t.closed_at, t.reason, t.entries) for t in each.outcome.trades] for each in (one, other)]
        assert ends[0] == ends[1], entry
        assert len(ends[0]) > 4


def test_the_same_run_is_the_same_to_the_last_digit_and_a_longer_one_begins_like_it() -> None:
    signals = chatter(4_000, seed=7)
    question = asked(minutes(wild(4_000, seed=7)), signals)
    whole, again = ExactRun(question).run(), ExactRun(question).run()
    assert (whole.ledger, whole.orders, whole.equity) == (again.ledger, again.orders, again.equity)
    trades = ran(minutes(wild(4_000, seed=7)), signals).outcome.trades
    part = ran(minutes(wild(4_000, seed=7)[:2_000]), [one for one in signals if one.at < BEGIN + 2_000 * MINUTE])
    closed = [one for one in part.outcome.trades if one.closed_at is not None]
    assert closed == list(trades[: len(closed)])


def test_calls_that_cannot_fail_need_not_be_counted() -> None:
    question = asked(minutes(wild(1_500, seed=3)), chatter(1_500, seed=3), trading=TARGET)
    one, other = ExactRun(question), ExactRun(question)
    other._may_fail = True
    told, all_told = one.run(), other.run()
    assert (told.ledger, told.orders, told.equity) == (all_told.ledger, all_told.orders, all_told.equity)
    assert len(told.orders) > 20


def test_the_order_of_symbols_changes_nothing() -> None:
    markets = {f"{name}USDT": minutes(wild(2_000, seed=n), f"{name}USDT") for n, name in enumerate(("AB", "CD", "EF"))}
    signals = [one for n, symbol in enumerate(markets) for one in chatter(2_000, seed=n, symbol=symbol)]
    one = ran(markets, signals).outcome
    other = ran(dict(reversed(markets.items())), signals[::-1]).outcome
    assert one.trades == other.trades
    assert len({trade.symbol for trade in one.trades}) == 3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("entry", ["market", "limit"])
def test_what_is_passed_over_was_quiet(seed: int, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run, looking at every minute, comes to the same."""
    market, signals = minutes(wild(1_500, seed=seed)), chatter(1_500, seed=seed)
    question = asked(market, signals, trading=TARGET, entry_order=entry, daily_loss_percent=1, unit_percent=3)
    jumping = ExactRun(question).run()
    monkeypatch.setattr(exact, "first_event", lambda *arguments: arguments[-2])
    looking = ExactRun(question).run()
    told = [(entry.time, *[v for k, v in entry.as_dict().items() if not k.endswith("_id")]) for entry in jumping.ledger]
    assert told == [
        (entry.time, *[v for k, v in entry.as_dict().items() if not k.endswith("_id")]) for entry in looking.ledger
    ]
    assert jumping.breakers == looking.breakers
