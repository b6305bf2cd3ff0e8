"""`tidemark trading` takes no name that nobody knows: a slip of the pen would leave what was meant untouched.
And a key file that cannot be read is said in a sentence."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.symbols import SymbolStore
from schemas.symbols import Symbol

Run = Callable[..., Any]


@pytest.fixture
def listed(db: Any) -> None:
    """What the exchange trades, as an ingester stored it."""
    SymbolStore(db).save(symbol(name) for name in ("BTCUSDT", "BTCUSDC", "DOGEUSDT", "OLDUSDT"))


def symbol(name: str) -> Symbol:
    return Symbol(
        id=f"sim:{name}", exchange="sim", symbol=name, pair=name, contract_type="PERPETUAL", status="TRADING",
        base_asset=name[:-4], quote_asset=name[-4:], margin_asset=name[-4:], price_precision=2, quantity_precision=3,
        onboarded=datetime(2020, 1, 1, tzinfo=UTC), delivery=datetime(2100, 1, 1, tzinfo=UTC),
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("wrong", [["BTCUSTD", "--off"], ["btcustd"], ["BTCUSTD", "--leverage", "2"]])
def test_a_symbol_that_nobody_knows_is_refused_with_the_nearest(tidemark: Run, wrong: list[str]) -> None:
    refused = tidemark("trading", *wrong)
    assert refused.exit_code == 2
    assert "BTCUSTD" in refused.stderr
    assert "Did you mean BTCUSDT?" in refused.stderr
    assert json.loads(tidemark("trading", "--json").stdout) == []


@pytest.mark.usefixtures("listed")
def test_a_symbol_that_is_listed_is_taken(tidemark: Run) -> None:
    assert tidemark("trading", "dogeusdt", "--off").exit_code == 0
    (found,) = json.loads(tidemark("trading", "DOGEUSDT", "--json").stdout)
    assert (found["symbol"], found["enabled"]) == ("DOGEUSDT", False)


def test_where_nothing_is_stored_the_settings_say_which_symbols_there_are(tidemark: Run) -> None:
    assert tidemark("trading", "SOLUSDT", "--off").exit_code == 0
    refused = tidemark("trading", "SOLUSDC", "--off")
    assert refused.exit_code == 2
    assert "Did you mean SOLUSDT?" in refused.stderr


@pytest.mark.usefixtures("listed")
def test_a_strategy_that_nobody_knows_is_refused_with_the_nearest(tidemark: Run) -> None:
    refused = tidemark("trading", "BTCUSDT", "--strategy", "macd_turtel")
    assert refused.exit_code == 2
    assert "Did you mean macd_turtle?" in refused.stderr
    assert tidemark("trading", "BTCUSDT", "--strategy", "macd_turtle", "--strategy", "ma_breakout").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert found["strategies"] == ["macd_turtle", "ma_breakout"]


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("option", "amount"),
    [("--max-position", "1e400"), ("--stop-atr", "1e9"), ("--stop-atr", "1e-400"), ("--take-profit-atr", "Infinity")],
)
def test_an_amount_that_cannot_be_meant_is_refused(tidemark: Run, option: str, amount: str) -> None:
    refused = tidemark("trading", "BTCUSDT", option, amount)
    assert refused.exit_code == 2
    assert amount in refused.stderr
    assert json.loads(tidemark("trading", "--json").stdout) == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe not text"])
@pytest.mark.parametrize("command", [["execute"], ["halt", "--flatten"]])
def test_a_key_file_that_cannot_be_read_is_named(
    tidemark: Run, home: Path, command: list[str], content: bytes | None
) -> None:
    file = home / "key.pem"
    if content is not None:
        file.write_bytes(content)
    refused = tidemark(*command, TIDEMARK_API_KEY="k" * 64, TIDEMARK_PRIVATE_KEY_FILE=str(file))
    assert refused.exit_code in {2, 3}
    assert str(file) in refused.stderr.replace("\n", "")
    assert "TIDEMARK_PRIVATE_KEY_FILE" in refused.stderr
