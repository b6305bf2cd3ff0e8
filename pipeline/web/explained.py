"""Live explained by a backtest, as the page's interface answers it."""

from typing import Any

from pydantic import Field

from pipeline.web.answers import Answer, Exact, Moment


class CauseNow(Answer):
    """One cause over all positions: what live lost by it (negative) or gained."""

    cause: str = Field(examples=["slippage"])
    means: str
    money: Exact
    points: float = Field(description="basis points of what was entered")
    positions: int


class CostNow(Answer):
    """What one cause took of a position, and what in the store says so."""

    cause: str
    money: Exact
    points: float
    words: str


class PositionExplained(Answer):
    """A position; null where only one of the two had it. live - backtest = causes + rest."""

    symbol: str
    side: str
    strategy: str
    interval: str
    signal: str
    opened_at: Moment
    closed_at: Moment | None
    live: Exact | None
    backtest: Exact | None
    causes: list[CostNow]
    rest: Exact
    rest_points: float


class ExplainedNow(Answer):
    """An account's window; contracts of a coin are an account each. `rest`: what nothing explains."""

    asset: str = Field(examples=["USDT"])
    start: Moment
    end: Moment
    signals: int
    alike: int = Field(description="signals on which both came to the same verdict")
    live: Exact
    backtest: Exact
    causes: list[CauseNow]
    rest: Exact
    rest_points: float
    trades: list[PositionExplained]
    notes: list[str]


def plain(told: dict[str, Any]) -> dict[str, Any]:
    """What `pipeline.app.explain.told` says of an account, by the names of these."""
    causes = [{"cause": name, **one} for name, one in told["causes"].items()]
    for one in causes:
        one["positions"] = sum(one["cause"] in {each["cause"] for each in trade["causes"]} for trade in told["trades"])
    return told | {"causes": causes}
