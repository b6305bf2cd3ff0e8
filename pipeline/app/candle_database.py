"""How candles of older versions are brought into today's form, for whoever writes candles. Whoever only reads waits for
nothing."""

from collections.abc import Callable
from typing import Any

from pymongo.database import Database

from pipeline.store.upgrade import upgrade

__all__ = ["BringUp", "upgrade"]

BringUp = Callable[[Database[dict[str, Any]]], None]
