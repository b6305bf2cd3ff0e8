"""Recorded candles, played again as if they happened now."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.simulator.errors import ApiError
from pipeline.simulator.market.replay import ReplayMarket
from pipeline.simulator.market.replay_file import Recording, ReplayFileError, read_recording
from pipeline.simulator.types import KLINE, Klines, Tick
from pipeline.simulator.wire.format import grids
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE

EPOCH = 1_767_225_600_000 + 5 * HOUR
FIRST = 1_700_000_040_000  # a minute, but no hour
REAL = Path(__file__).parents[2].parent / "shared" / "realdata"
SECONDS = {"1m": 60, "15m": 900, "1h": 3_600}


def frame(rows: int = 600, interval: str = "1m", seed: int = 3) -> pl.DataFrame:
    """Plausible candles on a grid of 0.01 and 0.1, some of them silent."""
    dice = np.random.default_rng(seed)
    close = np.round(100 + np.cumsum(dice.normal(0, 0.2, rows)), 2)
    opened = np.append(close[:1], close[:-1])
    volume = np.round(0.5 + dice.exponential(30, rows), 1)
    high = np.round(np.maximum(opened, close) + dice.exponential(0.1, rows), 2)
    low = np.round(np.minimum(opened, close) - dice.exponential(0.1, rows), 2)
    table = pl.DataFrame(
        {
            "open_time": FIRST // 3_600_000 * 3_600_000 + np.arange(rows) * SECONDS[interval] * 1_000,
            "open": opened, "high": high, "low": low, "close": close, "volume": volume,
        }
    )  # fmt: skip
    silent = pl.Series(dice.random(rows) < 0.1) & (pl.Series(np.arange(rows)) > 0)
    return table.with_columns(
        volume=pl.when(silent).then(0.0).otherwise("volume"),
        **{name: pl.when(silent).then(pl.col("open")).otherwise(name) for name in ("high", "low", "close")},
    ).with_columns(open=pl.col("close").shift(1).fill_null(pl.col("open")))


def consistent(table: pl.DataFrame) -> pl.DataFrame:
    """After the silent candles moved the closes: lows and highs that hold every price, and flat silent candles."""
    spoken = pl.col("volume") > 0
    table = table.with_columns(close=pl.when(spoken).then("close").otherwise(None).forward_fill())
    table = table.with_columns(open=pl.col("close").shift(1).fill_null(pl.col("open")))
    return table.with_columns(
        high=pl.max_horizontal("open", "close", pl.when(spoken).then("high")),
        low=pl.min_horizontal("open", "close", pl.when(spoken).then("low")),
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("replay") / "candles.parquet"
    consistent(frame()).write_parquet(path)
    return read_recording(path)


def built(opened: int, ticks: list[Tick], before: int) -> tuple[int, ...]:
    if not ticks:
        return (opened, before, before, before, before, 0, 0, 0, 0, 0)
    prices = [tick.price for tick in ticks]
    taken = [tick for tick in ticks if not tick.buyer_is_maker]
    return (
        opened, prices[0], max(prices), min(prices), prices[-1],
        sum(tick.quantity for tick in ticks), sum(tick.price * tick.quantity for tick in ticks), len(ticks),
        sum(tick.quantity for tick in taken), sum(tick.price * tick.quantity for tick in taken),
    )  # fmt: skip


def ticks_build_the_candles(market: ReplayMarket, candles: Klines) -> None:
    (symbol,) = market.specs
    length = market.base.milliseconds
    assert length is not None
    for candle in candles:
        opened = int(candle["t"])
        ticks = market.ticks(symbol, opened - 1, opened + length - 1)
        before = market.price(symbol, max(opened - 1, market.specs[symbol].onboard))
        assert tuple(candle.tolist()) == built(opened, ticks, before)
        assert all(tick.quantity > 0 for tick in ticks)
        assert all(opened <= tick.time < opened + length for tick in ticks)
        formed, _ = market.forming(symbol, market.base, opened + length - 1)
        assert formed.tolist() == [candle.tolist()]


def test_the_file_s_candles_are_served_shifted_by_whole_hours(small: Recording) -> None:
    market = ReplayMarket({"XUSDT": small}, EPOCH)
    served = market.klines("XUSDT", INTERVALS["1m"], 0, 2 * EPOCH)
    shift = int(served["t"][0] - small.candles["t"][0])
    assert shift % HOUR == 0
    assert served["t"][-1] > EPOCH > served["t"][0]
    for name in ("open", "high", "low", "close", "volume"):
        assert served[name].tolist() == small.candles[name].tolist()
    assert (served["trades"][served["volume"] > 0] >= 4).all()
    assert market.specs["XUSDT"].tick == Decimal("0.01")
    assert market.specs["XUSDT"].step == Decimal("0.1")
    assert grids(market.specs["XUSDT"]).price.text(10_000) == "100.00"


def test_the_ticks_of_a_replay_build_its_candles(small: Recording) -> None:
    market = ReplayMarket({"XUSDT": small}, EPOCH)
    ticks_build_the_candles(market, market.klines("XUSDT", INTERVALS["1m"], 0, 2 * EPOCH))


candle_values = st.tuples(
    st.integers(50, 60), st.integers(0, 5), st.integers(0, 5), st.integers(50, 60), st.integers(0, 40),
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(candle_values, min_size=2, max_size=12))
def test_any_candle_can_be_traded(rows: list[tuple[int, int, int, int, int, float, float, float]]) -> None:
    candles = np.zeros(len(rows), KLINE)
    for number, (opened, up, down, close, volume, lean, taken, taken_lean) in enumerate(rows):
        high, low = max(opened, close) + up, min(opened, close) - down
        quote = int(volume * (low + (high - low) * lean))
        bought = int(volume * taken)
        candles[number] = (
            FIRST + number * MINUTE, opened, high, low, close, volume, quote, 0, bought, int(quote * taken_lean)
        )  # fmt: skip
    market = ReplayMarket({"XUSDT": Recording(candles, INTERVALS["1m"], Decimal("0.01"), Decimal(1))}, EPOCH)
    served = market.klines("XUSDT", INTERVALS["1m"], 0, 2 * EPOCH)
    ticks_build_the_candles(market, served)
    enough = candles["volume"] >= 8
    assert served["volume"][enough].tolist() == candles["volume"][enough].tolist()


def test_turnover_and_takers_are_the_file_s_where_it_has_them(tmp_path: Path) -> None:
    table = consistent(frame(50)).filter(pl.col("volume") > 5)
    table = table.with_columns(open_time=FIRST + pl.int_range(pl.len()) * MINUTE).with_columns(
        quote_asset_volume=(pl.col("volume") * (pl.col("high") + pl.col("low")) / 2).round(3),
        taker_buy_base_asset_volume=(pl.col("volume") * 0.25).round(1),
    )
    table = table.with_columns(
        taker_buy_quote_asset_volume=(
            pl.col("quote_asset_volume") * pl.col("taker_buy_base_asset_volume") / pl.col("volume")
        ).round(3)
    )
    table.write_parquet(tmp_path / "full.parquet")
    recording = read_recording(tmp_path / "full.parquet")
    market = ReplayMarket({"XUSDT": recording}, EPOCH)
    served = market.klines("XUSDT", INTERVALS["1m"], 0, 2 * EPOCH)
    assert (served["quote"] / 1_000).tolist() == table["quote_asset_volume"].to_list()
    assert (served["taker_base"] / 10).tolist() == table["taker_buy_base_asset_volume"].to_list()
    assert (served["taker_quote"] / 1_000).tolist() == table["taker_buy_quote_asset_volume"].to_list()
    ticks_build_the_candles(market, served)


@pytest.mark.parametrize("base", ["1m", "15m", "1h"])
def test_every_interval_is_the_sum_of_the_recorded_ones(tmp_path: Path, base: str) -> None:
    consistent(frame(900, base)).write_csv(tmp_path / "c.csv")
    market = ReplayMarket({"XUSDT": read_recording(tmp_path / "c.csv")}, EPOCH)
    for interval in INTERVALS.values():
        if (interval.milliseconds or DAY) < SECONDS[base] * 1_000:
            with pytest.raises(ApiError) as refused:
                market.klines("XUSDT", interval, 0, EPOCH)
            assert (refused.value.code, str(market.base) in refused.value.message) == (-1120, True)
            continue
        for candle in market.klines("XUSDT", interval, 0, 2 * EPOCH):
            opened = int(candle["t"])
            parts = market.klines("XUSDT", market.base, opened, interval.close_time(opened))
            assert (candle["open"], candle["close"]) == (parts["open"][0], parts["close"][-1])
            assert (candle["high"], candle["low"]) == (parts["high"].max(), parts["low"].min())
            assert [candle[n] for n in ("volume", "quote", "trades")] == [
                parts[n].sum() for n in ("volume", "quote", "trades")
            ]
            formed, _ = market.forming("XUSDT", interval, interval.close_time(opened))
            assert formed.tolist() == [candle.tolist()]


def test_when_the_recording_is_over_trading_is_over(small: Recording) -> None:
    market = ReplayMarket({"XUSDT": small}, EPOCH)
    end = market.specs["XUSDT"].delivery
    assert market.ticks("XUSDT", end - 1, end + DAY) == []
    assert market.price("XUSDT", end + DAY) == small.candles["close"][-1]
    with pytest.raises(ApiError):
        market.price("XUSDT", market.specs["XUSDT"].onboard - 1)


Spoil = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.mark.parametrize(
    ("write", "rename", "cast"),
    [
        ("a.csv", {}, None),
        ("a.parquet", {}, None),
        ("a.feather", {}, None),
        ("a.csv", {"open_time": "Date", "open": "Open", "volume": "Volume"}, "text"),
        ("a.feather", {"open_time": "timestamp"}, "datetime"),
        ("a.parquet", {"open_time": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}, "seconds"),
        ("a.csv", {}, "microseconds"),
    ],
)
def test_files_as_people_have_them(tmp_path: Path, write: str, rename: dict[str, str], cast: str | None) -> None:
    table, times = consistent(frame(30)), pl.col("open_time")
    casts = {
        "text": times.cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M:%S"),
        "datetime": times.cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("ns", "UTC")),
        "seconds": times // 1_000,
        "microseconds": times * 1_000,
    }
    told = table.with_columns(open_time=casts[cast]) if cast else table
    path = tmp_path / write
    told = told.rename(rename)
    {".csv": told.write_csv, ".parquet": told.write_parquet, ".feather": told.write_ipc}[path.suffix](path)
    recording = read_recording(path)
    assert recording.candles["t"].tolist() == table["open_time"].to_list()
    assert (recording.candles["close"] / 100).tolist() == table["close"].to_list()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t.drop("close"), r"none for close \(any of close, c\)"),
        (lambda t: t.gather_every(2), "120000 ms apart"),
        (lambda t: pl.concat([t[:10], t[11:]]), "no 1m candles between 2023-11-14T22:09:00Z and 2023-11-14T22:11:00Z"),
        (lambda t: t.with_columns(open_time=pl.col("open_time") + 1), "is not the opening of a 1m candle"),
        (lambda t: t.with_columns(high=pl.col("low") - 1), "the candle of 2023-11-14T22:00:00Z has a price outside"),
        (lambda t: t.with_columns(volume=-pl.col("volume")), "as its volume"),
        (lambda t: t.with_columns(volume=pl.lit("much")), "holds String, not numbers"),
        (lambda t: t.with_columns(close=pl.lit(None, pl.Float64)), "row 1 has nan as its close"),
        (lambda t: t.with_columns(open_time=pl.lit("soon")), "cannot read the time 'soon'"),
        (lambda t: t.with_columns(open_time=pl.col("open_time").cast(pl.Float64)), "times are Float64"),
        (lambda t: t[:1], "one candle only"),
        (lambda t: t[:0], "no candle at all"),
        (lambda t: t.with_columns(volume=pl.col("volume") * 1e15 + 0.12345678), "does not fit 64 bits"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused(tmp_path: Path, spoil: Spoil, says: str) -> None:
    path = tmp_path / "spoilt.parquet"
    spoil(consistent(frame(30)).with_columns(volume=pl.col("volume") + 1)).write_parquet(path)
    with pytest.raises(ReplayFileError, match=says) as refused:
        read_recording(path)
    assert str(path) in str(refused.value)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.parquet").write_bytes(b"noise")
    for name, says in (("a.xls", "ends in none of"), ("absent.csv", "cannot read"), ("noise.parquet", "cannot read")):
        with pytest.raises(ReplayFileError, match=says):
            read_recording(tmp_path / name)


def test_recordings_of_several_intervals_do_not_replay_together(tmp_path: Path, small: Recording) -> None:
    consistent(frame(30, "1h")).write_csv(tmp_path / "h.csv")
    with pytest.raises(UsageError, match="XUSDT 1m, YUSDT 1h"):
        ReplayMarket({"XUSDT": small, "YUSDT": read_recording(tmp_path / "h.csv")}, EPOCH)
    with pytest.raises(UsageError, match="none"):
        ReplayMarket({}, EPOCH)


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("btcusdt_perp_1m_2025.feather", "1m"),
        ("btcusdt_perp_15m_2025.feather", "15m"),
        ("btcusdt_perp_1h_2023-12_2024-12.feather", "1h"),
    ],
)
def test_a_real_recording(name: str, interval: str) -> None:
    if not (REAL / name).exists():
        pytest.skip(f"the recording {name} is not beside this repository")
    table = pl.read_ipc(REAL / name)
    market = ReplayMarket({"BTCUSDT": read_recording(REAL / name)}, EPOCH)
    served = market.klines("BTCUSDT", INTERVALS[interval], 0, 2 * EPOCH)
    assert market.specs["BTCUSDT"].tick == Decimal("0.1")
    assert market.specs["BTCUSDT"].step == Decimal("0.001")
    for column, unit in (("open", 10), ("high", 10), ("low", 10), ("close", 10), ("volume", 1_000)):
        assert (served[column] / unit).tolist() == table[column].to_list()
    assert (served["t"][0] - table["date"].dt.epoch("ms")[0]) % DAY == 0
    assert served["t"][0] < EPOCH < served["t"][-1]
    ticks_build_the_candles(market, served[:: len(served) // 200])
