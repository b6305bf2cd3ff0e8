"""What an account of coins has brought today: by the journal, and by the worth of what is held."""

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.reports import Account, Wallet
from pipeline.execution.account.coin_books import CoinBooks
from pipeline.store.account import AccountStore
from pipeline.store.orders import OrderJournal
from pipeline.timeline import DAY, HOUR, MINUTE, to_datetime
from schemas.orders import Order, Transition

MIDNIGHT = 1_760_054_400_000
NOW = MIDNIGHT + HOUR
Books = Callable[[], CoinBooks]


def order(name: str, at: int, side: str = "SELL", symbol: str = "BTCUSDT", **fields: Any) -> Order:
    moment = to_datetime(at)
    known = {
        "signal": None, "leg": "exit" if side == "SELL" else "entry", "type": "MARKET", "quantity": D(1), "fence": 1,
        "state": "filled", "filled": D(1), "seen_at": moment, "created_at": to_datetime(MIDNIGHT - DAY),
        "updated_at": moment, "history": [Transition(state="filled", at=moment, by="stream")],
    }  # fmt: skip
    return Order(id=name, environment="sim-spot", side=side, symbol=symbol, **(known | fields))


def wallet(equity: object, unrealized: object = 0) -> Account:
    worth, gain = D(str(equity)), D(str(unrealized))
    return Account((Wallet("USDT", worth - gain, gain, worth, worth - gain),))


@pytest.fixture
def books(db: Database[dict[str, Any]]) -> Books:
    assert MIDNIGHT % DAY == 0
    assets = {"BTCUSDT": "USDT", "ETHUSDT": "USDT", "ETHBTC": "BTC"}
    return lambda: CoinBooks("sim-spot", OrderJournal(db, "sim-spot"), AccountStore(db, "sim-spot"), assets.get)


def test_a_day_begins_with_what_is_there_less_what_it_has_brought(db: Database[dict[str, Any]], books: Books) -> None:
    journal = OrderJournal(db, "sim-spot")
    for one in (
        order("sold", NOW - MINUTE, realized=D(50), fee=D(2)),
        order("bought", NOW - MINUTE, "BUY", fee=D(3)),
        order("other", NOW - MINUTE, symbol="ETHUSDT", realized=D(-10), fee=D(1)),
        order("in btc", NOW - MINUTE, symbol="ETHBTC", realized=D(9)),
        order("yesterday", MIDNIGHT - 1, realized=D(1_000), fee=D(1)),
        order("rewritten", MIDNIGHT - 1, realized=D(1_000), updated_at=to_datetime(NOW)),
        order("nothing", NOW - MINUTE, filled=D(0), state="cancelled"),
    ):
        journal.intend(one)
    kept = books()
    assert kept.day_starts(wallet(10_054, unrealized=20), NOW) == {"USDT": D(10_000)}
    assert kept.earned() == {"BTCUSDT": D(45), "ETHUSDT": D(-11), "ETHBTC": D(9)}
    (taken,) = kept.snapshots(wallet(10_054, unrealized=20), {"USDT": 1}, NOW)
    assert (taken.realized_today, taken.fees_today, taken.open_positions) == (D(40), D(-6), 1)
    assert taken.day_return_pct == pytest.approx(0.54)
    assert taken.transfers_today == 0


def test_what_was_held_over_midnight_counts_from_there_and_a_deposit_is_no_profit(books: Books) -> None:
    before = books()
    before.day_starts(wallet(10_000, unrealized=100), MIDNIGHT - MINUTE)
    before.snapshots(wallet(10_000, unrealized=100), {}, MIDNIGHT - MINUTE)
    kept = books()
    assert kept.day_starts(wallet(15_030, unrealized=130), NOW) == {"USDT": D(15_000)}
    (taken,) = kept.snapshots(wallet(15_030, unrealized=130), {}, NOW)
    assert taken.transfers_today == D(5_000)
    assert taken.day_return_pct == pytest.approx(0.2)


def test_what_was_not_paid_yet_when_it_was_read_is_read_again(db: Database[dict[str, Any]], books: Books) -> None:
    journal, kept = OrderJournal(db, "sim-spot"), books()
    journal.intend(order("sold", NOW, realized=D(50)))
    assert kept.day_starts(wallet(10_050), NOW) == {"USDT": D(10_000)}
    journal.add("sold", {"fee": D(5)})
    assert kept.day_starts(wallet(10_045), NOW + HOUR) == {"USDT": D(10_000)}
    assert kept.day_starts(wallet(10_045), NOW + DAY) == {"USDT": D(10_045)}, "another day"


def test_what_was_sold_between_the_last_look_and_midnight_is_not_lost_again(
    db: Database[dict[str, Any]], books: Books
) -> None:
    """20 were open when it was looked at last, and were sold before the day was over."""
    OrderJournal(db, "sim-spot").intend(order("early", MIDNIGHT - MINUTE, "BUY", fee=D(0)))
    kept, seen = books(), MIDNIGHT - 40_000
    kept.day_starts(wallet(10_020, unrealized=20), seen)
    kept.snapshots(wallet(10_020, unrealized=20), {"USDT": 1}, seen)
    OrderJournal(db, "sim-spot").intend(order("late", MIDNIGHT - 20_000, realized=D(20), fee=D(1)))
    assert kept.day_starts(wallet(10_019), MIDNIGHT + 5_000) == {"USDT": D(10_019)}
    (taken,) = kept.snapshots(wallet(10_019), {"USDT": 0}, MIDNIGHT + 5_000)
    assert (taken.day_return_pct, taken.transfers_today) == (0, 0)
