"""The account's books and the clean days, worked out from what the exchange and the journal say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from bson import Decimal128
from pymongo.database import Database

from pipeline.exchange.reports import AccountReport, IncomeReport
from pipeline.execution.bookkeeping import Bookkeeper
from pipeline.execution.clean_days import SNAPSHOTS_A_DAY, CleanDays
from pipeline.store.account import AccountStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.prepare import prepare
from pipeline.timeline import DAY, HOUR, to_datetime, to_ms
from schemas.control import Breaker
from schemas.orders import Order

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Exchange:
    """Incomes, and a clock."""

    def __init__(self, now: datetime) -> None:
        self.rows: list[IncomeReport] = []
        self.asked: list[tuple[int, int]] = []
        self.at = to_ms(now)
        self.client = SimpleNamespace(clock=SimpleNamespace(now=lambda: self.at))

    def add(self, kind: str, amount: str, at: int, asset: str = "USDT") -> None:
        number = len(self.rows)
        self.rows.append(
            IncomeReport(income_type=kind, income=Decimal(amount), asset=asset, time=at, tran_id=number, symbol="X")
        )

    def incomes(self, since: int, until: int) -> list[IncomeReport]:
        self.asked.append((since, until))
        return [row for row in self.rows if since <= row.time <= until]


def account(wallet: str, unrealized: str = "0") -> AccountReport:
    return AccountReport(
        total_wallet_balance=Decimal(wallet), total_unrealized_profit=Decimal(unrealized),
        total_margin_balance=Decimal(wallet) + Decimal(unrealized), available_balance=Decimal(wallet),
    )  # fmt: skip


@pytest.fixture
def prepared(db: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    prepare(db)
    return db


def test_deposits_are_no_profit_and_yesterdays_unrealized_is_no_news(prepared: Any) -> None:
    exchange = Exchange(NOON - timedelta(hours=13))
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"))
    report = account("1000", "50")
    assert books.day_start(report) == 1000
    books.snapshot(report, 1, exchange.at)

    midnight, exchange.at = to_ms(NOON) - 12 * HOUR, to_ms(NOON)
    exchange.add("REALIZED_PNL", "-100", midnight - 1)
    exchange.add("TRANSFER", "500", midnight + 1)
    exchange.add("REALIZED_PNL", "30", midnight + 2)
    exchange.add("COMMISSION", "-2", midnight + 3)
    exchange.add("FUNDING_FEE", "-1", midnight + 4)
    exchange.add("COMMISSION", "-9", midnight + 5, asset="BNB")
    report = account("1527", "80")
    assert books.day_start(report) == 1000 + 50 + 500
    taken = books.snapshot(report, 2, exchange.at)
    assert taken.day_return_pct == pytest.approx((1607 - 1550) / 1550 * 100)
    assert (taken.realized_today, taken.fees_today, taken.funding_today, taken.transfers_today) == (30, -2, -1, 500)
    assert taken.month_return_pct == pytest.approx((1.05 * (1607 / 1550) - 1) * 100)

    exchange.at += HOUR
    exchange.add("REALIZED_PNL", "10", exchange.at - 1)
    assert books.day_start(account("1537", "80")) == 1550
    assert exchange.asked[-1][0] > midnight + HOUR, "what is known is not asked for again"
    exchange.at += DAY
    assert books.day_start(account("1537")) == 1537 + 80


def order(at: datetime) -> Order:
    return Order(
        id=f"o{at}", environment="sim", symbol="X", signal=None, leg="entry", side="BUY", type="MARKET",
        quantity=Decimal(1), fence=1, state="filled", history=[], filled=Decimal(1), created_at=at, updated_at=at,
    )  # fmt: skip


def breaker(at: datetime, name: str = "orders") -> Breaker:
    return Breaker(
        id=f"breaker:sim:{name}", kind="breaker", environment="sim", name=name, tripped=False, reason="r", at=at
    )


@pytest.mark.parametrize(
    ("traded", "snapshots", "tripped", "counted"),
    [
        (-6, SNAPSHOTS_A_DAY, None, ["2026-03-01", "2026-03-09"]),
        (-6, SNAPSHOTS_A_DAY - 1, None, ["2026-03-01"]),
        (1, SNAPSHOTS_A_DAY, None, ["2026-03-01"]),
        (-6, SNAPSHOTS_A_DAY, (-6, "orders"), []),
        (-6, SNAPSHOTS_A_DAY, (1, "orders"), []),
        (-6, SNAPSHOTS_A_DAY, (-40, "orders"), ["2026-03-01", "2026-03-09"]),
        (-6, SNAPSHOTS_A_DAY, (-6, "daily-profit"), ["2026-03-01", "2026-03-09"]),
    ],
)
def test_a_day_counts_if_it_was_traded_watched_and_clean(
    prepared: Any, traded: int, snapshots: int, tripped: Any, counted: list[str]
) -> None:
    midnight = NOON - timedelta(hours=12)
    control, journal = ControlStore(prepared, "sim"), OrderJournal(prepared, "sim")
    control.add_clean_day("2026-03-01")
    journal.intend(order(midnight + timedelta(hours=traded)))
    known = {"environment": "sim", "asset": "USDT", "open_positions": 0}
    amounts = dict.fromkeys(
        ("equity", "wallet", "available", "unrealized", "realized_today", "fees_today", "funding_today",
         "transfers_today"), Decimal128(Decimal(0)),
    )  # fmt: skip
    start = to_ms(midnight) - DAY
    prepared.accounts.insert_many(
        {"_id": f"sim:{n}", "at": to_datetime(start + n * 60_000), **known, **amounts} for n in range(snapshots)
    )
    if tripped:
        control.trip(breaker(midnight + timedelta(hours=tripped[0]), tripped[1]))
    days = CleanDays(journal, AccountStore(prepared, "sim"), control)
    for _ in range(2):
        days.look_back(NOON)
    stage = control.read().stage
    assert stage is not None
    assert stage.clean_days == counted
