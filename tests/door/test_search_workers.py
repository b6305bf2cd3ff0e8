"""A search with workers, of this machine or of a Dask cluster: the same trials, whoever dies; and kills at random.

SEARCH_KILLS says how often the whole and a worker are killed: `make drills` does so often.
"""

import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from typer.testing import CliRunner

from pipeline.app import cluster, trying, trying_far
from pipeline.app import searched as searching
from pipeline.app.opened import Opened
from pipeline.app.search import Found, search
from pipeline.app.searched import SearchFor
from pipeline.app.trying import Progress, workers_of
from pipeline.cli.app import build
from pipeline.errors import AttentionError, UsageError
from pipeline.research.search.jobs import Attempt, Doer, Doers, Job
from pipeline.research.search.judge import DRAWS, Draws
from pipeline.research.search.trial import Trials
from pipeline.research.search.verdict import Evidence
from pipeline.store.mongod.launch import any_free_port
from tests.door.dask_cluster import PATIENCE, DaskCluster
from tidemark import Tidemark

KILLS = int(os.environ.get("SEARCH_KILLS", "1"))

pytestmark = [
    pytest.mark.timeout(900 * KILLS),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # Dask, its peer killed
]

SPACE = ["n=3..60", "stop=1..3:0.5", "target=2..6:0.5"]
BASE: dict[str, Any] = {
    "strategy": "ma_breakout", "symbols": ["BTCUSDT"], "interval": "15m", "space": SPACE,
    "objectives": ["return_pct"], "folds": 2, "trials": 45, "sealed": 0.2,
}  # fmt: skip
PROGRAM = """
import sys
from pathlib import Path
import tidemark
if __name__ == "__main__":
    with tidemark.open(home=Path(sys.argv[1]), uri=sys.argv[2]) as tm:
        tm.search("ma_breakout", symbols="BTCUSDT", interval="15m", objectives="return_pct", walk_forward=2,
                  space={"n": range(3, 61), "stop": (1, 1.5, 2, 2.5, 3), "target": (2, 3, 4, 5, 6)}, trials=400,
                  name="killed", progress=False, **eval(sys.argv[3]))
"""


@pytest.fixture(scope="module", autouse=True)
def minutes(filled: Tidemark) -> None:
    filled.backfill("BTCUSDT", "1m", days=10)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    made = DaskCluster(tmp_path_factory.mktemp("dask"), 3)
    try:
        made.has(3)
        yield made
    finally:
        made.end()


@pytest.fixture(autouse=True)
def nothing_left(filled: Tidemark) -> Iterator[None]:
    yield
    for name in ("searches", "trials"):
        filled._opened.db[name].delete_many({})
    gc.collect()


def made(tm: Tidemark, name: str, count: int | None = 1, address: str | None = None, **changed: Any) -> Found:
    told = changed.pop("progress", lambda _: None)
    with workers_of(tm._opened.settings.home / "search", count, address) as workers:
        return search(tm._opened, SearchFor(**BASE | {"name": name} | changed), workers=workers, progress=told)


def kept(tm: Tidemark, name: str) -> list[dict[str, Any]]:
    found = tm._opened.db["trials"].find({"search": name}).sort("number")
    return [{key: value for key, value in one.items() if key not in {"_id", "search"}} for one in found]


def require_same(tm: Tidemark, one: Found, other: Found) -> None:
    assert kept(tm, one.search.id) == kept(tm, other.search.id)
    assert [each.number for each in one.best] == [each.number for each in other.best]
    assert (one.forward, one.verdict.word, evidence(one)) == (other.forward, other.verdict.word, evidence(other))


def evidence(found: Found) -> Evidence:
    """Without what hangs on how many trials there were before."""
    return replace(found.verdict.evidence, trials=0, by_luck=0.0, deflated=None)


def left(tm: Tidemark) -> list[str]:
    return [one.name for one in (tm._opened.settings.home / "search").glob("*.columns")]


def spawned() -> list[str]:
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            found += [said] if "spawn_main" in (said := " ".join(one.cmdline())) else []
    return found


