"""The check lets sound strategies pass and catches each kind of fault; live and batch give the same codes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from pipeline.app.candle_file import read_sample
from pipeline.indicators import tail
from pipeline.periods import TAIL, WINDOW
from pipeline.strategies import registry
from pipeline.strategies.base import CANDLE_COLUMNS, Strategy, StrategyError, label_of
from pipeline.strategies.check import findings, require
from pipeline.strategies.runner import last_code, run, run_history
from pipeline.strategies.synthetic import Sample, samples
from tests.strategies.recorded import REALDATA, needs_realdata

Columns = Mapping[str, np.ndarray[Any, Any]]


def above(left: Any, right: Any) -> Any:
    return (left > right).astype(np.int8) * np.int8(2)


@dataclass(frozen=True)
class Sound:
    """Long where the close is above the last one."""

    name: ClassVar[str] = "sound"
    needs: ClassVar[tuple[str, ...]] = ("close",)
    lookback: ClassVar[int] = 1

    def signals(self, columns: Columns) -> Any:
        codes = np.zeros(len(columns["close"]), dtype=np.int8)
        codes[1:] = above(columns["close"][1:], columns["close"][:-1])
        return codes


class NextCandle(Sound):
    """Knows the next close."""

    def signals(self, columns: Columns) -> Any:
        return above(np.roll(columns["close"], -1), columns["close"])


class MeanOfAll(Sound):
    """Compares with a mean that later candles are part of."""

    def signals(self, columns: Columns) -> Any:
        return above(columns["close"], columns["close"].mean())


class Centred(Sound):
    """Smooths with candles on both sides."""

    def signals(self, columns: Columns) -> Any:
        return above(
            columns["close"], np.convolve(np.pad(columns["close"], 2, mode="edge"), np.ones(5) / 5, mode="valid")
        )


class Pivot(Sound):
    """Marks a low once the candle after it has closed higher - at the candle of the low."""

    lookback = 2

    def signals(self, columns: Columns) -> Any:
        close = columns["close"]
        codes = np.zeros(len(close), dtype=np.int8)
        codes[1:-1] = ((close[1:-1] < close[:-2]) & (close[1:-1] < close[2:])).astype(np.int8)
        return codes


class HighestEver(Sound):
    """Remembers further back than it says."""

    def signals(self, columns: Columns) -> Any:
        return above(columns["close"], np.concatenate(([0.0], np.maximum.accumulate(columns["close"])[:-1])))


class Raises(Sound):
    def signals(self, columns: Columns) -> Any:
        raise ZeroDivisionError("no volume")


class Shorter(Sound):
    def signals(self, columns: Columns) -> Any:
        return super().signals(columns)[1:]


class Wider(Sound):
    def signals(self, columns: Columns) -> Any:
        return super().signals(columns).astype(np.int64)


class Booleans(Sound):
    def signals(self, columns: Columns) -> Any:
        return super().signals(columns) > 0


class AList(Sound):
    def signals(self, columns: Columns) -> Any:
        return super().signals(columns).tolist()


class StrangeCode(Sound):
    def signals(self, columns: Columns) -> Any:
        return super().signals(columns) * np.int8(4)


class LowestCode(Sound):
    def signals(self, columns: Columns) -> Any:
        return np.full(len(columns["close"]), -128, dtype=np.int8)


class UnknownColumn(Sound):
    needs = ("close", "ema99")


class NotDeclared(Sound):
    def signals(self, columns: Columns) -> Any:
        return above(columns["close"], columns["open"])


class Writes(Sound):
    def signals(self, columns: Columns) -> Any:
        columns["close"][0] = 0.0
        return super().signals(columns)


class Draws(Sound):
    def signals(self, columns: Columns) -> Any:
        return np.random.default_rng().integers(0, 2, len(columns["close"]), dtype=np.int8)


class TooFar(Sound):
    lookback = TAIL


class OddEdition(Sound):
    edition: ClassVar[Any] = "second"


class NoEdition(Sound):
    edition = 0


class OneMarket(Sound):
    markets = "spot"


class OddMarket(Sound):
    markets: ClassVar[Any] = {"um", "forex"}


class WrongGate(Sound):
    def may_signal(self, columns: Columns, before: Any) -> bool:
        return False


FAULTS: dict[type[Sound], str] = {
    NextCandle: "it looks ahead: with the candles up to",
    MeanOfAll: "it looks ahead",
    Centred: "it looks ahead",
    Pivot: "it looks ahead",
    HighestEver: "it looks back further than its lookback of 1: at candle",
    Raises: "failed: ZeroDivisionError: no volume",
    Shorter: r"one code a candle: 1500 candles, codes of shape \(1499,\)",
    Wider: "must answer a numpy array of int8, not int64",
    Booleans: "not bool",
    AList: "not list",
    StrangeCode: "unknown code 8",
    LowestCode: "unknown code -128",
    UnknownColumn: "needs the column 'ema99', which is not computed. There are: open, high,",
    NotDeclared: "failed: KeyError: 'open'",
    Writes: "failed: ValueError: assignment destination is read-only",
    Draws: "answers differently when asked twice",
    TooFar: f"lookback is {TAIL} candles; the live window allows 0 to {TAIL - 1}",
    OddEdition: "its edition must be a whole number from 1 on, not 'second'",
    NoEdition: "its edition must be a whole number from 1 on, not 0",
    OneMarket: "its markets must be some of cm, spot, um, not 'spot'",
    OddMarket: "its markets must be some of cm, spot, um, not {",
    WrongGate: "its may_signal rules out the code 2",
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_a_faulty_strategy_is_refused_by_name(kind: type[Sound]) -> None:
    with pytest.raises(StrategyError, match=FAULTS[kind]) as refused:
        require(kind())
    assert "sound is refused" in str(refused.value)


def test_a_sound_strategy_passes() -> None:
    require(Sound())


@pytest.mark.parametrize("name", registry.SHIPPED)
def test_every_shipped_strategy_is_sound(name: str) -> None:
    told = list(findings(registry.get(name)))
    assert [finding.fault for finding in told] == [None] * len(samples())
    assert sum(finding.signals for finding in told) >= 20


@pytest.mark.parametrize(
    "strategy",
    [
        registry.get("macd_cross", {"average": 20}),
        registry.get("ma_breakout", {"n": 120}),
        registry.get("ma_order_golden", {"short": 20, "mid": 60, "long": 120, "memory": 200}),
        registry.get("macd_turtle", {"small": 0.0, "patience": 1, "adds": 5, "memory": 190}),
        registry.get("macd_turtle", {"criterion": "order", "small": 0.2, "patience": 8, "adds": 1, "memory": 5}),
        registry.get("macd_turtle", {"criterion": "both", "patience": 90, "memory": 5}),
        registry.get("macd_turtle", {"criterion": "both", "short": 3, "mid": 5, "long": 9, "patience": 3}),
        registry.get("rsi_reversal", {"low": 45, "high": 55}),
    ],
    ids=label_of,
)
def test_with_other_parameters_too(strategy: Strategy) -> None:
    require(strategy)


# --- the law: a live window gives the same codes as the whole history -------------------------------------------------


def disagreements(market: Sample, step: int) -> Iterator[str]:
    """From candles to codes, both ways: over everything, and at each candle from the live window alone."""
    everything = market.columns()
    strategies = [registry.get(name) for name in registry.SHIPPED]
    strategies += [registry.get("macd_turtle", {"criterion": one}) for one in ("order", "both")]
    history = {label_of(strategy): run(strategy, everything) for strategy in strategies}
    for end in range(1, len(market.numbers) + 1, step):
        begin = max(0, end - WINDOW)
        candles = {name: market.candles[name][begin:end] for name in CANDLE_COLUMNS}
        indicators = tail(
            int(market.numbers[begin]),
            candles["high"],
            candles["low"],
            candles["close"],
            decimals=market.decimals,
        )
        columns = {name: values[-TAIL:] for name, values in candles.items()} | indicators
        for strategy in strategies:
            before = run(strategy, {name: values[:-1] for name, values in columns.items()})
            expected = history[label_of(strategy)][end - 1]
            if last_code(strategy, columns) != expected or last_code(strategy, columns, before) != expected:
                yield f"{label_of(strategy)} at candle {end - 1}"


@pytest.mark.parametrize("market", samples(2_400), ids=lambda market: market.name)
def test_live_codes_equal_those_of_the_history(market: Sample) -> None:
    assert list(disagreements(market, 7)) == []


@needs_realdata
@pytest.mark.parametrize(
    ("name", "step"),
    [("btcusdt_perp_1h_2023-12_2024-12", 5), ("btcusdt_perp_15m_2025", 2), ("btcusdt_perp_1m_2025", 29)],
)
def test_live_codes_equal_those_of_the_history_on_recorded_candles(name: str, step: int) -> None:
    assert list(disagreements(read_sample(REALDATA / f"{name}.feather"), step)) == []


@pytest.mark.parametrize("name", registry.SHIPPED)
def test_after_a_hole_a_strategy_starts_afresh(name: str) -> None:
    market = samples()[0]
    columns = market.columns()
    strategy = registry.get(name)
    kept = np.r_[0:600, 640:1_500]
    parts = [
        run(strategy, {key: values[part] for key, values in columns.items()})
        for part in (slice(600), slice(640, 1_500))
    ]
    holed = run_history(strategy, {key: values[kept] for key, values in columns.items()}, market.numbers[kept])
    np.testing.assert_array_equal(holed, np.concatenate(parts))


def test_the_hole_itself_is_no_cross() -> None:
    close = np.array([98.0, 98, 102, 102])
    columns = {"close": close, "sma20": np.full(4, 100.0)}
    strategy = registry.get("ma_breakout")
    assert run_history(strategy, columns, np.array([1, 2, 3, 4])).tolist() == [0, 0, 2, 0]
    assert run_history(strategy, columns, np.array([1, 2, 4, 5])).tolist() == [0, 0, 0, 0]


def test_no_candles_no_code() -> None:
    nothing = dict.fromkeys(("close", "sma20"), np.empty(0))
    assert last_code(registry.get("ma_breakout"), nothing) == 0
    assert run(registry.get("ma_breakout"), nothing).tolist() == []
