"""Each benchmark has a process of its own, and one that fails does not take the others with it."""

import io

import pytest
from rich.console import Console

from bench.__main__ import measure
from bench.alone import FailedError, measure_alone


def test_one_that_fails_is_named_and_the_others_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    rows, took, failed = measure(["table", "indicators"], Console(file=io.StringIO()), quick=True)
    assert rows
    assert took.keys() == {"table", "indicators"}
    assert failed == ["table"]
    assert "has no attribute 'run'" in capfd.readouterr().err
    with pytest.raises(FailedError):
        measure_alone("table", quick=True)
