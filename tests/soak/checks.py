"""What must be true when the faults are over, in each market: store, journal, what is held and books against what the
exchange knows.

Reads only. Every check says what it looked at in each market, so that one which looked at nothing cannot pass unseen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.simulator.handle import RunningSimulator
from pipeline.store.account import PositionStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.deployments import DeploymentStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import MINUTE, interval, to_datetime
from schemas.accounts import ACCOUNTS, Snapshot
from schemas.control import Deployment
from schemas.series import SeriesKey
from tests.desks import ContractDesk, Desk
from tests.metronome import Metronome
from tests.truth import ENTERING, fills_of, order_differences, wallet_differences

MOST_TOLD = 5
CURRENT_WITHIN = 75_000
"""Of a pair that is traded thrice a minute nothing else may be told for so long than that its candle has closed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One law: what was looked at, and what is wrong with it."""

    name: str
    seen: str
    wrong: Sequence[str] = ()

    @property
    def fine(self) -> bool:
        """Whether it holds."""
        return not self.wrong


Look = tuple[int, Iterable[str]]
"""How much was looked at, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares a running demo with its exchange. `since`: when it began to be live; `quiet_since`: when the faults
    ended."""

    desks: Sequence[Desk]
    """One of each market."""
    since: int
    quiet_since: datetime | None = None

    @property
    def exchange(self) -> RunningSimulator:
        """At the address of its first market."""
        return self.desks[0].simulator

    @property
    def database(self) -> Database[dict[str, Any]]:
        """What it stores."""
        return self.desks[0].db

    def look(self) -> list[Check]:
        """All laws, now."""
        laws: Sequence[tuple[str, str, Callable[[Desk], Look], Sequence[Desk]]] = (
            ("store == exchange", "candles", self._candles, self.desks),
            ("candles are current", "series", self._current, self.desks),
            ("a signal at every close", "closes", self._signals, self.desks),
            ("signals are decided", "live signals", self._decided, self.desks),
            ("journal == exchange", "entries filled", self._journal, self.desks),
            ("what is held is stored, and has its stop", "positions", self._held, self.desks),
            ("the books add up to what is held", "strategies", self._books, self.desks),
            ("the account's books == exchange", "lines", self._account, self.contracts),
        )
        try:
            for desk in self.desks:
                desk.simulator.forgive()  # whoever looks must not use up what the executor may ask
            checks = [_check(name, what, {one.exchange: law(one) for one in of}) for name, what, law, of in laws]
            return [*checks, self.deployments_run()]
        except (TidemarkError, PyMongoError) as failure:
            return [Check("everything can be looked at", "", [str(failure)[:300]])]

    @property
    def contracts(self) -> Sequence[Desk]:
        """Of the markets where the exchange says what an account has brought."""
        return [one for one in self.desks if isinstance(one, ContractDesk)]

    def _candles(self, desk: Desk) -> Look:
        """Every candle that closed while it ran, of every live series, is stored as it was."""
        return len(list(self._closes(desk))), desk.wrong_candles(self.since)

    def _current(self, desk: Desk) -> Look:
        """The open candles are being written."""
        store, now = CandleStore(self.database), desk.simulator.now()
        behind = []
        for key in _series(desk):
            told = store.load(key, interval(key.interval).floor(now) - MINUTE, now, ("u",))["u"]
            newest = 0 if told.is_empty() else int(told.dt.epoch("ms").max() or 0)
            if now - newest > CURRENT_WITHIN:
                behind.append(f"{key} was told of last at {to_datetime(newest):%H:%M:%S}")
        return len(_series(desk)), behind

    def _signals(self, desk: Desk) -> Look:
        """The metronome spoke at every close."""
        asked = {"exchange": desk.exchange, "strategy": Metronome.name, "confirmed": True}
        asked["candle"] = {"$gte": to_datetime(min(interval(one.interval).floor(self.since) for one in _series(desk)))}
        found = self.database.signals.find(asked, {"symbol": 1, "interval": 1, "candle": 1})
        known = {(one["symbol"], one["interval"], one["candle"]) for one in found}
        wanted = list(self._closes(desk))
        missing = [(key, at) for key, at in wanted if (key.symbol, key.interval, to_datetime(at)) not in known]
        return len(wanted), [f"{key}: no signal of {to_datetime(at):%H:%M}" for key, at in missing]

    def _decided(self, desk: Desk) -> Look:
        """None waits longer than it is fresh."""
        now = to_datetime(desk.simulator.now())
        of_it = {"exchange": desk.exchange, "confirmed": True}
        lived = self.database.signals.count_documents(of_it | {"source": "live"})
        waiting = self.database.signals.find(of_it | {"verdict": "fresh"})
        return lived, [f"undecided: {one['_id']}" for one in waiting if _is_over(one, now)]

    def _journal(self, desk: Desk) -> Look:
        """The journal is what the exchange's ledger says; nothing is unknown; at most one entry a signal; what is open
        there is open here."""
        ledger, orders = desk.ledger(), desk.journal()
        fills = fills_of(ledger)
        entered = sum(one.leg in ENTERING and one.id in fills for one in orders)
        return entered, [*order_differences(ledger, orders), *desk.standing_otherwise()]

    def _held(self, desk: Desk) -> Look:
        """What is stored as held is held, and has its stop. Nothing may be held just now."""
        return len(PositionStore(self.database, desk.exchange).list()), desk.held_otherwise()

    def _books(self, desk: Desk) -> Look:
        """What each strategy holds of a position adds up to it. Counted are those who have ever entered."""
        stored = [one for one in PositionStore(self.database, desk.exchange).list() if one.ours]
        plans = {(one.plan.strategy, one.interval) for one in desk.journal() if one.filled and one.plan is not None}
        return len(plans), [
            f"{one.symbol}: {one.quantity} are held, and the books hold {[str(each.quantity) for each in one.books]}"
            for one in stored
            if sum(each.quantity for each in one.books) != one.quantity
        ]

    def _account(self, desk: Desk) -> Look:
        """Each line of the account's books is what the exchange's ledger comes to by then."""
        found = self.database[ACCOUNTS.name].find(
            {"environment": desk.exchange, "at": {"$gte": to_datetime(self.since)}}
        )
        lines = [Snapshot.from_mongo(one) for one in found]
        return len(lines), wallet_differences(desk.ledger(), lines)

    def deployments_run(self) -> Check:
        """Each that is served on a schedule has succeeded since the faults ended."""
        served = [one for one in DeploymentStore(self.database, "sim").list() if not one.paused]
        late = [f"{one.name} has not succeeded since" for one in served if not self._ran(one)]
        return _check("deployments run", "deployments", {"all": (len(served), late)})

    def idle_deployments(self) -> list[str]:
        """Those among them whose next run is further away than anybody waits."""
        listed = DeploymentStore(self.database, "sim").list()
        return [one.name for one in listed if not one.paused and one.every_seconds > 60 and not self._ran(one)]

    def _ran(self, one: Deployment) -> bool:
        return one.completed_at is not None and self.quiet_since is not None and one.completed_at > self.quiet_since

    def _closes(self, desk: Desk) -> Iterator[tuple[SeriesKey, int]]:
        """The opening time of every candle of a live series that closed while it ran."""
        now = desk.simulator.now()
        for key in _series(desk):
            step = interval(key.interval)
            for index in range(step.index(step.floor(self.since)), step.index(step.floor(now))):
                yield key, step.open_time(index)


def _series(desk: Desk) -> list[SeriesKey]:
    return sorted(Watchlist(desk.db, desk.exchange).wanted())


def _is_over(signal: dict[str, Any], now: datetime) -> bool:
    fresh_until = signal.get("fresh_until")
    return fresh_until is None or fresh_until < now


def _check(name: str, what: str, looks: Mapping[str, Look]) -> Check:
    """One law, of each exchange."""
    told: list[str] = []
    for exchange, (count, wrong) in looks.items():
        told += [f"{exchange}: {one}" for one in wrong] if count else [f"{exchange}: there was nothing to look at"]
    counts = ", ".join(f"{exchange} {count}" for exchange, (count, _) in looks.items())
    return Check(name, f"{what}: {counts}", list(few(told)))


def few(wrong: Iterable[str]) -> Iterator[str]:
    """The first of them, and how many more there are."""
    listed = list(wrong)
    yield from listed[:MOST_TOLD]
    if len(listed) > MOST_TOLD:
        yield f"and {len(listed) - MOST_TOLD} more"
