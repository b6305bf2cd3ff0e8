"""Settings that belong together, each group a table in `tidemark.toml`: indicators, risk, and where a strategy runs."""

import json
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_settings import NoDecode

from pipeline.settings.values import FourPeriods, Percent, SomeIntervals, split

MarginType = Literal["isolated", "crossed"]


Share = Annotated[Decimal | None, Field(gt=0)]


class Group(BaseModel):
    """Settings that belong together: a table in `tidemark.toml`, `TIDEMARK_<GROUP>__<NAME>` in the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Indicators(Group):
    """Periods, in candles. They are recorded with the data that was computed with them."""

    rsi: int = Field(default=14, ge=2, le=400)
    macd_fast: int = Field(default=12, ge=2, le=400)
    macd_slow: int = Field(default=26, ge=2, le=400)
    macd_signal: int = Field(default=9, ge=1, le=400)
    sma: FourPeriods = (7, 20, 60, 120)
    atr: int = Field(default=14, ge=1, le=400)
    atr_kind: Literal["wilder", "simple"] = "wilder"
    bollinger: int = Field(default=20, ge=2, le=400)
    bollinger_deviations: float = Field(default=2.0, gt=0, le=10)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.macd_fast >= self.macd_slow:
            raise ValueError(f"macd_fast ({self.macd_fast}) must be shorter than macd_slow ({self.macd_slow})")
        return self


class Risk(Group):
    """What a position may cost. Percentages are of equity; a unit is equity x unit_percent / (ATR x leverage)."""

    unit_percent: Percent = Decimal(1)
    leverage: int = Field(default=3, ge=1, le=125)
    margin_type: MarginType = Field(default="isolated", description="isolated: a position can lose its own margin only")
    trial_units: Decimal = Field(default=Decimal("0.5"), gt=0)
    entry_units: Decimal = Field(default=Decimal(2), gt=0)
    add_units: Decimal = Field(default=Decimal(1), gt=0)
    max_units: Decimal = Field(default=Decimal(4), gt=0)
    entry_order: Literal["market", "limit"] = Field(
        default="market", description="limit: entries rest at their signal's price"
    )
    limit_seconds: int = Field(
        default=60, ge=1, description="so long, while the signal is fresh; the rest is cancelled"
    )
    stop_atr: Decimal = Field(default=Decimal(2), gt=0)
    take_profit_atr: Decimal | None = Field(default=None, gt=0)
    turn: Literal["trials", "entries"] = Field(
        default="trials", description="what turns a position round: trials, while it is one; or entries as well"
    )
    max_position_percent: Decimal | None = Field(
        default=None, gt=0, description="notional of one position; unset: its share of the margin"
    )
    margin_cushion_percent: Decimal = Field(default=Decimal(5), ge=0, lt=100, description="margin that is never used")
    max_open_positions: int = Field(default=5, ge=1)
    max_orders_per_minute: int = Field(default=30, ge=1)
    max_slippage_percent: Percent = Decimal("0.5")
    max_error_percent: Percent = Decimal(20)
    daily_loss_percent: Percent = Decimal(5)
    daily_profit_percent: Percent | None = None
    stale_feed_seconds: int = Field(default=90, ge=1)
    unprotected_seconds: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.trial_units <= self.entry_units <= self.max_units:
            raise ValueError("trial_units <= entry_units <= max_units must hold")
        return self


class Portfolio(Group):
    """What all positions of an account may come to together, in percent of its equity. Unset: as much as comes."""

    gross_percent: Share = Field(default=None, description="longs and shorts, added")
    net_percent: Share = Field(default=None, description="longs less shorts, whichever is more")
    side_percent: Share = Field(default=None, description="all longs; and all shorts")
    group_percent: Share = Field(default=None, description="longs less shorts of a symbol and of what moves like it")
    alike: float = Field(default=0.8, ge=0, lt=1, description="the correlation from which on two symbols move alike")
    margin_percent: Share = Field(default=None, description="what the exchange keeps for what is held")
    open_risk_percent: Share = Field(default=None, description="what is lost where every stop is reached")
    books: bool = Field(
        default=False, description="each strategy and interval holds what is its own, also in a symbol that others hold"
    )

    @property
    def is_capped(self) -> bool:
        """Whether any of it is set."""
        return any(most is not None for name, most in self if name.endswith("_percent"))


class StrategyIntervals(Group):
    """Where a strategy runs: on candles of these lengths. Not given: on all that are stored."""

    intervals: SomeIntervals = None


def _strategy_names(value: Any) -> Any:
    if isinstance(value, str) and value.strip().startswith("{"):
        value = json.loads(value)
    if not isinstance(value, dict):
        return split(value)
    odd = {name: table for name, table in value.items() if not isinstance(table, dict) or table.keys() - {"intervals"}}
    if odd:
        tables = ", ".join(f"[strategy_parameters.{name}]" for name in odd)
        raise ValueError(
            f"a table of a strategy to run holds its intervals alone; what it is to go by is written in {tables}"
        )
    return value


Strategies = Annotated[
    Annotated[tuple[str, ...], Tag("list")] | Annotated[dict[str, StrategyIntervals], Tag("table")],
    Discriminator(lambda value: "table" if isinstance(value, dict) else "list"),
    NoDecode,
    BeforeValidator(_strategy_names),
]
"""Names of those to run, or a table of each with its intervals."""
