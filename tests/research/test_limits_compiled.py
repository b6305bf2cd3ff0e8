"""No setting of the risk is left out by the compiled rules unseen: a search would trade as if it were not there."""

import re
from pathlib import Path

from pipeline.settings import Risk

RULES = Path(__file__).parents[2] / "pipeline" / "research" / "backtest" / "fast.py"
NOT_READ = {
    "limit_seconds", "max_orders_per_minute", "max_error_percent", "stale_feed_seconds", "unprotected_seconds",
}  # fmt: skip
"""Limit entries are the executor's to run; the others are of orders and answers that fail, wait or crowd each other."""


def test_each_setting_of_the_risk_is_read_by_what_feeds_the_compiled_rules() -> None:
    text = RULES.read_text()
    forgotten = {name for name in Risk.model_fields if not re.search(rf"\.{name}\b", text)}
    assert forgotten == NOT_READ, "let `beyond` name it, or `_risk` hand it over and the compiled `decide` know it"
