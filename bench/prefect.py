"""Prefect's database after a week of schedules: real runs of every deployment on a real server, of which the largest of
each stands for all that the week would bring.

A week is filled hour by hour with copies of their rows, under other ids and at other times, and what Prefect's vacuum
takes out by then is taken out: so pages are used again as they are in earnest. The series are few: what a run leaves
has a most, which they reach.
"""

import os
import re
import sqlite3
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pymongo.database import Database

from bench.prefect_api import start_run
from bench.table import Row
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.supervise import services
from pipeline.supervise.prefect_login import login_of
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor

GROUP: Final = "Prefect"
SYMBOLS: Final = "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,DOGEUSDT,ADAUSDT,LINKUSDT,AVAXUSDT,TRXUSDT,1000SHIBUSDT"
INTERVALS: Final = "5m,15m,1h,4h,1d"
AN_HOUR: Final[Mapping[str, float]] = {
    "backfill/top-up": 1,
    "indicators/every-5-minutes": 12,
    "returns/every-minute": 60,
    "account/hourly": 1,
    "health/every-minute": 60,
    "allocation/nightly": 1 / 24,
    "audit/nightly": 1 / 24,
    "likeness/nightly": 1 / 24,
    "retention/nightly": 1 / 24,
    "explain/nightly": 1 / 24,
}
"""In the order in which they are run here: each finds what the one before has left."""
RUNS_KEPT: Final = timedelta(seconds=259_200)
EVENTS_KEPT: Final = timedelta(hours=6)
MOST_MB: Final = 300.0
PATIENCE: Final = 300.0

Record = dict[str, Any]
Sample = dict[str, list[Record]]
"""The rows that one run has left, by table."""

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_ENDED: Final = "('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')"
_TOLD: Final = "select event_id from event_resources where resource_id = 'prefect.flow-run.' || :run"
_OF_RUN: Final = {
    "flow_run": "id = :run",
    "flow_run_state": "flow_run_id = :run",
    "task_run": "flow_run_id = :run",
    "task_run_state": "task_run_id in (select id from task_run where flow_run_id = :run)",
    "log": "flow_run_id = :run",
    "artifact": "flow_run_id = :run",
    "events": f"id in ({_TOLD})",
    "event_resources": f"event_id in ({_TOLD})",
}
_BY_EVENT: Final = {"event_resources": "event_id = ?", "events": "id = ?"}
_BY_RUN: Final = {
    "task_run_state": "task_run_id in (select id from task_run where flow_run_id = ?)",
    **dict.fromkeys(("task_run", "flow_run_state", "log", "artifact"), "flow_run_id = ?"),
    "flow_run": "id = ?",
}


def run(quick: bool) -> list[Row]:
    """Two runs of each deployment, then a week; quick: one, most of them at once, then a third of a day."""
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        with serving(Path(folder)) as (home, port):
            first, *others = AN_HOUR
            for names in [[first], others] if quick else [[name] for name in AN_HOUR for _ in range(2)]:
                run_to_their_end(home, port, names)
            time.sleep(3)  # what is told of their end comes in batches
        with closing(sqlite3.connect(home / "prefect" / "prefect.db", isolation_level=None)) as prefect:
            samples = {name: largest(prefect, name) for name in AN_HOUR}
            before = size(prefect)
            fill(prefect, samples, range(16, 24) if quick else range(7 * 24))
            rows = Counter({name: sum(map(len, sample.values())) for name, sample in samples.items()})
            return [
                Row(
                    group=GROUP,
                    name="its database after a simulated week of schedules",
                    ours=size(prefect) / 1e6,
                    unit="MB",
                    at_most=MOST_MB,
                    lower_is_better=True,
                    note=f"runs are kept for three days, events for six hours; {before / 1e6:.1f} MB when it begins; "
                    f"rows a run: {', '.join(f'{name} {count}' for name, count in rows.items())}",
                ),
                Row(
                    group=GROUP,
                    name="of it: events",
                    ours=part(prefect, "event") / 1e6,
                    unit="MB",
                    lower_is_better=True,
                ),
                Row(
                    group=GROUP,
                    name="of it: artifacts",
                    ours=part(prefect, "artifact") / 1e6,
                    unit="MB",
                    lower_is_better=True,
                ),
            ]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Path, int]]:
    """Prefect with all deployments, a database and an exchange: the data folder, and Prefect's port."""
    home, port = folder / "home", any_free_port()
    home.mkdir()
    server = Server(folder / "data", port=any_free_port(), limits=Limits(cache_gb=0.5, oplog_mb=990))
    with server.running() as uri, Simulator.start(lifted_limits=True) as sim, connect.client(uri) as client:
        prepare(client["bench"])
        an_ingester_lives(client["bench"])
        os.environ |= {
            "TIDEMARK_HOME": str(home),
            "TIDEMARK_MONGO_URI": uri,
            "TIDEMARK_DATABASE": "bench",
            "TIDEMARK_SIM_URL": sim.url,
            "TIDEMARK_SYMBOLS": SYMBOLS,
            "TIDEMARK_INTERVALS": INTERVALS,
            "TIDEMARK_HISTORY_DAYS": "10",
        }
        with Reaper() as reaper, Supervisor(home / "logs", reaper) as supervisor:
            for one in (services.prefect_server(home, port), services.flow_runner(home, port, {})):
                supervisor.start(one)
                supervisor.wait_ready(one.name)
            yield home, port


