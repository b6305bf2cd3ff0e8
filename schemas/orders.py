"""The executor's journal: an order is written before it is sent, and every later state is appended, never replaced."""

from datetime import datetime
from typing import Literal

from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from schemas.base import Collection, Document, Money

Leg = Literal["trial", "entry", "add", "exit", "stop", "take_profit", "flatten"]
OrderType = Literal["MARKET", "LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
PositionSide = Literal["BOTH", "LONG", "SHORT"]
State = Literal[
    "intended",  # journaled; nothing has left this machine
    "sent",  # handed to the network; no answer yet
    "unknown",  # the answer was lost: resolved by query, fills and position, never by sending again
    "accepted",
    "partially_filled",
    "filled",
    "cancelled",
    "expired",
    "rejected",
    "abandoned",  # proven never to have reached the exchange and no longer wanted, or not known there any more
]

UNSETTLED: tuple[State, ...] = ("intended", "sent", "unknown", "accepted", "partially_filled")
"""States that still need watching."""
SETTLED: tuple[State, ...] = ("filled", "cancelled", "expired", "rejected", "abandoned")
"""The others: final, unless the exchange proves us wrong."""


class Transition(Document):
    """One step of an order's life, and how it was learnt."""

    state: State
    at: datetime
    by: Literal["executor", "answer", "stream", "query", "fills", "position", "reconcile", "command"]
    detail: str | None = None


class Plan(Document):
    """What an order's fill means for the position: written with the intent, so that a restart knows it too."""

    strategy: str
    price: Money = Field(description="the signal's")
    atr: Money
    unit_quantity: Money
    stop_price: Money
    take_profit_price: Money | None = None
    fresh_until: datetime
    cancel_at: datetime | None = Field(
        default=None, description="of a limit order: what is not filled then is cancelled"
    )


class Order(Document):
    """One order. Its id is the client order id, derived from signal and leg: the same decision has the same order."""

    id: str = Field(alias="_id")
    environment: str
    symbol: str
    signal: str | None = Field(description="id in `signals`; None for what no signal asked for")
    interval: str | None = Field(
        default=None, description="of its signal; None: of no signal, or from before it was kept"
    )
    strategy: str | None = Field(
        default=None,
        description="whose it is; None: of the position as a whole, or the plan's, or from before it was kept",
    )
    turns: bool = Field(default=False, description="of a close: its signal opens the other way then, if it may")
    leg: Leg
    side: Literal["BUY", "SELL"]
    position_side: PositionSide = "BOTH"
    type: OrderType
    algo: bool = Field(default=False, description="lives among the exchange's algo orders")
    quantity: Money | None = Field(description="None: closes whatever the position is")
    price: Money | None = Field(default=None, description="of a limit order")
    trigger_price: Money | None = None
    reduce_only: bool = False
    close_position: bool = False
    plan: Plan | None = Field(default=None, description="of an order that enters a position")
    fence: int = Field(description="the lease under which it was intended: an older one can no longer send")

    state: State
    history: list[Transition]
    exchange_id: int | None = None
    attempts: int = Field(default=0, ge=0)
    filled: Money
    average_price: Money | None = None
    fee: Money | None = None
    kept: Money | None = Field(default=None, description="what the exchange kept, as its fee, of the coins bought")
    realized: Money | None = None
    slippage_pct: float | None = Field(default=None, description="fill against the signal's price, positive is worse")
    error_code: int | None = None
    seen_at: datetime | None = Field(default=None, description="when the exchange last said something about it")
    created_at: datetime
    updated_at: datetime

    @property
    def filled_at(self) -> datetime | None:
        """When it was first known to be filled, if only a part of it."""
        return next((one.at for one in self.history if one.state in {"partially_filled", "filled"}), None)


ORDERS = Collection(
    "orders",
    Order,
    (
        IndexModel(
            [("environment", ASCENDING), ("symbol", ASCENDING), ("created_at", DESCENDING)], name="symbol_created"
        ),
        IndexModel([("environment", ASCENDING), ("state", ASCENDING), ("updated_at", ASCENDING)], name="state"),
        IndexModel([("signal", ASCENDING)], name="signal"),
        IndexModel([("exchange_id", ASCENDING)], name="exchange_id", sparse=True),
    ),
)
