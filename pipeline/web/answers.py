"""What the page's interface answers: money as text, exact; moments as milliseconds, UTC; what is not known as null.

The names are promises: scripts use them, and `docs/api.md` lists them.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.timeline import to_ms
from schemas.control import Change


def _ms(value: Any) -> Any:
    return to_ms(value) if isinstance(value, datetime) else value


def _text(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value


Moment = Annotated[int, BeforeValidator(_ms), Field(examples=[1_790_000_000_000])]
Exact = Annotated[str, BeforeValidator(_text), Field(examples=["70941.5"])]


class Answer(BaseModel):
    """A part of an answer, made of whatever has attributes of these names."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")


class Refusal(BaseModel):
    """Why not, in words."""

    detail: str


class Place(Answer):
    """An exchange that this installation runs."""

    name: str = Field(examples=["sim"])
    market: str = Field(examples=["um"])
    production: bool
    traded: bool


class Myself(Answer):
    """Who asks, and what there is."""

    role: Literal["read", "trade"]
    version: str
    exchanges: list[Place]


class CoinNow(Answer):
    """A symbol of the coin list."""

    symbol: str = Field(examples=["BTCUSDT"])
    price: float | None
    at: Moment | None
    day_pct: float | None = Field(description="change since 24 hours ago, in percent")
    watched: bool
    stored: list[str] = Field(description="intervals it has candles of", examples=[["1m", "15m", "1h"]])
    tick: Exact | None


class SignalNow(Answer):
    """A signal with its return at this moment."""

    id: str
    symbol: str
    interval: str
    strategy: str
    kind: str
    side: Literal["long", "short"]
    candle: Moment
    at: Moment
    price: float
    strength: float
    source: str
    confirmed: bool
    verdict: str
    reason: str | None
    current_price: float | None
    return_pct: float | None
    return_at: Moment | None
    best_pct: float | None
    worst_pct: float | None
    return_1h: float | None
    return_4h: float | None
    return_1d: float | None
    return_7d: float | None


class BookNow(Answer):
    """What one strategy holds of a position, where each has a book of its own."""

    quantity: Exact
    entry_price: Exact
    strategy: str | None
    interval: str | None
    signal: str | None
    stop_price: Exact | None
    take_profit_price: Exact | None
    closing: str | None
    opened_at: Moment | None


class PositionNow(Answer):
    """What is held in a symbol, and what protects it."""

    symbol: str
    position_side: str
    quantity: Exact
    entry_price: Exact
    mark_price: Exact | None
    unrealized: Exact | None
    leverage: int | None
    liquidation_price: Exact | None
    ours: bool
    strategy: str | None
    signal: str | None
    stop_price: Exact | None
    take_profit_price: Exact | None
    unprotected_since: Moment | None
    closing: str | None
    opened_at: Moment | None
    books: list[BookNow]


class OrderNow(Answer):
    """An order of the journal."""

    id: str
    symbol: str
    signal: str | None
    leg: str
    side: Literal["BUY", "SELL"]
    type: str
    quantity: Exact | None
    price: Exact | None
    trigger_price: Exact | None
    state: str
    filled: Exact
    average_price: Exact | None
    fee: Exact | None
    realized: Exact | None
    created_at: Moment
    updated_at: Moment


class FillNow(Answer):
    """An order of which something was filled, as a chart shows it. `price`: on the average."""

    id: str
    at: Moment
    side: Literal["BUY", "SELL"]
    leg: str
    quantity: Exact
    price: Exact
    signal: str | None
    realized: Exact | None


class HaltNow(Answer):
    """Since when nothing is opened, by whom and why."""

    since: Moment
    by: str
    reason: str | None
    flatten: bool


class BreakerNow(Answer):
    """A limit that was passed."""

    name: str
    symbol: str | None
    tripped: bool
    reason: str
    at: Moment
    until: Moment | None


class Worth(Answer):
    """What the account was worth when the executor looked last."""

    at: Moment
    asset: str
    equity: Exact
    wallet: Exact
    available: Exact
    unrealized: Exact
    realized_today: Exact
    fees_today: Exact
    funding_today: Exact
    day_return_pct: float | None
    month_return_pct: float | None


class TradingNow(Answer):
    """How trading stands at an exchange."""

    exchange: str
    mode: Literal["signal-only", "auto-execute"]
    halted: HaltNow | None
    executor: bool = Field(description="whether one lives")
    ingester: bool
    executor_at: Moment | None = Field(description="when it was heard of last; null: never, or it ended in order")
    ingester_at: Moment | None
    worth: Worth | None
    breakers: list[BreakerNow] = Field(description="those that are tripped")
    positions: list[PositionNow]
    orders: list[OrderNow] = Field(description="those that are not settled, oldest first")
    filled_at: Moment | None = Field(description="when an order was last learnt to be filled whole")


def last_change(changes: Sequence[Change] | None) -> dict[str, Any]:
    """Who changed it last, and why; nothing where nobody has."""
    if not changes:
        return {}
    last = changes[-1]
    return {"changed_at": last.at, "changed_by": last.by, "changed_why": last.reason}


class SymbolSettings(Answer):
    """A symbol's own trading settings; null: as in the settings. `revision` is sent back with a change."""

    symbol: str
    revision: int
    enabled: bool | None = None
    traded: bool
    strategies: list[str] | None = None
    intervals: list[str] | None = None
    leverage: int | None = None
    stop_atr: Exact | None = None
    stop_percent: Exact | None = None
    take_profit_atr: Exact | None = None
    take_profit_percent: Exact | None = None
    max_position: Exact | None = None
    daily_profit_percent: Exact | None = None
    when_reached: str = "stop"
    changed_at: Moment | None = None
    changed_by: str | None = None
    changed_why: str | None = None


