from decimal import Decimal, localcontext

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.app.candle_file import read_sample
from pipeline.errors import UsageError
from pipeline.indicators import PriceScaleError, compute, newest, newest_average, newest_bands, tail
from pipeline.ingest.indicators import LiveIndicators
from pipeline.periods import PERIODS, TAIL, WINDOW, Columns, Floats, Periods
from pipeline.strategies.synthetic import Sample, samples
from schemas.candles import INDICATOR_FIELDS
from tests.strategies.recorded import REALDATA, needs_realdata

RECORDED = ("btcusdt_perp_1h_2023-12_2024-12", "btcusdt_perp_15m_2025", "btcusdt_perp_1m_2025")


def recorded(name: str) -> Sample:
    return read_sample(REALDATA / f"{name}.feather")


def over(close: Floats, spread: float = 0.0, decimals: int = 1, first: int = 0) -> Columns:
    numbers = np.arange(first, first + len(close))
    return compute(numbers, close + spread, close - spread, close, decimals=decimals)


def whole(market: Sample, begin: int = 0, end: int | None = None) -> Columns:
    part = slice(begin, end)
    high, low, close = (market.candles[name][part] for name in ("high", "low", "close"))
    return compute(market.numbers[part], high, low, close, decimals=market.decimals)


def live(market: Sample, end: int, begin: int | None = None, keep: int = TAIL) -> Columns:
    """What the live side has after `end` candles: its window, or everything there is."""
    part = slice(max(0, end - WINDOW) if begin is None else begin, end)
    high, low, close = (market.candles[name][part] for name in ("high", "low", "close"))
    first = int(market.numbers[part][0])
    window = tail(first, high, low, close, decimals=market.decimals, keep=keep)
    told = newest(first, high, low, close, decimals=market.decimals)
    np.testing.assert_array_equal(told, [values[-1] for values in window.values()][: len(told)])
    return window


def same(left: Columns, right: Columns) -> list[str]:
    """The columns that differ in any bit."""
    return [name for name in left if not np.array_equal(left[name], right[name], equal_nan=True)]


def ending(columns: Columns, end: int, count: int) -> Columns:
    return {name: values[end - count : end] for name, values in columns.items()}


def halted(count: int = 4_000) -> Sample:
    """Traded for 800 candles, then standing still for 700, then traded again, and so on."""
    rng = np.random.default_rng(5)
    traded = np.arange(count) % 1_500 < 800
    close = np.round(100 + np.cumsum(rng.normal(0, 0.05, count) * traded), 2)
    range_ = np.round(np.abs(rng.normal(0, 0.05, count)) * traded, 2)
    candles = {"high": np.round(close + range_, 2), "low": np.round(close - range_, 2), "close": close}
    return Sample("halted", np.arange(7_000, 7_000 + count), candles, 2)


SIMPLE = Periods(atr_kind="simple")

# --- by hand -------------------------------------------------------------------------------------------------------

SAWTOOTH = 100.0 + np.cumsum([0, *([3, -1] * 8)])  # 7 gains of 3 and 7 losses of 1 in the first 14 moves
RAMP = 100.0 + 2.0 * np.arange(60)  # an EMA of n candles lags a ramp by (n - 1) / 2 steps
ZIGZAG = np.tile([99.0, 101.0], 20)
HAND = [
    ("rsi", SAWTOOTH, 14, 100 * 1.5 / (1.5 + 0.5)),
    ("rsi", SAWTOOTH, 15, 100 * 22.5 / (22.5 + 6.5)),
    ("rsi", SAWTOOTH, 16, 100 * 292.5 / (292.5 + 98.5)),
    ("macd", RAMP, 33, 2 * (12.5 - 5.5)),
    ("macd_signal", RAMP, 50, 14.0),
    ("sma7", RAMP, 6, 106.0),
    ("sma20", RAMP, 59, 199.0),
    ("bb_upper", ZIGZAG, 19, 102.0),
    ("bb_lower", ZIGZAG, 39, 98.0),
    ("bb_middle", ZIGZAG, 30, 100.0),
]


@pytest.mark.parametrize(("column", "close", "at", "value"), HAND)
def test_ten_values_worked_by_hand(column: str, close: Floats, at: int, value: float) -> None:
    assert over(close)[column][at] == pytest.approx(value, rel=1e-14)


