"""The exchange in the hands of a test: it starts, it ends, and it never outlives whoever started it."""

import subprocess
import sys

import psutil
import pytest
import requests

from pipeline.simulator import handle
from pipeline.simulator.handle import Simulator, SimulatorError

TIMEOUT = 30
OPTIONS = "symbols=('BTCUSDT',)"


def test_it_is_gone_after_its_block() -> None:
    with Simulator.start(symbols=("BTCUSDT",)) as simulator:
        process = psutil.Process(simulator.pid)
        assert simulator.alive
        assert requests.get(f"{simulator.url}/fapi/v1/ping", timeout=TIMEOUT).json() == {}
    assert not simulator.alive
    assert not process.is_running()
    with pytest.raises(SimulatorError, match="does not answer"):
        simulator.now()


def test_it_ends_when_its_starter_is_killed() -> None:
    code = (
        "import time; from pipeline.simulator.handle import Simulator; "
        f"print(Simulator.start({OPTIONS}).pid, flush=True); time.sleep({TIMEOUT})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        simulator = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    psutil.wait_procs([simulator], timeout=TIMEOUT)
    assert not simulator.is_running()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SimulatorError])
def test_interrupted_at_its_start_it_is_gone(
    interruption: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[psutil.Process] = []

    def interrupted(process: "subprocess.Popen[bytes]", _: float) -> bytes:
        begun.append(psutil.Process(process.pid))
        raise interruption

    monkeypatch.setattr(handle, "_first_line", interrupted)
    with pytest.raises(interruption):
        Simulator.start(symbols=("BTCUSDT",))
    assert not begun[0].is_running()


def test_one_that_cannot_start_says_why_and_is_gone() -> None:
    with pytest.raises(SimulatorError, match=r"did not start:(.|\n)*the simulator lists no 'NOPE'"):
        Simulator.start(symbols=("NOPE",))


def test_two_with_the_same_seed_have_the_same_market() -> None:
    day = 1_767_225_600_000
    with Simulator.start(seed=3, symbols=("BTCUSDT",)) as one, Simulator.start(seed=3, symbols=("BTCUSDT",)) as two:
        rows = [each.truth_klines("BTCUSDT", "1h", day, day + 10 * 3_600_000) for each in (one, two)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 11
