"""A filter that nothing can match is refused with what there is; it does not look like no data."""

import json
from typing import Any

import pytest
from pymongo.database import Database

from tests.cli import desk
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def laid_out(db: Database[Any], signal_document: Any) -> None:
    desk.lay_out(db, signal_document)


@pytest.mark.parametrize("command", ["signals", "performance"])
@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (["--symbol", "BTCUSD"], ["no symbol 'BTCUSD'", "Did you mean BTCUSDT?", "1000PEPEUSDT, BTCUSDT"]),
        (["--symbol", "XYZUSDT"], ["no symbol 'XYZUSDT'", "1000PEPEUSDT, BTCUSDT"]),
        (["--strategy", "macd_corss"], ["no strategy 'macd_corss'", "Did you mean macd_cross?", "ma_order_golden"]),
        (["--interval", "2h"], ["no 2h candles are stored", "stored are 15m, 1h"]),
        (["--interval", "1H"], ["unknown interval '1H'", "Did you mean '1h'?"]),
        (["--symbol", "BTCUSDT", "--interval", "1d", "--strategy", "donchain"], ["no strategy 'donchain'"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_it_is_refused_with_what_there_is(tidemark: Run, command: str, filters: list[str], says: list[str]) -> None:
    for options in ((), ("--json",), ("--csv",)):
        refused = tidemark(command, *filters, *options)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert all(one in refused.stderr for one in says), refused.stderr
    if "XYZUSDT" in filters:
        assert "Did you mean" not in refused.stderr


@pytest.mark.parametrize(
    "filters",
    [
        ["--interval", "60m"],
        ["--symbol", "ＢＴＣＵＳＤＴ"],
        ["--symbol", "btcusdt"],
        ["--strategy", "ｍａｃｄ_ｃｒｏｓｓ"],
    ],
    ids=" ".join,
)
def test_another_way_to_write_it_is_understood(tidemark: Run, filters: list[str]) -> None:
    found = json.loads(tidemark("signals", *filters, "--json").stdout)
    assert {one["symbol"] for one in found} == {"BTCUSDT"}


def test_orders_of_a_symbol_that_nobody_knows_are_refused(tidemark: Run) -> None:
    refused = tidemark("orders", "--symbol", "BTCUSD")
    assert refused.exit_code == 2
    assert "Did you mean BTCUSDT?" in refused.stderr

    def found(symbol: str) -> set[str]:
        listed = json.loads(tidemark("orders", "--symbol", symbol, "--json").stdout)["orders"]
        return {one["symbol"] for one in listed}

    assert found("ethusdt") == set()
    assert found("ＢＴＣＵＳＤＴ") == {"BTCUSDT"}


def test_what_is_known_and_has_no_signal_is_no_error(tidemark: Run) -> None:
    for filters in (["--symbol", "ETHUSDT"], ["--strategy", "bollinger"], ["--interval", "4h"]):
        shown = tidemark("signals", *filters, TIDEMARK_INTERVALS="4h")
        assert (shown.exit_code, shown.stderr) == (0, "No such signals.\n")


@pytest.mark.parametrize(
    ("symbol", "says", "never"),
    [
        ("DOGEUSDT", "no candles of DOGEUSDT are stored", "ETHUSDT"),
        ("BTCUSD", "Did you mean BTCUSDT?", "tidemark backfill"),
        ("ＢＴＣＵＳＤ", "no candles of BTCUSD are stored", "tidemark backfill"),
    ],
)
def test_candles_offers_what_is_near_and_fetches_only_what_there_is(
    tidemark: Run, symbol: str, says: str, never: str
) -> None:
    refused = tidemark("candles", symbol, "1h")
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert never not in refused.stderr
    assert tidemark("candles", "ＢＴＣＵＳＤＴ", "60m").exit_code == 0
