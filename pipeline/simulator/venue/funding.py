"""When funding is exchanged and at which rate. Pure: the same question has the same answer for ever."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from pipeline.simulator.types import QUARTER, Prices
from pipeline.timeline import HOUR

PERIOD: Final = 8 * HOUR

_INTEREST: Final = Decimal("0.0001")
_CLAMP: Final = Decimal("0.0005")
_RATE_GRID: Final = Decimal("0.00000001")


def funding_times(after: int, until: int) -> Iterator[int]:
    """The moments of funding with after < time <= until."""
    return iter(range((after // PERIOD + 1) * PERIOD, until + 1, PERIOD))


def next_funding(now: int) -> int:
    """The first moment of funding after now."""
    return (now // PERIOD + 1) * PERIOD


def funding_rate(market: Prices, symbol: str, time: int) -> Decimal:
    """The rate of that moment: the interest, plus the premium, clamped. Longs pay shorts where it is positive."""
    return (_INTEREST + min(_CLAMP, max(-_CLAMP, premium(market, symbol, time)))).quantize(_RATE_GRID)


def premium(market: Prices, symbol: str, time: int) -> Decimal:
    """The distance of the contract from its mark price, as a share of it."""
    mark = market.mark_price(symbol, time)
    return (market.price(symbol, time) * market.specs[symbol].tick - mark) / mark


class Fundings(Protocol):
    """When which contract is settled, and at which rate."""

    def times(self, after: int, until: int) -> Iterator[int]:
        """The moments with after < time <= until at which any is."""
        ...

    def of(self, symbol: str, time: int) -> tuple[Decimal, Decimal | None] | None:
        """The rate of a contract at that moment, and the price it is counted by (None: the mark price); None where it
        is not settled then."""
        ...


@dataclass(frozen=True, slots=True)
class EveryEightHours:
    """As long as nothing else is said of a contract."""

    market: Prices

    def times(self, after: int, until: int) -> Iterator[int]:
        """The moments with after < time <= until."""
        return funding_times(after, until)

    def of(self, symbol: str, time: int) -> tuple[Decimal, Decimal | None] | None:
        """Every contract is settled at each of them, but the dated ones."""
        return None if self.market.specs[symbol].kind == QUARTER else (funding_rate(self.market, symbol, time), None)
