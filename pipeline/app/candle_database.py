"""The database for whoever writes candles: those of older versions are brought into today's form first. Whoever only
reads takes `store.mongod.session.database`, and waits for nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.database import Database

from pipeline.settings import Settings
from pipeline.store.mongod.session import database
from pipeline.store.upgrade import upgrade

__all__ = ["BringUp", "candle_database", "upgrade"]

BringUp = Callable[[Database[dict[str, Any]]], None]


@contextmanager
def candle_database(settings: Settings, bring_up: BringUp = upgrade) -> Iterator[Database[dict[str, Any]]]:
    """The prepared database, for the length of a `with` block. `bring_up`: perhaps under a bar, where a person looks;
    `UpgradingError` where another process does it."""
    with database(settings) as db:
        bring_up(db)
        yield db