class StrategyKnown(Answer):
    """A strategy, its rule in words, and its parameters."""

    name: str
    rule: str
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    searched: dict[str, list[Any]] = Field(description="the values that a search tries of a parameter")
    runs: bool


class PeriodDone(Answer):
    """A day or a month, UTC."""

    name: str = Field(examples=["2026-11-27"])
    days: int
    equity: Exact
    return_pct: float | None
    realized: Exact
    fees: Exact
    funding: Exact
    transfers: Exact


class AccountNow(Answer):
    """The account over time, in one of the assets that it is counted in."""

    asset: str = Field(examples=["USDT"])
    latest: Worth | None
    days: list[PeriodDone]
    months: list[PeriodDone]


class CapNow(Answer):
    """A cap on what all positions may come to together, in percent of the equity."""

    counts: str = Field(examples=["everything held"])
    setting: str = Field(description="its name in `[portfolio]`", examples=["gross_percent"])
    now: Exact
    most: Exact | None = Field(description="null: it is not set")
    is_over: bool = Field(description="nothing more of it is opened, and nothing is closed for it")
    refuses: str | None = Field(description="what would not be opened now, in words; null: it is not set")


class PortfolioNow(Answer):
    """What all positions come to together, as they were stored last: in one of the assets the account is counted in."""

    asset: str = Field(examples=["USDT"])
    at: Moment
    caps: list[CapNow]
    over: list[str] = Field(description="of each cap of which more is held than is allowed, how it comes back")
    position: Exact | None = Field(
        description="what one position may be worth, in percent of the equity: an order for more is made smaller; "
        "null: its share of the margin"
    )


class AllocationNow(Answer):
    """How much of the equity each strategy goes by, who said so last, and why."""

    shares: dict[str, Exact] | None = Field(description="by strategy, in percent; null: each goes by all of it")
    rule: str = Field(description="what they come from, and whether they follow it, in words")
    newest: dict[str, Exact] | None = Field(default=None, description="what they would be by the newest of that")
    next: str | None = Field(default=None, description="what the next rebalancing does to them, in words")
    changed_at: Moment | None = None
    changed_by: str | None = None
    changed_why: str | None = None


class SlippageNow(Answer):
    """What a backtest assumes of the slippage. `words`: how far from the price, and where that comes from."""

    words: str
    points: Exact | None = Field(description="basis points as they were fitted; null: as usual, nobody adopted any")
    symbols: dict[str, Exact] = Field(description="of those that had enough fills by themselves")
    changed_at: Moment | None = None
    changed_by: str | None = None
    changed_why: str | None = None


class SeriesNow(Answer):
    """A watched series, and how far it is."""

    symbol: str
    interval: str
    last_closed: Moment | None
    frame_age: float | None = Field(description="seconds since its last frame")
    behind: int | None = Field(description="candles late; null: none is stored")
    stored: int
    holes: int
    gone: str | None


class ProcessNow(Answer):
    """A process with its sign of life."""

    role: str
    exchange: str | None
    host: str
    pid: int
    detail: str | None
    started_at: Moment
    alive: bool
    heartbeat_age: float
    stands_by: bool


class DeploymentNow(Answer):
    """A flow that runs on a schedule."""

    name: str
    every_seconds: int
    paused: bool
    completed_at: Moment | None
    overdue: bool


class TargetNow(Answer):
    """What was promised, and what was measured."""

    key: str
    name: str
    unit: str
    target: str
    measured: float | None
    met: bool | None
    history: list[float | None] = Field(description="what it was at each of `measured_at`")


class HealthNow(Answer):
    """Processes, series, flows and targets. `measured_at`: every five minutes of a day, while the server has lived."""

    processes: list[ProcessNow]
    series: list[SeriesNow]
    deployments: list[DeploymentNow]
    targets: list[TargetNow]
    measured_at: list[Moment]


class Halting(BaseModel):
    """Open nothing any more; `flatten`: close what is held as well."""

    flatten: bool = False
    reason: str | None = Field(default=None, max_length=500)


class Resuming(BaseModel):
    """Let signals open positions again. In production the exchange's name is said, so that nobody does it by chance."""

    name: str | None = None
    reason: str | None = Field(default=None, max_length=500)


class Ordered(Answer):
    """What came of an order that a person gave: how it stands now, and what was said on the way."""

    trading: TradingNow
    said: list[str]


class SettingsChange(BaseModel):
    """Fields that are to change, as text; "default": as in the settings. `revision`: what was read before."""

    revision: int = Field(ge=0)
    enabled: bool | None = None
    leverage: str | None = Field(default=None, max_length=20)
    stop_atr: str | None = Field(default=None, max_length=40)
    stop_percent: str | None = Field(default=None, max_length=40)
    take_profit_atr: str | None = Field(default=None, max_length=40)
    take_profit_percent: str | None = Field(default=None, max_length=40)
    max_position: str | None = Field(default=None, max_length=40)
    daily_profit: str | None = Field(default=None, max_length=40)
    when_reached: Literal["stop", "close"] | None = None
    strategies: list[str] | None = Field(default=None, max_length=100)
    intervals: list[str] | None = Field(default=None, max_length=30)
    reason: str | None = Field(default=None, max_length=500)


class Watching(BaseModel):
    """Symbols, and of these intervals; without any, those of the settings, or all of them where they are let go."""

    symbols: list[str] = Field(default_factory=list, max_length=2_000)
    intervals: list[str] = Field(default_factory=list, max_length=30)
    reason: str | None = Field(default=None, max_length=500)
