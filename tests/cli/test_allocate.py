"""`tidemark allocate`."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

import tidemark as door
from pipeline.store.prepare import prepare
from tests.cli.conftest import Run
from tests.kept import BEGIN, STRETCH, keep_run, keep_search

BY_WALK = ("allocate", "--walk-forward", "good", "--walk-forward", "poor")


def test_shares_are_set_shown_and_taken_back_and_each_change_says_who_and_why(
    tidemark: Run, db: Database[dict[str, Any]]
) -> None:
    assert "each strategy goes by all of the equity" in tidemark("allocate").stdout
    told = tidemark("allocate", "macd_cross=60", "rsi_reversal=30%", "--reason", "a try", "--json")
    found = json.loads(told.stdout)
    assert (found["environment"], found["shares"]) == ("sim", {"macd_cross": "60", "rsi_reversal": "30"})
    assert (found["rule"], found["changed"]["reason"], found["next"]) == (None, "a try", None)
    shown = tidemark("allocate").stdout
    assert "rsi_reversal" in shown
    assert "shares by hand" in shown
    assert f"UTC by {found['changed']['by']}: a try" in shown
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
        (("macd_cross=10", "--walk-forward", "x"), "one of them"),
        (("macd_cross=10", "--least", "5"), "are of --walk-forward"),
        (("macd_cross=10", "--band", "5"), "--band is of --rebalance"),
        (("macd_cross=10", "--rebalance"), "given by hand are never changed"),
        (("--rebalance",), "nothing is allocated, and each strategy goes by all of the equity: --rebalance is of"),
        (("--all", "--rebalance"), "nothing is allocated"),
        (("--rebalance", "--band", "0"), "more than 0 and at most 100"),
        (("--equal-risk", "none"), "no run 'none' is kept at sim"),
        (("--walk-forward", "none"), "no search 'none'; `tidemark trials` lists them"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    tidemark: Run, db: Database[dict[str, Any]], given: tuple[str, ...], said: str
) -> None:
    refused = tidemark("allocate", *given)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())
    assert db["control"].find_one({"kind": "allocation"}) is None


@pytest.fixture
def searched(db: Database[dict[str, Any]]) -> None:
    prepare(db)
    keep_search(db, "good", "macd_cross", [0.004, 0.005, 0.006, 0.005])
    keep_search(db, "poor", "rsi_reversal", [-0.002, -0.001, 0.001, -0.003])


@pytest.mark.usefixtures("searched")
def test_by_walk_forward_what_lost_out_of_sample_has_the_floor_and_why_is_kept(
    tidemark: Run, db: Database[dict[str, Any]]
) -> None:
    found = json.loads(tidemark(*BY_WALK, "--most", "80", "--json").stdout)
    assert found["shares"] == {"macd_cross": "80", "rsi_reversal": "5"}
    as_of = found["rule"].pop("as_of")
    assert found["rule"] == {
        "kind": "walk-forward", "by": ["good", "poor"], "least": "5", "most": "80", "band": None
    }  # fmt: skip
    assert datetime.fromisoformat(as_of) == BEGIN + timedelta(days=4 * STRETCH)
    reason = found["changed"]["reason"]
    assert reason.startswith("walk-forward by good, poor: macd_cross 80 % (Sharpe ")
    assert "rsi_reversal 5 % (Sharpe -" in reason
    assert json.loads(tidemark(*BY_WALK, "--json").stdout)["shares"] == {"macd_cross": "60", "rsi_reversal": "5"}
    keep_search(db, "also good", "ma_breakout", [0.004, 0.005, 0.006, 0.005])
    equal = json.loads(tidemark("allocate", "--walk-forward", "good", "--walk-forward", "also good", "--json").stdout)
    assert equal["shares"] == {"macd_cross": "50", "ma_breakout": "50"}


@pytest.mark.usefixtures("searched")
def test_what_its_own_search_calls_luck_has_the_floor(tidemark: Run, db: Database[dict[str, Any]]) -> None:
    db["searches"].update_one({"_id": "good"}, {"$set": {"result.verdict.word": "likely luck"}})
    found = json.loads(tidemark(*BY_WALK, "--json").stdout)
    assert found["shares"] == {"macd_cross": "5", "rsi_reversal": "5"}
    assert "likely luck" in found["changed"]["reason"]
    assert "a floor of 0 leaves them nothing" in tidemark(*BY_WALK, "--least", "0").stderr


@pytest.mark.parametrize(
    ("kept", "given", "said"),
    [
        ({"strategy": "macd_cross"}, (), "macd_cross is named twice, by the searches good and third: leave one"),
        (
            {"environment": "binance-um"},
            (),
            "is of binance-um: name one that was made here, or say --exchange binance-um",
        ),
        ({"folds": 0}, (), "has no folds, .* search ma_breakout with --walk-forward 6"),
        ({"ended_at": None, "result": None}, (), "has not ended: `tidemark search --resume third` goes on"),
        ({"result": {"forward": None}}, (), "has a fold in which no trial has a figure"),
        ({}, ("--least", "40"), "3 strategies with 40 percent each come to 120, .* at most --least 33.3"),
        ({}, ("--least", "70"), "the least is not above the most"),
    ],
)
@pytest.mark.usefixtures("searched")
def test_a_search_that_says_nothing_of_this_is_refused(
    tidemark: Run, db: Database[dict[str, Any]], kept: dict[str, Any], given: tuple[str, ...], said: str
) -> None:
    keep_search(db, "third", "ma_breakout", [0.001, 0.002], **kept)
    refused = tidemark(*BY_WALK, "--walk-forward", "third", *given)
    assert refused.exit_code == 2
    assert re.search(said, " ".join(refused.stderr.split())), refused.stderr
    assert db["control"].find_one({"kind": "allocation"}) is None


def test_it_is_shown_what_the_next_rebalancing_would_do(
    tidemark: Run, db: Database[dict[str, Any]], chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    prepare(db)
    keep_run(db, "one", {"macd_cross": [10, -10] * 9, "rsi_reversal": [30, -30] * 9})
    assert "not rebalanced" in tidemark("allocate", "--equal-risk", "one").stdout
    assert "nothing is newer" in tidemark("allocate", "--equal-risk", "one", "--rebalance").stdout
    assert "not rebalanced" in tidemark("allocate", "--no-rebalance").stdout
    keep_run(db, "two", {"macd_cross": [10, -10] * 9, "rsi_reversal": [10, -10] * 9}, BEGIN + timedelta(days=1))
    shown = tidemark("allocate").stdout
    assert "nobody has switched rebalancing on" in shown
    assert re.search(r"macd_cross +75 +50 +-25\n *rsi_reversal +25 +50 +\+25", shown), shown
    with door.open() as tm:
        table = tm.allocation()
        assert table.cast({"percent": float, "by_newest": float}).rows() == [
            ("macd_cross", 75, 50),
            ("rsi_reversal", 25, 50),
        ]
    shown = tidemark("allocate", "--rebalance", "--band", "30").stdout
    assert "off by more than 30 points" in shown
    assert "leaves them" in shown
    found = json.loads(tidemark("allocate", "--rebalance", "--json").stdout)
    assert (found["rule"]["band"], found["next"]["due"], found["shares"]["macd_cross"]) == ("5", True, "75")
    assert "changes them" in tidemark("allocate").stdout
    db["runs"].delete_one({"_id": "one"})
    shown = " ".join(tidemark("allocate").stdout.split())
    assert "what would become of them cannot be told: no run 'one' is kept" in shown
    assert "not rebalanced" in tidemark("allocate", "--no-rebalance").stdout
    assert json.loads(tidemark("allocate", "--all", "--json").stdout)["rule"] is None
