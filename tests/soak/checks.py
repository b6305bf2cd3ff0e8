"""What must be true when the faults are over: the store, the journal and the positions against what the exchange knows.

Reads only. Every check says what it looked at, so that one which looked at nothing cannot pass unseen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.exchange.trading import Trading
from pipeline.simulator.handle import RunningSimulator
from pipeline.store.account import PositionStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.deployments import DeploymentStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import MINUTE, interval, to_datetime
from schemas.control import Deployment
from schemas.orders import Order
from schemas.series import SeriesKey
from tests.metronome import Metronome
from tests.truth import ENTERING, candle_differences, fills_of, naked, order_differences

ACCOUNT = "main"
MOST_TOLD = 5
CURRENT_WITHIN = 15_000


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


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares a running demo with its exchange. `since`: when it began to be live; `quiet_since`: when the faults
    ended."""

    exchange: RunningSimulator
    trading: Trading
    database: Database[dict[str, Any]]
    since: int
    quiet_since: datetime | None = None

    def look(self) -> list[Check]:
        """All laws, now."""
        laws: Sequence[Callable[[], Check]] = (
            self.candles_are_true,
            self.candles_are_current,
            self.signals_are_complete,
            self.signals_are_decided,
            self.journal_is_true,
            self.positions_are_true,
            self.positions_are_protected,
            self.deployments_run,
        )
        try:
            self.exchange.forgive()  # whoever looks must not use up what the executor may ask
            return [law() for law in laws]
        except (TidemarkError, PyMongoError) as failure:
            return [Check("everything can be looked at", "", [str(failure)[:300]])]

    def candles_are_true(self) -> Check:
        """Every candle that closed while it ran, of every live series, is stored as it was."""
        store, now = CandleStore(self.database), self.exchange.now()
        wrong: list[str] = []
        count = 0
        for key in self._series():
            first, last = _closed(key, self.since, now)
            count += len(_openings(key, first, last))
            wrong += candle_differences(self.exchange, store, [key], first, last)
        return _check("store == exchange", f"{count} candles of {len(self._series())} series", wrong, count)

    def candles_are_current(self) -> Check:
        """The open candles are being written."""
        store, now = CandleStore(self.database), self.exchange.now()
        behind = []
        for key in self._series():
            told = store.load(key, interval(key.interval).floor(now) - MINUTE, now, ("u",))["u"]
            newest = 0 if told.is_empty() else int(told.dt.epoch("ms").max() or 0)
            if now - newest > CURRENT_WITHIN:
                behind.append(f"{key} was told of last at {to_datetime(newest):%H:%M:%S}")
        return _check("candles are current", f"{len(self._series())} series", behind, len(self._series()))

    def signals_are_complete(self) -> Check:
        """The metronome spoke at every close."""
        now = self.exchange.now()
        wrong, count = [], 0
        for key in self._series():
            first, last = _closed(key, self.since, now)
            asked = {"exchange": key.exchange, "symbol": key.symbol, "interval": key.interval}
            asked |= {"strategy": Metronome.name, "confirmed": True}
            found = self.database.signals.find(asked | {"candle": {"$gte": to_datetime(first)}}, {"candle": 1})
            known = {one["candle"] for one in found}
            wanted = [to_datetime(at) for at in _openings(key, first, last)]
            count += len(wanted)
            wrong += [f"{key}: no signal of {at:%H:%M}" for at in wanted if at not in known]
        return _check("a signal at every close", f"{count} closes", wrong, count)

    def signals_are_decided(self) -> Check:
        """No signal of the exchange that is traded on waits longer than it is fresh."""
        now = to_datetime(self.exchange.now())
        of_it = {"exchange": {"$in": sorted({key.exchange for key in self._series()})}, "confirmed": True}
        lived = self.database.signals.count_documents(of_it | {"source": "live"})
        waiting = self.database.signals.find(of_it | {"verdict": "fresh"})
        late = [f"undecided: {one['_id']}" for one in waiting if _is_over(one, now)]
        return _check("signals are decided", f"{lived} live signals", late, lived)

    def journal_is_true(self) -> Check:
        """The journal is what the exchange's ledger says; nothing is unknown; at most one entry a signal."""
        ledger = self._ledger()
        orders = [Order.from_mongo(one) for one in self.database.orders.find()]
        fills = fills_of(ledger)
        entered = sum(one.leg in ENTERING and one.id in fills for one in orders)
        seen = f"{len(orders)} orders, {len(fills)} filled, {entered} of them entries"
        return _check("journal == exchange", seen, order_differences(ledger, orders), entered)

    def positions_are_true(self) -> Check:
        """What is stored as held is held."""
        held = self._held()
        stored = {one.symbol: one.quantity for one in PositionStore(self.database, "sim").list() if one.quantity}
        wrong = [
            f"{symbol}: {held.get(symbol, 0)} is held, {stored.get(symbol, 0)} is stored"
            for symbol in sorted(held.keys() | stored.keys())
            if held.get(symbol) != stored.get(symbol)
        ]
        return Check("positions == exchange", f"{len(held)} held", wrong)

    def positions_are_protected(self) -> Check:
        """No position without its stop at the exchange."""
        held, stops = self._held(), self.trading.open_algos()
        return Check("every position has its stop", f"{len(held)} held, {len(stops)} stops", [*naked(held, stops)])

    def deployments_run(self) -> Check:
        """Each that is served on a schedule has succeeded since the faults ended."""
        served = [one for one in DeploymentStore(self.database, "sim").list() if not one.paused]
        late = [f"{one.name} has not succeeded since" for one in served if not self._ran(one)]
        return _check("deployments run", f"{len(served)} deployments", late, len(served))

    def idle_deployments(self) -> list[str]:
        """Those among them whose next run is further away than anybody waits."""
        listed = DeploymentStore(self.database, "sim").list()
        return [one.name for one in listed if not one.paused and one.every_seconds > 60 and not self._ran(one)]

    def _ran(self, one: Deployment) -> bool:
        return one.completed_at is not None and self.quiet_since is not None and one.completed_at > self.quiet_since

    def _series(self) -> list[SeriesKey]:
        return sorted(Watchlist(self.database, "sim").wanted())

    def _held(self) -> dict[str, Decimal]:
        return {one.symbol: one.position_amt for one in self.trading.positions() if one.position_amt}

    def _ledger(self) -> list[dict[str, Any]]:
        return [one for one in self.exchange.ledger()["trading"] if one["account"] == ACCOUNT]


def _closed(key: SeriesKey, since: int, now: int) -> tuple[int, int]:
    """The opening times of the first and the last candle that closed between."""
    step = interval(key.interval)
    return step.floor(since), step.after(step.floor(now), -1)


def _openings(key: SeriesKey, first: int, last: int) -> list[int]:
    """The opening times from the first to the last."""
    step = interval(key.interval)
    return [step.open_time(index) for index in range(step.index(first), step.index(last) + 1)]


def _is_over(signal: dict[str, Any], now: datetime) -> bool:
    fresh_until = signal.get("fresh_until")
    return fresh_until is None or fresh_until < now


def _check(name: str, seen: str, wrong: Iterable[str], looked_at: int) -> Check:
    told = list(few(wrong)) if looked_at else ["there was nothing to look at"]
    return Check(name, seen, told)


def few(wrong: Iterable[str]) -> Iterator[str]:
    """The first of them, and how many more there are."""
    listed = list(wrong)
    yield from listed[:MOST_TOLD]
    if len(listed) > MOST_TOLD:
        yield f"and {len(listed) - MOST_TOLD} more"
