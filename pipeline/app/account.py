"""What the account is worth, what it holds, what was sent: as stored, or as the exchange says this moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pipeline.app import at_exchange
from pipeline.app.at_exchange import Listed
from pipeline.app.known_symbols import known_symbol
from pipeline.app.opened import Opened
from pipeline.execution.account.periods import By, Period, periods
from pipeline.execution.engine.sizing import BY_RISK
from pipeline.execution.runtime.documents import identity_of
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.symbols import SymbolStore
from schemas.accounts import Snapshot
from schemas.orders import Order
from schemas.positions import Position
from schemas.signals import SIGNALS

__all__ = [
    "Account", "By", "Held", "Journal", "Listed", "ListedOrders", "Order", "Period", "Position", "Snapshot", "accounts",
    "orders", "orders_at_exchange", "positions",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """In one asset: the newest snapshot (None while nobody has taken any), the last one of each day, and the days or
    months."""

    latest: Snapshot | None
    days: Sequence[Snapshot]
    periods: Sequence[Period]


@dataclass(frozen=True, slots=True)
class Held:
    """The positions, the least step of the prices of each symbol, and the cap that decided how large its units are."""

    positions: Sequence[Position]
    ticks: Mapping[str, Decimal]
    caps: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Journal:
    """Orders of the journal, newest first, and the least step of the prices of each symbol."""

    orders: Sequence[Order]
    ticks: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class ListedOrders:
    """Orders as the exchange lists them, and the least step of the prices of each symbol."""

    orders: Sequence[Listed]
    ticks: Mapping[str, Decimal]


def accounts(tm: Opened, by: By = "day", days: int | None = None) -> list[Account]:
    """What is stored of it, in each asset that it is counted in; `days`: only so many back."""
    since = None if days is None else datetime.now(UTC) - timedelta(days=days)
    found: list[Account] = []
    for store in AccountStore(tm.db, tm.environment).each():
        ends = store.daily(since)
        found.append(Account(store.latest(), ends, periods(ends, by)))
    return found


def positions(tm: Opened, *, flat_too: bool = False) -> Held:
    """What is held."""
    found = PositionStore(tm.db, tm.environment).list()
    held = [one for one in found if flat_too or one.quantity or one.books]
    return Held(held, _ticks(tm), _caps(tm, held))


def orders(tm: Opened, limit: int, symbol: str | None = None) -> Journal:
    """The journal: every order, and what became of it. A symbol that is neither in it nor known is refused."""
    found = OrderJournal(tm.db, tm.environment).newest(limit, symbol)
    if symbol is not None and not found:
        known_symbol(tm.settings, tm.db, symbol)
    return Journal(found, _ticks(tm))


def orders_at_exchange(tm: Opened, limit: int, symbol: str | None = None) -> ListedOrders:
    """What is open there now, whose ever it is; of a symbol also what was."""
    named = None if symbol is None else known_symbol(tm.settings, tm.db, symbol)
    installation = ControlStore(tm.db, tm.environment).read().installation
    identity = identity_of(installation, tm.environment)
    return ListedOrders(at_exchange.orders_now(tm.settings, identity, named, limit), _ticks(tm))


def _caps(tm: Opened, held: Sequence[Position]) -> dict[str, str]:
    """By symbol, the cap that decided how large a unit is; those whose units go by the risk have none."""
    opened = {one.signal: one.symbol for one in held if one.signal is not None}
    wanted = {"_id": {"$in": list(opened)}, "decision.bound": {"$nin": [None, BY_RISK]}}
    found = tm.db[SIGNALS.name].find(wanted, {"decision.bound": 1})
    return {opened[one["_id"]]: one["decision"]["bound"] for one in found}


def _ticks(tm: Opened) -> Mapping[str, Decimal]:
    return SymbolStore(tm.db).ticks(tm.environment)
