"""What is said of long work: how far it is, what it waits for, and how often."""

import io
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from rich.console import Console

from pipeline.app.progress import Bars, trials_done
from pipeline.app.so_far import Minutely, clock, so_far
from pipeline.app.trying import Progress
from pipeline.app.waits import waits_said
from pipeline.exchange.clock import ServerClock
from pipeline.exchange.errors import StoppedError
from pipeline.exchange.limits import LimitGate


@pytest.mark.parametrize(
    ("done", "wanted", "seconds", "said"),
    [
        (0, 0, 0.0, "0 of 0 candles, 0/s"),
        (0, 1_300_000, 3.0, "0 of 1,300,000 candles, 0/s"),
        (432_000, 1_300_000, 20.0, "432,000 of 1,300,000 candles, 21,600/s, 0:40 left"),
        (1_000, 1_300_000, 10.0, "1,000 of 1,300,000 candles, 100/s, 3:36:30 left"),
        (1_300_000, 1_300_000, 60.0, "1,300,000 of 1,300,000 candles, 21,667/s"),
        (1_400_000, 1_300_000, 70.0, "1,300,000 of 1,300,000 candles, 20,000/s"),
    ],
)
def test_how_far_it_is_how_fast_and_how_long_the_rest_takes(done: int, wanted: int, seconds: float, said: str) -> None:
    assert so_far(done, wanted, seconds) == said


def test_a_clock_has_hours_only_where_there_are_some() -> None:
    assert [clock(seconds) for seconds in (0, 9.4, 61, 3_600)] == ["0:00", "0:09", "1:01", "1:00:00"]


@pytest.mark.parametrize(("at_once", "said"), [(True, [0, 60, 125]), (False, [61, 125])])
def test_a_log_gets_a_line_a_minute(at_once: bool, said: list[int]) -> None:
    now, heard = [0.0], list[str]()
    say = Minutely(heard.append, at_once=at_once, now=lambda: now[0])
    for moment in (0, 1, 59, 60, 61, 125) if at_once else (0, 1, 59, 61, 62, 125):
        now[0] = moment
        say(str(moment))
    assert heard == [str(one) for one in said]


def test_a_wait_for_request_weight_is_counted_down_while_nothing_is_held() -> None:
    """Whoever is told may itself ask the gate, or take as long as it likes: it holds nobody up."""
    gate = LimitGate(100, 0.8, ServerClock(), period=8_000)
    heard: list[str] = []
    free: list[bool] = []

    def say(text: str) -> None:
        heard.append(text)
        with ThreadPoolExecutor(1) as pool:
            free.append(pool.submit(lambda: gate.used >= 0).result(timeout=5))

    def spend_all() -> None:
        while sum(map(len, heard)) == 0 and not over.is_set():
            with gate.spend(80):
                pass

    over = threading.Event()
    with waits_said(gate, say, every=0.1), ThreadPoolExecutor(1) as pool:
        spending = pool.submit(spend_all)
        deadline = time.monotonic() + 30
        while len(heard) < 20:
            assert time.monotonic() < deadline, heard
            time.sleep(0.05)
        over.set()
        gate.stop.set()
        spending.exception(timeout=10)
    seconds = [int(text.removeprefix("waiting for request weight, ").removesuffix(" s")) for text in heard]
    assert max(seconds) <= 9
    assert len(set(seconds)) > 1, "it counts down"
    assert all(free)


def test_a_short_wait_is_not_worth_a_word() -> None:
    gate = LimitGate(100, 0.8, ServerClock(), period=500)
    heard: list[str] = []
    with waits_said(gate, heard.append, every=0.05):
        for _ in range(4):
            with gate.spend(80):
                pass
    assert heard == []


def test_the_bars_of_a_backfill_say_that_they_wait() -> None:
    gate = LimitGate(100, 0.8, ServerClock(), period=1 << 41)
    with gate.spend(80):
        pass
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with ThreadPoolExecutor(1) as pool, Bars(console, gate):
        waiting = pool.submit(_spend, gate)
        deadline = time.monotonic() + 30
        while "waiting for request weight, " not in console.file.getvalue():  # type: ignore[attr-defined]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gate.stop.set()
        assert isinstance(waiting.exception(timeout=10), StoppedError)


def _spend(gate: LimitGate) -> None:
    with gate.spend(1):
        pass


def test_a_search_shows_how_many_how_fast_how_long_the_best_and_the_memory_of_its_workers_too() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    holds = "held = b'x' * 200_000_000; print(len(held), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        own = psutil.Process().memory_info().rss
        with trials_done(console=console) as told:
            for done in (150, 200, 250):
                told(Progress(done, wanted=1_000, kept=50, best=1.234))
        worker.communicate(b"\n")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "250/1,000 trials" in shown
    assert re.search(r"[\d,.]+/s", shown)
    assert re.search(r"\d:\d\d:\d\d", shown), "how long it takes still"
    (memory,) = re.findall(r"best 1\.23  ([\d,]+) MB", shown)[-1:]
    assert int(memory.replace(",", "")) > own / 1e6 + 150
