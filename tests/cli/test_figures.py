"""One form for each kind of figure, in every table and in JSON."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.cli.figures import amount, change, measured, moment, money, percent, plain, price
from pipeline.store.account import PositionStore
from pipeline.store.prepare import prepare
from pipeline.timeline import to_ms
from schemas.positions import Position
from tests.cli import desk
from tests.cli.conftest import Run

AT = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)
TICK = Decimal("0.10")
EIGHT = Decimal("71000.50000000")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (moment(AT), "2026-01-31 12:00"),
        (moment(AT.astimezone(timezone(timedelta(hours=9))), seconds=True), "2026-01-31 12:00:05"),
        (moment(None), "-"),
        (plain(Decimal("0E-8")), "0"),
        (plain(Decimal("-0.00")), "0"),
        (plain(Decimal("1E-7")), "0.0000001"),
        (plain(Decimal("10000.00000000")), "10000"),
        (plain(Decimal(4) / 3), "1.3333333333"),
        (amount(Decimal("-1234567.000")), "-1,234,567"),
        (amount(Decimal("-0.5000")), "-0.5"),
        (amount(Decimal("0.140")), "0.14"),
        (amount(123456.789), "123,456.789"),
        (amount(1e-7), "0.0000001"),
        (money(Decimal("10000.00000000")), "10,000.00"),
        (money(Decimal("0E-8")), "0.00"),
        (money(Decimal("-0.001")), "0.00"),
        (money(None), "-"),
        (price(EIGHT, TICK), "71,000.5"),
        (price(Decimal("71000.6833333333"), TICK), "71,000.7"),
        (price(71000.0, TICK), "71,000.0"),
        (price(71000.55, TICK), "71,000.55"),
        (price(1e-7, Decimal("1E-7")), "0.0000001"),
        (price(71000.5, Decimal(1)), "71,000.5"),
        (price(71000.5, None), "71,000.5"),
        (price(None, TICK), "-"),
        (price(float("nan"), TICK), "-"),
        (change(Decimal("3.976")), "+3.98"),
        (change(Decimal("-3.976")), "-3.98"),
        (change(Decimal("-0.001")), "0.00"),
        (change(None), "-"),
        (percent(-1.2345), "-1.23"),
        (percent(0.001), "0.00"),
        (percent(12.0, " %"), "+12.00 %"),
    ],
)
def test_a_figure_has_one_form(shown: Any, expected: str) -> None:
    assert str(shown) == expected


@pytest.fixture
def laid_out(db: Database[Any], signal_document: Any) -> None:
    desk.lay_out(db, signal_document)


@pytest.mark.usefixtures("laid_out")
@pytest.mark.parametrize(
    ("command", "header", "row"),
    [
        (["positions"], "symbol quantity entry mark unrealized units stop take profit strategy interval",
         "1000PEPEUSDT -1,234,567 0.0123457 0.0123000 +56.42 1.33 0.0130000 0.0100000 2 strategies"),
        (["account"], "day equity return % realized fees funding transfers",
         f"{desk.NOW:%Y-%m-%d} 10,000.00 -1.23 -122.82 -3.98 0.00 0.00"),
        (["orders"], "at (UTC) symbol interval leg side quantity trigger state filled price fee realized",
         f"{desk.NOW:%Y-%m-%d %H:%M:%S} BTCUSDT 15m take_profit SELL 1,234,567 71,000.7 partially_filled 1,234,567"),
        (["signals"], "closed (UTC) symbol interval strategy kind side price",
         f"{desk.NOW:%Y-%m-%d %H:%M} BTCUSDT 1h macd_cross entry long 71,000.5"),
        (["candles", "1000PEPEUSDT", "15m"], "opened (UTC) open high low close volume",
         f"{desk.NOW - timedelta(minutes=15):%Y-%m-%d %H:%M} 0.0123457 0.0123457 0.0123457 0.0123457 123,456.789"),
        (["status"], "symbol interval closed (UTC)", f"BTCUSDT 1h {desk.NOW:%Y-%m-%d %H:%M}"),
        (["trading"], "symbol traded", "1000PEPEUSDT yes ma_order_golden, macd_cross 15m, 1h 3 1.5 ATR 4.25 % 12,"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_every_table_shows_figures_in_that_form(tidemark: Run, command: list[str], header: str, row: str) -> None:
    lines = [" ".join(line.split()) for line in tidemark(*command, "--wide").stdout.splitlines()]
    assert any(line.startswith(header) for line in lines), lines
    assert any(line.startswith(row) for line in lines), lines


@pytest.mark.usefixtures("laid_out")
@pytest.mark.parametrize("command", ["positions", "account", "orders", "signals", "trading", "symbols"])
def test_no_figure_has_an_exponent_or_digits_that_say_nothing(tidemark: Run, command: str) -> None:
    for options in ((), ("--wide",), ("--json",)):
        said = tidemark(command, *options).stdout
        assert not re.findall(r"\d+E[-+]?\d+|\b\d+\.\d*0{6,}\b|\d\.\d{11,}", said), said
    texts = re.findall(r'": "(-?\d+\.\d+)"', said)
    assert not [text for text in texts if text.endswith("0")]
    assert json.loads(said) or command == "symbols"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (0, "0 ms"),
        (367.274, "367.3 ms"),
        (0.0412, "0.0412 ms"),
        (99.98765, "99.99 ms"),
        (123456.7, "123,457 ms"),
    ],
)
def test_what_was_measured_has_as_many_digits_as_one_reads(value: float | None, text: str | None) -> None:
    assert measured(value, "ms") == text


def test_where_a_cap_decided_the_units_it_is_named(tidemark: Run, db: Database[Any], signal_document: Any) -> None:
    prepare(db)
    found = {"mode": "auto-execute", "at": desk.NOW, "units": "0.5", "quantity": "1", "notional": "1", "equity": "1",
             "leverage": 3}  # fmt: skip
    bounds = {"BTCUSDT": "its share of the margin, one of 5,", "ETHUSDT": "the risk", "SOLUSDT": None}
    for symbol, bound in bounds.items():
        said = signal_document(to_ms(desk.NOW), symbol=symbol, verdict="taken", decision=found | {"bound": bound})
        db.signals.insert_one(said)
        held = Position(
            id=f"sim:{symbol}:BOTH", environment="sim", symbol=symbol, quantity=Decimal(1), entry_price=Decimal(1),
            ours=True, side="long", signal=said["_id"], updated_at=desk.NOW,
        )  # fmt: skip
        PositionStore(db, "sim").save([held])
    lines = tidemark("positions").stdout.splitlines()
    (said,) = (line for line in lines if "decided" in line)
    assert said.startswith("BTCUSDT: its share of the margin, one of 5, decided how large a unit is")
