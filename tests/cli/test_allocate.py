"""`tidemark allocate`."""

import json
from typing import Any

import pytest
from pymongo.database import Database

from tests.cli.conftest import Run


def test_shares_are_set_shown_and_taken_back_and_each_change_says_who_and_why(
    tidemark: Run, db: Database[dict[str, Any]]
) -> None:
    assert "each strategy goes by all of the equity" in tidemark("allocate").stdout
    told = tidemark("allocate", "macd_cross=60", "rsi_reversal=30%", "--reason", "a try", "--json")
    assert json.loads(told.stdout) == {"environment": "sim", "shares": {"macd_cross": "60", "rsi_reversal": "30"}}
    assert "rsi_reversal" in tidemark("allocate").stdout
    assert "all of the equity" in tidemark("allocate", "--all").stdout
    stored = db["control"].find_one({"_id": "allocation:sim"})
    assert stored is not None
    first, second = stored["changes"]
    assert (first["old"], first["new"], first["reason"]) == (None, "macd_cross=60, rsi_reversal=30", "a try")
    assert (second["old"], second["new"]) == ("macd_cross=60, rsi_reversal=30", "all of it each")
    assert first["by"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("macd_cross=60", "rsi_reversal=41"), "60 + 41 = 101 percent"),
        (("macd_cros=60",), "Did you mean macd_cross?"),
        (("macd_cross",), "write NAME=PERCENT"),
        (("macd_cross=much",), "write NAME=PERCENT"),
        (("macd_cross=10", "macd_cross=20"), "macd_cross is named twice"),
        (("macd_cross=0",), "more than 0"),
        (("macd_cross=10", "--all"), "one of them"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    tidemark: Run, db: Database[dict[str, Any]], given: tuple[str, ...], said: str
) -> None:
    refused = tidemark("allocate", *given)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())
    assert db["control"].find_one({"kind": "allocation"}) is None
