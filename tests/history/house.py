"""A database with a made-up market in it, for what is derived from candles."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from pymongo.database import Database

from pipeline.finding import SAID
from pipeline.history.derive import Derivation, Derived
from pipeline.periods import PERIODS, Periods
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.strategies import registry
from pipeline.strategies.synthetic import samples
from pipeline.timeline import interval
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
    candles = samples(count)[1].candles
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

    def underway(self) -> int:
        """How many derivations have not said that they are done."""
        series = SeriesStore(self.db).get(key_of())
        assert series is not None
        return len(series.deriving)

    def indicators(self, key: SeriesKey | None = None) -> pl.DataFrame:
        table = CandleStore(self.db).load(key or key_of(), 0, 1 << 43)
        return table.select("t", *INDICATOR_FIELDS)

    def signals(self, exchange: str = "sim") -> list[dict[str, Any]]:
        said = dict.fromkeys(SAID, 1)
        found = [*self.db["signals"].find({"exchange": exchange}, said).sort("_id", 1)]
        texts = {one["_id"]: one["text"] for one in self.db["signal_settings"].find()}
        return [
            one | {"_id": one["_id"].removeprefix(exchange), "exchange": "", "settings": texts[one["settings"]]}
            for one in found
        ]

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


def corrected(table: pl.DataFrame, place: int, factor: float = 1.05) -> pl.DataFrame:
    """The one candle at that place, with another price."""
    one = table[place : place + 1]
    close = round(one["close"][0] * factor, DECIMALS)
    return one.with_columns(
        pl.lit(close).alias("close"), pl.max_horizontal("high", pl.lit(close)), pl.min_horizontal("low", pl.lit(close))
    )


def with_correction(table: pl.DataFrame, place: int) -> pl.DataFrame:
    return pl.concat([table[:place], corrected(table, place), table[place + 1 :]])
