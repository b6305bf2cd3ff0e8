"""What looking at a long series costs where nothing is new: what a top-up asks of the store, to fetch nothing."""

from statistics import median
from typing import Any

import polars as pl
from pymongo.database import Database

from bench.returns import timed
from bench.scale import GROUP
from bench.store import KEY, START, history, mongod
from bench.table import Row
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore

ROUNDS = 10


def run(quick: bool) -> list[Row]:
    """A series of 300 days of minutes: planned, and counted."""
    frame = history(20_000 if quick else 432_000)
    end = int(frame["t"].cast(pl.Int64)[-1])
    with mongod() as database:
        store, series = CandleStore(database), SeriesStore(database)
        store.replace_closed(KEY, frame)
        series.recount(KEY, "rest", end)

        def look() -> None:
            series.get(KEY)
            store.presence(KEY, START, end)
            series.recount(KEY, None, end)

        look()
        took = 1e3 * median(timed(look) for _ in range(ROUNDS))
        sent = _sent(database, look) / 1e3
    name = f"a top-up with nothing to fetch, {frame.height:,} candles, the store's part"
    return [
        Row(group=GROUP, name=name, ours=took, unit="ms", at_most=20.0, lower_is_better=True),
        Row(group=GROUP, name=f"{name}: sent by the server", ours=sent, unit="kB", at_most=100.0, lower_is_better=True),
    ]


def _sent(database: Database[dict[str, Any]], look: Any) -> float:
    database.command("profile", 2)
    look()
    database.command("profile", 0)
    told = database["system.profile"].find({"ns": {"$ne": f"{database.name}.system.profile"}})
    return float(sum(one.get("responseLength", 0) for one in told))
