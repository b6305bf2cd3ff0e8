"""`tidemark new-strategy`: what it writes is sound, passes its own test, and runs when the settings name it."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app as cli
from pipeline.strategies.chosen import chosen


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tell(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.build(), list(arguments))
    return result.exit_code, result.output


def test_what_it_writes_is_sound_passes_its_test_and_runs(folder: Path) -> None:
    assert tell("new-strategy", "my_rule.py")[0] == 0
    assert tell("check-strategy", "my_rule.py:MyRule")[0] == 0
    tried = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_rule.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in tried.stdout, tried.stdout + tried.stderr
    assert [one.name for one in chosen((), [f"{folder / 'my_rule.py'}:MyRule"], {})] == ["my_rule"]


def test_a_rule_that_is_turned_around_fails_the_test_that_was_written(folder: Path) -> None:
    tell("new-strategy", "mine.py")
    rule = folder / "mine.py"
    rule.write_text(rule.read_text().replace("> highest] = 2", "> highest] = -2"))
    tried = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 3 passed" in tried.stdout, tried.stdout + tried.stderr


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("mine.txt", "a strategy lives in a file such as my_rule.py"),
        ("My-Rule.py", "not in 'My-Rule.py'"),
        ("class.py", "not in 'class.py'"),
        ("bollinger.py", "there is a strategy called 'bollinger' already"),
        ("nowhere/mine.py", "there is no folder nowhere"),
        ("here.py", "here.py exists, and is left as it is"),
        ("tested.py", "test_tested.py exists, and is left as it is"),
    ],
)
def test_what_it_will_not_write(folder: Path, path: str, says: str) -> None:
    (folder / "here.py").write_text("mine")
    (folder / "test_tested.py").write_text("mine")
    before = sorted(folder.iterdir())
    code, output = tell("new-strategy", path)
    assert code == 2
    assert says in output
    assert sorted(folder.iterdir()) == before
    assert (folder / "here.py").read_text() == "mine"
