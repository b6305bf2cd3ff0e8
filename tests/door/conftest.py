"""A database with ten days of two contracts, put there by the door itself, for tests that only read."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

import tidemark
from pipeline.simulator.handle import Simulator
from tidemark import Tidemark


@pytest.fixture(scope="package")
def filled(
    mongo: MongoClient[dict[str, Any]], mongo_uri: str, shared_simulator: Simulator, scratch: Path
) -> Iterator[Tidemark]:
    home = scratch / "door"
    home.mkdir()
    shared_simulator.faults.clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
            patch.delenv(name)
        patch.setenv("TIDEMARK_DATABASE", "door")
        patch.setenv("TIDEMARK_SIM_URL", shared_simulator.url)
        patch.chdir(home)
        with tidemark.open(home=home / "data", uri=mongo_uri) as tm:
            tm.backfill(["BTCUSDT", "ETHUSDT"], ["1h", "15m"], days=10)
            yield tm
    mongo.drop_database("door")
