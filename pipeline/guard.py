"""Outlives a supervisor by seconds: when it dies without a word, ends the process groups it had started.

Run as `python -m pipeline.guard [COMMAND...]` with the supervisor's pipe as standard input: a line `+GROUP` for each
group that was started, `-GROUP` for each that has ended. When the pipe closes, which the kernel sees to however the
supervisor dies, what is left is ended in the opposite order, and COMMAND is run if anything was left. It never ends a
group that it was not told of.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

PATIENCE = 6.0
_POLL = 0.05


def remaining(told: Iterable[str]) -> list[int]:
    """The groups that were started and have not ended, in the order of their start. Returns when nobody tells more."""
    groups: list[int] = []
    for line in told:
        sign, group = line[:1], int(line[1:])
        if sign == "+":
            groups.append(group)
        elif group in groups:
            groups.remove(group)
    return groups


def members(groups: Iterable[int]) -> list[psutil.Process]:
    """The living processes of these groups."""
    wanted = set(groups)
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) in wanted and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_groups(groups: Iterable[int], patience: float = PATIENCE) -> None:
    """Ask every process of the groups to end; after `patience` seconds, make it."""
    listed = list(groups)
    _send(listed, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while members(listed) and time.monotonic() < deadline:
        time.sleep(_POLL)
    _send(listed, signal.SIGKILL)


def _send(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def main() -> int:
    """Watch the pipe; the exit code is always 0, because nobody is left to read it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = remaining(sys.stdin)
    if groups:
        end_groups(reversed(groups))
        if sys.argv[1:]:
            subprocess.run(sys.argv[1:], check=False, timeout=60)  # noqa: S603 - our own supervisor wrote it
    return 0


if __name__ == "__main__":
    sys.exit(main())
