"""Signals on their way to the executor: as they are written, and again by looking; and its verdict, written once; and
what a strategy said last about a position that is held.

The change stream is quick and may miss something (it was down for longer than the server remembers); the sweep is slow
and misses nothing. Whoever reads both sees a signal twice, and decides once: the verdict's update matches only a signal
that has none.
"""

from collections.abc import Generator
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from schemas.control import CONTROL
from schemas.signals import SIGNALS, Decision, Side, Signal, Verdict

_UNDECIDED: Final = {"verdict": "fresh", "confirmed": True}
_OTHER: Final[dict[Side, Side]] = {"long": "short", "short": "long"}
_LATE_EXIT: Final = {"verdict": "expired", "confirmed": True, "kind": "exit", "source": "live", "decided_at": None}
"""Found after it had stopped being fresh: it may close a position all the same."""
_OPENING: Final = ("trial", "entry", "add")
_CANNOT_RESUME: Final = frozenset({286, 280, 260, 136})  # history lost, fatal, invalid token, capped position lost


News = tuple[Signal | None, dict[str, Any] | None]
"""A signal, or nothing new; and the token to go on from."""


class SignalFeed:
    """Confirmed signals of one exchange that nobody has decided on."""

    def __init__(self, database: Database[dict[str, Any]], exchange: str, reader: str = "executor") -> None:
        self._signals = database[SIGNALS.name]
        self._control = database[CONTROL.name]
        self._exchange = exchange
        self._cursor_id = f"cursor:{reader}:{exchange}"

    def undecided(self) -> list[Signal]:
        """All of them that are stored, oldest first. Their own index is taken only where its field is asked for."""
        wanted = _UNDECIDED | {"exchange": self._exchange, "fresh_until": {"$exists": True}}
        found = self._signals.find(wanted).sort("at", 1)
        return [Signal.from_mongo(one) for one in found]

    def newest_word(
        self, symbol: str, strategy: str, interval: str | None, side: Side, *, trial: bool
    ) -> Signal | None:
        """What the strategy last said at that interval (None: at any) about a position of that side: that it should be,
        or that it should not. Of a position that is still a `trial`, a trial the other way says that too. It costs
        what was said of the symbol since, not what is stored."""
        against = ["entry", "trial"] if trial else ["entry"]
        wanted = [{"side": side}, {"side": _OTHER[side], "kind": {"$in": against}}]
        words = self._said(symbol, strategy, interval) | {"$or": wanted}
        newest = self._signals.find_one(words, {"at": 1}, sort=[("at", DESCENDING)])
        said_then = [] if newest is None else list(self._signals.find(words | {"at": newest["at"]}))
        return Signal.from_mongo(max(said_then, key=itemgetter("_id"))) if said_then else None

    def spoken_for_since(self, signal: Signal, side: Side) -> bool:
        """Whether its strategy, at its interval, has spoken for a position of that side after it."""
        later = {"side": side, "kind": {"$ne": "exit"}, "at": {"$gt": signal.at}}
        said = self._said(signal.symbol, signal.strategy, signal.interval)
        return self._signals.find_one(said | later, {"_id": 1}) is not None

    def of_symbol(self, symbol: str, since: datetime) -> list[Signal]:
        """Confirmed signals of a symbol since then that could open something, oldest first."""
        wanted = {"exchange": self._exchange, "symbol": symbol, "at": {"$gte": since}, "kind": {"$in": list(_OPENING)}}
        found = self._signals.find(wanted | {"confirmed": True}).sort("at", 1)
        return [Signal.from_mongo(one) for one in found]

    def follow(self, *, wait_ms: int = 250) -> Generator[News, None, None]:
        """Each one as it is written, with the token to go on from; `None` now and then while nothing comes, so that the
        reader can see whether it should stop. Starts where `remember` last was; from now where that is too long ago."""
        token = self._remembered()
        try:
            yield from self._follow(token, wait_ms)
        except OperationFailure as error:
            if token is None or error.code not in _CANNOT_RESUME:
                raise
            self._control.delete_one({"_id": self._cursor_id})
            yield from self._follow(None, wait_ms)

    def remember(self, token: dict[str, Any], now: datetime) -> None:
        """Go on from here after a restart. It waits for no disk: where this is lost, some signals come again."""
        change = {"$set": {"kind": "cursor", "token": token, "at": now}}
        unhurried = self._control.with_options(write_concern=WriteConcern(w=1))
        unhurried.update_one({"_id": self._cursor_id}, change, upsert=True)

    def decide(
        self,
        signal_id: str,
        verdict: Verdict,
        now: datetime,
        *,
        reason: str | None = None,
        decision: Decision | None = None,
        orders: tuple[str, ...] = (),
    ) -> bool:
        """Write the verdict. False where there is one already: it stands, unless what had expired is acted on after
        all."""
        change: dict[str, Any] = {"verdict": verdict, "decided_at": now, "reason": reason, "orders": list(orders)}
        if decision is not None:
            change["decision"] = decision.to_mongo()
        expired = {"verdict": "expired"} | ({"decided_at": None} if verdict == "expired" else {})
        undecided = {"_id": signal_id, "confirmed": True, "$or": [{"verdict": "fresh"}, expired]}
        decided = self._signals.update_one(undecided, {"$set": change})
        return bool(decided.matched_count)

    def explain(self, signal_id: str, reason: str) -> None:
        """Write what became of a signal that is taken."""
        self._signals.update_one({"_id": signal_id, "verdict": "taken"}, {"$set": {"reason": reason}})

    def _said(self, symbol: str, strategy: str, interval: str | None) -> dict[str, Any]:
        said = {"exchange": self._exchange, "symbol": symbol, "strategy": strategy, "confirmed": True}
        return said if interval is None else said | {"interval": interval}

    def _follow(self, token: dict[str, Any] | None, wait_ms: int) -> Generator[News, None, None]:
        wanted = [
            {f"fullDocument.{name}": value for name, value in (kind | {"exchange": self._exchange}).items()}
            for kind in (_UNDECIDED, _LATE_EXIT)
        ]
        stages: list[dict[str, Any]] = [  # a refresh of returns touches every signal and concerns nobody who decides
            {"$match": {"updateDescription.updatedFields.return_at": {"$exists": False}}},
            {"$match": {"operationType": {"$in": ["insert", "update", "replace"]}, "$or": wanted}},
        ]
        with self._signals.watch(
            stages, full_document="updateLookup", resume_after=token, max_await_time_ms=wait_ms
        ) as stream:
            while stream.alive:
                change = stream.try_next()
                signal = None if change is None else Signal.from_mongo(change["fullDocument"])
                yield signal, None if stream.resume_token is None else dict(stream.resume_token)

    def _remembered(self) -> dict[str, Any] | None:
        found = self._control.find_one({"_id": self._cursor_id})
        return None if found is None else dict(found["token"])
