"""What an error means for something that was sent: refused, surely not done, or unknown. Pure; one function.

2xx with an order                                        known: no error, nothing to ask here
4xx with a code; key, signature, IP, firewall, ban       refused
overload, maintenance, -1001, -1008, rate limit          not done
clock, no connection                                     not done
timeout, reset, -1000, -1006, -1007, 408, other 5xx      unknown
an answer that cannot be read                            unknown
"""

from enum import Enum, auto

from pipeline.exchange.errors import (
    BannedError,
    BlockedError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RefusedError,
    StoppedError,
)


class Outcome(Enum):
    """What became of a request that changes the account."""

    REFUSED = auto()
    """Not carried out, and sending the same again changes nothing."""
    NOT_DONE = auto()
    """Surely not carried out; may be sent again after the back-off."""
    UNKNOWN = auto()
    """Perhaps carried out: to be resolved by query, never by sending again."""


def outcome_of(error: ExchangeError) -> Outcome:
    """The outcome of a request that ended with this error. What cannot be told for sure is unknown."""
    if isinstance(error, NotDoneError | StoppedError):
        return Outcome.NOT_DONE
    if isinstance(error, RefusedError | KeyProblemError | BannedError | BlockedError):
        return Outcome.REFUSED
    return Outcome.UNKNOWN
