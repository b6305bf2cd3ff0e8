"""A benchmark that is interrupted leaves nothing: no process, not even a grandchild, and no folder."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

RUN = """
import subprocess, sys, tempfile, time
from bench.tidy import leaving_nothing

GRANDCHILD = "import subprocess, sys; one = subprocess.Popen(['sleep', '600']); print(one.pid, flush=True); one.wait()"
try:
    with leaving_nothing():
        child = subprocess.Popen([sys.executable, "-c", GRANDCHILD], stdout=subprocess.PIPE, start_new_session=True)
        print(tempfile.mkdtemp(), child.pid, int(child.stdout.readline()), flush=True)
        try:
            while sys.argv[1] == "waits":
                time.sleep(0.1)  # in one long piece it would not hear of a signal that comes as it begins
        except KeyboardInterrupt:
            child.kill()
            child.wait()
            raise
        raise SystemExit(7)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("manner", "told", "code"), [("waits", signal.SIGINT, 130), ("waits", signal.SIGTERM, 130), ("fails", None, 7)]
)
def test_nothing_is_left(manner: str, told: signal.Signals | None, code: int) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", RUN, manner], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        folder, *numbers = process.stdout.readline().split()
        try:
            if told is not None:
                process.send_signal(told)
            assert process.wait(60) == code
        finally:
            process.kill()
    assert Path(folder).parent.name.startswith("tidemark-bench-")
    assert not Path(folder).parent.exists()
    assert not [number for number in map(int, numbers) if _runs(number)]


def _runs(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
