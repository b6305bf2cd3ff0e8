"""Every table of the command line at the widths that terminals have: no word and no number is broken."""

from typing import Any

import pytest
from pymongo.database import Database

from tests.cli import desk
from tests.cli.conftest import Run

WIDTHS = (60, 80, 100, 120)
COMMANDS = (
    ["signals"], ["performance"], ["performance", "--by", "strategy", "--by", "symbol"], ["positions"], ["orders"],
    ["candles", "BTCUSDT", "1h"], ["candles", "1000PEPEUSDT", "15m"], ["strategies"], ["account"], ["status"],
    ["breakers"], ["trading"], ["mode"], ["symbols"], ["check-strategy", "bollinger"],
)  # fmt: skip


@pytest.fixture(autouse=True)
def laid_out(db: Database[Any], signal_document: Any) -> None:
    desk.lay_out(db, signal_document)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_word_and_no_number_is_broken(tidemark: Run, command: list[str]) -> None:
    whole = wide(tidemark, command)
    shown = [tidemark(*command, COLUMNS=str(width)) for width in WIDTHS]
    whole |= wide(tidemark, command)  # a candle may have ended meanwhile, and a series be one behind
    words = whole | {word.rstrip(",;:.") for word in whole}  # as a text that is shortened ends
    for table in shown:
        assert table.exit_code in {0, 3}, table.output
        broken = [word for word in table.stdout.split() if word.strip("─…") and word.rstrip("…") not in words]
        assert not broken, table.stdout


def wide(tidemark: Run, command: list[str]) -> set[str]:
    return set(tidemark(*command, COLUMNS="1000").stdout.split())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_row_is_wider_than_the_terminal(tidemark: Run, command: list[str]) -> None:
    for width in WIDTHS:
        lines = tidemark(*command, COLUMNS=str(width)).stdout.splitlines()
        (rule, *_) = (number for number, line in enumerate(lines) if set(line) == {"─"})
        assert all(len(line) <= width for line in lines[rule - 1 :]), lines
