"""The request weight of the exchange is used up: what a person sees until it goes on."""

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pexpect
import pytest

from pipeline.simulator.handle import Simulator
from pipeline.timeline import MINUTE, SECOND

COMMAND = f"{shlex.quote(sys.executable)} -c 'from pipeline.cli import main; main()'"
WAITING = r"waiting for request weight, (\d+) s"


@pytest.fixture
def busy(start_simulator: Callable[..., Simulator]) -> Simulator:
    """An exchange that another process of our address has asked for all it may, with half a minute to go."""
    simulator = start_simulator()
    while not 5 * SECOND < simulator.now() % MINUTE < 30 * SECOND:
        time.sleep(0.5)
    for _ in range(192):
        urlopen(f"{simulator.url}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1500").read()
    return simulator


BACKFILL = "backfill BTCUSDT -i 1h --days 2"


@pytest.mark.parametrize(
    ("command", "piped"),
    [(BACKFILL, ""), (BACKFILL, " 2>&1 | cat"), ("live --plain", " 2>&1 | cat")],
    ids=["a terminal", "a log", "the log of live"],
)
def test_a_wait_for_request_weight_is_said(
    chosen: dict[str, str], home: Path, busy: Simulator, command: str, piped: str
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    shown = pexpect.spawn(
        "/bin/sh",
        ["-c", f"{COMMAND} {command}{piped}"],
        env=kept | chosen | {"TIDEMARK_SIM_URL": busy.url},
        cwd=home,
        timeout=30,
        encoding="utf-8",
        dimensions=(40, 160),
    )
    shown.expect(WAITING)
    left = int(shown.match[1])
    assert 0 < left <= 60
    if not piped:
        shown.expect(WAITING)
        assert left - 3 < int(shown.match[1]) < left, "it counts down"
        shown.expect("48 of 48 stored", timeout=70)
    shown.sendintr()
    shown.expect(pexpect.EOF)
    shown.close()
    assert "Traceback" not in shown.before
