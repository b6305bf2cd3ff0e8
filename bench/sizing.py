"""`python -m bench.sizing --symbols 10 --minutes 15`: how large and how busy a Tidemark of so many symbols is.

Candles of five intervals come straight from the market of the simulated exchange, with everything that follows from
them. Then the real processes run beside that exchange for a while: the ingester, Prefect, and every flow when it is
due. What it prints is measured; nothing is worked out from less.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import psutil
from bson import Timestamp
from pymongo.database import Database

from bench.ingesting import find_mongod
from bench.prefect_api import start_run
from bench.tidy import leaving_nothing
from pipeline.app.wiring import derivation_of
from pipeline.errors import TidemarkError
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.settings import load
from pipeline.simulator.handle import Simulator
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import universe
from pipeline.simulator.types import Klines, SymbolSpec
from pipeline.simulator.wire.format import Grid, grids
from pipeline.store import connect
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.store.upgrade import upgrade
from pipeline.supervise import services
from pipeline.supervise.prefect_login import login_of
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor
from pipeline.timeline import DAY, Interval, interval
from schemas.candles import CANDLES
from schemas.series import SeriesKey
from schemas.signals import SIGNALS

INTERVALS: Final = ("1m", "5m", "15m", "1h", "4h")
ODD: Final = 6
"""Symbols of the simulated universe that do not trade, or not for so long."""
ONCE: Final = ("backfill/top-up", "audit/nightly", "retention/nightly", "account/hourly")
"""Of the flows, those that might not fall due within the minutes: they are asked for."""
EXCHANGE: Final = "sim"
PATIENCE: Final = 1_800.0
MB: Final = 1e6


def main() -> None:
    """Build, run, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--cache-gb", type=float, default=0.5)
    parser.add_argument(
        "--folder", type=Path, help="keep what is built there, and go on with what an earlier run built"
    )
    chosen = parser.parse_args()
    with leaving_nothing(), tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        measure(chosen.folder or Path(folder), chosen)


def measure(folder: Path, chosen: argparse.Namespace) -> None:
    """Print every figure as soon as it is known."""
    server = Server(folder / "data", port=any_free_port(), limits=Limits(cache_gb=chosen.cache_gb, oplog_mb=990))
    with (
        server.running() as uri,
        Simulator.start(universe=chosen.symbols + ODD, lifted_limits=True) as simulator,
        connect.client(uri) as client,
    ):
        database = client["bench"]
        prepare(database)
        upgrade(database)
        names = settle_on(simulator, database, chosen.symbols, chosen.days)
        os.environ |= {
            "TIDEMARK_HOME": str(folder / "home"),
            "TIDEMARK_MONGO_URI": uri,
            "TIDEMARK_DATABASE": database.name,
            "TIDEMARK_SIM_URL": simulator.url,
            "TIDEMARK_SYMBOLS": ",".join(names),
            "TIDEMARK_INTERVALS": ",".join(INTERVALS),
            "TIDEMARK_HISTORY_DAYS": str(chosen.days),
        }
        (folder / "home").mkdir(exist_ok=True)
        mongod = find_mongod(str(folder / "data"))
        meter = Meter({"mongod": mongod, "this process, the exchange within": psutil.Process()})
        print_rows(build(database, names, chosen.days))
        print_rows(meter.seconds())
        print_rows(run(folder / "home", database, mongod, chosen.symbols * len(INTERVALS), chosen.minutes))


# --- what is stored ------------------------------------------------------------------------------------------------


def settle_on(simulator: Simulator, database: Database[Any], count: int, days: int) -> list[str]:
    """The first symbols that have traded for so long; what the exchange says of them is stored."""
    with RestClient(at(SIM, simulator.url)) as client:
        listed = MarketData(client).symbols()
        oldest = client.clock.now() - (days + 1) * DAY
    SymbolStore(database).save(listed)
    traded = universe(count + ODD, int(time.time() * 1_000))
    found = [one.symbol for one in listed if one.status == "TRADING" and traded[one.symbol].onboard < oldest]
    if len(found) < count:
        raise RuntimeError(f"only {len(found)} symbols have traded for {days} days")
    return found[:count]


