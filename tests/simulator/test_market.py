"""The synthetic market: one truth, however it is asked."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.simulator.errors import ApiError
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import NON_ASCII, PENDING, QUIET, SETTLED, YOUNG, universe
from pipeline.simulator.types import KLINE, Klines, SymbolSpec, Tick
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE, Interval

EPOCH = 1_767_225_600_000  # 2026-01-01
SPECS = universe(20, EPOCH)
SHARED = SyntheticMarket(7, SPECS)
ONE_MINUTE = INTERVALS["1m"]
TRADED = ["BTCUSDT", "1000PEPEUSDT", QUIET, YOUNG, NON_ASCII]

symbols = st.sampled_from(TRADED)
times = st.integers(EPOCH - 99 * DAY, EPOCH + DAY)
intervals = st.sampled_from(list(INTERVALS.values()))
SUMS = ("volume", "quote", "trades", "taker_base", "taker_quote")


def fresh() -> SyntheticMarket:
    return SyntheticMarket(7, SPECS)


def folded(opened: int, minutes: Klines) -> dict[str, int]:
    """The large candle of those minutes, added up the slow and obvious way."""
    rows = [dict(zip(KLINE.names or (), row, strict=True)) for row in minutes.tolist()]
    return {
        "t": opened,
        "open": rows[0]["open"],
        "high": max(row["high"] for row in rows),
        "low": min(row["low"] for row in rows),
        "close": rows[-1]["close"],
        **{name: sum(row[name] for row in rows) for name in SUMS},
    }


def from_ticks(opened: int, ticks: list[Tick]) -> dict[str, int]:
    prices = [tick.price for tick in ticks]
    taken = [tick for tick in ticks if not tick.buyer_is_maker]
    return {
        "t": opened,
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": sum(tick.quantity for tick in ticks),
        "quote": sum(tick.price * tick.quantity for tick in ticks),
        "trades": len(ticks),
        "taker_base": sum(tick.quantity for tick in taken),
        "taker_quote": sum(tick.price * tick.quantity for tick in taken),
    }


def only(candles: Klines) -> dict[str, int]:
    (row,) = candles.tolist()
    return dict(zip(KLINE.names or (), row, strict=True))


@settings(max_examples=60, deadline=None)
@given(symbols, intervals, times)
def test_every_interval_is_the_sum_of_its_minutes(symbol: str, interval: Interval, time: int) -> None:
    opened = interval.floor(time)
    minutes = SHARED.klines(symbol, ONE_MINUTE, opened, interval.close_time(opened))
    assert only(SHARED.klines(symbol, interval, opened, opened)) == folded(opened, minutes)


@settings(max_examples=150, deadline=None)
@given(symbols, times)
def test_the_ticks_of_a_minute_build_its_candle(symbol: str, time: int) -> None:
    opened = ONE_MINUTE.floor(time)
    candle = only(SHARED.klines(symbol, ONE_MINUTE, opened, opened))
    ticks = SHARED.ticks(symbol, opened - 1, opened + MINUTE - 1)
    if not ticks:
        last = SHARED.price(symbol, opened - 1)
        assert candle == dict.fromkeys(KLINE.names or (), 0) | {
            "t": opened, "open": last, "high": last, "low": last, "close": last
        }  # fmt: skip
    else:
        assert candle == from_ticks(opened, ticks)
        assert all(tick.quantity > 0 and tick.price > 0 for tick in ticks)
        assert [tick.time for tick in ticks] == sorted(tick.time for tick in ticks)
        assert opened <= ticks[0].time <= ticks[-1].time < opened + MINUTE


@settings(max_examples=60, deadline=None)
@given(symbols, intervals, times)
def test_at_the_end_of_a_candle_the_forming_one_is_the_candle(symbol: str, interval: Interval, time: int) -> None:
    opened = interval.floor(time)
    formed, traded = SHARED.forming(symbol, interval, interval.close_time(opened))
    assert only(formed) == only(SHARED.klines(symbol, interval, opened, opened))
    assert opened <= traded <= interval.close_time(opened)


@settings(max_examples=60, deadline=None)
@given(symbols, st.sampled_from([INTERVALS[code] for code in ("1m", "5m", "1h", "4h", "1d")]), times)
def test_the_forming_candle_is_what_has_traded_so_far(symbol: str, interval: Interval, now: int) -> None:
    opened = interval.floor(now)
    formed, traded = SHARED.forming(symbol, interval, now)
    ticks = SHARED.ticks(symbol, max(opened, SPECS[symbol].onboard) - 1, now)
    assert traded == (ticks[-1].time if ticks else opened)
    assert SHARED.price(symbol, now) == only(formed)["close"]
    if ticks:
        expected = from_ticks(opened, ticks)
        expected |= {"open": only(formed)["open"]}  # a candle whose first minute was silent opens at the last close
        assert only(formed) == expected | {
            "high": max(expected["high"], expected["open"]), "low": min(expected["low"], expected["open"])
        }  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(symbols, intervals, times, st.integers(1, 40))
def test_two_markets_agree_in_whatever_order_they_are_asked(
    symbol: str, interval: Interval, time: int, count: int
) -> None:
    first, last = interval.floor(time), interval.after(time, count - 1)
    together = fresh().klines(symbol, interval, first, last)
    one_by_one = fresh()
    opened = [interval.after(first, number) for number in range(count)]
    backwards = [one_by_one.klines(symbol, interval, moment, moment) for moment in reversed(opened)]
    assert together.tolist() == np.concatenate(backwards[::-1]).tolist()
    assert fresh().ticks(symbol, time, time + 5 * MINUTE) == one_by_one.ticks(symbol, time, time + 5 * MINUTE)


@settings(max_examples=50, deadline=None)
@given(symbols, times, st.lists(st.integers(0, 20 * MINUTE), min_size=1, max_size=8))
def test_ticks_cut_anywhere_are_the_same_ticks(symbol: str, start: int, cuts: list[int]) -> None:
    edges = [start, *sorted(start + cut for cut in cuts)]
    pieces = [tick for a, b in pairwise(edges) for tick in SHARED.ticks(symbol, a, b)]
    assert pieces == SHARED.ticks(symbol, edges[0], edges[-1])


@pytest.mark.parametrize("other", [SyntheticMarket(8, SPECS), SyntheticMarket(7, universe(20, EPOCH + 40 * DAY))])
def test_prices_come_from_the_seed_and_not_from_the_day_the_exchange_started(other: SyntheticMarket) -> None:
    window = ("BTCUSDT", ONE_MINUTE, EPOCH, EPOCH + HOUR)
    same = SHARED.klines(*window).tolist() == other.klines(*window).tolist()
    assert same == (other.specs != SPECS)


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_a_young_symbol_begins_when_it_was_listed(interval: Interval) -> None:
    onboard = SPECS[YOUNG].onboard
    candles = SHARED.klines(YOUNG, interval, 0, onboard + 2 * DAY)
    assert candles["t"][0] == interval.floor(onboard)
    assert only(candles[:1]) == folded(
        interval.floor(onboard), SHARED.klines(YOUNG, ONE_MINUTE, 0, interval.close_time(interval.floor(onboard)))
    )
    assert not len(SHARED.klines(YOUNG, interval, 0, interval.floor(onboard) - 1))
    assert SHARED.ticks(YOUNG, 0, onboard - 1) == []
    first, _ = SHARED.forming(YOUNG, interval, onboard)
    assert only(first)["t"] == interval.floor(onboard)


def test_a_settled_symbol_ends_and_keeps_its_last_price() -> None:
    end = SPECS[SETTLED].delivery
    last = SHARED.klines(SETTLED, ONE_MINUTE, end - HOUR, EPOCH)
    assert last["t"][-1] == end - MINUTE
    assert SHARED.ticks(SETTLED, end - 1, EPOCH) == []
    assert SHARED.price(SETTLED, EPOCH) == last["close"][-1]
    formed, traded = SHARED.forming(SETTLED, INTERVALS["1h"], EPOCH + HOUR - 1)
    assert (only(formed)["volume"], only(formed)["close"], traded) == (0, last["close"][-1], EPOCH)
    assert SHARED.mark_price(SETTLED, EPOCH) == int(last["close"][-1]) * SPECS[SETTLED].tick


Question = Callable[[SyntheticMarket], object]


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda market: market.klines("NOPEUSDT", ONE_MINUTE, 0, EPOCH), -1121),
        (lambda market: market.ticks("NOPEUSDT", 0, EPOCH), -1121),
        (lambda market: market.price("NOPEUSDT", EPOCH), -1121),
        (lambda market: market.price(PENDING, EPOCH), -1122),
        (lambda market: market.forming(PENDING, ONE_MINUTE, EPOCH), -1122),
        (lambda market: market.mark_price(YOUNG, SPECS[YOUNG].onboard - 1), -1122),
    ],
)
def test_what_has_no_price_is_refused(ask: Question, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        ask(SHARED)
    assert refused.value.code == code


def test_a_pending_symbol_has_no_candles() -> None:
    assert SPECS[PENDING].tick == 0
    assert not len(SHARED.klines(PENDING, ONE_MINUTE, 0, EPOCH))
    assert SHARED.ticks(PENDING, 0, EPOCH) == []


def test_the_mark_price_follows_without_jumps() -> None:
    marks = [SHARED.mark_price("BTCUSDT", EPOCH + step * 1_000) for step in range(600)]
    lasts = [SHARED.price("BTCUSDT", EPOCH + step * 1_000) * Decimal("0.1") for step in range(600)]
    assert max(abs(b - a) for a, b in pairwise(marks)) < Decimal(10)
    assert max(abs(m - p) / p for m, p in zip(marks, lasts, strict=True)) < Decimal("0.01")


def test_the_market_is_worth_trading_on() -> None:
    """Facts that hold of real candles: fat tails, clustered volatility, volume that goes with range, quiet minutes."""
    candles = SHARED.klines("BTCUSDT", ONE_MINUTE, EPOCH, EPOCH + 60 * DAY)
    returns = np.diff(np.log(candles["close"]))
    size = np.abs(returns) - np.abs(returns).mean()
    lengths = candles["high"] - candles["low"]
    assert 20_000 < candles["close"].min() / 10 < candles["close"].max() / 10 < 200_000
    assert 0.015 < returns.std() * 1_440**0.5 < 0.05
    assert ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 > 5
    assert (size[60:] * size[:-60]).mean() / size.var() > 0.05
    assert np.corrcoef(lengths, candles["volume"])[0, 1] > 0.4
    assert np.abs(candles["open"][1:] - candles["close"][:-1]).max() <= 1
    assert (candles["trades"] > 0).all()
    quiet = SHARED.klines(QUIET, ONE_MINUTE, EPOCH, EPOCH + 10 * DAY)
    assert 0.1 < (quiet["trades"] == 0).mean() < 0.8


@pytest.mark.parametrize("symbol", TRADED)
def test_a_silent_minute_repeats_the_last_close_and_midnight_is_a_minute_like_any(symbol: str) -> None:
    candles = SHARED.klines(symbol, ONE_MINUTE, EPOCH - 60 * DAY, EPOCH)
    before, silent, several = candles["close"][:-1], candles["trades"][1:] == 0, candles["trades"][1:] > 1
    for name in ("open", "high", "low", "close"):
        assert (candles[name][1:][silent] == before[silent]).all()
    assert np.abs(candles["open"][1:] - before)[several].max() <= 1


def test_no_day_is_like_another() -> None:
    days = SHARED.klines("ETHUSDT", ONE_MINUTE, EPOCH, EPOCH + 8 * DAY - 1)["close"].reshape(8, -1)
    alike = np.corrcoef(np.diff(np.log(days), axis=1))
    assert np.abs(alike - np.eye(8)).max() < 0.2


def test_the_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.simulator.market.synthetic._DAYS_REMEMBERED", 3)
    market = fresh()
    window = ("ETHUSDT", ONE_MINUTE, EPOCH, EPOCH + 9 * DAY)
    assert market.klines(*window).tolist() == SHARED.klines(*window).tolist()
    assert len(market._days) == 3


def test_a_universe_may_be_large() -> None:
    specs: dict[str, SymbolSpec] = universe(600, EPOCH)
    assert len(specs) == 600
    market = SyntheticMarket(1, specs)
    for symbol in list(specs)[-200:]:
        candles = market.klines(symbol, ONE_MINUTE, EPOCH, EPOCH + HOUR)
        assert len(candles) == 61
        assert candles["low"].min() > 100
