"""Searches over parameters, and each of their trials: what was tried, and what came of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from schemas.base import Collection, Document, Money, Shallow
from schemas.runs import RunSeries


class Sealed(Document):
    """The last stretch, which no trial saw, and what it said when it was opened: once, for one trial."""

    start: datetime
    end: datetime
    opened_at: datetime | None = None
    trial: str | None = None
    figures: dict[str, Any] | None = None


class Search(Document):
    """What was searched, over what, and by which code and candles."""

    id: str = Field(alias="_id")
    environment: str
    at: datetime
    strategy: str
    fixed: dict[str, Any] = Field(description="parameters that are the same in all trials")
    space: dict[str, list[Any]] = Field(description="what was searched, with its values")
    symbols: list[str]
    intervals: list[str]
    start: datetime
    end: datetime = Field(description="of what trials saw")
    equity: Money
    trials: int = Field(description="so many were asked for")
    sampler: str
    seed: int
    objectives: list[str]
    folds: int
    anchored: bool
    prune: bool
    through_holes: bool = Field(default=False, description="also where minutes are not stored")
    sealed: Sealed | None
    code: str = Field(description="a hash of the strategy, the settings, and the engines' own code")
    candles: list[RunSeries]
    notes: list[str]
    ended_at: datetime | None = None
    result: dict[str, Any] | None = None


class Trial(Document):
    """One set of parameters. What it was told and found never changes: it is written once."""

    id: str = Field(alias="_id", description="<search>:<number>")
    search: str
    environment: str
    number: int
    state: Literal["done", "failed", "pruned"]
    parameters: dict[str, Any]
    reason: str | None = Field(description="why there are no figures")
    early: list[float] | None = Field(description="its objectives on the first training stretch, more is better")
    figures: dict[str, Any]
    folds: Annotated[list[dict[str, Any]], Shallow()] = Field(
        description="for each fold its figures where it was to be chosen (train), and behind that (test)"
    )
    equity: list[float] = Field(description="at the start, each midnight (UTC) and the end")
    hash: str = Field(description="of figures and equity")


SEARCHES = Collection("searches", Search, (IndexModel([("environment", ASCENDING), ("at", DESCENDING)], name="at"),))
TRIALS = Collection("trials", Trial, (IndexModel([("search", ASCENDING), ("number", ASCENDING)], name="search"),))
