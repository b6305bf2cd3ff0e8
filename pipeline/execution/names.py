"""Client order ids: derived from what the order is for, so that the same decision always has the same order."""

import hashlib
from typing import Final

from schemas.orders import Leg

PREFIX: Final = "tm-"
_CODES: Final[dict[Leg, str]] = {
    "trial": "t", "entry": "e", "add": "a", "exit": "x", "stop": "s", "take_profit": "p", "flatten": "f",
}  # fmt: skip


def client_order_id(environment: str, signal: str, leg: Leg, number: int = 0) -> str:
    """At most 36 of the characters the exchange allows. A signal's own order has no number; the protective and closing
    orders that a position needs one after the other are numbered by the moment of their intent."""
    text = f"{environment}|{signal}|{leg}|{number}"
    return f"{PREFIX}{_CODES[leg]}-{hashlib.sha256(text.encode()).hexdigest()[:28]}"


def is_ours(client_id: str) -> bool:
    """Whether an order with that id was placed by an executor of ours."""
    return client_id.startswith(PREFIX)
