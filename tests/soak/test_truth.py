"""Every lie that the comparison with the exchange is there to find is found."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.simulator.handle import Simulator
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE, interval, to_datetime
from schemas.series import SeriesKey
from tests.truth import candle_differences, naked, order_differences, wallet_differences


def order(name: str = "tm-1", **changes: Any) -> Any:
    plain = {
        "id": name, "signal": "s1", "leg": "entry", "state": "filled", "algo": False, "filled": Decimal(2),
        "history": [], "created_at": None,
    }  # fmt: skip
    return SimpleNamespace(**plain | changes)


def accepted(name: str = "tm-1") -> dict[str, Any]:
    return {"kind": "Accepted", "client_id": name}


def fill(quantity: str, name: str = "tm-1") -> dict[str, Any]:
    return {"kind": "Fill", "client_id": name, "quantity": quantity}


@pytest.mark.parametrize(
    ("ledger", "orders", "told"),
    [
        ([accepted(), fill("1.5"), fill("0.5")], [order()], None),
        ([accepted(), fill("1.5")], [order()], "2 journaled, 1.5 filled"),
        ([accepted()], [order()], "2 journaled, 0 filled"),
        ([accepted(), accepted(), fill("2")], [order()], "sent 2 times"),
        ([accepted(), fill("2"), accepted("tm-2"), fill("2", "tm-2")], [order(), order("tm-2")], "2 entries of one"),
        ([accepted(), fill("2"), fill("2", "tm-2")], [order()], "fills that nobody journaled: tm-2"),
        ([accepted(), fill("2"), fill("2", "by-hand")], [order()], None),
        ([], [order(state="unknown", filled=Decimal(0))], "tm-1"),
        ([], [order(state="sent", filled=Decimal(0))], "tm-1"),
        ([fill("2")], [order(algo=True, leg="stop", filled=Decimal(0))], None),
    ],
    ids=["true", "less", "nothing", "twice", "two of a signal", "unheard of", "of others", "unknown", "sent", "stop"],
)
def test_orders(ledger: list[dict[str, Any]], orders: list[Any], told: str | None) -> None:
    found = list(order_differences(ledger, orders))
    assert found == [] if told is None else len(found) == 1 and told in found[0]


def line(wallet: str, at: int) -> Any:
    return SimpleNamespace(id="sim", at=to_datetime(at), asset="USDT", wallet=Decimal(wallet))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([line("100", MINUTE), line("107.5", 3 * MINUTE), line("107", 5 * MINUTE)], None),
        ([line("100", MINUTE), line("108", 3 * MINUTE)], "108 in the books, 107.5 at the exchange"),
        ([line("100", 3 * MINUTE)], "100 in the books, 107.5"),
        ([line("100", 2 * MINUTE + 5_000)], None),
    ],
    ids=["true", "without the fee", "without the fill", "nobody knows"],
)
def test_the_books_of_an_account(lines: list[Any], told: str | None) -> None:
    moved = {"asset": "USDT", "fee_asset": "USDT"}
    ledger = [
        {"kind": "Deposit", "time": 0, "amount": "100", **moved},
        {"kind": "Deposit", "time": 0, "amount": "3", "asset": "BNB"},
        {"kind": "Fill", "time": 2 * MINUTE, "realised": "8", "fee": "0.5", **moved},
        {"kind": "Funding", "time": 4 * MINUTE, "amount": "-0.5", **moved},
    ]
    found = list(wallet_differences(ledger, lines))
    assert found == [] if told is None else len(found) == 1 and told in found[0]


def test_naked_positions() -> None:
    stop, profit = (SimpleNamespace(symbol="A", order_type=kind) for kind in ("STOP_MARKET", "TAKE_PROFIT_MARKET"))
    assert list(naked(["A"], [stop, profit])) == []
    assert list(naked(["A", "B"], [profit, stop])) == ["a position without its stop: B"]
    assert list(naked(["A"], [profit])) == ["a position without its stop: A"]


def test_candles(db: Database[dict[str, Any]], simulator: Simulator) -> None:
    prepare(db)
    until = interval("1m").after(simulator.now(), -2)
    found = list(
        candle_differences(simulator, CandleStore(db), [SeriesKey("sim", "BTCUSDT", "1m")], until - 2 * MINUTE, until)
    )
    assert len(found) == 3
    assert "stored None, truth (" in found[0]
