"""What research has found, as the page's interface answers it, and what is asked of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from pipeline.timeline import to_ms
from pipeline.web.answers import Answer, Exact, Moment


def plain(value: Any) -> Any:
    """Moments as milliseconds, exact amounts as text, and no number that JSON does not know."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, float) and value - value != 0:
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)


class BacktestWanted(BaseModel):
    """What is to be run; empty: as the settings have it. `days`: so many until the newest stored minute."""

    strategies: list[str] = Field(default_factory=list, max_length=20)
    symbols: list[str] = Field(default_factory=list, max_length=500)
    intervals: list[str] = Field(default_factory=list, max_length=30)
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict, max_length=50)
    days: Annotated[float, Field(gt=0, le=5_000)] | None = None
    exact: bool = False
    through_holes: bool = Field(
        default=False, description="go on although a position was held over minutes that are not stored"
    )


class JobNow(Answer):
    """A backtest or a search that was begun here. `run`: under which name it is kept."""

    id: str
    exchange: str
    began: Moment
    state: Literal["running", "done", "failed", "cancelled"]
    what: str
    done: int = Field(description="days of a backtest, trials of a search; of `whole`")
    whole: int
    run: str | None
    why: str | None


class RunListed(Answer):
    """A backtest that was kept; the figures are those that do not flatter."""

    id: str
    at: Moment
    title: str
    stale: bool = Field(description="its candles are not what they were then")
    return_pct: float | None
    max_drawdown_pct: float | None
    sharpe: float | None
    ended: int | None = Field(description="trades that have ended")


class RunReading(Answer):
    """What came out under one assumption about what a minute does not tell."""

    inside: str
    engine: str
    figures: dict[str, Any]


class RunWhole(RunListed):
    """All of it. `equity` is what it was at each of `days`: the start, each midnight (UTC), the end."""

    readings: list[RunReading]
    inputs: dict[str, Any]
    assumptions: dict[str, str]
    notes: list[str]
    changed: list[str]
    decimals: int = Field(description="of its money: dollars have cents, and a coin is divided further")
    days: list[Moment]
    equity: list[float]
    trades: list[dict[str, Any]]


class MonthNow(Answer):
    """A month: what it brought, and what was different about the market in it."""

    month: str = Field(examples=["2026-10"])
    return_pct: float
    low_pct: float | None
    high_pct: float | None
    trades: int
    because: str


class CellNow(Answer):
    """Trades that ended in a month and have this in common; between `low_pct` and `high_pct` lie nine of ten draws."""

    month: str
    by: Literal["strategy", "symbol", "side", "hour", "regime"]
    name: str
    trades: int
    profit: Exact
    return_pct: float
    low_pct: float | None
    high_pct: float | None
    is_clear: bool = Field(description="whether the interval lies on one side of nothing")


class WhyNow(Answer):
    """Why did these months earn, and those not?"""

    asset: str = Field(description="what it is counted in", examples=["USDT"])
    verdict: str
    decimals: int = Field(description="of its money: dollars have cents, and a coin is divided further")
    months: list[MonthNow]
    cells: list[CellNow]
    notes: list[str]


class SearchWanted(BaseModel):
    """What is to be searched; empty: as the settings have it. Or `resume`: the search that is to go on, as it was asked
    for, with so many `trials` in all."""

    strategy: str | None = Field(default=None, max_length=200)
    symbols: list[str] = Field(default_factory=list, max_length=500)
    interval: str | None = Field(default=None, max_length=10)
    parameters: dict[str, bool | int | float | str] = Field(
        default_factory=dict, max_length=50, description="those that stay"
    )
    space: list[str] = Field(
        default_factory=list, max_length=50, description="what is searched; empty: what the strategy declares",
        examples=[["n=5..60:5", "stop=1..4:0.5"]],
    )  # fmt: skip
    days: Annotated[float, Field(gt=0, le=5_000)] | None = None
    trials: Annotated[int, Field(ge=1, le=100_000)] | None = None
    sampler: str = Field(default="random", max_length=20)
    seed: int = Field(default=1, ge=0, le=2**31)
    objectives: list[str] = Field(default_factory=lambda: ["sharpe"], min_length=1, max_length=5)
    folds: int = Field(default=6, ge=0, le=100)
    anchored: bool = False
    prune: bool = False
    through_holes: bool = Field(
        default=False, description="go on although minutes are not stored over which one may be held"
    )
    sealed: float = Field(default=0.15, ge=0, le=0.5, description="the share of the days, the last, that no trial sees")
    resume: str | None = Field(default=None, max_length=200)


class SearchListed(Answer):
    """A search that was kept. `word`: its verdict."""

    id: str
    at: Moment
    strategy: str
    symbols: list[str]
    intervals: list[str]
    start: Moment
    end: Moment
    objectives: list[str]
    tried: int
    wanted: int
    ended: bool = Field(description="false: it was interrupted, or runs")
    word: str | None = Field(examples=["likely luck"])


class TrialNow(Answer):
    """A set of parameters that was tried."""

    id: str
    number: int
    state: Literal["done", "failed", "pruned"]
    reason: str | None
    parameters: dict[str, Any]
    figures: dict[str, Any]


class VerdictNow(Answer):
    """One word for the best by the first objective, why, and what would change it."""

    word: str
    because: list[str]
    would_change: list[str]


class StepNow(Answer):
    """A fold: which trial was the best where it was chosen, and what it brought behind that."""

    chosen: int
    point: dict[str, Any]
    train: list[Moment]
    test: list[Moment]
    trained: dict[str, Any]
    brought: dict[str, Any]


class ForwardNow(Answer):
    """The walk through the folds: out of sample, one stretch behind the other."""

    steps: list[StepNow]
    figures: dict[str, Any]
    days: list[Moment]
    equity: list[float]


class SealedNow(Answer):
    """The last stretch, that no trial saw, and what it said when it was opened."""

    start: Moment
    end: Moment
    opened_at: Moment | None
    trial: str | None
    figures: dict[str, Any] | None


class SearchWhole(SearchListed):
    """All of it. `equity`: of the best trial, in sample, at each of `days`. `trials`: the best first."""

    fixed: dict[str, Any]
    space: dict[str, list[Any]]
    sampler: str
    seed: int
    folds: int
    notes: list[str]
    sealed: SealedNow | None
    verdict: VerdictNow | None
    forward: ForwardNow | None
    best: list[str]
    days: list[Moment]
    equity: list[float]
    trials: list[TrialNow]


class Opening(BaseModel):
    """For which trial the sealed days are opened; the best if none is named."""

    trial: str | None = Field(default=None, max_length=200)


class Adopting(BaseModel):
    """A trial, and the symbol that is to be traded as it was."""

    trial: str = Field(max_length=200)
    symbol: str = Field(max_length=50)
    reason: str | None = Field(default=None, max_length=300)


class Adopted(Answer):
    """What was written as the symbol's own settings, and why."""

    symbol: str
    changes: dict[str, Any]
    reason: str
