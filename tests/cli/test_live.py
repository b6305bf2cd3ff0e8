"""`tidemark live`, `status`, `watch`, `unwatch`, `symbols` as a person runs them, against a real exchange process."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
from pymongo.database import Database

from tests.cli.conftest import Run

TIDEMARK = [sys.executable, "-c", "from pipeline.cli import main; main()"]
PATIENCE = 90

Live = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def chosen(chosen: dict[str, str]) -> dict[str, str]:
    """Two series of a day."""
    return chosen | {
        "TIDEMARK_SYMBOLS": "BTCUSDT,ETHUSDT",
        "TIDEMARK_INTERVALS": "1m",
        "TIDEMARK_HISTORY_DAYS": "1",
        "NO_COLOR": "1",
    }


@pytest.fixture
def environment(chosen: dict[str, str]) -> dict[str, str]:
    """For a process of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")} | chosen


@pytest.fixture
def live(environment: dict[str, str], home: Path) -> Iterator[Live]:
    """Start the ingester; what still runs at the end is killed."""
    with contextlib.ExitStack() as running:

        def start(*arguments: str, **more: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [*TIDEMARK, "live", "--plain", *arguments],
                env={**environment, **more},
                cwd=home,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.callback(process.communicate)
            running.callback(process.kill)
            return process

        yield start


@pytest.fixture
def status(tidemark: Run) -> Callable[[], Any]:
    return lambda: json.loads(tidemark("status", "--json").stdout)


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.5)
    return found


def test_a_changed_strategy_is_taken_up_and_a_broken_one_is_not(live: Live, db: Database[Any], home: Path) -> None:
    """From a rule that never speaks, by way of a broken one, to one that speaks of every candle."""
    speaking = (Path(__file__).parents[1] / "metronome.py").read_text()
    silent = speaking.replace("2, -2", "0, 0")
    file = home / "mine.py"
    file.write_text(silent)
    process = live(TIDEMARK_STRATEGY_PATHS=f"{file}:Metronome")
    heard: list[str] = []

    def hears(words: str) -> None:
        assert process.stderr is not None
        while words not in (line := process.stderr.readline()):
            assert line, f"in vain waited for {words!r}: {heard}"
            heard.append(line)
        heard.append(line)

    hears("watched series are live")
    file.write_text(silent + "\nthis is no Python\n")
    hears("changed and is not taken up")
    assert "SyntaxError" in heard[-1]
    assert "What ran before goes on" in heard[-1]
    file.write_text(speaking)
    hears("changed and is taken up from the next candle on; running: metronome")
    hears("signals that are stored stay as they are")
    hears("by metronome 1m")
    assert db["signals"].find_one({"strategy": "metronome", "source": "live"}) is not None
    assert "Traceback" not in "".join(heard)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def current(found: Any, symbol: str) -> bool:
    """Whether that series is stored, not behind, and frames of it arrive."""
    return any(
        one["symbol"] == symbol and one["stored"] >= 1_439 and one["behind"] == 0 and one["frame_age"] is not None
        for one in found["series"]
    )


def test_it_keeps_series_current_and_says_so(live: Live, tidemark: Run, status: Callable[[], Any]) -> None:
    process = live("--metrics-port", "0")
    assert process.stderr is not None
    address = until(lambda: re.search(r"http://\S+/metrics", process.stderr.readline()), "the address of the metrics")[
        0
    ]

    def measured() -> Any:
        """Both are current, and the heartbeat has come that tells it."""
        now = status()
        told = [one["figures"].get("uptime") for one in now["processes"]]
        return now if current(now, "BTCUSDT") and current(now, "ETHUSDT") and any(told) else None

    found = until(measured, "both are current")
    (ingester,) = found["processes"]
    assert ingester["alive"]
    assert ingester["figures"]["series"] == 2
    assert ingester["figures"]["connections"] == 1
    assert 0 < ingester["figures"]["api_p50"] <= ingester["figures"]["api_p99"]
    assert 0 < ingester["figures"]["weight_most"] < 1
    targets = {one["key"]: one for one in found["targets"]}
    for known in ("api_mean", "api_latency", "uptime", "stream_uptime", "weight", "stored_within", "missing"):
        assert targets[known]["measured"] is not None, known
        assert targets[known]["met"] in {True, False}, known
    assert targets["slippage"]["measured"] is targets["slippage"]["met"] is None, "no order, no slippage"

    def scraped() -> str:
        return urllib.request.urlopen(address, timeout=10).read().decode()

    calls = 'tidemark_api_calls{became="answered",call="GET /fapi/v1/exchangeInfo",role="ingester"}'
    until(lambda: calls in scraped(), "its heartbeat was looked at")
    metrics = scraped()
    assert "tidemark_series 2.0" in metrics
    assert "tidemark_store_up 1.0" in metrics
    assert 'tidemark_slo_target{slo="api_latency",unit="ms"} 200.0' in metrics
    assert 'tidemark_api_latency_seconds{quantile="0.99"}' in metrics
    assert float(re.search(r"^tidemark_frames_total (\S+)", metrics, re.MULTILINE)[1]) > 0

    watched = tidemark("watch", "solusdt", "--interval", "1m", "--json")
    assert ["sim", "SOLUSDT", "1m"] in [list(one.values()) for one in json.loads(watched.stdout)]
    until(lambda: current(status(), "SOLUSDT"), "a newly watched series is backfilled and current")
    assert tidemark("unwatch", "SOLUSDT").exit_code == 0
    assert "SOLUSDT" not in {one["symbol"] for one in status()["series"]}
    until(lambda: status()["processes"][0]["figures"]["series"] == 2, "it is let go")

    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    after = tidemark("status")
    assert after.exit_code == 0
    assert "No ingester runs" in after.stderr
    assert re.search(r"slippage, mean .*< 0\.1 %.* no data yet", after.stdout)


