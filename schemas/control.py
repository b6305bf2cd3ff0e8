"""What is to be done, and who does it: switches, limits, watched series, leases and heartbeats.

Each document is one of the models below, told apart by `kind`; ids are readable (`mode`, `trading:BTCUSDT`, ...).
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from schemas.base import Collection, Document, Money
from schemas.shared import Mode

ALIVE_FOR: Final = timedelta(seconds=15)
"""A process whose last heartbeat is older than this is taken for dead."""


class Change(Document):
    """Who changed a switch, when, from what to what, and why."""

    at: datetime
    by: str
    old: str | None
    new: str
    reason: str | None = None


class ModeSwitch(Document):
    """Whether orders are sent or only worked out, and every change of it."""

    id: str = Field(alias="_id", description="mode:<environment>")
    kind: Literal["mode"]
    environment: str
    mode: Mode
    changes: list[Change]


class Halt(Document):
    """The kill switch. While `halted`, no new order leaves; `flatten` asks for everything to be closed as well."""

    id: str = Field(alias="_id", description="halt:<environment>")
    kind: Literal["halt"]
    environment: str
    halted: bool
    flatten: bool
    changes: list[Change]


class Breaker(Document):
    """A limit that tripped: no new entries until it is reset, by itself at `until` or by hand."""

    id: str = Field(alias="_id", description="breaker:<environment>:<name>")
    kind: Literal["breaker"]
    environment: str
    name: str
    symbol: str | None = None
    asset: str | None = Field(default=None, description="what is margined in it, where the account is one of many")
    tripped: bool
    reason: str
    at: datetime
    until: datetime | None = None


class Trading(Document):
    """One symbol's own trading settings; None means: as in the settings."""

    id: str = Field(alias="_id", description="trading:<environment>:<symbol>")
    kind: Literal["trading"]
    environment: str
    symbol: str
    enabled: bool | None = Field(default=None, description="None: nobody has said so; traded, but not in production")
    strategies: list[str] | None = None
    intervals: list[str] | None = None
    leverage: int | None = Field(default=None, ge=1)
    stop_atr: Money | None = None
    stop_percent: Money | None = Field(default=None, description="of the price, in place of the ATR")
    take_profit_atr: Money | None = None
    take_profit_percent: Money | None = None
    max_position: Money | None = Field(default=None, description="notional")
    daily_profit_percent: Money | None = Field(default=None, description="of the equity that the day began with")
    when_reached: Literal["stop", "close"] = Field(
        default="stop", description="open nothing, or also close what is held"
    )
    close_asked: datetime | None = Field(default=None, description="what is held is to be closed; null when it is")
    changes: list[Change]


class Goal(Document):
    """The account's profit target for the day, set while it runs: it takes the place of the one in the settings."""

    id: str = Field(alias="_id", description="goal:<environment>")
    kind: Literal["goal"]
    environment: str
    daily_profit_percent: Money | None = Field(default=None, description="None: as in the settings")
    when_reached: Literal["stop", "close"] = Field(
        default="stop", description="open nothing, or also close what is held"
    )
    changes: list[Change]


class AllocationRule(Document):
    """What the shares are worked out from, and whether they follow it."""

    kind: Literal["equal-risk", "walk-forward"]
    by: list[str] = Field(description="the run, or the searches, that the shares come from")
    as_of: datetime | None = Field(
        default=None, description="when the last of the searches had ended: one that goes on is newer; None: of a run"
    )
    least: Money | None = Field(default=None, description="percent that each strategy has at least, by walk-forward")
    most: Money | None = Field(default=None, description="and at most")
    band: Money | None = Field(
        default=None,
        description="points of a percent that a share may be off by before the flow changes it; None: it never does",
    )


class Allocation(Document):
    """How much of the equity each strategy goes by."""

    id: str = Field(alias="_id", description="allocation:<environment>")
    kind: Literal["allocation"]
    environment: str
    shares: dict[str, Money] | None = Field(
        default=None,
        description="by strategy, in percent; what is not named opens nothing. None: each goes by all of it",
    )
    rule: AllocationRule | None = Field(default=None, description="None: the shares are given by hand")
    changes: list[Change]