def test_the_true_range_is_averaged_as_wilder_does() -> None:
    close = np.full(17, 50.0)
    high, low = close + 2, close - 2
    high[16] = close[16] + 16  # true range 18 after fifteen of 4
    columns = compute(np.arange(17), high, low, close, decimals=0)
    assert columns["atr"][14:].tolist() == [4.0, 4.0, (4 * 13 + 18) / 14]


def test_or_simply_when_told() -> None:
    close = np.full(18, 50.0)
    high, low = close + 2, close - 2
    high[16] = close[16] + 16  # true range 18 after fifteen of 4, and counts as one of 14
    simple = compute(np.arange(18), high, low, close, decimals=0, periods=SIMPLE)
    assert np.isnan(simple["atr"][:14]).all()
    assert simple["atr"][14:].tolist() == [4.0, 4.0, (4 * 13 + 18) / 14, (4 * 13 + 18) / 14]
    others = compute(np.arange(18), high, low, close, decimals=0)
    assert same(simple, others) == ["atr"]


def test_a_leap_between_candles_is_part_of_the_simple_range() -> None:
    close = np.array([10.0, 20, 20, 12])
    columns = compute(np.arange(4), close + 1, close - 1, close, decimals=0, periods=Periods(atr=3, atr_kind="simple"))
    assert columns["atr"].tolist()[3] == (11 + 2 + 9) / 3


FIRST_VALUE = {"rsi": 14, "macd": 33, "macd_signal": 33, "macd_hist": 33, "atr": 14, "bb_upper": 19, "bb_middle": 19}
FIRST_VALUE |= {"bb_lower": 19, "sma7": 6, "sma20": 19, "sma60": 59, "sma120": 119}


def test_the_warm_up_is_nan_and_nothing_else_is() -> None:
    columns = over(np.round(np.linspace(10, 20, 300), 1), spread=0.5)
    assert {name: int(np.flatnonzero(~np.isnan(values))[0]) for name, values in columns.items()} == FIRST_VALUE
    for name, values in columns.items():
        assert not np.isnan(values[FIRST_VALUE[name] :]).any()


@pytest.mark.parametrize("count", [0, 1, 6, 7, 33, 34, 120])
def test_however_few_candles_there_are(count: int) -> None:
    columns = over(np.arange(100.0, 100.0 + count), spread=1)
    assert {name: int((~np.isnan(values)).sum()) for name, values in columns.items()} == {
        name: max(0, count - first) for name, first in FIRST_VALUE.items()
    }


# --- equal to TA-Lib -----------------------------------------------------------------------------------------------


def talibs(market: Sample) -> Columns:
    """TA-Lib's own answers over the full history; its averages on prices as whole ticks, where they are exact."""
    high, low, close = (market.candles[name] for name in ("high", "low", "close"))
    macd, signal, hist = talib.MACD(close, 12, 26, 9)
    scale = 10.0**market.decimals
    return {
        "rsi": talib.RSI(close, 14),
        "macd": macd,
        "macd_signal": signal,
        "macd_hist": hist,
        "atr": talib.ATR(high, low, close, 14),
        **{f"sma{n}": talib.SMA(np.rint(close * scale), n) / scale for n in (7, 20, 60, 120)},
    }


@pytest.mark.parametrize("market", samples(6_000)[:3], ids=lambda market: market.name)
def test_equal_to_talib_over_the_full_history(market: Sample) -> None:
    columns = whole(market)
    assert same(talibs(market), columns) == []
    upper, middle, lower = talib.BBANDS(market.candles["close"], 20, 2, 2)
    for name, values in (("bb_upper", upper), ("bb_middle", middle), ("bb_lower", lower)):
        np.testing.assert_allclose(columns[name], values, rtol=1e-5)  # TA-Lib loses digits in a difference of squares


@needs_realdata
@pytest.mark.parametrize("name", RECORDED)
def test_equal_to_talib_on_recorded_candles(name: str) -> None:
    market = recorded(name)
    assert same(talibs(market), whole(market)) == []


# --- live equals batch ---------------------------------------------------------------------------------------------