@pytest.mark.parametrize("count", [2, None])
def test_two_processes_of_this_machine_try_the_same(
    filled: Tidemark, count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun at once, or after the first round, by which it has taken long."""
    begun: list[int] = []
    plain = trying_far.dask_workers

    def told(folder: Path, count: int, address: str | None) -> AbstractContextManager[Doers]:
        begun.append(count)
        return plain(folder, count, address)

    monkeypatch.setattr(trying_far, "dask_workers", told)
    monkeypatch.setattr(trying, "ALONE", 1e-9)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    alone = made(filled, "alone", prune=True, sampler="tpe")
    assert begun == []
    seen: list[Progress] = []
    two = made(filled, "two", count, prune=True, sampler="tpe", progress=seen.append)
    assert begun == [2]
    require_same(filled, alone, two)
    assert [one.done for one in seen] == list(range(1, 46))
    assert left(filled) == []
    deadline = time.monotonic() + 60
    while spawned():
        assert time.monotonic() < deadline, spawned()
        time.sleep(0.1)


def test_where_no_others_can_be_had_it_goes_on_alone(filled: Tidemark, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise UsageError("2 workers need 9,000 MB of memory for this")

    monkeypatch.setattr(trying_far, "dask_workers", refused)
    monkeypatch.setattr(trying, "ALONE", 1e-9)
    found = made(filled, "alone", None)
    assert [one.state for one in found.trials] == ["done"] * 45


def cut() -> None:
    """The connection to the scheduler breaks, and nobody had a hand in it."""
    client = Client.current()
    client.loop.add_callback(client.scheduler_comm.comm.abort)


def test_three_workers_of_a_cluster_one_killed_and_the_connection_cut_meanwhile(
    filled: Tidemark, three: DaskCluster
) -> None:
    killed: list[int] = []

    def told(at: Progress) -> None:
        if at.done == 2:
            cut()
        if at.done == 5:
            killed.append(three.workers[0].pid)
            three.kill(0)

    alone = made(filled, "alone")
    found = made(filled, "three", address=three.address, progress=told)
    require_same(filled, alone, found)
    assert killed
    three.add()
    words = ("search", "--resume", "three", "--trials", "60", "--cluster", three.address, "--json")
    done = CliRunner().invoke(build(), [*words])
    assert (done.exit_code, json.loads(done.stdout)["trials"], len(kept(filled, "three"))) == (0, 60, 60), done.output


def test_a_strategy_of_ones_own_and_what_fails_in_it_travel_too(
    filled: Tidemark, three: DaskCluster, tmp_path: Path
) -> None:
    file = tmp_path / "brittle.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar, Literal\n"
        "import numpy as np\n\nWORD = Literal['a', 'b']\n\n"
        "@dataclass(frozen=True)\nclass Brittle:\n    name: ClassVar[str] = 'brittle'\n    n: int = 1\n"
        "    word: WORD = 'a'\n    needs = ('close',)\n    lookback = 0\n"
        "    def signals(self, columns):\n        if self.n == 3:\n            raise ValueError('no threes')\n"
        "        return np.zeros(len(columns['close']), np.int8)\n"
    )
    asked = {"strategy": f"{file}:Brittle", "space": ["n=1..5"], "sampler": "grid"}
    found = made(filled, "own", address=three.address, **asked)
    assert [one.state for one in found.trials] == ["done", "done", "failed", "done", "done"]
    assert "no threes" in str(found.trials[2].reason)
    file.write_text(file.read_text() + "\n# another\n")
    made(filled, "changed", address=three.address, **asked)


def test_what_a_worker_cannot_do_is_said_before_the_first_trial(
    filled: Tidemark, three: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trying_far, "trial_code", lambda: "of a newer one")
        with pytest.raises(UsageError, match=r"worker tcp://127\S+ cannot try anything: it runs another version"):
            made(filled, "x", address=three.address)
    with monkeypatch.context() as patch:
        patch.setattr(trying_far, "free_bytes", lambda: 1_000_000)
        with pytest.raises(UsageError, match=r"\d workers at tcp://127.0.0.1 need about \d+ MB .* and 1 MB are free"):
            made(filled, "x", address=three.address)
    assert filled._opened.db["trials"].count_documents({}) == 0
    assert left(filled) == []


def test_a_cluster_without_workers_and_one_that_goes_away(
    filled: Tidemark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster, "THERE_WITHIN", 0.1)
    monkeypatch.setattr(cluster, "GONE_FOR", 0.1)
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 10)
    small = DaskCluster(tmp_path, 0)
    try:
        small.has(0)
        with pytest.raises(UsageError, match=r"it has no worker\. Start one beside it: dask worker tcp://"):
            made(filled, "x", address=small.address)
        small.add()
        small.has(1)
        with pytest.raises(AttentionError, match=r"has had no worker for a minute\. What was tried is kept"):
            made(filled, "x", address=small.address, progress=lambda at: at.done == 3 and small.kill(0))
        small.add()
        small.has(1)
        with pytest.raises(AttentionError, match="does not answer any more"):
            made(filled, "x", address=small.address, progress=lambda at: at.done == 12 and small.end())
        assert [one.getMessage() for one in caplog.records if one.name.startswith("distributed")] == []
    finally:
        small.end()
    assert len(kept(filled, "x")) >= 12, "of none was told that it is done before it was kept"
    whole = made(filled, "whole")
    require_same(filled, whole, made(filled, "x"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--workers", "0"), "--workers must be at least 1, not 0"),
        (("--workers", "2", "--cluster", "tcp://127.0.0.1:1"), "exclude each other"),
        (("--cluster", "nowhere"), "no Dask scheduler answers there"),
        (("--cluster", "tcp://127.0.0.1:{free}"), "no Dask scheduler answers there"),
        (("--cluster", "http://127.0.0.1:80"), "no Dask scheduler answers there"),
    ],
)
def test_a_dead_address_is_said_in_a_sentence(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 1)
    given = [one.replace("{free}", str(any_free_port())) for one in arguments]
    done = CliRunner().invoke(build(), ["search", "ma_breakout", "--symbol", "BTCUSDT", "-i", "15m", *given])
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output


class Ending:
    """Where Python forgets what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_that_strikes_where_python_would_forget_it_ends_the_search_all_the_same(
    filled: Tidemark, three: DaskCluster
) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(filled, "x", address=three.address, progress=lambda at: at.done == 5 and Ending())
    assert len(kept(filled, "x")) >= 5
    assert given_out(three) == []


def interrupted(tm: Tidemark, said: Path, *where: str) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """A search as a person runs it, once some of its trials are kept; and all that it had begun, which a terminal sends
    Ctrl-C as well."""
    space = ("n=3..60", "stop=1..3:0.5", "target=2..6:0.1")
    words = [
        "search",
        "ma_breakout",
        "--symbol",
        "BTCUSDT",
        "-i",
        "15m",
        "--objective",
        "return_pct",
        "--trials",
        "9000",
    ]
    words += [word for one in space for word in ("--space", one)]
    command = [
        str(Path(sys.executable).with_name("tidemark")),
        *words,
        "--walk-forward",
        "2",
        "--name",
        "killed",
        *where,
    ]
    with said.open("wb") as out:
        asked = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    some_are_kept(tm, asked, 30)
    family = psutil.Process(asked.pid).children(recursive=True)
    os.killpg(asked.pid, signal.SIGINT)
    return asked, family


@pytest.mark.parametrize("where", ["workers", "cluster"])
def test_ctrl_c_ends_all_that_it_began_and_what_was_tried_is_kept(
    filled: Tidemark, three: DaskCluster, tmp_path: Path, where: str
) -> None:
    own = where == "workers"
    said = tmp_path / "said"
    asked, family = interrupted(filled, said, *(("--workers", "2") if own else ("--cluster", three.address)))
    so_far = len(kept(filled, "killed"))
    code, told = asked.wait(PATIENCE), said.read_text()
    assert code == 130, told
    assert "Traceback" not in told
    assert "if it is interrupted, tidemark search --resume killed goes on" in " ".join(told.split())
    assert len(family) >= (2 if own else 0)
    _, alive = psutil.wait_procs(family, PATIENCE)
    assert alive == []
    assert left(filled) == []
    if not own:
        three.has(3)
        assert given_out(three) == []
    at_last = len(kept(filled, "killed"))
    assert so_far <= at_last < 9000
    done = CliRunner().invoke(build(), ["search", "--resume", "killed", "--trials", str(at_last + 5), "--json"])
    assert done.exit_code == 0, done.output
    assert {one["number"] for one in kept(filled, "killed")} >= set(range(at_last + 5))


def given_out(three: DaskCluster) -> list[str]:
    with Client(three.address) as client:
        found = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
        return [one for one in found if one.startswith(cluster.OURS)]


def test_killed_at_random_it_is_the_same_and_no_trial_is_run_twice(
    filled: Tidemark, three: DaskCluster, mongo_uri: str
) -> None:
    dice = random.Random(KILLS)
    tm = filled._opened
    for number in range(KILLS):
        child = begun(filled, mongo_uri, f"{{'cluster': {three.address!r}, 'seed': {number}}}")
        so_far = 0
        for _ in range(2):
            so_far = some_are_kept(filled, child, so_far + dice.randrange(1, 60))
            three.kill(dice.randrange(len(three.workers)))
            three.add()
        first = {one["number"]: one["_id"] for one in tm.db["trials"].find({"search": "killed"})}
        child.kill()
        child.wait(20)
        three.has(3)
        before = kept_at_last(tm)
        assert first.items() <= {one["number"]: key for key, one in before.items()}.items()
        again, ran = resumed(tm, three)
        assert (left(filled), given_out(three)) == ([], []), "what was left is taken back"
        assert sorted([*ran, *(one["number"] for one in before.values())]) == list(range(400))
        whole = search(tm, SearchFor(**asked_of(again)))
        require_same(filled, whole, again)
        for name in ("searches", "trials"):
            tm.db[name].delete_many({})


def kept_at_last(tm: Opened) -> dict[str, dict[str, Any]]:
    """What one had sent before it was killed may be written a moment later."""
    found: list[dict[str, Any]] = []
    while True:
        found, before = list(tm.db["trials"].find({"search": "killed"})), found
        if found == before:
            return {one["_id"]: one for one in found}
        time.sleep(0.5)


def resumed(tm: Opened, three: DaskCluster) -> tuple[Found, list[int]]:
    """To its end; and which trials were run for that."""
    ran: list[int] = []
    drawn: list[float] = []
    with workers_of(tm.settings.home / "search", 1, three.address) as workers:

        def heard(trials: Trials) -> Doer:
            asked = workers(trials)

            def do(jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
                ran.extend(one.number for one in jobs if isinstance(one, Attempt))
                drawn.extend(share for one in jobs if isinstance(one, Draws) for share in one.shares)
                return asked(jobs)

            return do

        again = search(tm, searching.resumed(tm, "killed"), workers=heard)
    assert len(drawn) == DRAWS, "they are drawn by the workers as well"
    return again, ran


def asked_of(again: Found) -> dict[str, Any]:
    space = [f"{axis}={','.join(map(str, values))}" for axis, values in again.search.space.items()]
    return BASE | {"name": "whole", "space": space, "trials": 400, "sealed": 0.15, "seed": again.search.seed}


def begun(tm: Tidemark, uri: str, given: str) -> subprocess.Popen[bytes]:
    """In a process of its own."""
    home = tm._opened.settings.home
    file = home.parent / "search_program.py"
    file.write_text(PROGRAM)
    return subprocess.Popen([sys.executable, str(file), str(home), uri, given], cwd=home.parent)


def some_are_kept(tm: Tidemark, child: subprocess.Popen[bytes], many: int) -> int:
    """How many, once there are so many."""
    deadline = time.monotonic() + 600
    while (found := tm._opened.db["trials"].count_documents({"search": "killed"})) < many:
        assert time.monotonic() < deadline, found
        if child.poll() is not None:
            assert child.returncode == 0
            break
        time.sleep(0.02)
    return int(found)
