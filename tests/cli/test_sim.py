"""`tidemark sim` as a person runs it: it says where it answers, answers there, and ends cleanly."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

TIMEOUT = 30
SIM = [sys.executable, "-c", "from pipeline.cli import main; main()", "sim"]

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start the command; what still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*SIM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def read_object(process: "subprocess.Popen[str]") -> dict[str, str]:
    """The JSON object that it prints first."""
    assert process.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        text += line
    found: dict[str, str] = json.loads(text)
    return found


def test_it_answers_where_it_says_and_ends_on_ctrl_c(run: Run) -> None:
    process = run("--port", "0", "--symbols", "BTCUSDT,ETHUSDT", "--json")
    where = read_object(process)
    assert (where["key"], where["secret"]) == ("sim-key", "sim-secret")
    assert where["ws_url"] == where["url"].replace("http", "ws")
    info = requests.get(f"{where['url']}/fapi/v1/exchangeInfo", timeout=TIMEOUT).json()
    assert [each["symbol"] for each in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert requests.get(where["panel"], timeout=TIMEOUT).json()["accounts"] == ["main"]
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0


def test_it_says_in_words_what_it_offers(run: Run) -> None:
    process = run("--port", "0", "--account", "desk:my-key:my-secret:50000")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    assert lines[0].startswith("REST      http://127.0.0.1:")
    assert any("sim-key" in line for line in lines)
    assert any("desk" in line and "50000" in line and "my-key" in line for line in lines)


def test_three_markets_have_three_addresses_and_the_ready_account_has_coins(run: Run) -> None:
    process = run("--port", "0", "--markets", "um,cm,spot")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(11)]
    addresses = {line[:9].strip(): line.split()[-1] for line in lines if line.startswith("REST")}
    assert list(addresses) == ["REST um", "REST cm", "REST spot"]
    assert requests.get(f"{addresses['REST cm']}/dapi/v1/ping", timeout=TIMEOUT).json() == {}
    assert "in cm     0.1 BTC, 2 ETH, 10 BNB, 40 SOL, 10000 XRP\n" in lines
    assert "in spot   10000 USDT, 0.1 BTC, 2 BNB\n" in lines
    assert any(line.startswith("ws api    ws://") and line.endswith("/ws-api/v3\n") for line in lines)


def test_a_market_that_there_is_not(run: Run) -> None:
    process = run("--port", "0", "--markets", "um,options")
    assert "the exchange has the markets um, cm, spot; not 'options'" in process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 2


def test_a_replay(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    minutes = range(1_767_225_600_000, 1_767_225_600_000 + 600 * 60_000, 60_000)
    rows = "\n".join(f"{time},100.0,101.0,99.0,100.5,12.5" for time in minutes)
    file.write_text(f"timestamp,open,high,low,close,volume\n{rows}\n")
    process = run("--port", "0", "--replay", str(file), "--replay-symbol", "OLDUSDT", "--json")
    url = read_object(process)["url"]
    asked = {"symbol": "OLDUSDT", "interval": "1m", "limit": "3"}
    candles = requests.get(f"{url}/fapi/v1/klines", params=asked, timeout=TIMEOUT).json()
    assert [float(cell) for cell in candles[0][1:6]] == [100.0, 101.0, 99.0, 100.5, 12.5]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--symbols", "BTCUSD"), "lists no 'BTCUSD'; near it: BTCUSDT"),
        (("--account", "nobody"), "name:key:secret[:deposit]"),
        (("--speed", "0"), "--speed"),
        (("--replay", "no-such-file.csv"), "--replay"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_with_exit_code_2(run: Run, arguments: tuple[str, str], words: str) -> None:
    process = run("--port", "0", *arguments)
    _, complaint = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2
    assert words in complaint
    assert "Traceback" not in complaint
