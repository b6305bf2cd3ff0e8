"""Indicators and signals over stored candles: however candles came and were corrected, whatever crashed, the end is
what a computation over all of the candles gives, and no more is computed than has to be."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from pipeline.app.wiring import derivation_of, periods_of
from pipeline.history import indicators
from pipeline.history.derive import Derived
from pipeline.history.indicators import Stretch, stretches
from pipeline.indicators import compute
from pipeline.periods import PERIODS, Periods
from pipeline.settings import Indicators, Settings
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import SignalStore
from pipeline.store.symbols import SymbolStore
from pipeline.strategies import registry
from pipeline.strategies.base import Codes, Prices
from pipeline.strategies.ma_breakout import MaBreakout
from schemas.candles import INDICATOR_FIELDS
from tests.history.house import (
    BASE,
    COUNT,
    DECIMALS,
    LONG_AFTER,
    LOOKBACK,
    STRATEGIES,
    WARM_UP,
    House,
    corrected,
    key_of,
    market_of,
    same,
    with_correction,
)

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


def test_another_kind_of_atr_computes_that_column_anew(house: House) -> None:
    house.store(market_of())
    house.derive()
    before = house.indicators()
    tuned = Settings(indicators=Indicators(atr_kind="simple"))
    done = derivation_of(tuned, house.db).bring_up(key_of(), LONG_AFTER)
    assert (done.candles, done.written > COUNT - 50) == (COUNT, True)
    same(before.drop("atr"), house.indicators().drop("atr"))
    assert all(" atr14-simple " in one["settings"] for one in house.signals())
    assert derivation_of(tuned, house.db).bring_up(key_of(), LONG_AFTER).candles == 0


def test_another_set_of_strategies_finds_its_signals_and_withdraws_the_others(house: House) -> None:
    house.store(market_of())
    house.derive()
    house.derivation(strategies=[registry.get("rsi_reversal")]).bring_up(key_of(), LONG_AFTER)
    assert house.db["signals"].distinct("strategy") == ["rsi_reversal"]
    house.derive()
    assert set(house.db["signals"].distinct("strategy")) == set(registry.SHIPPED)


def test_other_parameters_find_their_signals_record_themselves_and_withdraw_the_others(house: House) -> None:
    house.store(market_of())
    house.derive()
    tuned = Settings(strategy_parameters={"ma_breakout": {"n": 33}})
    done = derivation_of(tuned, house.db).bring_up(key_of(), LONG_AFTER)
    assert (done.candles, done.written) == (COUNT, 0)
    assert min(done.signals.added, done.signals.withdrawn) > 20
    settings = sorted({one["settings"] for one in house.signals() if one["strategy"] == "ma_breakout"})
    assert [one.partition(" atr")[0] for one in settings] == [
        "ma_breakout(n=33) on v1 rsi14 macd12-26-9 sma7-20-33-60-120"
    ]
    assert derivation_of(tuned, house.db).bring_up(key_of(), LONG_AFTER).candles == 0


def test_a_strategy_that_is_to_run_elsewhere_says_nothing_here(house: House) -> None:
    house.store(market_of())
    house.derivation(strategies=[MaBreakout()]).bring_up(key_of(), LONG_AFTER)
    assert house.signals()
    tables: list[Any] = [{"ma_breakout": {"intervals": [code]}} for code in ("1h", "15m")]
    elsewhere, here = (derivation_of(Settings(strategies=table), house.db) for table in tables)
    done = elsewhere.bring_up(key_of(), LONG_AFTER)
    assert (done.signals.found, done.signals.withdrawn > 20, house.signals()) == (0, True, [])
    assert elsewhere.bring_up(key_of(), LONG_AFTER).candles == 0
    assert here.bring_up(key_of(), LONG_AFTER).signals.added == done.signals.withdrawn


def test_what_goes_is_named_before_it_goes_and_only_where_strategies_are_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.store(market_of())
    house.derive()
    fewer = house.derivation(strategies=[registry.get("rsi_reversal")])
    going = fewer.not_chosen([key_of(), key_of(exchange="nowhere")])
    assert going == {
        name: count
        for name in sorted(set(registry.SHIPPED) - {"rsi_reversal"})
        if (count := house.db["signals"].count_documents({"strategy": name, "confirmed": True}))
    }
    assert len(going) > 3
    tables: list[Any] = [{"ma_breakout": {"intervals": [code]}} for code in ("1h", "15m")]
    elsewhere = derivation_of(Settings(strategies=tables[0]), house.db)
    assert elsewhere.not_chosen([key_of()])["ma_breakout"] == going["ma_breakout"]
    assert fewer.bring_up(key_of(), LONG_AFTER).signals.withdrawn == sum(going.values())
    monkeypatch.setattr(SignalStore, "of_others", None)  # nothing is read of a series whose strategies are the same
    assert fewer.not_chosen([key_of()]) == {}


class Rewritten(MaBreakout):
    """The same parameters, another rule: whoever runs it finds what it says, not what the rule before it said."""

    edition: ClassVar[int] = 2

    def signals(self, columns: Prices) -> Codes:
        return -super().signals(columns)


def test_a_rule_that_was_rewritten_finds_its_signals_anew(house: House) -> None:
    house.store(market_of())
    house.derivation(strategies=[MaBreakout()]).bring_up(key_of(), LONG_AFTER)
    rewritten = house.derivation(strategies=[Rewritten()])
    done = rewritten.bring_up(key_of(), LONG_AFTER)
    assert (done.candles, done.written) == (COUNT, 0)
    assert done.signals.added == done.signals.withdrawn > 20
    (settings,) = {one["settings"] for one in house.signals()}
    assert settings.startswith("ma_breakout(n=20) edition 2 on v1 rsi14")
    assert rewritten.bring_up(key_of(), LONG_AFTER).candles == 0


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
    line = Broken.signals.__code__.co_firstlineno + 1
    assert done.failure == f"strategy broken failed: ZeroDivisionError: oh (test_derive.py, line {line})"
    assert unknown.failure is None
    assert house.signals() == before


def test_whoever_waits_is_told_how_many_candles_of_how_many_are_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.store(market_of())
    SeriesStore(house.db).recount(key_of(), "rest", LONG_AFTER)
    monkeypatch.setattr(indicators, "MOST_AT_ONCE", COUNT // 4)
    told: list[tuple[int, int]] = []
    both = [key_of(), key_of(exchange="nowhere")]
    house.derivation().bring_up_all(both, LONG_AFTER, progress=lambda done, wanted: told.append((done, wanted)))
    assert told[0] == (0, COUNT)
    assert told[-1] == (COUNT, COUNT)
    assert len(told) > 4
    assert told == sorted(told)
    told.clear()
    house.derivation().bring_up_all(both, LONG_AFTER, progress=lambda done, wanted: told.append((done, wanted)))
    assert told == [(0, 0)]


def test_whoever_waits_is_told_series_by_series(house: House) -> None:
    house.store(market_of(count=50))
    told: list[str] = []
    keys = [key_of(), key_of("1w")]
    tell: Callable[[Derived], None] = lambda one: told.append(one.interval)  # noqa: E731
    reports = house.derivation().bring_up_all(keys, LONG_AFTER, told=tell)
    assert sorted(told) == sorted(one.interval for one in reports) == ["15m", "1w"]


# --- prices of other decimals --------------------------------------------------------------------------------------


def with_close(table: pl.DataFrame, place: int, close: float) -> pl.DataFrame:
    one = table[place : place + 1].with_columns(
        pl.lit(close).alias("close"), pl.max_horizontal("high", pl.lit(close)), pl.min_horizontal("low", pl.lit(close))
    )
    return pl.concat([table[:place], one, table[place + 1 :]])


def finer(table: pl.DataFrame, place: int) -> pl.DataFrame:
    """The close at that place has a decimal more than the symbol's prices have now."""
    return with_close(table, place, round(table["close"][place] + 0.5 * 10.0**-DECIMALS, DECIMALS + 1))


