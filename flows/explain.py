"""What was traded yesterday, explained by a backtest: a page a person reads in the morning. It sends nothing."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.reporting import SHOWN, table_of
from flows.running import OF_EXCHANGE, at_each, key_of, leave_word
from pipeline.app.opened import Opened
from pipeline.exchange_names import decimals_of_asset
from pipeline.settings import Settings
from pipeline.timeline import to_datetime, to_ms

if TYPE_CHECKING:
    from pipeline.app.explain import Explained, Row

_CAUSES: Final = ("cause", "money", "basis points", "what it is")
_POSITIONS: Final = ("opened (UTC)", "symbol", "side", "strategy", "live", "backtest", "causes", "rest")


class ExplainChoice(BaseModel):
    """Which days are explained."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    days: Annotated[int, Field(ge=1, le=31)] = Field(default=1, description="so many whole days, UTC, before today")


@flow(name="explain", persist_result=False, on_completion=[leave_word])
def explain_days(chosen: ExplainChoice = ExplainChoice()) -> list[dict[str, Any]]:  # noqa: B008 - never changed
    """Show why live did not earn what a backtest of the same signals says."""
    return at_each(chosen.exchange, lambda settings: _explained(settings, chosen.days))


def _explained(settings: Settings, days: int) -> list[dict[str, Any]]:
    """At one exchange."""
    from pipeline.app.explain import explain  # noqa: PLC0415

    log = get_run_logger()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin, end = to_ms(today - timedelta(days=days)), to_ms(today)
    with Opened(settings) as tm:
        found = [one for one in explain(tm, since=begin, until=end) if one.rows]
    if not found:
        log.info("%s: nothing was traded then: there is nothing to explain", settings.environment)
        return []
    page = "\n\n".join(part for one in found for part in _page(one))
    told = "; ".join(_told(one) for one in found)
    create_markdown_artifact(key=key_of(settings, "explain"), markdown=page, description=told)
    log.info("%s: %s", settings.environment, told)
    return [{"exchange": settings.environment, "asset": one.asset, "rest": str(one.rest)} for one in found]


def _told(found: "Explained") -> str:
    digits = decimals_of_asset(found.asset)
    live, paper, rest = (f"{one:+,.{digits}f}" for one in (found.live, found.paper, found.rest))
    return f"live {live} {found.asset}, the backtest {paper}, unexplained {rest}"


def _page(found: "Explained") -> Iterator[str]:
    from pipeline.app.explain import means  # noqa: PLC0415

    digits = decimals_of_asset(found.asset)
    yield f"# {_told(found)}"
    yield (
        f"{to_datetime(found.start):%Y-%m-%d %H:%M} to {to_datetime(found.end):%Y-%m-%d %H:%M} UTC; {found.alike} of "
        f"{found.signals} signals had the same verdict."
    )
    causes = [(name, f"{money:+,.{digits}f}", f"{found.points(money):+.2f}", means(name))
              for name, money in found.by_cause.items()]  # fmt: skip
    rest = ("rest", f"{found.rest:+,.{digits}f}", f"{found.points(found.rest):+.2f}", "nothing explains it")
    yield table_of(_CAUSES, [*causes, rest])
    dearest = sorted(found.rows, key=lambda one: -abs(one.difference))
    yield table_of(_POSITIONS, [_row(one, digits) for one in dearest[:SHOWN]])
    if (left := len(dearest) - SHOWN) > 0:
        yield f"and {left:,} more positions, that differ less"
    yield "\n".join(f"- {note}" for note in found.notes)


def _row(one: "Row", digits: int) -> Sequence[str]:
    money = ("-" if each is None else f"{each:+,.{digits}f}" for each in (one.live, one.paper))
    causes = ", ".join(f"{name} {one.points(cost):+.2f}" for name, cost in one.by_cause.items())
    opened = f"{to_datetime(one.opened_at):%Y-%m-%d %H:%M:%S}"
    return (opened, one.symbol, one.side, one.strategy, *money, causes or "-", f"{one.rest:+,.{digits}f}")
