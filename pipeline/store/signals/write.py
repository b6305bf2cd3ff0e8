"""The way into `signals`: each is written once, whoever finds it first, and is the same document from either side.

What a signal says (`SAID`) follows from candles and settings alone, so the live feed and a recomputation agree on it to
the last bit; they differ in `source`, `created_at`, `verdict`, `reason` and `fresh_until`, and the returns and the
executor's fields are filled in later. A confirmed signal is only ever changed or taken away by `reconcile`, because a
candle was corrected or the settings are others, and never once somebody acted on it.

What nothing is known of yet is left out, and what it was computed with is stored once, in `signal_settings`.

The document of a signal on the open candle has another id and is `confirmed: false`; the close replaces it.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from pipeline.exchange_names import holds_shorts
from pipeline.finding import OPEN, SAID, Finding
from pipeline.store.candles.live import DUPLICATE_KEY, only_duplicates
from pipeline.store.signals.returns import ReturnStore, returns_at_birth
from pipeline.timeline import MINUTE, SECOND, Interval, Window, interval, iso, to_datetime
from schemas.series import SeriesKey
from schemas.signals import SIGNAL_SETTINGS, SIGNALS, settings_id

log = logging.getLogger(__name__)

Document = dict[str, Any]

FRESH_FOR: Final = 5 * MINUTE
NO_SHORTS: Final = "spot holds no shorts"
"""Why a signal is skipped that nobody has decided on."""
_ONLY_OF_A_SHORT: Final = ("add", "exit")
"""Kinds that say nothing to who holds the other side."""
NOT_ACTED_ON: Final[Mapping[str, Any]] = {
    "$nor": [{"verdict": {"$in": ["taken", "would-take"]}}, {"verdict": "skipped", "reason": {"$ne": NO_SHORTS}}],
    "decision": None,
    "orders": [],
}

_REFUSED_BY_VALIDATOR: Final = 121
_HARMLESS: Final = {DUPLICATE_KEY, _REFUSED_BY_VALIDATOR}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of a stretch of signals. `kept`: a recomputation says otherwise, but somebody acted on them."""

    found: int = 0
    added: int = 0
    changed: int = 0
    withdrawn: int = 0
    kept: tuple[str, ...] = ()

    def __add__(self, other: "Reconciled") -> "Reconciled":
        return Reconciled(
            self.found + other.found,
            self.added + other.added,
            self.changed + other.changed,
            self.withdrawn + other.withdrawn,
            self.kept + other.kept,
        )


