"""A search by its form: on a real server, its trials kept like any others."""

from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from pymongo.database import Database

import tidemark
from flows.search import SearchChoice, run_search
from pipeline.errors import UsageError
from tests.flows.test_small_flows import newest_artifact

pytestmark = pytest.mark.usefixtures("settings_of_the_run")

ASKED: dict[str, Any] = {
    "strategy": "ma_breakout", "symbols": ["BTCUSDT"], "interval": "15m", "space": ["n=5..60:5"],
    "objectives": ["return_pct"], "folds": 2, "name": "first",
}  # fmt: skip


def test_its_best_and_its_verdict_are_a_page_and_a_form_goes_on_with_it(db: Database[Any]) -> None:
    with tidemark.open() as tm:
        tm.backfill("BTCUSDT", ["15m", "1m"], days=5, progress=False)
        done = run_search(SearchChoice(**ASKED, trials=6))
        again = run_search(SearchChoice(resume="first", trials=9))
        kept = tm.trials("first")
    assert (done["search"], done["trials"], again["trials"]) == ("first", 6, 9)
    assert again["best"] == kept["id"][0]
    page = newest_artifact("search")
    assert f"| {again['best']} | {kept['return_pct'][0]:,.2f} |" in page
    assert f"| verdict of the best trial | {again['verdict']} |" in page
    assert "| fold | chosen | return_pct, chosen by |" in page
    assert db["trials"].count_documents({"search": "first"}) == 9


def test_a_form_that_cannot_be_searched_is_refused(db: Database[Any]) -> None:
    with pytest.raises(UsageError, match="name a strategy to search, or a search to resume"):
        run_search(SearchChoice())
    with pytest.raises(UsageError, match="days and start exclude each other"):
        run_search(SearchChoice(**ASKED, days=3, start="2026-01-01"))
    with pytest.raises(UsageError, match="--workers and --cluster exclude each other"):
        run_search(SearchChoice(**ASKED, workers=2, cluster="tcp://127.0.0.1:1"))
    with pytest.raises(ParameterTypeError):
        run_search({"trials": 0})  # type: ignore[arg-type]
    assert db["trials"].count_documents({}) == 0
