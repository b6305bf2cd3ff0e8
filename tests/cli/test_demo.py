import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

COMMAND = Path(sys.executable).with_name("tidemark")


def processes_of(home: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(home) in part for part in process.info["cmdline"] or ())
    ]


@pytest.fixture
def demo(home: Path) -> Iterator["Demo"]:
    running = Demo(home)
    yield running
    running.kill()


class Demo:
    """`tidemark demo` as a process, in a data folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
        self.environment = {**kept, "TIDEMARK_HOME": str(home)}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> list[str]:
        """Start it, and return what it says until it is ready."""
        self.process = subprocess.Popen(
            [COMMAND, "demo"],
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("ready after"):
                return said
        raise AssertionError("it ended before it was ready: " + "".join(said))

    def end(self, how: signal.Signals) -> str:
        """Send it a signal; returns what it says until it has ended."""
        assert self.process is not None
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=60)
        return rest

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        for process in processes_of(self.home):
            process.kill()
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=60)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_gets_ready_and_leaves_nothing_behind(how: signal.Signals, demo: Demo) -> None:
    said = demo.start()
    assert [line.split(maxsplit=1)[0] for line in said] == ["database", "collections", "ready"]
    assert processes_of(demo.home)
    rest = demo.end(how)
    assert "stopped; the data stay in" in rest
    assert demo.process is not None
    assert demo.process.returncode == 0
    assert processes_of(demo.home) == []


def test_it_starts_again_after_everything_was_killed(demo: Demo) -> None:
    first = demo.start()
    assert "8 of them made now" in first[1]
    demo.kill()
    again = demo.start()
    assert "0 of them made now" in again[1]
    demo.end(signal.SIGINT)
    assert processes_of(demo.home) == []


def test_it_says_what_is_wrong_and_leaves_nothing_behind(demo: Demo) -> None:
    demo.environment["TIDEMARK_MINIMUM_FREE_MB"] = "999999999"
    done = subprocess.run(
        [COMMAND, "demo"], cwd=demo.home, env=demo.environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: the disk of ")
    assert processes_of(demo.home) == []