def build(database: Database[Any], names: Sequence[str], days: int) -> dict[str, str]:
    """Candles, indicators and signals of so many days; what they take."""
    now = int(time.time() * 1_000)
    specs = universe(len(names) + ODD, now)
    market = SyntheticMarket(0, specs)
    derivation = derivation_of(load(), database)
    begun, candles, signals = time.monotonic(), 0, database[SIGNALS.name].estimated_document_count()
    for name in names:
        keys = [SeriesKey(EXCHANGE, name, code) for code in INTERVALS]
        there = [one for one in SeriesStore(database).among(keys) if one.signals is not None]
        if len(there) == len(keys):
            candles += sum(one.stored for one in there)
            continue
        for key in keys:
            candles += store(database, market, specs[name], key, now - days * DAY, now)
        signals += sum(one.signals.added for one in derivation.bring_up_all(keys, now))
        say(f"{name}: {candles:,} candles, {signals:,} signals so far, {time.monotonic() - begun:,.0f} s")
    return {
        "candles": f"{candles:,}",
        **taken(database, CANDLES.name),
        "signals": f"{signals:,}",
        **taken(database, SIGNALS.name),
        "built in": f"{time.monotonic() - begun:,.0f} s",
    }


def store(
    database: Database[Any], market: SyntheticMarket, spec: SymbolSpec, key: SeriesKey, start: int, now: int
) -> int:
    """The closed candles of a series, as REST would tell them; how many."""
    step = interval(key.interval)
    klines = market.klines(spec.symbol, step, start, step.after(step.floor(now), -1))
    CandleStore(database).replace_closed(key, table(spec, step, klines))
    SeriesStore(database).recount(key, "rest", now)
    return len(klines)


def table(spec: SymbolSpec, step: Interval, klines: Klines) -> pl.DataFrame:
    """Ticks and steps as numbers: each is the one that is nearest to what the exchange prints."""
    price, quantity, quote = grids(spec)
    length = step.after(0) - step.floor(0)
    columns: dict[str, Any] = {name: valued(price, klines[name]) for name in ("open", "high", "low", "close")}
    columns |= {
        "volume": valued(quantity, klines["volume"]),
        "taker_buy_base": valued(quantity, klines["taker_base"]),
        "quote_volume": valued(quote, klines["quote"]),
        "taker_buy_quote": valued(quote, klines["taker_quote"]),
        "trades": klines["trades"],
        "t": klines["t"],
        "te": klines["t"] + length - 1,
        "u": klines["t"] + length,
        "closed": np.ones(len(klines), np.bool_),
    }
    return pl.DataFrame(columns).select(pl.col(name).cast(FRAME_SCHEMA[name]) for name in columns)


