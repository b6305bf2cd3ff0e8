"""What the executor takes of the signals of recorded BTCUSDT, as docs/strategies.md tells it: its own core, with the
settings that are shipped. When a table fails, the new one is in the failure."""

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

import polars as pl
import pytest

from pipeline.execution.engine.state import SignalView
from pipeline.strategies import registry
from pipeline.strategies.base import Strategy, label_of, meaning_of
from pipeline.strategies.runner import run
from pipeline.timeline import HOUR, MINUTE
from tests.execution.model import SYMBOL, Exchange
from tests.strategies.recorded import FILES, HOURS_A_MONTH, PAGE, columns_of, needs_realdata, percent, written
from tests.strategies.replay import Candle, Replay

STEPS = {"1h": HOUR, "15m": 15 * MINUTE, "1m": MINUTE}
FRESH_FOR = 5 * MINUTE
RUNGS = (0.5, 2, 3, 4)
MOST_OF_A_LOT = 0.15
"""In units: less than a lot may be missing."""
TURTLES = [registry.get("macd_turtle", {"criterion": one}) for one in ("macd", "order", "both")]
OTHERS = [registry.get(name) for name in registry.SHIPPED if name != "macd_turtle"]
SHOWN = {"1h": (*OTHERS, *TURTLES), "15m": (*OTHERS, *TURTLES), "1m": (TURTLES[0],)}
REASONS = {
    "nothing is held": r"no position to (add to|close)",
    "its units are held": r"its trial is held already|the position is past its trial|[\d.]+ units are held, .*",
    "a trial is held": r"what is held is a trial: an add follows an entry",
    "the other side is held": r"a (long|short) position is held, and only .* the other way closes it",
    "an add is too near": r"the price is \S+ in favour since \S+, an add needs an ATR: \S+",
    "another strategy holds": r"held by \S+ \S+",
}

TIME, PRICE, ATR = 1_760_000_400_000, 60_000, 600
STORIES = {
    "a signal is filled at the open after its close": (
        [(0, 0, 0, 0), (10, 20, 0, 5)],
        {1: "entry"},
        ([2], [False], 60_010),
    ),
    "a stop is filled at its price": (
        [(0, 0, 0, 0), (0, 20, -1300, 5)],
        {1: "entry"},
        ([2], [True], 58_800),
    ),
    "a stop that the open lies beyond is filled at the open": (
        [(0, 0, 0, 0), (0, 0, -100, -100), (-1500, -1500, -1600, -1600)],
        {1: "entry"},
        ([2], [True], 58_500),
    ),
    "a low above the stop fires nothing": (
        [(0, 0, 0, 0), (0, 900, -1199, 5), (5, 5, 5, 5)],
        {1: "entry"},
        ([2], [False], 60_000),
    ),
    "trial, entry, two adds": (
        [(0, 0, 0, 0), (0, 0, 0, 0), (0, 600, 0, 600), (600, 1200, 600, 1200), (1200, 1200, 1200, 1200)],
        {1: "trial", 2: "entry", 3: "add", 4: "add"},
        ([4], [False], 61_200),
    ),
    "an add moves the stop before the next low": (
        [(0, 0, 0, 0), (0, 1200, 0, 1200), (1200, 1200, -50, 0)],
        {1: "entry", 2: "add"},
        ([3], [True], 60_000),
    ),
}


@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(("moves", "kinds", "told"), STORIES.values(), ids=STORIES)
def test_the_replay(
    moves: list[tuple[int, ...]], kinds: dict[int, str], told: tuple[list[float], list[bool], int], sign: int
) -> None:
    """`moves`: open, high, low and close of each candle, by the distance from the price; all mirrored for a short."""
    candles = []
    for number, (opened, high, low, close) in enumerate(moves):
        ends = sorted((PRICE + sign * high, PRICE + sign * low))
        first, last = PRICE + sign * opened, PRICE + sign * close
        prices = (first, ends[1], ends[0], last)
        candles.append(Candle(TIME + number * HOUR, TIME + (number + 1) * HOUR, *map(Decimal, prices)))
    side = "long" if sign == 1 else "short"
    said = {
        candles[number].t: [signal_of(f"s{number}", "story", kind, side, candles[number - 1], HOUR, Decimal(ATR))]
        for number, kind in kinds.items()
    }
    replay = replayed_over(candles, said)
    units, stopped, last_fill = told
    assert [rung_of(one.units) for one in replay.positions] == units
    assert [one.stopped for one in replay.positions] == stopped
    assert replay.exchange.trades[-1].price == PRICE + sign * (last_fill - PRICE)
    assert {one.verdict for one in replay.verdicts.values()} == {"taken"}
    assert bool(replay.exchange.position) != stopped[-1]