def test_a_killed_one_is_reported_until_another_takes_its_place(
    live: Live, tidemark: Run, status: Callable[[], Any], db: Database[Any]
) -> None:
    process = live(TIDEMARK_STREAM="continuousKline")
    until(lambda: current(status(), "BTCUSDT"), "it is current, by the stream of the pair")
    process.kill()
    process.wait()
    db["control"].update_one({"kind": "heartbeat"}, {"$set": {"at": datetime.now(UTC) - timedelta(minutes=1)}})
    told = tidemark("status", "--calls")
    assert told.exit_code == 3
    assert re.search(r"ingester .* GET /fapi/v1/exchangeInfo .* [1-9]", told.stdout)
    assert "DEAD" in told.stdout
    assert re.search(r"\d+ calls, 100\.0 % answered, API \d+ ms on average, p99 \d+ ms", told.stdout)
    live()
    until(lambda: [one["alive"] for one in status()["processes"]] == [True], "the dead one is forgotten")


def test_a_second_one_on_the_same_share_is_told_that_it_stands_by(
    live: Live, tidemark: Run, status: Callable[[], Any]
) -> None:
    first = live()
    until(lambda: status()["processes"], "the first beats")
    second = live()
    until(lambda: len(status()["processes"]) == 2, "both beat")
    told = status()["processes"]
    assert {one["pid"]: one["stands_by"] for one in told} == {first.pid: False, second.pid: True}
    assert tidemark("status").stdout.count("STANDS BY") == 1
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    until(lambda: [one["stands_by"] for one in status()["processes"]] == [False], "the second goes on alone")
    second.send_signal(signal.SIGTERM)
    _, said = second.communicate(timeout=PATIENCE)
    assert f"process {first.pid} on {socket.gethostname()} keeps this share already; this one stands by" in said


def test_a_person_sees_a_table_and_ctrl_c_ends_it(environment: dict[str, str], home: Path) -> None:
    screen = pexpect.spawn(
        TIDEMARK[0], [*TIDEMARK[1:], "live"], env=environment, cwd=home, timeout=PATIENCE, dimensions=(40, 160)
    )
    try:
        screen.expect("frames/s")
        screen.expect(r"BTCUSDT\s+1m")
        screen.sendintr()
        screen.expect(pexpect.EOF)
        screen.close()
        assert screen.exitstatus == 0
    finally:
        screen.close(force=True)


def test_output_sent_to_a_file_is_its_log(environment: dict[str, str], home: Path) -> None:
    command = shlex.join([*TIDEMARK, "live"])
    shell = pexpect.spawn("sh", ["-c", f"exec {command} > said"], env=environment, cwd=home, timeout=PATIENCE)
    said = home / "said"
    try:
        until(lambda: said.exists() and "2 of 2 watched series are live" in said.read_text(), "it says what is live")
        shell.sendintr()
        shell.expect(pexpect.EOF)
        shell.close()
    finally:
        shell.close(force=True)
    assert shell.exitstatus == 0
    lines = said.read_text().splitlines()
    assert lines[0].endswith("the ingester of sim begins, share 1/1")
    assert lines[-1].endswith("the ingester ends; every candle that came is stored")


def test_a_series_that_is_taken_up_gets_all_of_its_history(
    live: Live, tidemark: Run, status: Callable[[], Any]
) -> None:
    stored = json.loads(tidemark("backfill", "XRPUSDT", "-i", "1m", "--limit", "240", "--json").stdout)
    assert [(one["wanted"], one["stored"]) for one in stored] == [(240, 240)]
    assert tidemark("watch", "XRPUSDT", "--interval", "1m").exit_code == 0
    live()
    until(lambda: current(status(), "XRPUSDT"), "a day of it is stored")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("live", "--shard", "3/2"), 2, "is no share"),
        (("watch", "NOSUCHUSDT"), 2, "lists no symbol 'NOSUCHUSDT'"),
        (("watch", "BTCUSDT", "--interval", "7m"), 2, "7m"),
        (("unwatch", "BTCUSDT"), 2, "not watched"),
        (("unwatch",), 2, "--all"),
    ],
)
def test_what_cannot_be_is_refused_with_words(tidemark: Run, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = tidemark(*arguments)
    assert done.exit_code == code
    assert says in done.stderr


def test_symbols_are_searched(tidemark: Run) -> None:
    found = json.loads(tidemark("symbols", "--search", "btc", "--json").stdout)
    assert "BTCUSDT" in {one["symbol"] for one in found}
    assert all("BTC" in one["symbol"] for one in found)
    assert "tick" in tidemark("symbols", "--search", "btc").stdout