def valued(grid: Grid, counts: Any) -> Any:
    """Whole units as they are printed, read again."""
    return (counts * grid.units // grid.parts) / 10.0**grid.digits


def taken(database: Database[Any], name: str) -> dict[str, str]:
    """Bytes of a collection: as documents, on disk, and of its indexes."""
    database.client.admin.command("fsync")
    stats = database.command("collStats", name)
    return {
        f"{name}: documents, on disk, indexes": f"{stats['size'] / MB:,.0f}, {stats['storageSize'] / MB:,.0f}, "
        f"{stats['totalIndexSize'] / MB:,.0f} MB"
    }


# --- what runs -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Meter:
    """Seconds of a core that processes have used, those they began and outlived included."""

    processes: Mapping[str, psutil.Process]
    begun: float = field(default_factory=time.monotonic)
    before: dict[str, float] = field(default_factory=dict)
    resident: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before, self.resident = self.used(), self.held()

    def used(self) -> dict[str, float]:
        """By now, of those that are still the ones that were begun."""
        return {name: sum(one.cpu_times()[:4]) for name, one in self.processes.items() if one.is_running()}

    def held(self) -> dict[str, int]:
        """Bytes of memory, by now."""
        return {name: one.memory_info().rss for name, one in self.processes.items() if one.is_running()}

    def seconds(self) -> dict[str, str]:
        """In words, since it was made."""
        return {f"{name}: seconds of a core": f"{used - self.before[name]:,.0f}" for name, used in self.used().items()}

    def cores(self) -> dict[str, str]:
        """In words, on average since it was made; and how much memory they held then, and hold now."""
        passed, held = time.monotonic() - self.begun, self.held()
        return {f"{name}: died, and was begun anew": "" for name in self.processes.keys() - held.keys()} | {
            f"{name}: cores; resident then, now": f"{(used - self.before[name]) / passed:.3f}; "
            f"{self.resident[name] / MB:,.0f}, {held[name] / MB:,.0f} MB"
            for name, used in self.used().items()
        }


def run(home: Path, database: Database[Any], mongod: psutil.Process, series: int, minutes: float) -> dict[str, str]:
    """Everything for so many minutes, when all series are open and each flow has run once."""
    with processes(home, database, series) as (running, port, opened):
        for name in ONCE:
            ask_for(home, port, name)
        meter, since = Meter({"mongod": mongod, **running}), Timestamp(int(time.time()), 0)
        prefect = home / "prefect" / "prefect.db"
        size, frames = prefect.stat().st_size, told(database).get("frames", 0)
        time.sleep(minutes * 60)
        cores, figures = meter.cores(), told(database)
        return {
            "start-up until all series are open": opened,
            **cores,
            **written(database, since, minutes),
            "Prefect's database, growth in these minutes": f"{(prefect.stat().st_size - size) / MB:.1f} MB",
            "frames a second": f"{(figures.get('frames', 0) - frames) / minutes / 60:,.0f}",
            "frame to stored, p50, p99": f"{figures.get('stored_after_p50', 0) * 1e3:,.0f}, "
            f"{figures.get('stored_after_p99', 0) * 1e3:,.0f} ms",
            "series, candles missing": f"{figures.get('series', 0):.0f}, {figures.get('missing', 0):.0f}",
            "deployments that succeeded meanwhile": succeeded(database, since),
            "load of the machine": ", ".join(f"{one:.1f}" for one in os.getloadavg()),
        }


def ask_for(home: Path, port: int, name: str) -> None:
    """A run of that deployment. Where Prefect is too busy to hear of it, its schedule will do."""
    with suppress(TidemarkError):
        start_run(port, login_of(home), name, {})


def told(database: Database[Any]) -> Mapping[str, float]:
    """What the ingester says of itself."""
    beat = database["control"].find_one({"kind": "heartbeat", "role": "ingester"})
    return {} if beat is None else beat["figures"]


@contextmanager
def processes(home: Path, database: Database[Any], series: int) -> Iterator[tuple[dict[str, psutil.Process], int, str]]:
    """The ingester, Prefect and what runs the flows; Prefect's port; and how long it took to open all series."""
    port = any_free_port()

    with Reaper() as reaper, Supervisor(home / "logs", reaper) as supervisor:
        database["control"].delete_many({"kind": "heartbeat"})  # of an earlier run in this folder
        begun = time.monotonic()
        supervisor.start(services.ingester(EXCHANGE, any_free_port(), lambda: True))
        while told(database).get("series") != series:
            if time.monotonic() - begun > PATIENCE:
                raise RuntimeError(f"not all of {series} series are open after {PATIENCE:.0f} s")
            time.sleep(0.1)
        took = time.monotonic() - begun
        (ingester,) = (psutil.Process(one.process_id) for one in supervisor.statuses())
        used = sum(ingester.cpu_times()[:2])
        for one in (services.prefect_server(home, port), services.flow_runner(home, port, {})):
            supervisor.start(one)
            supervisor.wait_ready(one.name)
        found = {one.name: psutil.Process(one.process_id) for one in supervisor.statuses() if one.process_id}
        yield found, port, f"{took:.1f} s, of which {used:.1f} s of a core"


def written(database: Database[Any], since: Timestamp, minutes: float) -> dict[str, str]:
    """What the log of the database took meanwhile."""
    size = {"$sum": {"$bsonSize": "$$ROOT"}}
    stages: list[dict[str, Any]] = [{"$match": {"ts": {"$gte": since}}}, {"$group": {"_id": "$ns", "bytes": size}}]
    found = {one["_id"]: one["bytes"] for one in database.client["local"]["oplog.rs"].aggregate(stages)}
    total = sum(found.values()) / MB / minutes
    most = sorted(found.items(), key=lambda one: -one[1])[:4]
    parts = ", ".join(f"{name.partition('.')[2] or 'several'} {size / MB / minutes:.2f}" for name, size in most)
    return {
        "oplog a minute": f"{total:.2f} MB ({parts})",
        "hours in an oplog of 990 MB": f"{990 / total / 60:.1f}",
    }


def succeeded(database: Database[Any], since: Timestamp) -> str:
    """Their names."""
    later = {"kind": "deployment", "completed_at": {"$gte": datetime.fromtimestamp(since.time, UTC)}}
    return ", ".join(sorted(one["name"] for one in database["control"].find(later)))


def print_rows(found: Mapping[str, str]) -> None:
    """As rows of a table for the page."""
    for name, value in found.items():
        say(f"| {name} | {value} |")


def say(line: str) -> None:
    """At once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
