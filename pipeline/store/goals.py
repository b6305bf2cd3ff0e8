"""The targets of the operations page: the one place that holds them. Pure; what is measured against them is in
`targets`."""

from dataclasses import dataclass, replace
from typing import Final, Literal

Sign = Literal["<", "<=", ">", "="]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is measured, in which unit, and what it should be."""

    key: str
    name: str
    sign: Sign
    limit: float
    unit: str

    @property
    def text(self) -> str:
        """As the operations page has it: `< 200 ms`, `100 %`."""
        sign = "" if self.sign == "=" else f"{self.sign} "
        return f"{sign}{self.limit:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Target:
    """A goal, and how it is (None: nothing was measured yet)."""

    goal: Goal
    measured: float | None

    @property
    def met(self) -> bool | None:
        """None as long as there is nothing to judge."""
        if self.measured is None:
            return None
        match self.goal.sign:
            case "<":
                return self.measured < self.goal.limit
            case "<=":
                return self.measured <= self.goal.limit
            case ">":
                return self.measured > self.goal.limit
            case "=":
                return self.measured == self.goal.limit


GOALS: Final = (
    Goal("api_mean", "latency of the exchange's API, mean", "<", 200, "ms"),
    Goal("api_latency", "latency of the exchange's API, p99", "<", 200, "ms"),
    Goal("uptime", "uptime of ingester and executor", ">", 99.9, "%"),
    Goal("stream_uptime", "stream uptime", ">", 99.9, "%"),
    Goal("order_success", "orders that succeed", ">", 99.5, "%"),
    Goal("decision", "from signal to the exchange's word, p99", "<", 500, "ms"),
    Goal("slippage", "slippage, mean", "<", 0.1, "%"),
    Goal("naked", "positions without a stop", "=", 0, "s"),
    Goal("state", "comparisons that found both equal", "=", 100, "%"),
    Goal("mismatches", "orders set right by reconciling", "=", 0, ""),
    Goal("stored_within", "a frame stored within, p99", "<", 500, "ms"),
    Goal("missing", "candles missing", "=", 0, ""),
    Goal("weight", "request weight used, fullest minute", "<=", 80, "%"),
    Goal("backup", "age of the last backup", "<", 24, "h"),
)


def goals(weight_percent: float) -> tuple[Goal, ...]:
    """All of them; how much of the request weight may be used up differs by environment."""
    return tuple(replace(one, limit=weight_percent) if one.key == "weight" else one for one in GOALS)