@needs_realdata
@pytest.mark.parametrize("name", RECORDED)
def test_the_simple_range_is_the_mean_that_talib_gives(name: str) -> None:
    market = recorded(name)
    high, low, close = (market.candles[each] for each in ("high", "low", "close"))
    ours = compute(market.numbers, high, low, close, decimals=market.decimals, periods=SIMPLE)["atr"]
    np.testing.assert_allclose(ours, talib.SMA(talib.TRANGE(high, low, close), 14), rtol=1e-9)
    exact = [Decimal(str(price)) for price in (*high[-14:], *low[-14:], *close[-15:])]
    highs, lows, closes = exact[:14], exact[14:28], exact[28:]
    ranges = [max(h, c) - min(lo, c) for h, lo, c in zip(highs, lows, closes[:-1], strict=True)]
    assert ours[-1] == pytest.approx(float(sum(ranges) / 14), rel=1e-12)


@pytest.mark.parametrize("market", [*samples(4_000), halted()], ids=lambda market: market.name)
def test_live_equals_batch_to_the_last_bit(market: Sample) -> None:
    history = whole(market)
    for end in [*range(1, 200, 7), *range(200, len(market.numbers) + 1, 41)]:
        window = live(market, end)
        assert same(window, ending(history, end, min(end, TAIL))) == [], end


@needs_realdata
@pytest.mark.parametrize(("name", "step"), [(RECORDED[0], 7), (RECORDED[1], 3), (RECORDED[2], 37)])
def test_live_equals_batch_on_recorded_candles(name: str, step: int) -> None:
    market = recorded(name)
    history = whole(market)
    differing = [
        end
        for end in range(1, len(market.numbers) + 1, step)
        if same(live(market, end), ending(history, end, min(end, TAIL)))
    ]
    assert differing == []


def test_a_market_that_stands_still_is_why_talib_begins_at_fixed_places() -> None:
    market = halted()
    close = market.candles["close"]
    end = 1_450
    assert talib.RSI(close[:end], 14)[-1] != talib.RSI(close[end - 601 : end], 14)[-1]
    assert live(market, end)["rsi"][-1] == whole(market)["rsi"][end - 1]


@settings(max_examples=40, deadline=None)
@given(begin=st.integers(0, 4_000 - WINDOW), end=st.integers(WINDOW, 4_000), keep=st.integers(1, TAIL))
def test_where_the_data_begin_changes_nothing(begin: int, end: int, keep: int) -> None:
    begin = min(begin, end - WINDOW)
    assert same(live(HALTED, end, begin, keep), ending(HALTED_WHOLE, end, keep)) == []


HALTED = halted()
HALTED_WHOLE = whole(HALTED)


def test_where_nothing_moves_the_simple_range_is_zero() -> None:
    high, low, close = (HALTED.candles[name] for name in ("high", "low", "close"))
    atr = compute(HALTED.numbers, high, low, close, decimals=2, periods=SIMPLE)["atr"]
    assert set(atr[900:1_400].tolist()) == {0.0}


