"""A desk on which much has happened: what the tables of the command line have to show, with long names and numbers."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from pymongo.database import Database

from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import HOUR, interval, to_datetime, to_ms
from schemas.accounts import Snapshot
from schemas.control import Breaker
from schemas.orders import Order, Transition
from schemas.positions import Book, Position
from schemas.series import SeriesKey
from schemas.symbols import Filters, Symbol

NOW = to_datetime(interval("1h").floor(to_ms(datetime.now(UTC))))
A_TEST = timedelta(seconds=30)
BTC = SeriesKey("sim", "BTCUSDT", "1h")
PEPE = SeriesKey("sim", "1000PEPEUSDT", "15m")
HELD = "held by ma_order_golden 15m"
LONG = "the exchange has leverage 20 in 1000PEPEUSDT and 3 is wanted: nothing is opened until it has that"


def lay_out(db: Database[dict[str, Any]], signal_document: Any) -> None:
    """Everything of it is stored."""
    prepare(db)
    SymbolStore(db).save([_symbol("BTCUSDT", "0.10", "0.001"), _symbol("1000PEPEUSDT", "0.0000001", "1")])
    _candles(db)
    Watchlist(db, "sim").watch([BTC, PEPE], NOW)
    _signals(db, signal_document)
    PositionStore(db, "sim").save(_positions())
    _orders(OrderJournal(db, "sim"))
    for days in range(3):
        AccountStore(db, "sim").add(_snapshot(NOW - timedelta(days=days)))
    control = ControlStore(db, "sim")
    control.trip(
        Breaker(
            id="breaker:sim:refused:1000PEPEUSDT", kind="breaker", environment="sim", name="refused:1000PEPEUSDT",
            tripped=True, reason=LONG, at=NOW,
        )
    )  # fmt: skip
    control.set_trading(
        "1000PEPEUSDT",
        {"enabled": True, "leverage": 3, "strategies": ["ma_order_golden", "macd_cross"], "intervals": ["15m", "1h"],
         "stop_atr": Decimal("1.5"), "take_profit_percent": Decimal("4.25"), "max_position": Decimal("12500.00"),
         "daily_profit_percent": Decimal("2.5")},
        by="somebody@desk", now=NOW,
    )  # fmt: skip
    control.set_mode("auto-execute", by="somebody@desk", now=NOW, reason=LONG)


def _symbol(name: str, tick: str, step: str) -> Symbol:
    return Symbol(
        id=f"sim:{name}", exchange="sim", symbol=name, pair=name, contract_type="PERPETUAL", status="TRADING",
        base_asset=name[:-4], quote_asset="USDT", margin_asset="USDT", price_precision=7, quantity_precision=3,
        onboarded=datetime(2020, 1, 1, tzinfo=UTC), delivery=datetime(2100, 1, 1, tzinfo=UTC), updated_at=NOW,
        filters=Filters(
            tick_size=Decimal(tick), step_size=Decimal(step), min_notional=Decimal("5.0"), min_quantity=Decimal(step),
            max_quantity=Decimal(1000000), market_step_size=Decimal(step), market_min_quantity=Decimal(step),
            market_max_quantity=Decimal(100000), min_price=Decimal(tick), max_price=Decimal(1000000),
            multiplier_up=Decimal("1.05"), multiplier_down=Decimal("0.95"), max_orders=200,
        ),
    )  # fmt: skip


def _candles(db: Database[dict[str, Any]]) -> None:
    now = to_ms(NOW)
    for key, price in ((BTC, 71_000.5), (PEPE, 0.0123457)):
        step = interval(key.interval)
        CandleStore(db).replace_closed(
            key, closed(key, [step.after(now, -number) for number in range(30, 0, -1)], price)
        )
        SeriesStore(db).recount(key, "rest", now)


def closed(key: SeriesKey, opened: Sequence[int], price: float) -> pl.DataFrame:
    """Candles that open then and have closed, all of them at that price."""
    step, count, times = interval(key.interval), len(opened), pl.Datetime("ms", "UTC")
    return pl.DataFrame(
        {
            "t": pl.Series(opened).cast(times),
            "te": pl.Series([step.close_time(t) for t in opened]).cast(times),
            **{name: np.full(count, price) for name in ("open", "high", "low", "close")},
            **{
                name: np.full(count, 123_456.789)
                for name in ("volume", "quote_volume", "taker_buy_base", "taker_buy_quote")
            },
            "trades": pl.Series([7] * count, dtype=pl.Int64),
            "closed": [True] * count,
            "u": pl.Series([step.after(t) for t in opened]).cast(times),
        }
    )


def _signals(db: Database[dict[str, Any]], make: Any) -> None:
    now = to_ms(NOW)
    done = {"current_price": 70_123.4, "return_pct": -1.2345, "best_pct": 2.5, "worst_pct": -3.25, "return_1h": 0.5}
    later = {"return_4h": -0.75, "return_1d": 1.25, "return_7d": -12.5}
    db.signals.insert_many(
        [
            make(now, price=71_000.5, verdict="taken", **done),
            make(now - HOUR, verdict="skipped", reason=HELD, price=71_000.5, **done),
            make(now - HOUR, symbol="1000PEPEUSDT", interval="15m", strategy="ma_order_golden", side="short",
                 price=0.0123457, verdict="skipped", reason=LONG, **done),
            make(now - 200 * HOUR, source="history", price=71_000.5, reason="found in the history", **done, **later),
        ]
    )  # fmt: skip


def _positions() -> list[Position]:
    return [
        Position(
            id="sim:1000PEPEUSDT:BOTH", environment="sim", symbol="1000PEPEUSDT", quantity=Decimal(-1234567),
            entry_price=Decimal("0.012345700000"), mark_price=Decimal("0.0123000"), unrealized=Decimal("56.41971190"),
            ours=True, side="short", strategy="ma_order_golden", interval="15m", stop_price=Decimal("0.0130000"),
            take_profit_price=Decimal("0.0100000"), units=Decimal("1.333333333333333333333333333"), updated_at=NOW,
            books=[
                _book("ma_order_golden", "15m", "-1000000", "0.0130000"),
                _book("macd_cross", "1h", "-234567", "0.0127000"),
            ],
        ),
        Position(
            id="sim:BTCUSDT:BOTH", environment="sim", symbol="BTCUSDT", quantity=Decimal("0.140"),
            entry_price=Decimal("71000.70"), mark_price=Decimal("70123.40"), unrealized=Decimal("-122.82200000"),
            ours=False, side="long", updated_at=NOW,
        ),
    ]  # fmt: skip


def _book(strategy: str, interval_code: str, quantity: str, stop: str) -> Book:
    return Book(
        quantity=Decimal(quantity), entry_price=Decimal("0.012345700000"), side="short", strategy=strategy,
        interval=interval_code, stop_price=Decimal(stop), unit_quantity=Decimal(750_000),
    )  # fmt: skip


def _orders(journal: OrderJournal) -> None:
    for number, (symbol, price) in enumerate((("BTCUSDT", "71000.70"), ("1000PEPEUSDT", "0.0123457"))):
        at = NOW - timedelta(seconds=number)
        journal.intend(
            Order(
                id=f"tm-e-{number}", environment="sim", symbol=symbol, signal=None, interval="15m",
                leg="take_profit", side="SELL", type="TAKE_PROFIT_MARKET", quantity=Decimal("1234567.000"),
                trigger_price=Decimal(price), fence=1, state="partially_filled", filled=Decimal("1234567.000"),
                average_price=Decimal(price), fee=Decimal("0E-8") if number else Decimal("3.97604480"),
                realized=Decimal("-122.82200000"), created_at=at, updated_at=at,
                history=[Transition(state="intended", at=at, by="executor")],
            )
        )  # fmt: skip


def lay_out_today(db: Database[dict[str, Any]], signal_document: Any) -> None:
    """The same, with what the day has brought, which may be another than when the tests began and does not end soon."""
    while (now := datetime.now(UTC)).date() != (now + A_TEST).date():
        time.sleep(1)
    lay_out(db, signal_document)
    if now.date() != NOW.date():
        AccountStore(db, "sim").add(_snapshot(now))


def _snapshot(at: datetime) -> Snapshot:
    return Snapshot(
        id=f"sim:{at.isoformat()}", environment="sim", at=at, asset="USDT", equity=Decimal("10000.00000000"),
        wallet=Decimal("10066.40228810"), available=Decimal("6682.33000000"), unrealized=Decimal("-66.40228810"),
        realized_today=Decimal("-122.82200000"), fees_today=Decimal("-3.97604480"), funding_today=Decimal("0E-8"),
        transfers_today=Decimal("0E-8"), open_positions=2, day_return_pct=-1.2345, month_return_pct=12.3456,
    )  # fmt: skip
