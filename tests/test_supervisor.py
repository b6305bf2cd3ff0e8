import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import psutil
import pytest

from pipeline.supervise.reaper import Reaper, remaining
from pipeline.supervise.supervisor import Log, Service, ServiceError, State, Supervisor, delays

PATIENCE = 60.0

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
SLOW_TO_END = """
import signal, sys, time
def end(*_):
    print("asked", time.monotonic(), flush=True)
    time.sleep(0.5)
    print("ended", time.monotonic(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    time.sleep(0.1)  # in one long piece it would not hear of a signal that comes as it begins
"""
PLAIN = "import time; print('up', flush=True); time.sleep(600)"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def is_gone(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def service(name: str, code: str, *, within: float = PATIENCE) -> Service:
    """A Python program; it is ready when it has written something."""
    return Service(name, [sys.executable, "-c", code], {**os.environ, "ONE_OF_OURS": "yes"}, "", ready_within=within)


@pytest.fixture
def logs(home: Path) -> Path:
    return home / "logs"


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def supervisor(logs: Path, heard: list[tuple[str, str]]) -> Iterator[Supervisor]:
    with Reaper() as reaper, Supervisor(logs, reaper, lambda name, line: heard.append((name, line))) as running:
        yield running


def test_a_service_is_started_waited_for_heard_and_ended(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
    code = "import os, time; print('mine', os.environ['ONE_OF_OURS']); time.sleep(600)"
    supervisor.start(service("talker", code))
    supervisor.wait_ready("talker")
    (status,) = supervisor.statuses()
    assert (status.name, status.state, status.restarts) == ("talker", State.RUNNING, 0)
    assert os.getpgid(status.process_id or 0) == status.process_id
    until(lambda: heard == [("talker", "mine yes")])
    assert status.log.read_text() == "mine yes\n"
    assert supervisor.stop() == []
    assert is_gone(status.process_id or 0)
    assert supervisor.statuses()[0].state is State.STOPPED


def test_what_it_said_when_it_was_ready_is_known_however_much_it_has_said_since(
    supervisor: Supervisor, heard: list[tuple[str, str]]
) -> None:
    code = "import time; print('served', *range(100), sep='\\n', flush=True); time.sleep(600)"
    supervisor.start(replace(service("talker", code), says="served"))
    until(lambda: ("talker", "99") in heard)
    supervisor.wait_ready("talker")


@pytest.mark.parametrize(("code", "state"), [(0, State.DONE), (1, State.STOPPED)])
def test_what_is_to_do_something_once_is_not_started_again(supervisor: Supervisor, code: int, state: State) -> None:
    work = service("work", f"import sys; sys.stdin.readline(); sys.exit({code})")
    supervisor.start(replace(work, once=True))
    until(lambda: supervisor.statuses()[0].state is state)
    assert supervisor.statuses()[0].restarts == 0


def test_a_terminal_that_nobody_reads_holds_up_no_process(logs: Path) -> None:
    read, heard = threading.Event(), []

    def say(name: str, line: str) -> None:
        read.wait()
        heard.append(f"{name}: {line}")

    chatter = f"for n in range(4_000): print('.' * 100)\n{PLAIN}"
    with Reaper() as reaper, Supervisor(logs, reaper, say) as running:
        running.start(service("chatter", chatter))
        running.start(service("other", PLAIN))
        try:
            running.wait_ready("chatter")
            running.wait_ready("other")
            os.kill(running.statuses()[1].process_id or 0, signal.SIGKILL)
            until(lambda: running.statuses()[1].restarts)
            until(lambda: "up" in (logs / "chatter.log").read_text())
            assert heard == []
        finally:
            read.set()
        until(lambda: any("were not shown: they are in the logs" in line for line in heard))


@pytest.mark.parametrize(
    ("code", "exit_code", "told"),
    [
        ("raise SystemExit('error: the disk is full')", 1, "exit code 1 before it was ready: error: the disk is full"),
        ("import sys; sys.stderr.write('mend it\\n'); sys.exit(3)", 3, "with exit code 3 before it was ready: mend it"),
        ("import os; os.kill(os.getpid(), 9)", 1, "by SIGKILL before it was ready: it said nothing"),
    ],
)
def test_one_that_ends_before_it_is_ready_is_named_with_its_last_words(
    code: str, exit_code: int, told: str, supervisor: Supervisor, logs: Path
) -> None:
    supervisor.start(Service("weak", [sys.executable, "-c", code], dict(os.environ), is_ready=lambda: False))
    with pytest.raises(ServiceError, match=told) as raised:
        supervisor.wait_ready("weak")
    assert str(raised.value).startswith("weak ended")
    assert str(logs / "weak.log") in str(raised.value)
    assert raised.value.exit_code == exit_code


def test_one_that_cannot_be_started_at_all_is_named(supervisor: Supervisor) -> None:
    supervisor.start(Service("absent", ["/no/such/program"], {}, is_ready=lambda: False))
    with pytest.raises(ServiceError, match="cannot be started: No such file or directory: /no/such/program"):
        supervisor.wait_ready("absent")


def test_one_that_is_never_ready_is_given_up(supervisor: Supervisor) -> None:
    supervisor.start(Service("slow", ["sleep", "600"], {}, is_ready=lambda: False, ready_within=0.2))
    with pytest.raises(ServiceError, match="slow was not ready within 0 s"):
        supervisor.wait_ready("slow")


def test_one_that_dies_later_is_started_again(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
    supervisor.start(service("mortal", PLAIN))
    supervisor.wait_ready("mortal")
    first = supervisor.statuses()[0].process_id
    os.kill(first or 0, signal.SIGKILL)
    until(lambda: heard.count(("mortal", "up")) == 2)
    (status,) = supervisor.statuses()
    assert status.restarts == 1
    assert status.process_id != first
    assert ("mortal", "ended by SIGKILL; starting it again in 0.5 s") in heard


def test_what_a_service_started_goes_with_it(supervisor: Supervisor, heard: list[tuple[str, str]]) -> None:
    supervisor.start(service("parent", PARENT))
    supervisor.wait_ready("parent")
    until(lambda: bool(heard))
    child = int(heard[0][1])
    os.kill(supervisor.statuses()[0].process_id or 0, signal.SIGKILL)
    until(lambda: is_gone(child))


def test_one_that_will_not_end_is_killed(supervisor: Supervisor) -> None:
    supervisor.start(service("polite", PLAIN))
    supervisor.start(service("stubborn", STUBBORN))
    for name in ("polite", "stubborn"):
        supervisor.wait_ready(name)
    numbers = [one.process_id or 0 for one in supervisor.statuses()]
    assert supervisor.stop(within=1.0) == ["stubborn"]
    assert all(map(is_gone, numbers))


def test_one_that_is_to_end_last_hears_the_others_end(supervisor: Supervisor, logs: Path) -> None:
    """It is there for as long as another takes to end, and has its own time after that."""
    keeper, early = service("keeper", SLOW_TO_END), service("early", SLOW_TO_END)
    for one in (replace(keeper, ends_last=True), early):
        supervisor.start(one)
        supervisor.wait_ready(one.name)
    assert supervisor.stop(within=20) == []
    said = {name: (logs / f"{name}.log").read_text().split() for name in ("keeper", "early")}
    assert float(said["early"][-1]) <= float(said["keeper"][2]), said


def test_waits_grow_to_a_limit() -> None:
    assert list(islice(delays(), 8)) == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_log_keeps_its_older_half_and_its_last_words(home: Path) -> None:
    log = Log(home / "one.log", limit=20)
    for word in ("first " * 4, "second", ""):
        log.write(word)
    assert (home / "one.log.1").read_text() == "first " * 4 + "\n"
    assert (home / "one.log").read_text() == "second\n\n"
    assert log.last_words == "second"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ([], []),
        (["+5\n", "+7\n"], [5, 7]),
        (["+5\n", "+7\n", "-5\n"], [7]),
        (["+5\n", "-5\n", "-5\n"], []),
        (["+5\n", "-5\n", ".\n"], None),
        (["+5\n", ".\n"], [5]),
    ],
)
def test_the_guard_knows_what_is_left(told: list[str], left: list[int] | None) -> None:
    assert remaining(told) == left


RUN = """
import os, sys, time
from pathlib import Path
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Service, Supervisor

folder = Path(sys.argv[1])
with Reaper(["touch", str(folder / "farewell")]) as reaper, Supervisor(folder / "logs", reaper) as supervisor:
    for name in ("first", "second"):
        supervisor.start(Service(name, [sys.executable, "-c", sys.argv[2]], dict(os.environ), ""))
        supervisor.wait_ready(name)
    print(*(one.process_id for one in supervisor.statuses()), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("code", [PLAIN, PARENT, STUBBORN], ids=["plain", "with a child", "stubborn"])
def test_a_killed_supervisor_leaves_nothing(code: str, home: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(home), code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        numbers = [int(one) for one in running.stdout.readline().split()]
        assert len(numbers) == 2
        children = [one.pid for number in numbers for one in psutil.Process(number).children()]
        running.kill()
    until(lambda: all(map(is_gone, numbers + children)))
    until(lambda: (home / "farewell").exists())


def test_the_farewell_is_for_the_killed_only(home: Path) -> None:
    with Reaper(["touch", str(home / "farewell")]):
        pass
    assert not (home / "farewell").exists()
