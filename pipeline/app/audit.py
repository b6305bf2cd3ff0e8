"""The order to prove what is stored, and to mend what is not right."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pipeline.app.audit_trail import named, note
from pipeline.app.exchange_access import client_of
from pipeline.app.opened import Opened
from pipeline.app.wiring import derivation_of
from pipeline.exchange.market import MarketData
from pipeline.history.audit import Audit, SeriesAudit, smallest_first
from pipeline.history.derive import Derivation, Derived
from pipeline.history.listing import audited_series, listed_in, stored_series
from pipeline.history.marks import stored_marks
from pipeline.store.series import SeriesStore
from schemas.series import SeriesKey, mark_exchange
from schemas.symbols import Symbol

__all__ = ["Audited", "Auditing", "Derived", "SeriesAudit", "audit", "auditing"]


@dataclass(frozen=True, slots=True)
class Audited:
    """What each series came to; `derived`: what was computed again, where something was to be mended."""

    audits: Sequence[SeriesAudit]
    derived: Sequence[Derived] | None


@dataclass(frozen=True, slots=True)
class Auditing:
    """An audit that was ordered, and the series it is about. `mending`: what computes again what was mended; None: it
    only looks."""

    keys: Sequence[SeriesKey]
    market: MarketData
    work: Audit
    marks: Audit
    """The same of mark prices."""
    listed: Sequence[Symbol]
    mending: Derivation | None

    def audit(self, keys: Sequence[SeriesKey]) -> Audited:
        """These of them, from any thread."""
        exchange = self.market.client.environment.name
        candles = [one for one in keys if not one.is_mark]
        audits = self._looked(self.work, candles, exchange)
        marks = self._looked(self.marks, [one for one in keys if one.is_mark], mark_exchange(exchange))
        audits += [replace(one, symbol=f"{one.symbol} mark") for one in marks]
        if self.mending is None:
            return Audited(audits, None)
        return Audited(audits, self.mending.bring_up_all(candles, self.market.client.clock.now()))

    def _looked(self, work: Audit, keys: Sequence[SeriesKey], exchange: str) -> list[SeriesAudit]:
        audits = work.look(keys)
        return list(audits if self.mending is None else work.repair(audits, listed_in(self.listed, exchange)))


@contextmanager
def auditing(
    tm: Opened,
    symbols: Sequence[str] = (),
    intervals: Sequence[str] = (),
    *,
    repair: bool,
    samples: int,
    seed: int = 0,
    everything: bool = True,
    by: str,
    reason: str | None = None,
    stop: threading.Event | None = None,
    scheduled: bool = False,
) -> Iterator[Auditing]:
    """Of all stored series unless some are named, for the length of a `with` block; `repair`: fetch again whatever is
    wrong; not `everything`: only what was not found sound before, or was written since. `stop` ends it early; without
    one Ctrl-C does. `scheduled`: as a client has it."""
    db = tm.candle_db
    with client_of(tm.settings, stop, scheduled=scheduled) as client:
        market = MarketData(client)
        keys = stored_series(db, tm.environment, symbols, intervals)
        listed = market.symbols() if samples or repair else []
        if listed:
            keys = audited_series(keys, listed, SeriesStore(db), client.clock.now(), named=bool(symbols))
        note(tm.settings.home, f"audit {named(keys)}{', repair' if repair else ''}", by=by, reason=reason)
        mending = derivation_of(tm.settings, db) if repair else None
        keys = [*keys, *stored_marks(db, keys)]
        work, marks = (
            Audit(db, one, samples=samples, seed=seed, everything=everything) for one in (market, market.of_marks())
        )
        yield Auditing(keys if everything else smallest_first(keys), market, work, marks, listed, mending)


def audit(
    tm: Opened,
    symbols: Sequence[str] = (),
    intervals: Sequence[str] = (),
    *,
    repair: bool,
    samples: int,
    seed: int = 0,
    by: str,
    reason: str | None = None,
) -> Audited:
    """All of it at once."""
    order = auditing(tm, symbols, intervals, repair=repair, samples=samples, seed=seed, by=by, reason=reason)
    with order as work:
        return work.audit(work.keys)
