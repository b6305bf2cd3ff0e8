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


@pytest.fixture(scope="session")
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
        tm = tidemark.open(home=home / "data", uri=mongo_uri)
    with tm:
        tm.backfill(["BTCUSDT", "ETHUSDT"], ["1h", "15m"], days=10)
        yield tm
    mongo.drop_database("door")


@pytest.fixture(scope="module", autouse=True)
def as_filled(filled: Tidemark) -> Iterator[None]:
    """What a module's tests have made is gone after it: none depends on which came before."""
    db = filled._opened.db
    collections = {"type": "collection", "name": {"$not": {"$regex": "^system"}}}
    found = {name: list(db[name].find()) for name in db.list_collection_names(filter=collections)}
    yield
    for name in db.list_collection_names(filter=collections):
        db[name].delete_many({})
        if found.get(name):
            db[name].insert_many(found[name])


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch, filled: Tidemark, mongo_uri: str, home: Path) -> None:
    """Whatever opens another one, or runs a command, means the same database and exchange."""
    settings = filled._opened.settings
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    chosen = {"HOME": settings.home, "DATABASE": "door", "MONGO_URI": mongo_uri, "SIM_URL": settings.sim_url}
    for name, value in chosen.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", str(value))
    monkeypatch.chdir(home)
