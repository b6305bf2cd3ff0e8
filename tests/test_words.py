"""The words a trader meets: those that said little are gone, and the page of words explains every column."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import account, app, candles, signals, status
from pipeline.cli.live_view import TARGET_NAMES as SHORT
from pipeline.store.goals import GOALS
from tests.cli.test_app import every_command

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
WORDS = (ROOT / "docs" / "words.md").read_text()


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_no_help_speaks_of_pretending(path: list[str]) -> None:
    shown = CliRunner().invoke(app.build(), [*path, "--help"], prog_name="tidemark", env={"COLUMNS": "200"}).output
    assert not re.search(r"pretend|what is right|and leave\b|say of|would say", shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_speaks_of_pretending(page: Path) -> None:
    assert "pretend" not in page.read_text().lower()


def explained() -> set[str]:
    first = re.findall(r"^\| ([^|]+) \|", WORDS, re.MULTILINE)
    return {word.strip() for cell in first for word in cell.split(",")}


def columns() -> list[str]:
    tables = (signals.SHOWN, candles.SHOWN, account.POSITIONS, account.ORDERS, status.SERIES)
    names = {column.name for table in tables for column in table} | set(account.PERIOD) - {"realized"}
    return sorted({re.sub(r" ?(%|\(UTC\)|, s)$", "", name) for name in names} - {"at"})


@pytest.mark.parametrize("name", columns())
def test_every_column_is_explained(name: str) -> None:
    assert name in explained()


def test_every_kind_of_performance_is_explained() -> None:
    assert {"hit rate", "mean", "median", "1h", "4h", "1d", "7d", "historical", "paper money", "units"} <= explained()


def test_the_page_is_linked() -> None:
    assert "docs/words.md" in (ROOT / "README.md").read_text()


def test_targets_have_words_and_not_keys() -> None:
    assert set(SHORT) == {one.key for one in GOALS}
    assert SHORT["state"] == "matches exchange"
