"""`tidemark account`: what a person reads of it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.store.account import AccountStore
from pipeline.store.prepare import prepare
from tests.cli.conftest import Run
from tests.execution.test_periods import DAYS


@pytest.fixture(autouse=True)
def stored(db: Database[dict[str, Any]]) -> None:
    prepare(db)
    for one in DAYS:
        AccountStore(db, "sim").add(one)


def test_months_are_listed_over_all_that_is_stored(tidemark: Run) -> None:
    lines = tidemark("account", "--by", "month").stdout.splitlines()
    assert any("2026-01" in line and "-1.00" in line and "1,000.00" in line for line in lines)
    assert any("2026-03" in line and "+2.00" in line for line in lines)
    found = json.loads(tidemark("account", "--by", "month", "--json").stdout)
    assert [(one["name"], one["days"], one["equity"]) for one in found["months"]] == [
        ("2026-01", 2, "1099"),
        ("2026-03", 2, "1121"),
    ]


def test_days_are_listed_over_all_that_is_stored_or_as_far_back_as_asked(tidemark: Run) -> None:
    assert tidemark("account", "--by", "day").stdout.count("2026-0") == len(DAYS) + 1  # the headline names one too
    since_march = (datetime.now(UTC) - datetime(2026, 3, 1, tzinfo=UTC)).days
    found = json.loads(tidemark("account", "--days", str(since_march), "--json").stdout)
    assert [one["at"][:10] for one in found["days"]] == ["2026-03-02", "2026-03-05"]


def test_a_wrong_word_is_named(tidemark: Run) -> None:
    refused = tidemark("account", "--by", "week")
    assert refused.exit_code == 2
    assert "week" in refused.stderr