def fresh_for(step: Interval, at_most: int = FRESH_FOR) -> int:
    """How long after its close a candle's signals may be acted on: half the candle, and never longer than `at_most`."""
    return min((step.after(0) - step.floor(0)) // 2, at_most)


def live_document(finding: Finding, now: int, at_most: int = FRESH_FOR) -> Document:
    """A signal found at the close of its candle. One that was settled late is stored, and stale from the first."""
    step = interval(finding.key.interval)
    at = step.after(finding.t)
    until = at + fresh_for(step, at_most)
    is_fresh = now <= until
    born = {
        "source": "live",
        "created_at": to_datetime(now),
        "verdict": "fresh" if is_fresh else "expired",
        "fresh_until": to_datetime(until),
    }
    if not is_fresh:
        born["reason"] = f"found {(now - at) // SECOND} s after its candle closed"
    return finding.said() | born | _never_taken(finding) | returns_at_birth(at, finding.price)


def open_document(finding: Finding, now: int) -> Document:
    """What a strategy would say if the open candle closed as it is. Nobody acts on it."""
    born = {"source": "live", "created_at": to_datetime(now), "verdict": "expired", "reason": "its candle is open"}
    return finding.said(confirmed=False) | born


def history_document(finding: Finding, returns: Document, now: int) -> Document:
    """A signal that nobody could act on any more when it was found, and what had become of it."""
    born = {"source": "history", "created_at": to_datetime(now), "verdict": "expired", "reason": "found in the history"}
    return finding.said() | born | _never_taken(finding) | returns


def _never_taken(finding: Finding) -> Document:
    """The verdict on what nobody can act on where it was said: a short that is opened at least closes a long."""
    of_a_short = finding.side == "short" and finding.kind in _ONLY_OF_A_SHORT
    if of_a_short and not holds_shorts(finding.key.exchange):
        return {"verdict": "skipped", "reason": NO_SHORTS}
    return {}


def settings_notes(findings: Iterable[Finding]) -> list[UpdateOne]:
    """To be written before they are: what their `settings` stand for."""
    texts = sorted({one.settings for one in findings})
    return [UpdateOne({"_id": settings_id(text)}, {"$setOnInsert": {"text": text}}, upsert=True) for text in texts]


def showing(key: SeriesKey, t: int, ids: Sequence[str]) -> DeleteMany:
    """Takes back what was said of the series' candles while they were open, up to the one that opens at `t`, but for
    the signals of these ids."""
    shown = [name + OPEN for name in ids]
    return DeleteMany({"_id": {"$gte": f"{key}:", "$lt": _after(key, t), "$nin": shown}, "confirmed": False})


class SignalStore:
    """The signals of one database, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database[SIGNALS.name]
        self._settings = database[SIGNAL_SETTINGS.name]
        self._returns = ReturnStore(database)

    def reconcile(self, key: SeriesKey, window: Window, findings: Sequence[Finding], now: int) -> Reconciled:
        """Make the confirmed signals on the candles of `window` those that a recomputation found."""
        stored = {one["_id"]: one for one in self._stored(key, window)}
        wanted = {finding.id: finding for finding in findings}
        changes = {name: change for name in wanted.keys() & stored if (change := _change(stored[name], wanted[name]))}
        gone = sorted(stored.keys() - wanted)
        new = [one for name, one in wanted.items() if name not in stored]
        if notes := settings_notes([*new, *(wanted[name] for name in changes)]):
            self._settings.bulk_write(notes)
        self._send([*self._insertions(key, new, now), *_only_unacted(wanted, changes, gone)])
        kept = self._acted_on([*changes, *gone])
        return Reconciled(
            len(wanted),
            len(new),
            len(changes.keys() - kept),
            len(set(gone) - kept),
            tuple(sorted(kept)),
        )

    def _insertions(self, key: SeriesKey, new: Sequence[Finding], now: int) -> list[InsertOne[Document]]:
        told = [(one.at, one.price, one.side) for one in new]
        returns = self._returns.of_new(key.exchange, key.symbol, told)
        return [InsertOne(history_document(*one, now)) for one in zip(new, returns, strict=True)]

    def of_others(self, others: Mapping[SeriesKey, Collection[str]]) -> dict[str, int]:
        """How many signals each of these strategies of these series has, that nobody acted on."""
        spans = [
            {"_id": {"$gte": f"{key}:", "$lt": f"{key};"}, "strategy": {"$in": sorted(names)}}
            for key, names in others.items()
        ]
        wanted = {"confirmed": True, "$or": spans, **NOT_ACTED_ON}
        counted = [{"$match": wanted}, {"$group": {"_id": "$strategy", "count": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
        return {one["_id"]: one["count"] for one in self._collection.aggregate(counted)}

    def _stored(self, key: SeriesKey, window: Window) -> Iterable[Document]:
        span = {"$gte": f"{key}:{iso(window.start)}", "$lt": _after(key, window.end)}
        return self._collection.find({"_id": span, "confirmed": True}, dict.fromkeys(SAID, 1))

    def _acted_on(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        found = self._collection.find({"_id": {"$in": list(ids)}, "$nor": [dict(NOT_ACTED_ON)]}, {"_id": 1})
        return {one["_id"] for one in found}

    def _send(self, operations: Sequence[Any]) -> None:
        if not operations:
            return
        try:
            self._collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise


class AsyncSignalWriter:
    """Writes live signals through PyMongo's `AsyncDatabase` or Motor's `AsyncIOMotorDatabase`."""

    def __init__(self, database: Any) -> None:
        self._collection = database[SIGNALS.name]
        self._settings = database[SIGNAL_SETTINGS.name]
        self._noted: set[str] = set()

    async def note(self, findings: Iterable[Finding]) -> None:
        """Store what they were computed with, before they are written."""
        new = [one for one in findings if one.settings not in self._noted]
        if notes := settings_notes(new):
            await self._settings.bulk_write(notes)
            self._noted.update(one.settings for one in new)

    async def write(self, documents: Sequence[Document], takings: Sequence[DeleteMany] = ()) -> list[Document]:
        """Store those that are not stored yet, which are returned, then take back. What the validator refuses would be
        refused for ever: it is said and left out. Whoever follows hears of them in the order in which he decides those
        that he hears of together, and in which a backtest does."""
        in_turn = sorted(documents, key=itemgetter("at", "_id"))
        failed = await self._send([InsertOne(document) for document in in_turn])
        await self._send(takings)
        return [document for number, document in enumerate(in_turn) if number not in failed]

    async def _send(self, operations: Sequence[InsertOne[Document] | DeleteMany]) -> set[int]:
        """The numbers of those that had no effect."""
        if not operations:
            return set()
        try:
            await self._collection.bulk_write(list(operations), ordered=False)
        except BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            for refused in (one for one in failures if one.get("code") == _REFUSED_BY_VALIDATOR):
                log.error("the database refuses a signal, which is left out: %s", str(refused.get("op"))[:500])
            if error.details.get("writeConcernErrors") or {one.get("code") for one in failures} - _HARMLESS:
                raise
            return {one["index"] for one in failures}
        return set()


def _after(key: SeriesKey, opened: int) -> str:
    """Above every id of the candle that opens at `opened`, and not above those of the next."""
    return f"{key}:{iso(interval(key.interval).after(opened))}"


def _change(stored: Document, finding: Finding) -> Document:
    """The fields that differ."""
    said = finding.said()
    return {name: said[name] for name in SAID if stored.get(name) != said[name]}


def _only_unacted(
    wanted: Mapping[str, Finding], changes: Mapping[str, Document], gone: Iterable[str]
) -> list[UpdateOne | DeleteOne]:
    return [
        *(
            UpdateOne(
                {"_id": name, **NOT_ACTED_ON}, {"$set": change | returns_at_birth(wanted[name].at, wanted[name].price)}
            )
            for name, change in changes.items()
        ),
        *(DeleteOne({"_id": name, **NOT_ACTED_ON}) for name in gone),
    ]
