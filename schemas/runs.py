"""Backtests that were run: what went in, by which code and candles, and what came out; their trades beside them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from schemas.base import Collection, Document, Money, Shallow


class RunInputs(Document):
    """As it was asked for; empty lists: those of the settings. Times are those that it came to."""

    strategies: list[str]
    symbols: list[str]
    intervals: list[str]
    parameters: dict[str, Any]
    start: datetime
    end: datetime
    equity: Money
    exact: bool
    through_holes: bool = False


class RunSeries(Document):
    """Candles that were read: from the first to the last opening time, and a hash of what they were."""

    exchange: str
    symbol: str
    interval: str
    first: datetime
    last: datetime
    changes: int = Field(description="of the series, when they were read; while it is the same, so are they")
    hash: str


class Reading(Document):
    """What came out under one assumption."""

    inside: str
    engine: str
    figures: dict[str, Any]
    hash: str = Field(description="of every trade and of the equity in every minute")


class Run(Document):
    """One backtest."""

    id: str = Field(alias="_id")
    environment: str
    at: datetime
    title: str
    inputs: RunInputs
    strategies: dict[str, str] = Field(description="a hash of the code and the parameters of each")
    settings: str = Field(description="a hash of risk, rules, settings of the symbols, and funding")
    code: str = Field(description="a hash of the engines' own code")
    candles: list[RunSeries]
    readings: list[Reading]
    assumptions: dict[str, str]
    notes: list[str]
    days: list[datetime] = Field(description="the start, each midnight (UTC), and the end")
    equity: list[float] = Field(description="then")
    kept: bool = Field(default=False, description="it is never forgotten")


class RunTrades(Document):
    """Trades of a run, a portion of them, in their order."""

    id: str = Field(alias="_id", description="<run>:<number of the portion>")
    run: str
    number: int
    trades: Annotated[list[dict[str, Any]], Shallow()]


RUNS = Collection("runs", Run, (IndexModel([("environment", ASCENDING), ("at", DESCENDING)], name="at"),))
RUN_TRADES = Collection("run_trades", RunTrades, (IndexModel([("run", ASCENDING), ("number", ASCENDING)], name="run"),))
