"""What failed beside others is run once more, where it is little and nothing else went wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import alone

PASSES_NOW = "def test_it():\n    pass\n"
FAILS_AGAIN = "def test_it():\n    raise AssertionError\n"


def failed(*tests: str) -> None:
    alone.FAILED.parent.mkdir(parents=True)
    alone.FAILED.write_text(json.dumps(dict.fromkeys(tests, True)))


@pytest.mark.parametrize(("text", "ends_with", "named"), [(PASSES_NOW, 0, 2), (FAILS_AGAIN, 1, 1)])
def test_a_few_are_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, text: str, ends_with: int, named: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test_one.py").write_text(text)
    failed("test_one.py::test_it")
    assert alone.main(1) == ends_with
    assert capsys.readouterr().out.count("test_one.py::test_it") == named


@pytest.mark.parametrize(("ended_with", "tests"), [(1, 4), (2, 1), (3, 1), (1, 0)])
def test_otherwise_the_run_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_with: int, tests: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test_one.py").write_text(PASSES_NOW)
    failed(*[f"test_one.py::test_{number}" for number in range(tests)])
    assert alone.main(ended_with) == ended_with