def signal_of(
    name: str, strategy: str, kind: str, side: str, candle: Candle, step: int, atr: Decimal | None
) -> SignalView:
    at = candle.end
    return SignalView(
        name, SYMBOL, "1h", strategy, kind, side, at, candle.close, atr, True, at + min(step // 2, FRESH_FOR),
        last_word=kind != "add",
    )  # fmt: skip


def replayed_over(candles: Sequence[Candle], said: dict[int, list[SignalView]]) -> Replay:
    replay = Replay(candles[0].t, Exchange(candles[0].open, candles[0].t))
    replay.run(candles, said)
    return replay


def rung_of(units: float) -> float:
    """The step of the ladder that comes to so many units, but for less than a lot: no position lies between two."""
    return next(rung for rung in RUNGS if rung - MOST_OF_A_LOT < units <= rung)


@cache
def candles_of(interval: str) -> list[Candle]:
    table = pl.read_ipc(FILES[interval])
    step = STEPS[interval]
    prices = zip(*(table[name].to_list() for name in ("open", "high", "low", "close")), strict=True)
    begin = table["date"].dt.timestamp("ms").to_list()
    return [Candle(t, t + step, *map(exact, each)) for t, each in zip(begin, prices, strict=True)]


def exact(price: float) -> Decimal:
    return Decimal(repr(price))


@cache
def executed(interval: str, *strategies: Strategy) -> tuple[Replay, dict[str, list[str]]]:
    """A run, and the signals of each strategy that were decided in it."""
    columns, candles = columns_of(interval), candles_of(interval)
    atrs = columns["atr"].tolist()
    said: dict[int, list[SignalView]] = {}
    names: dict[str, list[str]] = {}
    for strategy in strategies:
        codes = run(strategy, columns)[:-1]
        for number in codes.nonzero()[0].tolist():
            side, kind = meaning_of(int(codes[number]))
            atr = None if atrs[number] != atrs[number] else exact(atrs[number])
            one = signal_of(
                f"{strategy.name}:{number}", strategy.name, kind.name.lower(), side.value, candles[number],
                STEPS[interval], atr,
            )  # fmt: skip
            said.setdefault(one.at, []).append(one)
            names.setdefault(strategy.name, []).append(one.id)
    return replayed_over(candles, said), names


def sorted_out(replay: Replay, names: Sequence[str]) -> Counter[str]:
    """How many of these signals were taken, and why others were not. A reason that is none of the above fails."""
    counts: Counter[str] = Counter()
    for name in names:
        verdict = replay.verdicts[name]
        if verdict.verdict == "taken":
            counts["taken"] += 1
            continue
        reason = verdict.reason or ""
        columns = [column for column, told in REASONS.items() if re.fullmatch(told, reason)]
        assert len(columns) == 1, f"{verdict.verdict}: {reason}"
        counts.update(columns)
    return counts


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def months_of(interval: str) -> float:
    return len(candles_of(interval)) * STEPS[interval] / HOUR / HOURS_A_MONTH


def rows_of(interval: str, strategy: Strategy) -> tuple[list[str], list[str]]:
    """The columns of both tables."""
    replay, said = executed(interval, strategy)
    names = said[strategy.name]
    counts = sorted_out(replay, names)
    rungs = Counter(rung_of(one.units) for one in replay.positions)
    reasons = [share(counts[one], len(names)) for one in REASONS if one != "another strategy holds"]
    stopped = sum(one.stopped for one in replay.positions)
    head = [f"`{label_of(strategy)}`", interval]
    whole = [
        *head, f"{len(names) / months_of(interval):.1f}", share(counts["taken"], len(names)), *reasons,
        f"{len(replay.positions)}", share(stopped, len(replay.positions)), percent([*map(bool, replay.units)]),
    ]  # fmt: skip
    held = [rung_of(units) if units else 0 for units in replay.units]
    steps = (f"{percent([one == rung for one in held])}, {rungs[rung]}" for rung in RUNGS)
    return whole, [*head, *steps]


@needs_realdata
@pytest.mark.parametrize("interval", SHOWN)
def test_what_the_executor_takes_is_in_the_tables_of_the_page(interval: str) -> None:
    rows = {label_of(one): rows_of(interval, one) for one in SHOWN[interval]}
    page = PAGE.read_text()
    assert written(*(whole for whole, _ in rows.values())) in page
    assert written(*(steps for name, (_, steps) in rows.items() if name.startswith("macd_turtle"))) in page


@needs_realdata
@pytest.mark.parametrize("interval", ["1h", "15m"])
def test_what_it_takes_where_all_shipped_strategies_run_is_in_the_table_of_the_page(interval: str) -> None:
    replay, said = executed(interval, *(registry.get(name) for name in registry.SHIPPED))
    rows = []
    for name, names in said.items():
        counts = sorted_out(replay, names)
        mine = [one for one in replay.positions if one.strategy == name]
        rungs = Counter(rung_of(one.units) for one in mine)
        rows.append([
            f"`{name}`", interval, f"{len(names) / months_of(interval):.1f}", share(counts["taken"], len(names)),
            share(counts["another strategy holds"], len(names)), f"{len(mine)}",
            *(f"{rungs[one]}" for one in RUNGS),
        ])  # fmt: skip
    assert written(*rows) in PAGE.read_text()


@needs_realdata
def test_how_little_of_the_ladder_is_seen_beside_the_others_is_said() -> None:
    taken, tops = [], []
    for interval in ("1h", "15m"):
        replay, said = executed(interval, *(registry.get(name) for name in registry.SHIPPED))
        names = said["macd_turtle"]
        taken.append(f"{share(sorted_out(replay, names)['taken'], len(names))}")
        tops.append(sum(one.strategy == "macd_turtle" and rung_of(one.units) == RUNGS[-1] for one in replay.positions))
    told = (
        f"of `macd_turtle`'s signals {taken[0]} are taken on 1h and {taken[1]} on 15m, and {tops[0]} and {tops[1]} "
        "of its positions come to four units, in a year and in 38 days"
    )
    assert told in " ".join(PAGE.read_text().split())


@needs_realdata
@pytest.mark.parametrize("interval", SHOWN)
def test_macd_turtle_is_seen_at_half_a_unit_and_at_two_three_and_four(interval: str) -> None:
    replay, _ = executed(interval, TURTLES[0])
    assert {rung_of(one.units) for one in replay.positions} >= set(RUNGS)
