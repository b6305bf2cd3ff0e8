"""How a day has ended, from its last snapshot and from what was earned between that and midnight (UTC). Pure."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pipeline.timeline import iso, to_ms
from schemas.accounts import Snapshot

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Since:
    """What came since the last snapshot, until the day was over."""

    result: Decimal = _ZERO
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    moved: Decimal = _ZERO

    @property
    def is_nothing(self) -> bool:
        """Whether nothing came."""
        return not (self.result or self.fees or self.funding or self.moved)


def still_open(last: Snapshot, since: Since) -> Decimal:
    """What was not realised at midnight of what was not when it was looked at last: what was closed since is in the
    wallet, and is not counted twice. What moved meanwhile nobody knows."""
    left = last.unrealized - since.result
    return min(max(left, _ZERO), last.unrealized) if last.unrealized > 0 else max(min(left, _ZERO), last.unrealized)


def ended(last: Snapshot, since: Since, wallet: Decimal) -> Snapshot:
    """The snapshot of the day's last millisecond. `wallet`: what it was at midnight."""
    midnight = last.at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    at = midnight - timedelta(milliseconds=1)
    unrealized = still_open(last, since)
    equity = wallet + unrealized
    before, day = last.day_return_pct, None
    if before is not None:
        began = last.equity / (1 + Decimal(str(before)) / 100) + since.moved
        day = float((equity - began) / began * 100) if began > 0 else None
    return last.model_copy(
        update={
            "id": f"{last.environment}:{last.asset}:{iso(to_ms(at))}",
            "at": at,
            "equity": equity,
            "wallet": wallet,
            "unrealized": unrealized,
            "realized_today": last.realized_today + since.result,
            "fees_today": last.fees_today + since.fees,
            "funding_today": last.funding_today + since.funding,
            "transfers_today": last.transfers_today + since.moved,
            "day_return_pct": day,
            "month_return_pct": _of_month(last, day),
        }
    )


def _of_month(last: Snapshot, day: float | None) -> float | None:
    if last.month_return_pct is None or last.day_return_pct is None or day is None:
        return last.month_return_pct
    others = (1 + last.month_return_pct / 100) / (1 + last.day_return_pct / 100)
    return (others * (1 + day / 100) - 1) * 100