def test_the_window_reaches_back_far_enough_at_the_worst_place() -> None:
    assert WINDOW == PERIODS.settle + PERIODS.block + TAIL == 1_920
    block = PERIODS.block * (int(HALTED.numbers[0] + WINDOW) // PERIODS.block + 1)
    end = block - 1 + TAIL - int(HALTED.numbers[0])  # the first value kept is the last of its block
    assert same(live(HALTED, end), ending(HALTED_WHOLE, end, TAIL)) == []


# --- holes ---------------------------------------------------------------------------------------------------------


def test_a_hole_restarts_the_warm_up() -> None:
    market = samples(2_000)[0]
    kept = np.r_[0:500, 501:1_200, 1_900:2_000]
    high, low, close = (market.candles[name][kept] for name in ("high", "low", "close"))
    columns = compute(market.numbers[kept], high, low, close, decimals=market.decimals)
    parts = [whole(market, *bounds) for bounds in ((0, 500), (501, 1_200), (1_900, 2_000))]
    assert same(columns, {name: np.concatenate([part[name] for part in parts]) for name in columns}) == []
    assert np.isnan(columns["sma120"][500:619]).all()
    assert not np.isnan(columns["sma120"][619])


def test_the_first_candles_after_a_hole_are_the_same_live() -> None:
    market = samples(2_000)[0]
    kept = np.r_[0:700, 710:2_000]
    high, low, close = (market.candles[name][kept] for name in ("high", "low", "close"))
    history = compute(market.numbers[kept], high, low, close, decimals=market.decimals)
    for end in range(711, 2_000, 29):
        window = live(market, end, begin=710 if end - 710 < WINDOW else None)
        assert same(window, ending(history, end - 10, min(end - 710, TAIL))) == []


@pytest.mark.parametrize("numbers", [[5, 5, 6], [5, 4, 6], [5, 7, 6]])
def test_candles_out_of_order_are_refused(numbers: list[int]) -> None:
    prices = np.ones(3)
    with pytest.raises(ValueError, match="sort the candles and drop repeats"):
        compute(np.array(numbers), prices, prices, prices, decimals=0)


def test_a_price_that_is_no_number_is_refused() -> None:
    prices = np.array([1.0, np.nan, 2.0])
    with pytest.raises(ValueError, match="counts as a hole"):
        compute(np.arange(3), prices, prices, prices, decimals=0)


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 3_999), filled=st.booleans())
def test_a_repaired_candle_changes_no_more_than_what_depends_on_it(at: int, filled: bool) -> None:
    candles = {name: HALTED.candles[name].copy() for name in ("high", "low", "close")}
    for prices in candles.values():
        prices[at] += 1_000.0
    kept = np.arange(4_000) != at if filled else np.ones(4_000, dtype=bool)
    numbers = HALTED.numbers[kept]
    high, low, close = (prices[kept] for prices in candles.values())
    wrong = compute(numbers, high, low, close, decimals=2)
    number = int(HALTED.numbers[at])
    for name, values in HALTED_WHOLE.items():
        right = values[kept]
        differ = numbers[(wrong[name] != right) & ~(np.isnan(wrong[name]) & np.isnan(right))]
        assert all(number <= each <= PERIODS.last_affected(number) for each in differ)


@settings(max_examples=40, deadline=None)
@given(at=st.integers(2_000, 3_999))
def test_a_value_needs_no_candle_before_the_first_needed(at: int) -> None:
    begin = PERIODS.first_needed(int(HALTED.numbers[at])) - int(HALTED.numbers[0])
    assert same(ending(whole(HALTED, begin), 4_000 - begin, 4_000 - at), ending(HALTED_WHOLE, 4_000, 4_000 - at)) == []


def test_an_average_longer_than_the_warm_up_needs_and_affects_its_whole_length() -> None:
    periods = Periods(sma=(3, 2_000))
    assert periods.first_needed(9_600) == 9_600 - 1_999
    assert periods.last_affected(9_600) == 9_600 + 1_999
    assert periods.window == 2_000 + TAIL


# --- whole ticks ---------------------------------------------------------------------------------------------------


def exact_band(close: list[str], width: int) -> tuple[Decimal, Decimal]:
    with localcontext(prec=60):
        prices = [Decimal(price) for price in close]
        mean = sum(prices) / len(prices)
        deviation = (sum((price - mean) ** 2 for price in prices) / len(prices)).sqrt()
        return mean, mean + width * deviation


@settings(max_examples=100, deadline=None)
@given(
    decimals=st.integers(0, 8),
    base=st.integers(1, 10**12),
    moves=st.lists(st.integers(0, 10**10), min_size=20, max_size=40),
)
def test_bands_are_exact_at_any_scale(decimals: int, base: int, moves: list[int]) -> None:
    written = [str(Decimal(base + move).scaleb(-decimals)) for move in moves]
    close = np.array([float(price) for price in written])
    columns = over(close, decimals=decimals)
    mean, upper = exact_band(written[-20:], 2)
    assert columns["sma20"][-1] == pytest.approx(float(mean), rel=4e-16)
    assert columns["bb_upper"][-1] == pytest.approx(float(upper), rel=6e-16)


def test_prices_that_move_by_more_ticks_than_64_bits_square_are_still_exact_and_equal_live() -> None:
    rng = np.random.default_rng(9)
    close = np.round(60_000 + np.cumsum(rng.normal(0, 200, 2_500)), 8)
    market = Sample("fine ticks", np.arange(2_500), {"high": close, "low": close, "close": close}, 8)
    history = whole(market)
    _, upper = exact_band([f"{price:.8f}" for price in close[-20:]], 2)
    assert history["bb_upper"][-1] == pytest.approx(float(upper), rel=6e-16)
    for end in range(50, 2_500, 131):
        assert same(live(market, end), ending(history, end, min(end, TAIL))) == []


