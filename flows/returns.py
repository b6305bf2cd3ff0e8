"""The stored returns of signals as a Prefect flow, every minute: how far it came, and, where prices have moved, a table
of the best recent signals."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.running import OF_EXCHANGE, at_each, key_of, leave_word
from pipeline.app.opened import Opened
from pipeline.app.returns import Refreshed, refresh_returns
from pipeline.app.signals import Signal, best
from pipeline.settings import Settings
from pipeline.timeline import to_ms

SHOWN = ("symbol", "interval", "strategy", "kind", "side", "price", "current_price")
PERCENT = ("return_pct", "best_pct", "worst_pct")


class ReturnsChoice(BaseModel):
    """Which signals to refresh, and which of them to show."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    symbols: list[str] = Field(default_factory=list, description="contracts, for example BTCUSDT; none: all")
    anew: bool = Field(default=False, description="work everything out again from the candles")
    top: Annotated[int, Field(ge=1, le=500)] = Field(default=20, description="so many signals in the table")
    top_days: Annotated[int, Field(ge=1, le=5_000)] = Field(default=7, description="of the last so many days")


@flow(name="returns", persist_result=False, on_completion=[leave_word])
def returns(chosen: ReturnsChoice = ReturnsChoice()) -> dict[str, int]:  # noqa: B008 - never changed
    """Bring the returns of signals up to the newest stored prices."""
    done = at_each(chosen.exchange, lambda settings: [_refreshed(settings, chosen)])
    return {name: sum(one[name] for one in done) for name in ("symbols", "worked_out", "moved")}


def _refreshed(settings: Settings, chosen: ReturnsChoice) -> dict[str, int]:
    """At one exchange."""
    refreshed, shown = _refresh(settings, chosen)
    if shown is not None:
        create_table_artifact(
            table=[_row(signal) for signal in shown],
            key=key_of(settings, "returns-best-signals"),
            description=f"the best of the newest signals, of the last {chosen.top_days} days, in percent, before fees",
        )
    get_run_logger().info(
        "%d symbols: %d signals worked out from the candles, %d moved to the newest price",
        *(refreshed.symbols, refreshed.worked_out, refreshed.moved),
    )
    return {"symbols": refreshed.symbols, "worked_out": refreshed.worked_out, "moved": refreshed.moved}


def _refresh(settings: Settings, chosen: ReturnsChoice) -> tuple[Refreshed, list[Signal] | None]:
    since = to_ms(datetime.now(UTC) - timedelta(days=chosen.top_days))
    with Opened(settings) as tm:
        budget = tm.settings.returns_per_minute
        refreshed = refresh_returns(tm, chosen.symbols or None, anew=chosen.anew, budget=budget, by="flow returns")
        if refreshed.compared_since is None:
            return refreshed, None
        return refreshed, best(tm, max(since, to_ms(refreshed.compared_since)), chosen.top)


def _row(signal: Signal) -> dict[str, Any]:
    numbers = {name: _rounded(getattr(signal, name)) for name in PERCENT}
    return {"at": f"{signal.at:%Y-%m-%d %H:%M}", **{name: getattr(signal, name) for name in SHOWN}, **numbers}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
