"""A house whose database has all that `explain` asks for, and what it answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import SecretStr

from pipeline.app.explain import Explained, explain
from pipeline.app.opened import Opened
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.settings import Risk, Settings
from pipeline.store.candles.store import CandleStore
from pipeline.store.funding import FundingStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import MINUTE
from schemas.series import SeriesKey
from tests.execution.service.conftest import House
from tests.execution.service.spot import SpotHouse

_NUMBERS = ("open", "high", "low", "close", "volume")
_MORE = ("quote_volume", "taker_buy_base", "taker_buy_quote")


def explained(
    house: House | SpotHouse, mongo_uri: str, home: Path, risk: Risk, start: int, end: int, **settings: Any
) -> Explained:
    """What was traded in that window."""
    store(house, start, end)
    with asking(house, mongo_uri, home, risk, **settings) as tm:
        (found,) = explain(tm, since=start, until=end)
    return found


@contextmanager
def asking(house: House | SpotHouse, mongo_uri: str, home: Path, risk: Risk, **settings: Any) -> Iterator[Opened]:
    """Whoever asks the house's database."""
    chosen = {"mongo_uri": SecretStr(mongo_uri), "database": house.db.name, "environment": house.place.name}
    with Opened(Settings(home=home, risk=risk, **chosen, **settings)) as tm:
        yield tm


def store(house: House | SpotHouse, start: int, end: int) -> None:
    """Its rules, its minutes; of a contract also the account's fee and the settlements."""
    name, exchange = house.symbol, house.place.name
    with RestClient(house.place) as client:
        published = MarketData(client)
        SymbolStore(house.db).save([one for one in published.symbols() if one.symbol == name])
        if isinstance(house, House):
            FundingStore(house.db, exchange).add(name, published.settlements(name, start))
            SymbolStore(house.db).note_fee(exchange, name, house.trading.taker_fee(name))
    key, rows = SeriesKey(exchange, name, "1m"), house.simulator.truth_klines(name, "1m", start - MINUTE, end - 1)
    times = pl.Datetime("ms", "UTC")
    opened = [int(row[0]) for row in rows]
    table = pl.DataFrame(
        {
            "t": pl.Series(opened).cast(times),
            "te": pl.Series([one + MINUTE - 1 for one in opened]).cast(times),
            **{each: [float(row[place]) for row in rows] for place, each in enumerate(_NUMBERS, 1)},
            **{each: [0.0] * len(rows) for each in _MORE},
            "trades": pl.Series([1] * len(rows), dtype=pl.Int64),
            "closed": [True] * len(rows),
            "u": pl.Series([one + MINUTE for one in opened]).cast(times),
        }
    )
    CandleStore(house.db).replace_closed(key, table)
    SeriesStore(house.db).recount(key, "rest", end)
