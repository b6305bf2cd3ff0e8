"""What the account is worth over time: the equity that a day began with, and a snapshot a minute with its returns. An
account of several coins has books for each of them.

A day is a day in UTC. Deposits and withdrawals are no profit: they are counted out. What the wallet began the day with
is worked back from the exchange's own list of incomes, so it is right even for a day that began without us.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pymongo.errors import PyMongoError

from pipeline.exchange.errors import BadAnswerError, ExchangeError
from pipeline.exchange.reports import Account, IncomeReport, Wallet
from pipeline.exchange.trading import Trading
from pipeline.execution.account import day_ends
from pipeline.execution.account.day_ends import Since
from pipeline.execution.account.fees import Rates
from pipeline.execution.account.incomes import PLACES, Place, place_of
from pipeline.execution.account.periods import compounded
from pipeline.store.account import AccountStore, AssetSnapshots
from pipeline.timeline import DAY, MINUTE, iso, to_datetime, to_ms
from schemas.accounts import Snapshot

log = logging.getLogger(__name__)

_LATE = MINUTE
"""Incomes may be listed late: each question reaches back so far behind the last answer."""


@dataclass(slots=True)
class Bookkeeper:
    """One account's books. Blocks; runs in worker threads, one at a time."""

    environment: str
    asset: str | None
    """The one that the account counts in; None: each coin of it by itself."""
    asking: Trading
    store: AccountStore
    rates: Rates
    warn: Callable[[str], None]
    _day: int = -1
    _incomes: dict[tuple[int, str, str, int], IncomeReport] = field(default_factory=dict)
    _elsewhere: dict[tuple[int, str, str, int], Decimal] = field(default_factory=dict)
    """What fees that were paid in another asset were worth: the wallet does not show them."""
    _unpriced: dict[tuple[int, str, str, int], IncomeReport] = field(default_factory=dict)
    """Such fees that could not be valued yet: each question tries again."""
    _warned: set[str] = field(default_factory=set)
    _asked_until: int = 0
    _before: dict[str, Snapshot | None] = field(default_factory=dict)
    """The last snapshot of the days before, by asset."""
    _last_words: list[IncomeReport] = field(default_factory=list)
    """What came between those and midnight."""
    _day_ended: dict[str, Since] = field(default_factory=dict)
    """By what the last snapshot of the day before was written, by asset."""
    _said_until: int = 0
    """Until when that was asked for: it may be listed late."""
    _complete: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def day_starts(self, account: Account, asof: int) -> Mapping[str, Decimal]:
        """The equity in each asset at 00:00 UTC, moved by deposits and withdrawals since; nothing while the books
        cannot be read. The account was asked for at `asof`."""
        with self._lock:
            self._complete = False
            try:
                self._read_incomes(self.asking.client.clock.now(), [one.asset for one in account.wallets])
                starts = {one.asset: self._started_with(one, asof) for one in account.wallets}
            except (PyMongoError, ExchangeError) as error:
                log.warning("what the day began with cannot be read: %s", str(error)[:200])
                return {}
            self._complete = True
            return starts

    def earned(self) -> dict[str, Decimal]:
        """What each symbol has brought today, as `day_start` last read it: realised profit, fees and funding."""
        brought: dict[str, Decimal] = {}
        with self._lock:
            for one in self._incomes.values():
                if one.symbol and place_of(one.income_type) != "moved":
                    brought[one.symbol] = brought.get(one.symbol, Decimal(0)) + one.income
            for (_, _, symbol, _), paid in self._elsewhere.items():
                brought[symbol] = brought.get(symbol, Decimal(0)) + paid
        return brought

    def snapshots(self, account: Account, open_positions: Mapping[str | None, int], now: int) -> list[Snapshot]:
        """Write down what the account was worth then, in each asset of which there is any, or was today; nothing while
        `day_starts` could not be said. `open_positions`: how many there are, by asset."""
        with self._lock:
            if not self._complete:
                return []
            active = {one.asset for one in self._incomes.values()}
            return [
                self._snapshot(one, open_positions.get(one.asset, 0), now)
                for one in account.wallets
                if one.asset == self.asset or one.balance or one.asset in active
            ]

    def _snapshot(self, wallet: Wallet, open_positions: int, now: int) -> Snapshot:
        incomes = self._of(wallet.asset)
        self._end_day_before(wallet, now)
        today = percent(wallet.equity, self._started_with(wallet, now))
        taken = Snapshot(
            id=f"{self.environment}:{wallet.asset}:{iso(now)}",
            environment=self.environment,
            at=to_datetime(now),
            asset=wallet.asset,
            equity=wallet.equity,
            wallet=wallet.balance,
            available=wallet.available,
            unrealized=wallet.unrealized,
            realized_today=total(incomes, "result"),
            fees_today=total(incomes, "fee") + self._paid_elsewhere(),
            funding_today=total(incomes, "funding"),
            transfers_today=total(incomes, "moved"),
            open_positions=open_positions,
            day_return_pct=today,
            month_return_pct=month_return(self.store.of(wallet.asset), now, today),
        )
        self.store.add(taken)
        return taken

    def _started_with(self, wallet: Wallet, asof: int) -> Decimal:
        """Fees that the wallet does not show count as if they had been paid into it, and out again. What came after the
        account was asked for is not taken out of its wallet: it may not be in it."""
        incomes = [one for one in self._of(wallet.asset) if one.time <= asof]
        at_first = self._at_first(wallet, asof) + total(incomes, "moved")
        return at_first + self._open_at_first(wallet.asset) - self._paid_elsewhere()

    def _of(self, asset: str) -> list[IncomeReport]:
        return [one for one in self._incomes.values() if one.asset == asset]

    def _paid_elsewhere(self) -> Decimal:
        return sum(self._elsewhere.values(), Decimal(0))

    def _at_first(self, wallet: Wallet, asof: int) -> Decimal:
        """What lay in the wallet at midnight. What came after the account was asked for is not taken out of it."""
        return wallet.balance - total(one for one in self._of(wallet.asset) if one.time <= asof)

    def _open_at_first(self, asset: str) -> Decimal:
        """What was not realised at midnight."""
        before = self._day_before(asset)
        if before is None:
            return Decimal(0)
        return day_ends.still_open(before, self._since(before))

    def _end_day_before(self, wallet: Wallet, asof: int) -> None:
        """Its last snapshot, where something came after the one that was taken; written where it is news."""
        before = self._day_before(wallet.asset)
        if before is None or to_ms(before.at) < (self._day - 1) * DAY:
            return
        since = self._since(before)
        if since.is_nothing or self._day_ended.get(wallet.asset) == since:
            return
        self.store.add(day_ends.ended(before, since, self._at_first(wallet, asof)))
        self._day_ended[wallet.asset] = since

    def _day_before(self, asset: str) -> Snapshot | None:
        if asset not in self._before:
            self._before[asset] = self.store.of(asset).latest_before(to_datetime(self._day * DAY))
        return self._before[asset]

    def _since(self, before: Snapshot) -> Since:
        rows = [one for one in self._last_words if one.asset == before.asset and one.time > to_ms(before.at)]
        return Since(total(rows, "result"), total(rows, "fee"), total(rows, "funding"), total(rows, "moved"))

    def _read_last_words(self, now: int, assets: Iterable[str]) -> None:
        """Once a day, and again as long as something may be listed late."""
        midnight = self._day * DAY
        if self._said_until > midnight + _LATE:
            return
        known = [self._day_before(one) for one in assets]
        since = min((to_ms(one.at) for one in known if one is not None), default=midnight)
        self._last_words = self.asking.incomes(max(since, midnight - DAY), midnight - 1) if since < midnight else []
        self._said_until = now

    def _read_incomes(self, now: int, assets: Iterable[str]) -> None:
        day = now // DAY
        if day != self._day:
            self._before, self._last_words, self._said_until, self._day_ended = {}, [], 0, {}
            self._day, self._incomes, self._elsewhere, self._unpriced, self._asked_until = day, {}, {}, {}, day * DAY
        self._read_last_words(now, assets)
        since = max(day * DAY, self._asked_until - _LATE)
        for row in self.asking.incomes(since, now):
            if row.time >= day * DAY:
                self._book(row)
        self._asked_until = now
        self._value()

    def _book(self, row: IncomeReport) -> None:
        key = (row.tran_id, row.income_type, row.symbol, row.time)
        if row.income_type not in PLACES:
            self._warn(f"an income of a kind that is not known, {row.income_type}: it counts as earned")
        if self.asset in {None, row.asset}:
            self._incomes[key] = row
        elif key not in self._elsewhere and place_of(row.income_type) == "fee":
            self._unpriced[key] = row

    def _value(self) -> None:
        """Fees in other assets, by the price now. Where no prices can be had at all, none is asked for again now."""
        for key, row in list(self._unpriced.items()):
            try:
                self._elsewhere[key] = self.rates.worth(row.income, row.asset)
            except ExchangeError as error:
                self._warn(f"fees in {row.asset} are not counted yet: {error}")
                if not isinstance(error, BadAnswerError):
                    return
            else:
                del self._unpriced[key]

    def _warn(self, text: str) -> None:
        """Once, not once a minute."""
        if text not in self._warned:
            self._warned.add(text)
            self.warn(text)


def month_return(taken: AssetSnapshots, now: int, today: float | None) -> float | None:
    """What the month has brought in percent: the returns of its days, one upon the other."""
    first = to_datetime(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    past = [one.day_return_pct for one in taken.daily(first) if one.at < to_datetime(now // DAY * DAY)]
    return compounded([*past, today])


def total(incomes: Iterable[IncomeReport], place: Place | None = None) -> Decimal:
    """The sum of the incomes that count there, or of all."""
    return sum((one.income for one in incomes if place in {None, place_of(one.income_type)}), Decimal(0))


def percent(now: Decimal, before: Decimal) -> float | None:
    """The change in percent; None where there was nothing to change."""
    return float((now - before) / before * 100) if before > 0 else None
