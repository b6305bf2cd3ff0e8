"""Every way a call to the exchange can end badly. The class says who acts and how; the message says what happened.

No message ever holds a query string, a key or a signature.
"""

from collections.abc import Mapping

from pipeline.errors import AttentionError, TidemarkError
from pipeline.timeline import iso


class ExchangeError(TidemarkError):
    """The root of this tree. `status`, `code` and `headers` (names in lower case) are the exchange's own, where it gave
    any; `data`: what else it said, of a request that was carried out by half."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers: Mapping[str, str] = headers or {}
        self.data: object = None


class RefusedError(ExchangeError):
    """The exchange understood the request and said no. It was not carried out. The caller reads `code`; sending the
    same again changes nothing."""


class UnknownOutcomeError(ExchangeError):
    """The request may or may not have been carried out: a timeout, a broken connection, "execution status unknown".
    A read is simply read again. Anything that changes the account is resolved by query first, never resent blind."""


class NotDoneError(ExchangeError):
    """Surely not carried out: overload, maintenance, or the request never left this machine. Send it again after the
    back-off."""


class UnreachableError(NotDoneError):
    """No connection could be made, so nothing was sent. Retried; if it stays, check the network, the URL, the proxy."""


class RateLimitedError(NotDoneError):
    """429 or -1003: this address asked for too much. Everything to this exchange waits until `until`, then goes on."""

    def __init__(
        self,
        message: str,
        until: int,
        *,
        status: int | None = None,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, headers=headers)
        self.until = until


class BannedError(ExchangeError, AttentionError):
    """418: this address is shut out until `until`. Everything stops; going on makes the ban longer. A person should
    look for whoever else uses this address."""

    def __init__(
        self,
        message: str,
        until: int,
        *,
        status: int | None = None,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, headers=headers)
        self.until = until


class ClockSkewError(NotDoneError):
    """The exchange refused our timestamp. The client measures the clock again and signs anew; if it stays, mend the
    machine's clock."""


class KeyProblemError(ExchangeError, AttentionError):
    """The API key, its permissions, its IP list or the signature is wrong. Trading halts; a person mends the key."""


class BlockedError(ExchangeError, AttentionError):
    """The exchange's firewall (403) or a rule of its region (451) shuts this address out. A person acts."""


class BadAnswerError(ExchangeError):
    """The answer cannot be what it claims: cut off, not JSON, too large, a row that makes no sense. Nothing of it is
    used. A read is tried again; if it stays, the series is reported as failed."""


class CircuitOpenError(NotDoneError):
    """Too many calls in a row failed, so none is sent until `until`. Bulk work waits; what opens a position is held
    back; what protects or closes one is sent."""

    def __init__(self, message: str, until: int) -> None:
        super().__init__(message)
        self.until = until


class StoppedError(ExchangeError):
    """We were told to stop while waiting. Nothing was sent; nobody needs to act."""


def until_text(until: int) -> str:
    """When it may go on, as people read it."""
    return f"until {iso(until)}"