def an_ingester_lives(database: Database[Any]) -> None:
    """For an hour, so that health is good."""
    at = datetime.now(UTC)
    known = {"kind": "heartbeat", "role": "ingester", "host": "bench", "pid": 1, "detail": "1/1", "figures": {}}
    database["control"].insert_one(known | {"_id": "heartbeat", "started_at": at, "at": at + timedelta(hours=1)})


def run_to_their_end(home: Path, port: int, names: Iterable[str]) -> None:
    """One run of each that is asked for, and whatever its schedule brings meanwhile."""
    with closing(sqlite3.connect(f"file:{home}/prefect/prefect.db?mode=ro", uri=True)) as prefect:
        before = {name: len(ended(prefect, name)) for name in names}
        for name in before:
            start_run(port, login_of(home), name, {})
        deadline = time.monotonic() + PATIENCE
        while left := [name for name, count in before.items() if len(ended(prefect, name)) == count]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no run of {', '.join(left)} has ended within {PATIENCE:.0f} s")
            time.sleep(0.5)


def ended(prefect: sqlite3.Connection, name: str) -> list[str]:
    """The runs of a deployment that were run to an end."""
    flow, _, deployment = name.partition("/")
    runs = prefect.execute(
        f"select r.id from flow_run r join flow f on f.id = r.flow_id join deployment d on d.id = r.deployment_id "
        f"where f.name = ? and d.name = ? and r.state_type in {_ENDED} and r.start_time is not null",
        (flow, deployment),
    )
    return [run for (run,) in runs]


def largest(prefect: sqlite3.Connection, name: str) -> Sample:
    """What that run of the deployment has left which has left most."""
    return max((rows_of(prefect, run) for run in ended(prefect, name)), key=weight)


def rows_of(prefect: sqlite3.Connection, run: str) -> Sample:
    """All rows of a run."""
    found: Sample = {}
    for table, which in _OF_RUN.items():
        cursor = prefect.execute(f"select * from {table} where {which}", {"run": run})
        names = [one[0] for one in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return found


def weight(sample: Sample) -> int:
    """About how many bytes."""
    return sum(len(str(value)) for rows in sample.values() for row in rows for value in row.values())


def fill(prefect: sqlite3.Connection, samples: Mapping[str, Sample], hours: Iterable[int]) -> None:
    """The runs of these hours; at the end of each, what is older than it is kept goes."""
    prefect.execute("pragma synchronous = off")
    prefect.execute("pragma foreign_keys = off")
    prefect.execute("pragma cache_size = -400000")
    runs: list[tuple[int, str]] = []
    events: list[tuple[int, str]] = []
    begins = datetime.now(UTC)
    for hour in hours:
        prefect.execute("begin")
        for name, sample in samples.items():
            due = int((hour + 1) * AN_HOUR[name]) - int(hour * AN_HOUR[name])
            for number in range(due):
                moment = begins + timedelta(hours=hour + number / due)
                copy = copied(sample, moment)
                insert(prefect, copy)
                runs.append((hour, copy["flow_run"][0]["id"]))
                events += [(hour, one["id"]) for one in copy["events"]]
        forget(prefect, _BY_EVENT, older(events, hour, EVENTS_KEPT))
        forget(prefect, _BY_RUN, older(runs, hour, RUNS_KEPT))
        prefect.execute("commit")


def older(kept: list[tuple[int, str]], hour: int, span: timedelta) -> list[str]:
    """Takes out, and returns, what was put in longer ago than that; the vacuum comes once an hour."""
    oldest = hour - span // timedelta(hours=1)
    gone = [one for when, one in kept if when < oldest]
    kept[:] = [(when, one) for when, one in kept if when >= oldest]
    return gone


def forget(prefect: sqlite3.Connection, conditions: Mapping[str, str], gone: Iterable[str]) -> None:
    """Take the rows of these out."""
    ids = [(one,) for one in gone]
    for table, condition in conditions.items():
        prefect.executemany(f"delete from {table} where {condition}", ids)


def copied(sample: Sample, moment: datetime) -> Sample:
    """The same rows under other ids, so much later as `moment` is than the run was."""
    own = {row[name] for rows in sample.values() for row in rows for name in ("id", "idempotency_key") if row.get(name)}
    names = {one: str(uuid.uuid4()) for one in own}
    later = moment - parsed(sample["flow_run"][0]["start_time"])
    pattern = re.compile("|".join(map(re.escape, names)))

    def changed(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if _MOMENT.match(value):
            return f"{parsed(value) + later:%Y-%m-%d %H:%M:%S.%f}"
        return pattern.sub(lambda found: names[found.group()], value)

    return {
        table: [{name: changed(value) for name, value in row.items()} for row in rows] for table, rows in sample.items()
    }


def parsed(text: str) -> datetime:
    """A moment as Prefect stores it."""
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)


def insert(prefect: sqlite3.Connection, sample: Sample) -> None:
    """Put the rows in."""
    for table, rows in sample.items():
        if rows:
            marks = ", ".join(f":{name}" for name in rows[0])
            names = ", ".join(f'"{name}"' for name in rows[0])
            prefect.executemany(f"insert into {table} ({names}) values ({marks})", rows)


def size(prefect: sqlite3.Connection) -> int:
    """Bytes of the file."""
    ((pages,),), ((each,),) = (list(prefect.execute(f"pragma {one}")) for one in ("page_count", "page_size"))
    return int(pages * each)


def part(prefect: sqlite3.Connection, begins: str) -> int:
    """Bytes of the tables whose name begins so, with their indexes."""
    named = "select name from sqlite_master where tbl_name like ? || '%'"
    ((total,),) = list(prefect.execute(f"select sum(pgsize) from dbstat where name in ({named})", (begins,)))
    return int(total or 0)
