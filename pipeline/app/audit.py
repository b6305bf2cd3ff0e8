"""The order to prove what is stored, and to mend what is not right."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.app.audit_trail import note
from pipeline.app.exchange_access import client_of
from pipeline.app.opened import Opened
from pipeline.app.wiring import derivation_of
from pipeline.exchange.market import Market
from pipeline.history.audit import Audit, SeriesAudit
from pipeline.history.derive import Derived
from pipeline.history.listing import audited_series, listed_in, stored_series
from pipeline.store.series import SeriesStore

__all__ = ["Audited", "Derived", "SeriesAudit", "audit"]


@dataclass(frozen=True, slots=True)
class Audited:
    """What each series came to; `derived`: what was computed again, where something was to be mended."""

    audits: Sequence[SeriesAudit]
    derived: Sequence[Derived] | None


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
    """Check stored candles, of all series unless some are named; `repair`: fetch again whatever is wrong."""
    db, derived = tm.candle_db, None
    with client_of(tm.settings) as client:
        market = Market(client)
        keys = stored_series(db, tm.environment, symbols, intervals)
        listed = market.symbols() if samples or repair else None
        if listed is not None:
            keys = audited_series(keys, listed, SeriesStore(db), client.clock.now(), named=bool(symbols))
        named = ", ".join(f"{one.symbol} {one.interval}" for one in keys)
        note(tm.settings.home, f"audit {named or 'nothing'}{', repair' if repair else ''}", by=by, reason=reason)
        work = Audit(db, market, samples=samples, seed=seed)
        audits = work.look(keys)
        if repair:
            audits = work.repair(audits, listed_in(listed or (), tm.environment))
            derived = derivation_of(tm.settings, db).bring_up_all(keys, client.clock.now())
    return Audited(audits, derived)
