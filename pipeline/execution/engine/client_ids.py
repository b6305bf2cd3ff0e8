"""Client order ids: derived from what the order is for, so that the same decision always has the same order; and told
from the id, whose an order is.

Several installations may trade on one account. An id names the one that placed the order, and every other leaves it
alone.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final

from schemas.orders import Leg

NAME_LENGTH: Final = 6
NAME_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
NOBODY: Final = "nobody"
"""Signs what is sent while the database cannot say who we are."""
UNNAMED: Final = "unnamed"
"""Signed everything before installations had names."""
_CODES: Final[dict[Leg, str]] = {
    "trial": "t", "entry": "e", "add": "a", "exit": "x", "stop": "s", "take_profit": "p", "flatten": "f",
}  # fmt: skip
_LEGS: Final = {code: leg for leg, code in _CODES.items()}
_DIGEST: Final = 24
_ID: Final = re.compile(rf"tm-(?:([a-z0-9]{{{NAME_LENGTH}}})-)?([{''.join(_LEGS)}])-(.+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are at an exchange, and whose orders are ours as well: `taken_over`. `copied`: our journal began as a copy
    of another installation's, so what it has from before is not ours."""

    environment: str
    name: str
    taken_over: frozenset[str] = frozenset()
    copied: bool = False

    def order_id(self, signal: str, leg: Leg, number: int = 0) -> str:
        """36 of the characters that the exchange allows. A signal's own order has no number; the protective and closing
        orders that a position needs one after the other are numbered by the moment of their intent."""
        return f"tm-{self.name}-{_CODES[leg]}-{_digest(self.environment, signal, leg, number)}"

    def order_ids(self, signal: str, leg: Leg) -> list[str]:
        """What a signal's own order is called if we placed it, or one that we have taken over."""
        return [replace(self, name=one).order_id(signal, leg) for one in (self.name, *sorted(self.taken_over))]

    def is_of(self, client_id: str, signal: str, leg: Leg) -> bool:
        """Whether that is a signal's own order, whoever placed it."""
        found = _ID.fullmatch(client_id)
        return found is not None and found[3][:_DIGEST] == _digest(self.environment, signal, leg, 0)

    def owns(self, client_id: str) -> bool:
        """Whether an order of that id, at the exchange, is ours."""
        return installation_of(client_id) in {self.name, *self.taken_over}

    def other(self, client_id: str) -> str | None:
        """The installation that it belongs to, if that is not ours."""
        return None if self.owns(client_id) else installation_of(client_id)

    def placed(self, client_id: str) -> bool:
        """Whether an order of that id, at the exchange or long gone from there, was ours."""
        return (name := installation_of(client_id)) is not None and self.keeps(name)

    def keeps(self, installation: str | None) -> bool:
        """Whether what our journal has of that installation is ours."""
        return installation in {self.name, *self.taken_over} or (installation in {None, UNNAMED} and not self.copied)


def installation_of(client_id: str) -> str | None:
    """The installation that placed an order of that id; None for another program."""
    found = _ID.fullmatch(client_id)
    return found and (found[1] or UNNAMED)


def beside(stop_id: str) -> str:
    """The id of the take-profit that is placed together with that stop."""
    return stop_id.replace("-s-", "-p-", 1)


def stop_beside(target_id: str) -> str:
    """The id of the stop that was placed together with that take-profit."""
    return target_id.replace("-p-", "-s-", 1)


def leg_of(client_id: str) -> Leg | None:
    """What an order of a Tidemark is for."""
    found = _ID.fullmatch(client_id)
    return found and _LEGS[found[2]]


def _digest(environment: str, signal: str, leg: Leg, number: int) -> str:
    return hashlib.sha256(f"{environment}|{signal}|{leg}|{number}".encode()).hexdigest()[:_DIGEST]
