"""What the account is worth over time: the equity that a day began with, and a snapshot a minute with its returns.

A day is a day in UTC. Deposits and withdrawals are no profit: they are counted out. What the wallet began the day with
is worked back from the exchange's own list of incomes, so it is right even for a day that began without us.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from pymongo.errors import PyMongoError

from pipeline.exchange.reports import AccountReport, IncomeReport
from pipeline.exchange.trading import Trading
from pipeline.execution.periods import compounded
from pipeline.store.account import AccountStore
from pipeline.timeline import DAY, MINUTE, iso, to_datetime
from schemas.accounts import Snapshot

log = logging.getLogger(__name__)

TRANSFER = "TRANSFER"
_LATE = MINUTE
"""Incomes may be listed late: each question reaches back so far behind the last answer."""


@dataclass(slots=True)
class Bookkeeper:
    """One account's books. Blocks; runs in a worker thread."""

    environment: str
    asset: str
    asking: Trading
    store: AccountStore
    _day: int = -1
    _incomes: dict[tuple[int, str, str, int], IncomeReport] = field(default_factory=dict)
    _asked_until: int = 0
    _unrealized_before: Decimal = Decimal(0)

    def day_start(self, account: AccountReport) -> Decimal | None:
        """The equity at 00:00 UTC, moved by deposits and withdrawals since; None while the books cannot be read."""
        try:
            self._read_incomes(self.asking.client.clock.now())
        except PyMongoError as error:
            log.warning("yesterday's last snapshot cannot be read: %s", str(error)[:200])
            return None
        return self._started_with(account)

    def snapshot(self, account: AccountReport, open_positions: int, now: int) -> Snapshot:
        """Write down what the account is worth now. `day_start` was asked for before."""
        today = percent(account.total_margin_balance, self._started_with(account))
        taken = Snapshot(
            id=f"{self.environment}:{iso(now)}",
            environment=self.environment,
            at=to_datetime(now),
            asset=self.asset,
            equity=account.total_margin_balance,
            wallet=account.total_wallet_balance,
            available=account.available_balance,
            unrealized=account.total_unrealized_profit,
            realized_today=total(self._incomes.values(), "REALIZED_PNL"),
            fees_today=total(self._incomes.values(), "COMMISSION"),
            funding_today=total(self._incomes.values(), "FUNDING_FEE"),
            transfers_today=total(self._incomes.values(), TRANSFER),
            open_positions=open_positions,
            day_return_pct=today,
            month_return_pct=self._month_return(now, today),
        )
        self.store.add(taken)
        return taken

    def _started_with(self, account: AccountReport) -> Decimal:
        wallet = account.total_wallet_balance - total(self._incomes.values())
        return wallet + self._unrealized_before + total(self._incomes.values(), TRANSFER)

    def _read_incomes(self, now: int) -> None:
        day = now // DAY
        if day != self._day:
            before = self.store.latest_before(to_datetime(day * DAY))
            self._unrealized_before = before.unrealized if before else Decimal(0)
            self._day, self._incomes, self._asked_until = day, {}, day * DAY
        since = max(day * DAY, self._asked_until - _LATE)
        for row in self.asking.incomes(since, now):
            if row.asset == self.asset and row.time >= day * DAY:
                self._incomes[row.tran_id, row.income_type, row.symbol, row.time] = row
        self._asked_until = now

    def _month_return(self, now: int, today: float | None) -> float | None:
        first = to_datetime(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        past = [one.day_return_pct for one in self.store.daily(first) if one.at < to_datetime(now // DAY * DAY)]
        return compounded([*past, today])


def total(incomes: Iterable[IncomeReport], kind: str | None = None) -> Decimal:
    """The sum of the incomes of that kind, or of all."""
    return sum((one.income for one in incomes if kind in {None, one.income_type}), Decimal(0))


def percent(now: Decimal, before: Decimal) -> float | None:
    """The change in percent; None where there was nothing to change."""
    return float((now - before) / before * 100) if before > 0 else None
