"""What an endpoint is: what it weighs, who may call it, and who answers. The tables of them are in `products`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from pipeline.simulator.wire.market_data import Answer
from pipeline.simulator.wire.security import Permission

Params = Mapping[str, str]
Weight = Callable[[Params], int]


class Guard(Enum):
    """What a caller must show."""

    NOTHING = auto()
    KEY = auto()
    SIGNATURE = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `answer` is None where the account answers."""

    weight: Weight
    guard: Guard = Guard.NOTHING
    permission: Permission = "read"
    orders: Weight | None = None
    answer: Answer | None = None
    refunds: bool = False
    """Whether a call that succeeds weighs nothing."""

    @property
    def executes(self) -> bool:
        """Whether a call may change something, so that its outcome can be unknown."""
        return self.permission == "trade"


def constant(weight: int) -> Weight:
    """The same for every call."""
    return lambda _: weight


def by_symbol(one: int, every: int) -> Weight:
    """Cheaper for one symbol than for all of them."""
    return lambda params: one if params.get("symbol") else every


def klines_weight(params: Params) -> int:
    """Candles weigh by `limit`."""
    return stairs(params.get("limit", "500"), ((99, 1), (499, 2), (1000, 5)), 10)


def depth_weight(params: Params) -> int:
    """A book weighs by `limit`."""
    return stairs(params.get("limit", "500"), ((50, 2), (100, 5), (500, 10)), 20)


def stairs(limit: str, steps: tuple[tuple[int, int], ...], above: int) -> int:
    """The weight of the first step that so many do not exceed."""
    asked = int(limit) if limit.isdecimal() else 0
    return next((weight for most, weight in steps if asked <= most), above)


def batch_size(params: Params) -> int:
    """How many orders a batch holds; a batch that cannot be read counts as one."""
    try:
        orders = json.loads(params.get("batchOrders", "[]"))
    except ValueError:
        return 1
    return len(orders) if isinstance(orders, list) and orders else 1


def public(weight: int | Weight, answer: Answer) -> Endpoint:
    """Of the market, for everyone."""
    return Endpoint(constant(weight) if isinstance(weight, int) else weight, answer=answer)


def keyed(weight: int, answer: Answer) -> Endpoint:
    """Of the market, for whoever shows a key."""
    return Endpoint(constant(weight), Guard.KEY, answer=answer)


def read(weight: int | Weight) -> Endpoint:
    """Of an account, changing nothing."""
    return Endpoint(constant(weight) if isinstance(weight, int) else weight, Guard.SIGNATURE)


def trade(weight: int, orders: Weight | None = None) -> Endpoint:
    """Of an account, changing something."""
    return Endpoint(constant(weight), Guard.SIGNATURE, "trade", orders)


def refunded(weight: int, orders: int = 0) -> Endpoint:
    """Of an account, changing something: what succeeds weighs nothing."""
    return Endpoint(constant(weight), Guard.SIGNATURE, "trade", constant(orders) if orders else None, refunds=True)


def listen_key(path: str) -> dict[tuple[str, str], Endpoint]:
    """The three calls of a listen key."""
    return {(method, path): Endpoint(ONE, Guard.KEY) for method in ("POST", "PUT", "DELETE")}


ONE = constant(1)
