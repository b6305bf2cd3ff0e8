"""Two questions, two functions: is it worth asking again, and how long to wait first. Neither sleeps."""

import random
from collections.abc import Iterator

from pipeline.exchange.answers import Call
from pipeline.exchange.errors import BadAnswerError, ExchangeError, NotDoneError, UnknownOutcomeError


def worth_retrying(error: ExchangeError, call: Call) -> bool:
    """Whether to send the same request again.

    - Surely not carried out (overload, no connection, rate limit, our clock): yes, whatever it was.
    - Unknown outcome, or an answer that cannot be used: only when the request reads. An order that may have been
      carried out would be doubled.
    - Anything else (refused, banned, blocked, a bad key, told to stop): no; the same question has the same answer.
    """
    if isinstance(error, NotDoneError):
        return True
    if isinstance(error, UnknownOutcomeError | BadAnswerError):
        return call.only_reads
    return False


def delays(random_: random.Random, first: float = 0.2, cap: float = 10.0) -> Iterator[float]:
    """How many seconds to wait before each retry, for ever: a random first delay, so that many clients that failed
    together do not return together, then twice as long each time, up to `cap`."""
    delay = random_.uniform(first / 2, first * 1.5)
    while True:
        yield min(delay, cap)
        delay *= 2
