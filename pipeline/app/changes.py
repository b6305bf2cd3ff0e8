"""What changes in the database while somebody looks: candles of chosen series, live signals, whatever trading touches.

One change stream, however many look. It is opened anew where other series are chosen, and goes on where it was; where
the database was away it says so, and then that everything has to be looked at again.
"""

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import OperationFailure, PyMongoError

from pipeline.app.chart import COLUMNS
from pipeline.app.opened import Opened
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import SECOND, to_ms
from schemas.accounts import ACCOUNTS
from schemas.candles import CANDLES
from schemas.control import CONTROL
from schemas.orders import ORDERS
from schemas.positions import POSITIONS
from schemas.series import SeriesKey
from schemas.signals import SIGNALS

_SWITCHES: Final = "^(mode|halt|trading|goal|allocation|stage|breaker):"
_WAIT_MS: Final = 200
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
_SLOT: Final = re.compile(r"candles\.\d+")


@dataclass(frozen=True, slots=True)
class CandleChanged:
    """A candle as it is now; None: more than one changed, or a part of one, so look."""

    key: SeriesKey
    candle: Mapping[str, float | None] | None


@dataclass(frozen=True, slots=True)
class SignalChanged:
    """A live signal was said, or decided on."""

    id: str


@dataclass(frozen=True, slots=True)
class TradingChanged:
    """A switch, an order, a position or the account."""


@dataclass(frozen=True, slots=True)
class Database:
    """Whether it answers. When it does again, what was told before may be old."""

    up: bool
    why: str | None = None


Change = CandleChanged | SignalChanged | TradingChanged | Database


class Changes:
    """Follows them in a thread of its own, and hands each on from there."""

    def __init__(self, tm: Opened, told: Callable[[Change], None]) -> None:
        self._db = tm.db
        self._told = told
        self._keys: frozenset[SeriesKey] = frozenset()
        self._others = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="changes", daemon=True)
        self._token: Mapping[str, Any] | None = None

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing any more; returns when the thread has ended."""
        self._stop.set()
        self._others.set()
        self._thread.join()

    def choose(self, keys: Collection[SeriesKey]) -> None:
        """Candles of these series, and of no other."""
        if self._keys != frozenset(keys):
            self._keys = frozenset(keys)
            self._others.set()

    def _follow(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                for change in self._stream():
                    if failures:
                        failures = 0
                        self._told(Database(up=True))
                    if change is not None:
                        self._told(change)
            except PyMongoError as error:
                if isinstance(error, OperationFailure):
                    self._token = None
                if not failures:
                    self._told(Database(up=False, why=str(error)[:200]))
                self._stop.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    def _stream(self) -> Iterator[Change | None]:
        """Each change, and None now and then, until other series are chosen."""
        self._others.clear()
        keys = {f"{one.exchange}:{one.symbol}:{one.interval}": one for one in self._keys}
        with self._db.watch(_stages(keys), resume_after=self._token, max_await_time_ms=_WAIT_MS) as stream:
            while not self._others.is_set():
                found = stream.try_next()
                self._token = stream.resume_token
                yield None if found is None else _change(found, keys)


def _stages(keys: Collection[str]) -> list[dict[str, Any]]:
    wanted: list[dict[str, Any]] = [
        {"ns.coll": SIGNALS.name, "operationType": "insert", "fullDocument.source": "live"},
        {"ns.coll": SIGNALS.name, "updateDescription.updatedFields.verdict": {"$exists": True}},
        {"ns.coll": {"$in": [POSITIONS.name, ORDERS.name, ACCOUNTS.name]}},
        {"ns.coll": CONTROL.name, "documentKey._id": {"$regex": _SWITCHES}},
    ]
    if keys:
        series = "|".join(map(re.escape, sorted(keys)))
        wanted.append({"ns.coll": CANDLES.name, "documentKey._id": {"$regex": f"^({series}):"}})
    shown = {"operationType": 1, "ns": 1, "documentKey": 1, "updateDescription.updatedFields": 1}
    return [{"$match": {"$or": wanted}}, {"$project": shown}]


def _change(found: Mapping[str, Any], keys: Mapping[str, SeriesKey]) -> Change:
    name, identity = found["ns"]["coll"], found["documentKey"]["_id"]
    if name == SIGNALS.name:
        return SignalChanged(identity)
    if name != CANDLES.name:
        return TradingChanged()
    key = keys[":".join(identity.split(":")[:3])]
    fields = found.get("updateDescription", {}).get("updatedFields", {})
    slots = [value for path, value in fields.items() if path.startswith("candles")]
    whole = len(slots) == 1 and all(_SLOT.fullmatch(path) for path in fields if path.startswith("candles"))
    return CandleChanged(key, numbers(slots[0]) if whole and slots[0] is not None else None)


def numbers(candle: Mapping[str, Any]) -> Mapping[str, float | None]:
    """A stored candle as a chart takes it: what is not known is None."""
    shown = {name: candle[name] for name in COLUMNS if name in candle}
    known = {name: value if value == value else None for name, value in shown.items()}  # noqa: PLR0124 - NaN
    return {"t": to_ms(candle["t"]), "u": to_ms(candle["u"]), "closed": candle["closed"], **known}


def newest_two(tm: Opened, key: SeriesKey) -> list[Mapping[str, float | None]]:
    """The candle of this moment and the one before it, as far as they are stored."""
    found = CandleStore(tm.db).newest_two([key], int(time.time() * SECOND))
    return [numbers(one) for one in found.get(key, [])]
