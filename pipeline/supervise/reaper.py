"""Outlives a program by seconds: when it dies without a word, ends the process groups it had started.

    with Reaper(farewell) as reaper: ...

runs `python -m pipeline.supervise.reaper FAREWELL...` beside the program, with a pipe as its standard input: a line
`+GROUP` for each group that was started, `-GROUP` for each that has ended, `.` when the program leaves in order. When
the pipe closes without that, which the kernel sees to however the program dies, what is left is ended in the opposite
order, and then the farewell is run. It never ends a group that it was not told of.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import psutil

PATIENCE: Final = 6.0
FAREWELL_WITHIN: Final = 60.0
_POLL: Final = 0.05
_IN_ORDER: Final = "."


class Reaper:
    """The reaper of this program, from its side."""

    def __init__(self, farewell: Sequence[str] = ()) -> None:
        """`farewell`: a command that is left to be run if this program is killed."""
        self._farewell = farewell
        self._process: subprocess.Popen[str] | None = None
        self._telling = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "pipeline.supervise.reaper", *self._farewell],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(_IN_ORDER)
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()

    def started(self, group: int) -> None:
        """This group runs."""
        self._tell(f"+{group}")

    def ended(self, group: int) -> None:
        """This group is gone."""
        self._tell(f"-{group}")

    def _tell(self, word: str) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with self._telling, suppress(BrokenPipeError):
                process.stdin.write(word + "\n")
                process.stdin.flush()


def remaining(told: Iterable[str]) -> list[int] | None:
    """The groups that were started and have not ended, in the order of their start; None where the program left in
    order. Returns when nobody tells more."""
    groups: list[int] = []
    in_order = False
    for line in told:
        word = line.strip()
        if word == _IN_ORDER:
            in_order = True
        elif word.startswith("+"):
            groups.append(int(word[1:]))
        elif int(word[1:]) in groups:
            groups.remove(int(word[1:]))
    return None if in_order and not groups else groups


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
    if groups is None:
        return 0
    end_groups(reversed(groups))
    if sys.argv[1:]:
        subprocess.run(sys.argv[1:], check=False, timeout=FAREWELL_WITHIN)  # noqa: S603 - our own program chose it
    return 0


if __name__ == "__main__":
    sys.exit(main())
