"""What an account of coins is worth over time. The exchange lists no incomes there: what a day has brought is what our
own orders have, by the journal, and by how much the worth of what is held has changed.

So nothing that is paid in or out, bought or sold by hand counts as a profit or a loss of the day.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pymongo.errors import PyMongoError

from pipeline.exchange.reports import Account, Wallet
from pipeline.execution.account.books import month_return, percent
from pipeline.execution.account.day_ends import Since, still_open
from pipeline.store.account import AccountStore
from pipeline.store.orders import OrderJournal
from pipeline.timeline import DAY, MINUTE, iso, to_datetime, to_ms
from schemas.accounts import Snapshot
from schemas.orders import Order

log = logging.getLogger(__name__)

_LATE = MINUTE
"""So far back behind the last answer each question reaches."""
ZERO = Decimal(0)


@dataclass(slots=True)
class CoinBooks:
    """One account's books. Blocks; runs in worker threads, one at a time. `asset_of`: what a symbol's coins are paid
    with."""

    environment: str
    journal: OrderJournal
    store: AccountStore
    asset_of: Callable[[str], str | None]
    asset: str | None = None
    _day: int = -1
    _asked_until: int = 0
    _orders: dict[str, Order] = field(default_factory=dict)
    _before: dict[str, Snapshot | None] = field(default_factory=dict)
    """How the day before was when it was looked at last, by asset."""
    _last_orders: list[Order] = field(default_factory=list)
    """What was filled between that and midnight."""
    _complete: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def day_starts(self, account: Account, asof: int) -> Mapping[str, Decimal]:
        """What was there now, less what the day has brought; nothing while the journal cannot be read."""
        with self._lock:
            self._complete = False
            try:
                self._read(asof, [one.asset for one in account.wallets])
                starts = {one.asset: one.equity - self._result(one) for one in account.wallets}
            except PyMongoError as error:
                log.warning("what the day began with cannot be read: %s", str(error)[:200])
                return {}
            self._complete = True
            return starts

    def earned(self) -> Mapping[str, Decimal]:
        """What each symbol has brought today, by what was sold, less the fees."""
        brought: dict[str, Decimal] = {}
        with self._lock:
            for one in self._orders.values():
                brought[one.symbol] = brought.get(one.symbol, ZERO) + (one.realized or ZERO) - (one.fee or ZERO)
        return brought

    def snapshots(self, account: Account, open_positions: Mapping[str | None, int], now: int) -> list[Snapshot]:
        """Write down what the account was worth then, in each asset of which there is any."""
        with self._lock:
            if not self._complete:
                return []
            return [
                self._snapshot(one, open_positions.get(one.asset, 0), now)
                for one in account.wallets
                if one.balance or self._of(one.asset)
            ]

    def _snapshot(self, wallet: Wallet, open_positions: int, now: int) -> Snapshot:
        orders, before, brought = self._of(wallet.asset), self._ended_before(wallet.asset), self._result(wallet)
        today = percent(wallet.equity, wallet.equity - brought)
        taken = Snapshot(
            id=f"{self.environment}:{wallet.asset}:{iso(now)}",
            environment=self.environment,
            at=to_datetime(now),
            asset=wallet.asset,
            equity=wallet.equity,
            wallet=wallet.balance,
            available=wallet.available,
            unrealized=wallet.unrealized,
            realized_today=_total(one.realized for one in orders),
            fees_today=-_total(one.fee for one in orders),
            funding_today=ZERO,
            transfers_today=wallet.equity - brought - self._at_midnight(before) if before else ZERO,
            open_positions=open_positions,
            day_return_pct=today,
            month_return_pct=month_return(self.store.of(wallet.asset), now, today),
        )
        self.store.add(taken)
        return taken

    def _result(self, wallet: Wallet) -> Decimal:
        """What the day has brought in that asset."""
        orders, before = self._of(wallet.asset), self._ended_before(wallet.asset)
        sold = _total(one.realized for one in orders) - _total(one.fee for one in orders)
        return sold + wallet.unrealized - (still_open(before, self._since(before)) if before else ZERO)

    def _at_midnight(self, before: Snapshot) -> Decimal:
        """What there was when the day before was over."""
        since = self._since(before)
        return before.equity - before.unrealized + since.result + since.fees + still_open(before, since)

    def _since(self, before: Snapshot) -> Since:
        """What was sold after the last look at the day before, until midnight."""
        last = [one for one in self._last_orders if self.asset_of(one.symbol) == before.asset]
        sold = [one for one in last if one.seen_at is not None and one.seen_at > before.at]
        return Since(_total(one.realized for one in sold), -_total(one.fee for one in sold))

    def _of(self, asset: str) -> list[Order]:
        return [one for one in self._orders.values() if self.asset_of(one.symbol) == asset]

    def _ended_before(self, asset: str) -> Snapshot | None:
        if asset not in self._before:
            self._before[asset] = self.store.of(asset).latest_before(to_datetime(self._day * DAY))
        return self._before[asset]

    def _filled_before(self, midnight: int, assets: Iterable[str]) -> list[Order]:
        """In the day before, since the account was looked at last."""
        known = [self._ended_before(one) for one in assets]
        since = min((to_ms(one.at) for one in known if one is not None), default=midnight)
        found = self.journal.settled_since(to_datetime(max(since, midnight - DAY))) if since < midnight else ()
        return [one for one in found if one.filled and one.seen_at is not None and to_ms(one.seen_at) < midnight]

    def _read(self, now: int, assets: Iterable[str]) -> None:
        """What has ended since it was read last, and what was not known to the end then."""
        day = now // DAY
        if day != self._day:
            self._day, self._orders, self._before, self._asked_until = day, {}, {}, day * DAY
            self._last_orders = self._filled_before(day * DAY, assets)
        since = max(day * DAY, self._asked_until - _LATE)
        unpaid = [one.id for one in self._orders.values() if one.fee is None]
        for one in (*self.journal.settled_since(to_datetime(since)), *(self.journal.named(unpaid) if unpaid else ())):
            if one.filled and one.seen_at is not None and to_ms(one.seen_at) >= day * DAY:
                self._orders[one.id] = one
        self._asked_until = now


def _total(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((one for one in amounts if one is not None), ZERO)
