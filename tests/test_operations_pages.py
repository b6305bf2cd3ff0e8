"""The commands, settings, metrics and files that the pages of operations and security name are real."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from pipeline.cli.app import build
from pipeline.ingest.telemetry import Metrics
from pipeline.settings import OPEN_ENDED, variable_names

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("operations", "security")}
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def commands(page: str) -> list[list[str]]:
    """The words of every `tidemark ...`, in blocks and in the text."""
    found = re.findall(r"(?m)(?:^|`|=\S* )tidemark ([a-z][^`\n]*?)(?=`|$|   )", PAGES[page])
    return [line.split() for line in found]


def find(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words that are left."""
    command: Any = typer.main.get_command(build())
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return None, words
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one(page: str) -> None:
    asked = commands(page)
    assert len(asked) >= (20 if page == "operations" else 1)
    for words in asked:
        command, rest = find(words)
        assert command is not None, words
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert [word for word in rest if word.startswith("--") and word not in known] == [], words


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_metric_and_file_is_real(page: str) -> None:
    known = {*variable_names(), *re.findall(r"\b[A-Z]+_[A-Z_]+\b", COMPOSE)}
    named = set(re.findall(r"\bTIDEMARK_[A-Z_]+\b", PAGES[page]))
    assert {name for name in named if not name.startswith(OPEN_ENDED)} <= known
    metrics_told = list(Metrics().registry.collect())
    told = {one.name for one in metrics_told} | {sample.name for one in metrics_told for sample in one.samples}
    metrics = set(re.findall(r"`(tidemark_\w+)`", PAGES[page]))
    assert {name for name in metrics if not any(one.startswith(name) for one in told)} == set()
    alerts = set(re.findall(r"alert: (\w+)", (ROOT / "deploy" / "alerts.yml").read_text()))
    assert set(re.findall(r"alert `(\w+)`", PAGES[page])) <= alerts
    for path in re.findall(r"`((?:tests|deploy|docs)/[\w./]+?)`", PAGES[page]):
        assert (ROOT / path).exists(), path


def test_every_service_is_explained() -> None:
    services = set(
        re.findall(r"(?m)^  ([a-z-]+):(?: &[a-z-]+)?$", COMPOSE.partition("\nservices:")[2].partition("\nsecrets:")[0])
    )
    table = PAGES["operations"].partition("| service |")[2].partition("\n\n")[0]
    assert services == set(re.findall(r"`([a-z-]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))
