"""The command line in the test's own process: what it prints, and how it ends."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from typer.testing import CliRunner, Result

from pipeline.cli import app
from pipeline.simulator.handle import Simulator

Run = Callable[..., Result]


@pytest.fixture
def chosen(db: Database[Any], mongo_uri: str, simulator: Simulator, home: Path) -> dict[str, str]:
    """A database of the test's own and the shared exchange, as environment variables."""
    return {
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_MONGO_URI": mongo_uri,
        "TIDEMARK_DATABASE": db.name,
        "TIDEMARK_SIM_URL": simulator.url,
        "COLUMNS": "200",
    }


@pytest.fixture
def tidemark(chosen: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`tidemark ...` with what is chosen and nothing else; more settings by their names."""
    monkeypatch.chdir(home)
    for name in os.environ:
        if name.startswith("TIDEMARK_"):
            monkeypatch.delenv(name)

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(app.build(), arguments, env=chosen | more, catch_exceptions=False)

    return run
