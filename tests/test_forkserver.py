"""Runs that begin as forks, as Prefect sees them: programs of their own, for a fork comes before any thread."""

import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

PATIENCE = 60.0
PROGRAM = """
import asyncio, os, signal, sys, time
from flows.forkserver import Forkserver

def begin():
    match os.environ["DO"]:
        case "tell":
            print(os.getcwd(), sorted(os.environ), flush=True)
            sys.exit(3)
        case "fail":
            raise OSError("it fails")
        case "last":
            time.sleep(600)

forks = Forkserver(begin)

class Status:
    begun = None
    def started(self, fork):
        self.begun = fork

def run(what, status=None, **more):
    told = {"task_status": status or Status(), "task_status_handler": lambda one: one}
    return forks.run_process([], env={"DO": what}, **told, **more)

async def begun(what):
    status = Status()
    task = asyncio.create_task(run(what, status))
    while status.begun is None:
        await asyncio.sleep(0.01)
    return task, status.begun

async def main():
    hearing = asyncio.create_task(forks.hear())
    BODY

asyncio.run(main())
"""


def told(body: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.replace("BODY", textwrap.indent(textwrap.dedent(body), "    ").strip())
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_has_its_environment_its_folder_and_its_exit_code() -> None:
    done = told("""
    print((await run("tell", cwd="/")).returncode)
    print((await run("fail")).returncode)
    print([one.returncode for one in await asyncio.gather(*(run("nothing") for _ in range(8)))])
    """)
    assert done.stdout.splitlines() == ["/ ['DO']", "3", "1", str([0] * 8)]
    assert "OSError: it fails" in done.stderr


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.kill(fork.pid, signal.SIGTERM)", -15),
        ("task.cancel()", -9),
    ],
)
def test_a_run_ends_when_it_is_told_to_and_when_nobody_waits_for_it(end: str, code: int) -> None:
    done = told(f"""
    task, fork = await begun("last")
    {end}
    await asyncio.wait([task])
    while fork.returncode is None:
        await asyncio.sleep(0.01)
    print(fork.returncode)
    """)
    assert done.stdout.splitlines()[-1] == str(code)


def test_whoever_asks_hears_that_there_is_no_forkserver_any_more() -> None:
    done = told("""
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as children:
        os.kill(int(children.read()), signal.SIGKILL)
    await hearing
    print("gone")
    """)
    assert done.stdout == "gone\n"


def test_it_ends_with_whoever_asked_and_not_with_what_its_group_is_told() -> None:
    done = told("""
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as children:
        server = int(children.read())
    os.kill(server, signal.SIGTERM)
    print((await run("nothing")).returncode, server)
    """)
    code, server = done.stdout.split()
    assert code == "0"
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(server)).wait(PATIENCE)
