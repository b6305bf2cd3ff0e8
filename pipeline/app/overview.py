"""What a whole Tidemark is doing, read from the database at one moment. Reads only; draws nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pipeline.app.standing import Standing, newest_of, stands
from pipeline.exchange.environments import environment
from pipeline.store.account import PositionStore
from pipeline.store.control import ControlStore
from pipeline.store.counts import Count
from pipeline.store.goals import Target
from pipeline.store.processes import living
from pipeline.store.signals.queries import Asked, find_documents
from pipeline.store.symbols import SymbolStore
from pipeline.store.targets import targets
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import Interval, interval, to_datetime, to_ms
from schemas.signals import SIGNALS

if TYPE_CHECKING:
    from pymongo.database import Database

    from schemas.accounts import Snapshot
    from schemas.positions import Position

__all__ = ["Overview", "Overviews", "Target"]

NEWEST_SIGNALS: Final = 10
SHOWN_FOR: Final = timedelta(days=1)
"""A signal that is older is not looked for: the history is long, and none of it is live."""
JUDGED_EVERY: Final = timedelta(seconds=10)
_SHOWN: Final = (
    "at",
    "symbol",
    "interval",
    "strategy",
    "kind",
    "side",
    "price",
    "return_pct",
    "verdict",
    "reason",
    "decision",
    "source",
)


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures of one moment. `candles_per_second` needs the moment before, and is None without it; `signals` are
    those that were said live; at `next_close` the next may come."""

    at: datetime
    beats: dict[str, dict[str, Any]] = field(default_factory=dict)
    candles_per_second: float | None = None
    signals: Sequence[dict[str, Any]] = ()
    next_close: datetime | None = None
    signals_stored: int = 0
    taken: int = 0
    positions: "Sequence[Position]" = ()
    accounts: "Sequence[Snapshot]" = ()
    standing: Standing | None = None
    targets: Sequence[Target] = ()
    ticks: Mapping[str, Decimal] = field(default_factory=dict)

    def figure(self, role: str, name: str) -> float | None:
        """A figure of a living process."""
        found = self.beats.get(role, {}).get("figures", {}).get(name)
        return None if found is None else float(found)


class Overviews:
    """Looks again and again."""

    def __init__(self, database: "Database[dict[str, Any]]", exchange: str, mode: str = "signal-only") -> None:
        self._database = database
        self._exchange = exchange
        self._mode = mode
        self._stored = Count(database[SIGNALS.name])
        self._frames: tuple[datetime, float] | None = None
        self._rate: float | None = None
        self._steps: Sequence[Interval] = ()
        self._ticks: Mapping[str, Decimal] = {}
        self._targets: tuple[datetime, Sequence[Target]] | None = None

    def look(self) -> Overview:
        """How it is now."""
        now = datetime.now(UTC)
        alive = living(self._database, self._exchange, now)
        beats = {one["role"]: one for one in alive}
        signals = self._database[SIGNALS.name]
        positions = [one for one in PositionStore(self._database, self._exchange).list() if one.quantity]
        newest = newest_of(self._database, self._exchange)
        controls = ControlStore(self._database, self._exchange).read()
        judged = self._judged(now)
        live = Asked(exchange=self._exchange, since=to_ms(now - SHOWN_FOR), only_live=True)
        return Overview(
            at=now,
            beats=beats,
            candles_per_second=self._measured(beats.get("ingester")),
            signals=find_documents(self._database, live, "at", NEWEST_SIGNALS, _SHOWN),
            signals_stored=self._stored.now(),
            taken=signals.count_documents({"exchange": self._exchange, "verdict": "taken", "source": "live"}),
            positions=positions,
            accounts=newest,
            standing=stands(self._exchange, controls, alive, newest, positions, self._mode, now),
            targets=judged,
            ticks=self._ticks,
            next_close=min((to_datetime(step.after(to_ms(now))) for step in self._steps), default=None),
        )

    def is_alive(self, role: str, since: datetime) -> bool:
        """Whether a process of that role that was started since then lives, and has something to say of itself."""
        return any(
            beat["role"] == role and beat["started_at"] >= since and beat["figures"]
            for beat in living(self._database, self._exchange, datetime.now(UTC))
        )

    def _judged(self, now: datetime) -> Sequence[Target]:
        """What changes slowly and costs a look through the journal is looked at less often."""
        if self._targets is None or now - self._targets[0] >= JUDGED_EVERY:
            weight_percent = 100 * environment(self._exchange).weight_buffer
            self._ticks = self._ticks or SymbolStore(self._database).ticks(self._exchange)
            intervals = {key.interval for key in Watchlist(self._database, self._exchange).wanted()}
            self._steps = [interval(code) for code in intervals]
            self._targets = (now, targets(self._database, self._exchange, weight_percent, now))
        return self._targets[1]

    def _measured(self, beat: dict[str, Any] | None) -> float | None:
        """Frames a second between the last two heartbeats."""
        if beat is None or "frames" not in beat["figures"]:
            self._frames = self._rate = None
            return None
        at, frames = beat["at"], beat["figures"]["frames"]
        if self._frames is not None and at > self._frames[0]:
            self._rate = max(0.0, frames - self._frames[1]) / (at - self._frames[0]).total_seconds()
        if self._frames is None or at > self._frames[0]:
            self._frames = (at, frames)
        return self._rate