def test_a_flat_market_has_bands_of_no_width() -> None:
    columns = over(np.full(40, 0.3), decimals=1)
    assert {float(columns[name][-1]) for name in ("sma20", "bb_upper", "bb_middle", "bb_lower")} == {0.3}


def test_a_price_finer_than_its_ticks_is_refused() -> None:
    with pytest.raises(PriceScaleError, match=r"close 10\.25 is not a whole number of ticks at 1 decimals"):
        over(np.array([10.1, 10.25]), decimals=1)


def test_a_high_finer_than_its_ticks_does_no_harm() -> None:
    close = np.full(20, 10.5)
    columns = compute(np.arange(20), np.full(20, 10.75), close, close, decimals=1, periods=SIMPLE)
    assert columns["atr"][-1] == 0.25


# --- periods -------------------------------------------------------------------------------------------------------


def test_periods_have_a_stable_code() -> None:
    assert PERIODS.code == "v1 rsi14 macd12-26-9 sma7-20-60-120 atr14 bb20x2 settle720-960"
    assert Periods(rsi=21, sma=(5, 10)).code == "v1 rsi21 macd12-26-9 sma5-10 atr14 bb20x2 settle1200-1440"
    assert SIMPLE.code == "v1 rsi14 macd12-26-9 sma7-20-60-120 atr14-simple bb20x2 settle720-960"


@pytest.mark.parametrize(
    "periods",
    [
        Periods(rsi=7, atr=10),
        SIMPLE,
        Periods(atr=60, atr_kind="simple"),
        Periods(rsi=30),
        Periods(macd_fast=5, macd_slow=60),
        Periods(sma=(3, 400), bollinger=50),
    ],
)
def test_live_equals_batch_with_other_periods(periods: Periods) -> None:
    market = samples(6_000)[0]
    high, low, close = (market.candles[name] for name in ("high", "low", "close"))
    history = compute(market.numbers, high, low, close, decimals=market.decimals, periods=periods)
    assert tuple(history) == periods.columns
    np.testing.assert_array_equal(history["rsi"], talib.RSI(close, periods.rsi))
    for end in range(periods.window, 6_000, 401):
        part = slice(end - periods.window, end)
        prices = int(market.numbers[part][0]), high[part], low[part], close[part]
        window = tail(*prices, decimals=market.decimals, periods=periods)
        told = newest(*prices, decimals=market.decimals, periods=periods)
        np.testing.assert_array_equal(told, [values[-1] for values in window.values()][: len(told)])
        assert tuple(values[-1] for values in list(window.values())[-3:]) == newest_bands(
            close[part], decimals=market.decimals, periods=periods
        )
        for length in periods.sma:
            assert window[f"sma{length}"][-1] == newest_average(close[part], length, decimals=market.decimals)
        assert same(window, ending(history, end, TAIL)) == []


def test_live_values_go_into_the_columns_of_their_name_whatever_else_is_computed() -> None:
    periods = Periods(sma=(5, 7, 10, 20, 50, 60, 120, 200))
    close = np.round(100 + np.cumsum(np.random.default_rng(3).normal(size=400)), 1)
    columns = compute(np.arange(400), close, close, close, decimals=1, periods=periods)
    live_columns = np.array([close, close, close, close, close])
    assert LiveIndicators(periods)(0, live_columns, 1) == tuple(columns[name][-1] for name in INDICATOR_FIELDS)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rsi": 1}, "at least 2 candles"),
        ({"sma": (7, 1)}, "at least 2 candles"),
        ({"bollinger_width": 0.0}, "width is above 0"),
        ({"macd_fast": 26}, "must be shorter than macd_slow"),
        ({"sma": (7, 7)}, "names a period twice"),
        ({"atr_kind": "median"}, "atr_kind must be wilder or simple, not 'median'"),
    ],
)
def test_periods_that_cannot_be_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Periods(**wrong)  # type: ignore[arg-type]
