"""Each benchmark has a process of its own, and one that fails does not take the others with it."""

import io
from multiprocessing import Pipe

import pytest
from rich.console import Console

from bench import __main__ as command
from bench import alone
from bench.__main__ import measure
from bench.alone import Ended, measured_alone


def test_one_that_fails_is_named_and_the_others_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    rows, took, failed = measure(["table", "indicators"], Console(file=io.StringIO()), quick=True)
    assert rows
    assert list(took) == ["table", "indicators"]
    assert failed == ["table"]
    assert "has no attribute 'run'" in capfd.readouterr().err


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_no_more_of_them_run_at_once_than_may(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    running: set[str] = set()
    seen: list[int] = []

    class Begun:
        def __init__(self, name: str, _: bool) -> None:
            self.name = name
            self.says, sending = Pipe(duplex=False)
            sending.close()
            running.add(name)
            seen.append(len(running))

        def ended(self) -> Ended:
            self.says.close()
            running.remove(self.name)
            return Ended(self.name, 1.0, [])

    monkeypatch.setattr(alone, "_begun", Begun)
    ended = [one.name for one in measured_alone("abcde", quick=True, at_once=at_once)]
    assert sorted(ended) == list("abcde")
    assert max(seen) == min(at_once, 5)


def test_only_the_quick_form_runs_some_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(command, "measured_alone", lambda _, *, quick, at_once: [asked.append(at_once)][:0])
    for quick in (False, True):
        measure([], Console(file=io.StringIO()), quick=quick)
    assert asked == [1, command.AT_ONCE]
