"""Which of the page's own lines have run in Chromium: counted by the browser, told at the end of a run, never judged.

Of each tab that a test was given; what runs in others that it opens is not counted.
"""

import itertools
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

STATIC = Path(__file__).parents[2] / "pipeline" / "web" / "static"
KEPT = Path(__file__).parents[2] / "test-output" / "js-coverage"
NO_CODE = ("//", "/*", "*")


_sessions: "dict[Page, CDPSession]" = {}
_numbers = itertools.count()


def begin(tab: "Page") -> None:
    """From now on what runs in this tab is counted."""
    session = tab.context.new_cdp_session(tab)
    session.send("Profiler.enable")
    session.send("Profiler.startPreciseCoverage", {"callCount": False, "detailed": True})
    _sessions[tab] = session


def note(tab: "Page") -> None:
    """Keep what has run there, beside what ran elsewhere: before it closes, or goes to another document."""
    found: dict[str, set[int]] = {}
    for script in _sessions[tab].send("Profiler.takePreciseCoverage")["result"]:
        file = script["url"].partition("//")[2].partition("/")[2]
        if file.endswith(".js") and (STATIC / file).is_file():
            found.setdefault(file, set()).update(ran((STATIC / file).read_text(encoding="utf-8"), script["functions"]))
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{os.getpid()}-{next(_numbers)}.json"
    kept.write_text(json.dumps({file: sorted(lines) for file, lines in found.items()}))


def reload(tab: "Page") -> None:
    """A browser forgets with a document what has run in it."""
    note(tab)
    tab.reload()


def ran(text: str, functions: list[Any]) -> set[int]:
    """The numbers of its lines of code of which a part has run. Of ranges within each other the inner one counts."""
    has_run = bytearray(len(text))
    ranges = [one for function in functions for one in function["ranges"]]
    for one in sorted(ranges, key=lambda one: (one["startOffset"], -one["endOffset"])):
        start, end = one["startOffset"], one["endOffset"]
        has_run[start:end] = bytes([one["count"] > 0]) * (end - start)
    found, at = set(), 0
    for number, line in enumerate(text.splitlines(keepends=True)):
        first, last = at + len(line) - len(line.lstrip()), at + len(line.rstrip())
        if is_code(line) and any(has_run[first:last]):
            found.add(number)
        at += len(line)
    return found


def is_code(line: str) -> bool:
    """No empty line, and none that only says something."""
    return bool(line.strip()) and not line.strip().startswith(NO_CODE)


def pytest_sessionstart(session: pytest.Session) -> None:
    """What an earlier run kept is forgotten."""
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(KEPT, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """So many of so many lines, and where the fewest."""
    kept = [json.loads(file.read_text()) for file in KEPT.glob("*.json")]
    if not kept:
        return
    shares, lines, have_run = {}, 0, 0
    for file in sorted(STATIC.rglob("*.js")):
        name = file.relative_to(STATIC).as_posix()
        code = {number for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()) if is_code(line)}
        done = code & {number for one in kept for number in one.get(name, [])}
        shares[name] = len(done) / len(code)
        lines, have_run = lines + len(code), have_run + len(done)
    fewest = ", ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda one: one[1])[:5])
    told = f"{have_run:,} of {lines:,} lines, {have_run / lines:.1%}; the fewest in {fewest}"
    terminalreporter.write_line(f"the page's own code, as far as these tests ran it in Chromium: {told}")