class SlippageFit(Document):
    """What live's fills had, in basis points."""

    points: Money = Field(description="of symbols that are not named")
    symbols: dict[str, Money] = Field(description="of those that had enough orders by themselves")
    orders: int = Field(ge=1, description="it was fitted on so many")
    since: datetime
    until: datetime
    by: str


class Slippage(Document):
    """What a backtest assumes of the slippage, as a person adopted it."""

    id: str = Field(alias="_id", description="slippage:<environment>")
    kind: Literal["slippage"]
    environment: str
    fit: SlippageFit | None = Field(default=None, description="None: as if nobody had fitted it")
    changes: list[Change]


class Stage(Document):
    """How much production trading may hold: a stage is left only by command, after clean days."""

    id: str = Field(alias="_id", description="stage:<environment>")
    kind: Literal["stage"]
    environment: str
    stage: int = Field(ge=1, le=3)
    clean_days: list[str] = Field(description="dates, UTC")
    changes: list[Change]


class Installation(Document):
    """Which Tidemark this database is on an account: its orders carry the name. A copy of it that was restored under
    another database name is another installation."""

    id: str = Field(alias="_id", description="installation:<environment>")
    kind: Literal["installation"]
    environment: str
    name: str
    database: str
    copy_of: str | None = Field(default=None, description="the installation whose database was copied")
    taken_over: list[str] = Field(description="installations whose orders are ours by now")
    changes: list[Change]


class Lease(Document):
    """Who acts at present. `fence` grows with every holder, so that an old one is told from the new."""

    id: str = Field(alias="_id", description="lease:<what>")
    kind: Literal["lease"]
    holder: str
    fence: int = Field(ge=1)
    until: datetime


class Cursor(Document):
    """Where a reader of a change stream goes on after a restart."""

    id: str = Field(alias="_id", description="cursor:<reader>")
    kind: Literal["cursor"]
    token: dict[str, Any]
    at: datetime


class Watch(Document):
    """A series that the ingester keeps current. `since` is set once it is backfilled and live."""

    id: str = Field(alias="_id", description="watch:<exchange>:<symbol>:<interval>")
    kind: Literal["watch"]
    exchange: str
    symbol: str
    interval: str
    wanted: bool
    asked_at: datetime
    since: datetime | None = None


class Heartbeat(Document):
    """A sign of life of one process, and the figures it wants to be seen with it."""

    id: str = Field(alias="_id", description="heartbeat:<role>:<host>:<pid>")
    kind: Literal["heartbeat"]
    role: str
    exchange: str | None = Field(default=None, description="None: of an older version")
    host: str
    pid: int
    started_at: datetime
    at: datetime
    figures: dict[str, float] = Field(default_factory=dict)
    calls: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="to the exchange since the start: by call, how many became what"
    )
    detail: str | None = None


class Outage(Document):
    """From the last heartbeat of a process that was killed to the start of the next one."""

    since: datetime
    until: datetime


class Uptime(Document):
    """When a process of that role and detail first lived, and when one that should have lived did not."""

    id: str = Field(alias="_id", description="uptime:<role>:<exchange>, and the detail where there is one besides")
    kind: Literal["uptime"]
    role: str
    exchange: str | None = Field(default=None, description="None: of an older version")
    detail: str
    since: datetime
    outages: list[Outage] = Field(default_factory=list, description="the last 200")


class Deployment(Document):
    """A flow that is served on a schedule. `served_since` is None while nobody serves it."""

    id: str = Field(alias="_id", description="deployment:<environment>:<flow>/<name>")
    kind: Literal["deployment"]
    environment: str
    name: str = Field(description="<flow>/<name>")
    every_seconds: int = Field(ge=1)
    paused: bool = Field(description="by a person, on Prefect's page")
    served_since: datetime | None
    completed_at: datetime | None = Field(description="the end of the last run that succeeded")


Control = Annotated[
    ModeSwitch
    | Halt
    | Breaker
    | Trading
    | Goal
    | Allocation
    | Slippage
    | Stage
    | Installation
    | Lease
    | Cursor
    | Watch
    | Heartbeat
    | Uptime
    | Deployment,
    Field(discriminator="kind"),
]

CONTROL = Collection("control", Control, (IndexModel([("kind", ASCENDING)], name="kind"),))
