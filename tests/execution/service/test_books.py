"""The account's books and the clean days, worked out from what the exchange and the journal say."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import Decimal128
from pymongo.database import Database

from pipeline.exchange.errors import UnknownOutcomeError
from pipeline.exchange.reports import Account, IncomeReport, Wallet
from pipeline.execution.account.books import Bookkeeper
from pipeline.execution.account.clean_days import SNAPSHOTS_A_DAY, CleanDays
from pipeline.execution.account.day_ends import Since, still_open
from pipeline.execution.account.fees import Rates
from pipeline.execution.account.incomes import PLACES
from pipeline.store.account import AccountStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.prepare import prepare
from pipeline.timeline import DAY, HOUR, to_datetime, to_ms
from schemas.accounts import Snapshot
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


def rates(exchange: Any) -> Rates:
    """BNB costs 600 USDT, and nothing else has a price."""
    return Rates(SimpleNamespace(prices=lambda: {"BNBUSDT": (Decimal(600), exchange.at)}), "USDT")  # type: ignore[arg-type]


def account(wallet: str, unrealized: str = "0") -> Account:
    equity = Decimal(wallet) + Decimal(unrealized)
    return Account((Wallet("USDT", Decimal(wallet), Decimal(unrealized), equity, Decimal(wallet)),))


def day_start(books: Bookkeeper, report: Account, asof: int) -> Decimal | None:
    return books.day_starts(report, asof).get("USDT")


def snapshot(books: Bookkeeper, report: Account, held: int, now: int) -> Snapshot | None:
    """The one of USDT."""
    return next(iter(books.snapshots(report, {"USDT": held}, now)), None)


@pytest.fixture
def prepared(db: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    prepare(db)
    return db


def test_deposits_are_no_profit_and_yesterdays_unrealized_is_no_news(prepared: Any) -> None:
    warnings: list[str] = []
    exchange = Exchange(NOON - timedelta(hours=13))
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), rates(exchange), warnings.append)
    report = account("1000", "50")
    assert day_start(books, report, exchange.at) == 1000
    snapshot(books, report, 1, exchange.at)

    midnight, exchange.at = to_ms(NOON) - 12 * HOUR, to_ms(NOON)
    exchange.add("REALIZED_PNL", "-100", midnight - 1)
    exchange.add("TRANSFER", "500", midnight + 1)
    exchange.add("REALIZED_PNL", "30", midnight + 2)
    exchange.add("COMMISSION", "-2", midnight + 3)
    exchange.add("FUNDING_FEE", "-1", midnight + 4)
    exchange.add("COMMISSION", "-9", midnight + 5, asset="BNB")
    report = account("1527", "80")
    started = 1000 + 50 + 500 + Decimal(9) * 600  # a fee in BNB is lost too, and the wallet does not show it
    assert day_start(books, report, exchange.at) == started
    taken = snapshot(books, report, 2, exchange.at)
    assert taken is not None
    assert taken.day_return_pct == pytest.approx(float((1607 - started) / started * 100))
    assert (taken.realized_today, taken.fees_today, taken.funding_today, taken.transfers_today) == (30, -5402, -1, 500)
    assert taken.month_return_pct == pytest.approx((1.05 * float(1607 / started) - 1) * 100)

    exchange.at += HOUR
    exchange.add("REALIZED_PNL", "10", exchange.at - 1)
    assert day_start(books, account("1537", "80"), exchange.at) == started
    assert exchange.asked[-1][0] > midnight + HOUR, "what is known is not asked for again"
    exchange.at += DAY
    assert day_start(books, account("1537"), exchange.at) == 1537 + 80 - 10, "what was closed since is in the wallet"
    assert warnings == []


@pytest.mark.parametrize("listed_late", [False, True])
def test_what_is_closed_between_the_last_look_and_midnight_is_of_that_day_and_counted_once(
    prepared: Any, listed_late: bool
) -> None:
    """50 are open at 23:59:20, and realised at 23:59:40: nothing is lost by that at midnight. `listed_late`: the
    exchange lists it only after the first look of the new day."""
    midnight = to_ms(NOON) + 12 * HOUR
    exchange = Exchange(to_datetime(midnight - 40_000))
    store = AccountStore(prepared, "sim")
    books = Bookkeeper("sim", "USDT", exchange, store, rates(exchange), pytest.fail)
    exchange.add("TRANSFER", "1000", to_ms(NOON))
    day_start(books, account("1000", "50"), exchange.at)
    snapshot(books, account("1000", "50"), 1, exchange.at)
    if not listed_late:
        exchange.add("REALIZED_PNL", "50", midnight - 20_000)
        exchange.add("COMMISSION", "-1", midnight - 20_000)
    exchange.at = midnight + 5_000
    if listed_late:
        day_start(books, account("1049"), exchange.at)
        exchange.add("REALIZED_PNL", "50", midnight - 20_000)
        exchange.add("COMMISSION", "-1", midnight - 20_000)
        exchange.at += 30_000
    assert day_start(books, account("1049"), exchange.at) == 1049
    assert prepared.accounts.count_documents({}) == 1, "a question writes nothing"
    taken = snapshot(books, account("1049"), 0, exchange.at)
    assert taken is not None
    assert taken.day_return_pct == 0
    (yesterday, _) = store.of("USDT").daily()
    prepared.accounts.delete_one({"_id": yesterday.id})
    day_start(books, account("1049"), exchange.at)
    snapshot(books, account("1049"), 0, exchange.at)
    assert store.of("USDT").daily()[0].id != yesterday.id, "it is written once"
    assert (yesterday.at, yesterday.equity) == (to_datetime(midnight - 1), 1049)
    assert yesterday.day_return_pct == pytest.approx(4.9)
    assert (yesterday.realized_today, yesterday.fees_today, yesterday.transfers_today) == (50, -1, 1000)


@pytest.mark.parametrize(
    ("open_then", "closed", "still"),
    [(50, 20, 30), (50, 80, 0), (50, -10, 50), (-50, -20, -30), (-50, -90, 0), (0, 30, 0)],
)
def test_of_what_was_open_as_much_is_left_as_was_not_closed(open_then: int, closed: int, still: int) -> None:
    last = SimpleNamespace(unrealized=Decimal(open_then))
    assert still_open(last, Since(Decimal(closed))) == still  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "amount", "asset", "field", "start"),
    [
        ("REALIZED_PNL", 10, "USDT", "realized_today", 1000),
        ("INSURANCE_CLEAR", -10, "USDT", "realized_today", 1000),
        ("COMMISSION", -10, "USDT", "fees_today", 1000),
        ("COMMISSION_REBATE", 10, "USDT", "fees_today", 1000),
        ("API_REBATE", 10, "USDT", "fees_today", 1000),
        ("FUNDING_FEE", -10, "USDT", "funding_today", 1000),
        ("TRANSFER", 10, "USDT", "transfers_today", 1010),
        ("INTERNAL_TRANSFER", -10, "USDT", "transfers_today", 990),
        ("COIN_SWAP_DEPOSIT", 10, "USDT", "transfers_today", 1010),
        ("WELCOME_BONUS", 10, "USDT", "transfers_today", 1010),
        ("TRANSFER", 10, "USDC", None, 1000),
        ("FUNDING_FEE", -10, "USDC", None, 1000),
    ],
)
def test_every_kind_of_income_has_its_place(
    prepared: Any, kind: str, amount: int, asset: str, field: str | None, start: int
) -> None:
    exchange, warnings = Exchange(NOON), []
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), rates(exchange), warnings.append)
    exchange.add(kind, str(amount), to_ms(NOON) - HOUR, asset)
    report = account(str(1000 + amount if asset == "USDT" else 1000))
    assert day_start(books, report, exchange.at) == start
    taken = snapshot(books, report, 0, exchange.at)
    assert taken is not None
    places = ("realized_today", "fees_today", "funding_today", "transfers_today")
    assert {name: getattr(taken, name) for name in places} == dict.fromkeys(places, 0) | (
        {field: amount} if field else {}
    )
    assert books.earned().get("X", 0) == (amount if field and field != "transfers_today" else 0)
    assert warnings == []


def test_a_kind_that_is_not_known_is_told_once_and_counts_as_earned(prepared: Any) -> None:
    exchange, warnings = Exchange(NOON), []
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), rates(exchange), warnings.append)
    for hour in (2, 1):
        exchange.add("MOON_TAX", "-20", to_ms(NOON) - hour * HOUR)
    exchange.add("COMMISSION", "-1", to_ms(NOON) - HOUR, "DOGE")
    for _ in range(2):
        assert day_start(books, account("960"), exchange.at) == 1000
    assert [one.partition(":")[0] for one in warnings] == [
        "an income of a kind that is not known, MOON_TAX", "fees in DOGE are not counted yet",
    ]  # fmt: skip


def test_a_loss_between_the_account_and_its_incomes_does_not_raise_the_days_beginning(prepared: Any) -> None:
    exchange = Exchange(NOON)
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), rates(exchange), [].append)
    asof = exchange.at - 50
    exchange.add("REALIZED_PNL", "-40", asof + 10)
    assert day_start(books, account("1000"), asof) == 1000
    taken = snapshot(books, account("1000"), 0, asof)
    assert taken is not None
    assert taken.day_return_pct == 0
    assert day_start(books, account("960"), exchange.at) == 1000


def test_a_fee_without_a_price_is_counted_once_there_is_one(prepared: Any) -> None:
    exchange, warnings = Exchange(NOON), []
    prices = rates(exchange)
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), prices, warnings.append)
    answers = prices.market.prices

    def silent() -> Any:
        raise UnknownOutcomeError("no answer")

    prices.market.prices = silent  # type: ignore[method-assign]
    exchange.add("COMMISSION", "-1", to_ms(NOON) - HOUR, "BNB")
    assert day_start(books, account("1000"), exchange.at) == 1000
    assert len(warnings) == 1
    prices.market.prices = answers  # type: ignore[method-assign]
    exchange.at += HOUR
    for _ in range(2):
        assert day_start(books, account("1000"), exchange.at) == 1600


def test_books_that_cannot_be_read_say_nothing_and_write_nothing(prepared: Any) -> None:
    exchange = Exchange(NOON)
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), rates(exchange), [].append)
    answers = exchange.incomes

    def broken(since: int, until: int) -> Any:
        raise UnknownOutcomeError("502")

    exchange.incomes = broken  # type: ignore[method-assign]
    assert day_start(books, account("1000"), exchange.at) is None
    assert snapshot(books, account("1000"), 0, exchange.at) is None
    exchange.incomes = answers  # type: ignore[method-assign]
    assert day_start(books, account("1000"), exchange.at) == 1000
    assert snapshot(books, account("1000"), 0, exchange.at) is not None


def test_two_comparisons_at_once_share_the_books_in_turn(prepared: Any) -> None:
    exchange = Exchange(NOON)
    books = Bookkeeper("sim", "USDT", exchange, AccountStore(prepared, "sim"), rates(exchange), [].append)
    assert day_start(books, account("1000"), exchange.at) == 1000
    exchange.add("REALIZED_PNL", "1", exchange.at)
    asked, answer, answers = threading.Event(), threading.Event(), exchange.incomes

    def slow(since: int, until: int) -> Any:
        asked.set()
        assert answer.wait(10)
        return answers(since, until)

    exchange.incomes = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as workers:
        second = workers.submit(day_start, books, account("1001"), exchange.at)
        assert asked.wait(10)
        taken = workers.submit(snapshot, books, account("1001"), 0, exchange.at)
        with pytest.raises(TimeoutError):
            taken.result(0.2)
        answer.set()
        assert second.result(10) == 1000
        assert taken.result(10).realized_today == 1


def test_the_exchanges_own_list_of_kinds_is_known() -> None:
    """As its documentation has it in November 2026."""
    listed = (
        "TRANSFER WELCOME_BONUS REALIZED_PNL FUNDING_FEE COMMISSION INSURANCE_CLEAR REFERRAL_KICKBACK "
        "COMMISSION_REBATE API_REBATE CONTEST_REWARD CROSS_COLLATERAL_TRANSFER OPTIONS_PREMIUM_FEE "
        "OPTIONS_SETTLE_PROFIT INTERNAL_TRANSFER AUTO_EXCHANGE DELIVERED_SETTELMENT COIN_SWAP_DEPOSIT "
        "COIN_SWAP_WITHDRAW POSITION_LIMIT_INCREASE_FEE STRATEGY_UMFUTURES_TRANSFER FEE_RETURN BFUSD_REWARD "
        "SPECIAL_FUNDING_FEE"
    )
    assert set(PLACES) == set(listed.split())
    page = (Path(__file__).parents[3] / "docs" / "execution.md").read_text()
    rows = page.partition("| place | kinds |")[2].partition("\n\n")[0].splitlines()[2:]
    places = ("result", "fee", "funding", "moved")
    told = {kind: place for place, row in zip(places, rows, strict=True) for kind in re.findall(r"`(\w+)`", row)}
    assert told == PLACES


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
