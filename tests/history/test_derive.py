"""Indicators and signals over stored candles: however candles came and were corrected, whatever crashed, the end is
what a computation over all of the candles gives, and no more is computed than has to be."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from pipeline.cli.wiring import periods_of
from pipeline.history import indicators
from pipeline.history.derive import Derivation, Derived, StillChangingError
from pipeline.history.indicators import Stretch, stretches
from pipeline.indicators import PERIODS, Periods, compute
from pipeline.settings import Indicators, Settings
from pipeline.store.candles import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.returns import ReturnStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals import SAID
from pipeline.store.symbols import SymbolStore
from pipeline.strategies import registry
from pipeline.strategies.base import Codes, Prices
from pipeline.strategies.synthetic import markets
from pipeline.timeline import HOUR, MINUTE, interval, to_datetime
from schemas.candles import INDICATOR_FIELDS
from schemas.series import SeriesKey
from schemas.symbols import Symbol

DECIMALS = 6
STRATEGIES = [registry.get(name) for name in registry.SHIPPED]
LOOKBACK = max(one.lookback for one in STRATEGIES)
COUNT = 3_000
BASE = {"1m": 28_000_000, "15m": 1_900_000, "1w": 2_000, "1M": 300}
LONG_AFTER = 1 << 42
WARM_UP = 6  # before that candle there are no values to change


def key_of(code: str = "15m", exchange: str = "sim") -> SeriesKey:
    return SeriesKey(exchange, "BTCUSDT", code)


def market_of(code: str = "15m", count: int = COUNT) -> pl.DataFrame:
    """A wild market as a table of closed candles."""
    step = interval(code)
    candles = markets(count)[1].candles
    opened = [step.open_time(BASE[code] + place) for place in range(count)]
    volume = candles["volume"]
    times = pl.Datetime("ms", "UTC")
    return pl.DataFrame(
        {
            "t": pl.Series(opened).cast(times),
            "te": pl.Series([step.close_time(t) for t in opened]).cast(times),
            **{name: candles[name] for name in ("open", "high", "low", "close")},
            "volume": volume,
            "quote_volume": volume,
            "trades": pl.Series([5] * count, dtype=pl.Int64),
            "taker_buy_base": volume,
            "taker_buy_quote": volume,
            "closed": [True] * count,
            "u": pl.Series([step.after(t) for t in opened]).cast(times),
        }
    )


@dataclass
class House:
    """A prepared database with the means to fill and to question it."""

    db: Database[Any]

    def store(self, table: pl.DataFrame, key: SeriesKey | None = None) -> None:
        CandleStore(self.db).replace_closed(key or key_of(), table)

    def derive(self, key: SeriesKey | None = None, *, now: int = LONG_AFTER, **options: Any) -> Derived:
        return self.derivation().bring_up(key or key_of(), now, **options)

    def derivation(self, periods: Periods = PERIODS, strategies: Any = STRATEGIES) -> Derivation:
        return Derivation(self.db, strategies, periods)

    def marks(self) -> list[bool]:
        series = SeriesStore(self.db).get(key_of())
        assert series is not None
        return [one.confirmed for one in series.stale]

    def indicators(self, key: SeriesKey | None = None) -> pl.DataFrame:
        table = CandleStore(self.db).load(key or key_of(), 0, 1 << 43)
        return table.select("t", *INDICATOR_FIELDS)

    def signals(self, exchange: str = "sim") -> list[dict[str, Any]]:
        said = dict.fromkeys(SAID, 1)
        found = [*self.db["signals"].find({"exchange": exchange}, said).sort("_id", 1)]
        return [one | {"_id": one["_id"].removeprefix(exchange), "exchange": ""} for one in found]

    def is_as_if_computed_at_once(self, table: pl.DataFrame) -> None:
        """What is stored equals the same candles put into another series in one piece."""
        other = key_of(exchange="binance-um")
        self.db["candles"].delete_many({"exchange": other.exchange})
        self.db["signals"].delete_many({"exchange": other.exchange})
        self.store(table, other)
        self.derive(other, anew=True)
        same(self.indicators(), self.indicators(other))
        assert self.signals() == self.signals(other.exchange)


def same(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    assert ours.columns == theirs.columns
    for name in ours.columns:
        np.testing.assert_array_equal(ours[name].to_numpy(), theirs[name].to_numpy(), name)


def described(exchange: str) -> Symbol:
    names = ("pair", "contract_type", "status", "base_asset", "quote_asset", "margin_asset")
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    return Symbol(
        id=f"{exchange}:BTCUSDT",
        exchange=exchange,
        symbol="BTCUSDT",
        **dict.fromkeys(names, "BTCUSDT"),
        price_precision=DECIMALS,
        quantity_precision=3,
        onboarded=moment,
        delivery=moment,
        updated_at=moment,
    )


@pytest.fixture
def house(db: Database[Any]) -> House:
    prepare(db)
    SymbolStore(db).save([described("sim"), described("binance-um")])
    return House(db)


def corrected(table: pl.DataFrame, place: int, factor: float = 1.05) -> pl.DataFrame:
    """The one candle at that place, with another price."""
    one = table[place : place + 1]
    close = round(one["close"][0] * factor, DECIMALS)
    return one.with_columns(
        pl.lit(close).alias("close"), pl.max_horizontal("high", pl.lit(close)), pl.min_horizontal("low", pl.lit(close))
    )


def with_correction(table: pl.DataFrame, place: int) -> pl.DataFrame:
    return pl.concat([table[:place], corrected(table, place), table[place + 1 :]])


# --- what has to be computed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([Stretch(2_000, 2_000)], [(2_000, 3_020)], id="one candle reaches to the end of the block after"),
        pytest.param([Stretch(2_000, 2_500)], [(2_000, 3_980)], id="a few that reach into the block after next"),
        pytest.param([Stretch(9_950, 9_999)], [(9_950, 9_999)], id="no candle lies behind the last"),
        pytest.param([Stretch(5_000, 5_000), Stretch(2_000, 2_000)], [(2_000, 3_020), (5_000, 5_900)], id="two apart"),
        pytest.param([Stretch(2_000, 2_000), Stretch(2_900, 2_900)], [(2_000, 3_980)], id="two that overlap"),
        pytest.param([Stretch(2_000, 2_000), Stretch(3_021, 3_021)], [(2_000, 3_980)], id="two that touch"),
        pytest.param([Stretch(9_990, 20_000)], [(9_990, 9_999)], id="more than there is"),
        pytest.param([Stretch(20_000, 20_001)], [], id="beyond the end"),
    ],
)
def test_stretches_that_depend_on_what_changed(changed: list[Stretch], expected: list[tuple[int, int]]) -> None:
    assert PERIODS.block == 960
    assert [tuple(one) for one in stretches(changed, PERIODS, 141, 9_999)] == expected


def test_a_long_stretch_is_worked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicators, "MOST_AT_ONCE", 4)
    assert [tuple(one) for one in stretches([Stretch(10, 19)], PERIODS, 0, 19)] == [(10, 13), (14, 17), (18, 19)]


def test_working_in_pieces_changes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    table = market_of()
    house.store(table)
    monkeypatch.setattr(indicators, "MOST_AT_ONCE", 700)
    house.derive()
    monkeypatch.undo()
    house.is_as_if_computed_at_once(table)


# --- what is new, and what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["1m", "1w", "1M"])
def test_every_value_is_the_one_of_the_whole_history(house: House, code: str) -> None:
    table = market_of(code, count=700)
    house.store(table, key_of(code))
    house.derive(key_of(code))
    prices = (table[name].to_numpy() for name in ("high", "low", "close"))
    expected = compute(np.arange(BASE[code], BASE[code] + 700), *prices, decimals=DECIMALS)
    stored = house.indicators(key_of(code))
    for name in INDICATOR_FIELDS:
        np.testing.assert_array_equal(stored[name].to_numpy(), expected[name], name)


def test_a_second_run_computes_and_writes_nothing(house: House) -> None:
    house.store(market_of())
    first, second = house.derive(), house.derive()
    assert (first.candles, first.signals.added > 100) == (COUNT, True)
    assert (second.candles, second.written, second.signals.found) == (0, 0, 0)


def test_anew_computes_everything_and_writes_nothing(house: House) -> None:
    house.store(market_of())
    house.derive()
    again = house.derive(anew=True)
    assert (again.candles, again.written) == (COUNT, 0)
    assert (again.signals.added, again.signals.changed, again.signals.withdrawn) == (0, 0, 0)
    assert again.signals.found == len(house.signals())


def test_new_candles_alone_are_computed(house: House) -> None:
    table = market_of()
    house.store(table[:2_990])
    house.derive()
    house.store(table[2_990:])
    assert house.derive().candles == 10
    house.is_as_if_computed_at_once(table)


def test_a_series_nobody_knows_is_nothing_to_do(house: House) -> None:
    done = house.derive()
    assert (done.candles, done.signals.found, done.failure) == (0, 0, None)


# --- corrections ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 5, 700, 1_499, 2_400, COUNT - 1])
def test_a_corrected_candle_has_exactly_what_depends_on_it_computed(house: House, place: int) -> None:
    table = market_of()
    house.store(table)
    house.derive()
    before = house.indicators().drop("t")
    house.store(corrected(table, place))
    done = house.derive()
    number = BASE["15m"] + place
    reach = min(PERIODS.last_affected(number) + LOOKBACK, BASE["15m"] + COUNT - 1)
    assert done.candles == reach - number + 1
    assert house.marks() == []
    after = house.indicators().drop("t")
    changed = [
        row for row in range(COUNT) if before.row(row) != pytest.approx(after.row(row), abs=0, rel=0, nan_ok=True)
    ]
    assert place <= changed[0] <= max(place, WARM_UP)
    assert changed[-1] <= PERIODS.last_affected(number) - BASE["15m"]
    house.is_as_if_computed_at_once(with_correction(table, place))


def test_a_filled_gap_has_what_lies_behind_it_computed(house: House) -> None:
    table = market_of()
    house.store(pl.concat([table[:1_000], table[1_040:]]))
    house.derive()
    house.store(table[1_000:1_040])
    house.derive()
    house.is_as_if_computed_at_once(table)


@pytest.mark.parametrize("seed", range(4))
def test_in_whatever_order_candles_come_and_change_the_end_is_the_same(house: House, seed: int) -> None:
    chance = random.Random(seed)
    truth = market_of()
    for _ in range(14):
        begin = chance.randrange(COUNT)
        match chance.choice(["store", "store", "correct", "derive"]):
            case "store":
                house.store(truth[begin : begin + chance.choice([1, 50, 1_500])])
            case "correct":
                truth = with_correction(truth, begin)
                house.store(truth[begin : begin + 1])
            case "derive":
                house.derive()
    house.store(truth)
    house.derive()
    house.is_as_if_computed_at_once(truth)


# --- crashes -------------------------------------------------------------------------------------------------------


def test_a_crash_after_the_candles_and_before_the_indicators_is_made_up_for(house: House) -> None:
    table = market_of()
    house.store(table)
    house.derive()
    house.store(corrected(table, 900))
    assert house.marks() == [True]
    assert House(house.db).derive().written > 400
    house.is_as_if_computed_at_once(with_correction(table, 900))


def test_a_mark_whose_candles_may_still_be_on_their_way_is_used_and_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = market_of()
    house.store(table)
    house.derive()

    def fails(*_: Any) -> int:
        raise AutoReconnect("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(CandleStore, "_send", fails)
        with pytest.raises(AutoReconnect):
            house.store(corrected(table, 900))
    assert house.marks() == [False]
    soon = int(datetime.now(UTC).timestamp() * 1_000) + 5 * MINUTE
    assert house.derive(now=soon).candles > 700
    assert house.marks() == [False]
    CandleStore(house.db)._collection.update_one(  # the write that was on its way lands after all
        {"_id": f"{key_of()}:{bucket_start(900)}"}, {"$set": {f"candles.{slot_of(900)}.close": 1.0}}
    )
    assert house.derive(now=soon).written > 400
    assert house.derive(now=soon + 2 * HOUR).written == 0
    assert house.marks() == []


def bucket_start(place: int) -> str:
    step = interval("15m")
    opened = step.slot(step.open_time(BASE["15m"] + place)).bucket
    return to_datetime(opened).strftime("%Y-%m-%dT%H:%M:%SZ")


def slot_of(place: int) -> int:
    step = interval("15m")
    return step.slot(step.open_time(BASE["15m"] + place)).position


def test_a_correction_during_the_computation_has_it_done_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    table = market_of()
    house.store(table)
    truly = indicators.bring_up
    pending = [900]

    def disturbed(*arguments: Any) -> Any:
        computed = truly(*arguments)
        if pending:
            house.store(corrected(table, pending.pop()))
        return computed

    monkeypatch.setattr(indicators, "bring_up", disturbed)
    house.derive()
    monkeypatch.undo()
    assert house.marks() == []
    house.is_as_if_computed_at_once(with_correction(table, 900))


def test_candles_that_never_stop_changing_are_left_for_the_next_run(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = market_of()
    house.store(table)
    truly = indicators.bring_up

    def disturbed(*arguments: Any) -> Any:
        nonlocal table
        computed = truly(*arguments)
        table = with_correction(table, 900)
        house.store(table[900:901])
        return computed

    monkeypatch.setattr(indicators, "bring_up", disturbed)
    with pytest.raises(StillChangingError, match="run it again"):
        house.derive()
    monkeypatch.undo()
    house.derive()
    house.is_as_if_computed_at_once(table)


# --- signals -------------------------------------------------------------------------------------------------------


def test_history_is_never_fresh_and_what_may_be_is_left_to_the_live_side(house: House) -> None:
    table = market_of()
    house.store(table)
    SeriesStore(house.db).recount(key_of(), "rest", 0)
    step = interval("15m")
    just_closed = step.open_time(BASE["15m"] + COUNT) + MINUTE
    house.derive(now=just_closed)
    newest = house.db["signals"].find_one(sort=[("at", -1)])
    assert newest is not None
    assert newest["at"] < to_datetime(just_closed - MINUTE)
    house.derive(now=just_closed + 5 * MINUTE)
    house.is_as_if_computed_at_once(table)
    assert house.db["signals"].distinct("fresh_until") == [None]
    assert house.db["signals"].distinct("verdict") == ["expired"]
    assert house.db["signals"].distinct("source") == ["history"]


def lost_signal(house: House, table: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """A correction after which a signal that is stored is not found any more."""
    house.store(table)
    house.derive()
    before = {one["_id"] for one in house.db["signals"].find()}
    changed = with_correction(table, 1_500)
    other = key_of(exchange="binance-um")
    house.store(changed, other)
    house.derive(other)
    after = {one["_id"].replace("binance-um", "sim") for one in house.db["signals"].find({"exchange": "binance-um"})}
    return changed, min(before - after)


def test_a_signal_that_a_correction_takes_away_is_withdrawn(house: House) -> None:
    changed, lost = lost_signal(house, market_of())
    house.store(changed)
    done = house.derive()
    assert done.signals.withdrawn > 0
    assert house.db["signals"].count_documents({"_id": lost}) == 0
    house.is_as_if_computed_at_once(changed)


@pytest.mark.parametrize("acted", [{"verdict": "taken"}, {"verdict": "skipped"}, {"orders": ["x"]}])
def test_unless_somebody_acted_on_it_and_then_that_is_said(
    house: House, caplog: pytest.LogCaptureFixture, acted: dict[str, Any]
) -> None:
    changed, lost = lost_signal(house, market_of())
    house.db["signals"].update_one({"_id": lost}, {"$set": acted})
    house.store(changed)
    assert house.derive().signals.kept == (lost,)
    assert house.db["signals"].count_documents({"_id": lost}) == 1
    assert lost in caplog.text


def test_a_signal_that_the_live_side_wrote_stays_as_it_is(house: House) -> None:
    house.store(market_of())
    house.derive()
    house.db["signals"].update_many({}, {"$set": {"source": "live", "return_pct": 1.5}})
    house.derive(anew=True)
    assert house.db["signals"].distinct("source") == ["live"]
    assert house.db["signals"].distinct("return_pct") == [1.5]


# --- settings ------------------------------------------------------------------------------------------------------


def test_other_periods_compute_everything_anew_and_are_recorded(house: House) -> None:
    house.store(market_of())
    house.derive()
    other = house.derivation(Periods(rsi=21))
    done = other.bring_up(key_of(), LONG_AFTER)
    assert (done.candles, done.written > COUNT - 50) == (COUNT, True)
    series = SeriesStore(house.db).get(key_of())
    assert series is not None
    assert series.indicators is not None
    assert series.indicators.settings == f"{Periods(rsi=21).code} d6"
    assert all("rsi21" in one["settings"] for one in house.signals())
    assert other.bring_up(key_of(), LONG_AFTER).candles == 0


def test_another_set_of_strategies_finds_its_signals_and_withdraws_the_others(house: House) -> None:
    house.store(market_of())
    house.derive()
    house.derivation(strategies=[registry.get("rsi_reversal")]).bring_up(key_of(), LONG_AFTER)
    assert house.db["signals"].distinct("strategy") == ["rsi_reversal"]
    house.derive()
    assert set(house.db["signals"].distinct("strategy")) == set(registry.SHIPPED)


def test_a_column_holds_what_its_name_says_whatever_averages_are_asked_for(house: House) -> None:
    periods = periods_of(Settings(indicators=Indicators(sma=(5, 10, 50, 200))), ())
    assert periods.sma == (5, 7, 10, 20, 50, 60, 120, 200)
    house.store(market_of())
    house.derive()
    before = house.indicators()
    crossing = registry.get("ma_breakout", {"n": 50})
    done = house.derivation(periods, [crossing]).bring_up(key_of(), LONG_AFTER)
    assert done.written == 0
    same(before, house.indicators())
    one = house.db["signals"].find_one()
    assert one is not None
    assert set(one["indicators"]) == {"close", "sma50", "atr"}


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_symbol_that_nobody_described_is_said(house: House) -> None:
    house.db["symbols"].delete_many({})
    house.store(market_of(count=50))
    (done,) = house.derivation().bring_up_all([key_of()], LONG_AFTER)
    assert "tidemark backfill BTCUSDT" in (done.failure or "")


@dataclass(frozen=True)
class Broken:
    """A strategy that fails."""

    name: ClassVar[str] = "broken"

    @property
    def needs(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def lookback(self) -> int:
        return 0

    def signals(self, columns: Prices) -> Codes:
        raise ZeroDivisionError("oh")


def test_a_strategy_that_fails_is_said_and_nothing_is_withdrawn(house: House) -> None:
    house.store(market_of())
    house.derive()
    before = house.signals()
    failing = house.derivation(strategies=[*STRATEGIES, Broken()])
    done, unknown = failing.bring_up_all([key_of(), key_of("1w")], LONG_AFTER)
    assert done.failure == "strategy broken failed: ZeroDivisionError: oh"
    assert unknown.failure is None
    assert house.signals() == before


def test_whoever_waits_is_told_series_by_series(house: House) -> None:
    house.store(market_of(count=50))
    told: list[str] = []
    keys = [key_of(), key_of("1w")]
    tell: Callable[[Derived], None] = lambda one: told.append(one.interval)  # noqa: E731
    reports = house.derivation().bring_up_all(keys, LONG_AFTER, told=tell)
    assert sorted(told) == sorted(one.interval for one in reports) == ["15m", "1w"]


# --- returns of signals --------------------------------------------------------------------------------------------


def test_what_became_of_signals_in_the_history_is_known_at_once(house: House) -> None:
    house.store(market_of())
    SeriesStore(house.db).recount(key_of(), None, LONG_AFTER)
    (report,) = house.derivation().bring_up_all([key_of()], LONG_AFTER)
    known = house.db["signals"].count_documents({"return_pct": {"$ne": None}, "return_1d": {"$ne": None}})
    assert 0.5 * report.signals.added < known <= report.signals.added


def returns_of(house: House) -> list[dict[str, Any]]:
    """The returns of every signal, brought up to the newest price."""
    SeriesStore(house.db).recount(key_of(), None, LONG_AFTER)
    ReturnStore(house.db).refresh("sim")
    fields = ("price", "return_pct", "best_pct", "worst_pct", "return_1h", "return_4h", "return_1d", "return_7d")
    return [*house.db["signals"].find({}, dict.fromkeys(fields, 1)).sort("_id", 1)]


def test_signals_from_before_a_correction_are_worked_out_again(house: House) -> None:
    table = market_of()
    house.store(table)
    house.derive()
    before = returns_of(house)
    house.store(corrected(table, 2_400, factor=1.5))
    house.derive()
    waiting = house.db["signals"].count_documents({"returns_through": None})
    after = returns_of(house)
    house.db["signals"].update_many({}, {"$set": {"returns_through": None}})
    assert after == returns_of(house) != before
    assert 0 < waiting < len(after), "those from after it stay as they are"
