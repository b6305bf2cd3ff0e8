"""What an account earned by day and by month."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pipeline.execution.account.periods import compounded, periods
from schemas.accounts import Snapshot


def day(month: int, day: int, percent: float | None, **amounts: str) -> Snapshot:
    at = datetime(2026, month, day, 23, 59, tzinfo=UTC)
    zero = dict.fromkeys(
        ("wallet", "available", "unrealized", "realized_today", "fees_today", "funding_today", "transfers_today"), "0"
    )
    given = zero | {"equity": "100"} | amounts
    return Snapshot(
        id=f"sim:{at.isoformat()}",
        environment="sim",
        at=at,
        asset="USDT",
        open_positions=0,
        day_return_pct=percent,
        **{name: Decimal(value) for name, value in given.items()},
    )


DAYS = [
    day(1, 30, 10.0, equity="110", realized_today="12", fees_today="-2"),
    day(1, 31, -10.0, equity="1099", realized_today="-11", transfers_today="1000"),
    day(3, 2, None, equity="1099", funding_today="-3"),
    day(3, 5, 2.0, equity="1121", realized_today="22"),
]


@pytest.mark.parametrize(
    ("returns", "expected"),
    [([], None), ([None], None), ([10.0, -10.0], -1.0), ([10.0, None, 10.0], 21.0), ([-100.0, 50.0], -100.0)],
)
def test_returns_follow_one_another(returns: list[float | None], expected: float | None) -> None:
    assert compounded(returns) == (None if expected is None else pytest.approx(expected))


def test_a_month_is_its_days_one_after_the_other_and_deposits_are_no_return() -> None:
    january, march = periods(DAYS, "month")
    assert (january.name, january.days, january.equity) == ("2026-01", 2, 1099)
    assert january.return_pct == pytest.approx(-1.0)
    assert (january.realized, january.fees, january.funding, january.transfers) == (1, -2, 0, 1000)
    assert (march.name, march.days, march.return_pct) == ("2026-03", 2, pytest.approx(2.0))


def test_a_day_is_a_line_and_days_nobody_watched_are_none() -> None:
    assert [(one.name, one.return_pct) for one in periods(DAYS, "day")] == [
        ("2026-01-30", pytest.approx(10.0)),
        ("2026-01-31", pytest.approx(-10.0)),
        ("2026-03-02", None),
        ("2026-03-05", pytest.approx(2.0)),
    ]
    assert periods([], "month") == []