@pytest.mark.parametrize("place", [0, 1_000, COUNT - 1])
def test_an_old_price_that_was_finer_is_computed_with_its_decimals(house: House, place: int) -> None:
    table = finer(market_of(), place)
    house.store(table)
    done = house.derive()
    assert (done.failure, done.candles) == (None, COUNT)
    symbols = SymbolStore(house.db)
    assert symbols.get("sim", "BTCUSDT").decimals == DECIMALS + 1  # type: ignore[union-attr]
    assert house.derive().candles == 0, "and it is done"
    house.is_as_if_computed_at_once(table)


def test_when_finer_prices_come_what_was_derived_before_is_derived_anew(house: House) -> None:
    table = finer(market_of(), 2_500)
    house.store(table[:2_400])
    house.derive()
    house.store(table[2_400:])
    house.derive()
    house.is_as_if_computed_at_once(table)
    assert {one["settings"].rpartition(" ")[2] for one in house.signals()} == {f"d{DECIMALS + 1}"}


def test_a_close_that_is_no_price_is_a_hole_and_nothing_else(house: House) -> None:
    table = with_close(market_of(), 1_500, 0.1 + 0.2)
    house.store(table)
    done = house.derive()
    assert (done.failure, done.candles) == (None, COUNT)
    values = house.indicators()
    assert [bool(np.isnan(values["rsi"][place])) for place in (1_499, 1_500, 1_501, 1_515)] == [0, 1, 1, 0]
    other = key_of(exchange="binance-um")
    house.store(table.filter(pl.col("t") != table["t"][1_500]), other)
    house.derive(other)
    same(house.indicators().filter(pl.col("t") != table["t"][1_500]), house.indicators(other))


def test_a_stretch_without_any_price_is_passed_over(house: House) -> None:
    table = market_of()
    house.store(table)
    house.derive()
    house.store(with_close(table, COUNT - 1, 0.1 + 0.2)[COUNT - 1 :])
    assert house.derive().failure is None
    assert house.derive().candles == 0
