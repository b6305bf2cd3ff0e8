"""The command line in the test's own process: what it prints, and how it ends."""

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
def tidemark(
    db: Database[Any], mongo_uri: str, simulator: Simulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """`tidemark ...` with a database of the test's own and the shared exchange; settings besides, by their names."""
    monkeypatch.chdir(home)
    environment = {
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_MONGO_URI": mongo_uri,
        "TIDEMARK_DATABASE": db.name,
        "TIDEMARK_SIM_URL": simulator.url,
        "COLUMNS": "200",
    }

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(app.build(), arguments, env=environment | more, catch_exceptions=False)

    return run
