"""What is asked about the symbols is asked until it is known."""

from contextlib import suppress
from decimal import Decimal

from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.events import FeeSeen
from pipeline.execution.gateway.reports_in import Market
from pipeline.execution.runtime.instruments import Instruments

FEE = Decimal("0.0004")


class Account:
    """Fails for the first symbol at first."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def taker_fee(self, symbol: str) -> Decimal:
        self.asked.append(symbol)
        if self.asked == ["AAA"]:
            raise ExchangeError("no answer")
        return FEE


class Prices:
    def follow(self, symbols) -> None:
        """Nothing to see here."""


def test_a_fee_that_could_not_be_asked_for_is_asked_for_again_after_the_others():
    account = Account()
    instruments = Instruments(account, None, Prices(), Market(UM))
    instruments.follow({"AAA", "BBB"})
    told = []
    for _ in range(4):
        with suppress(ExchangeError):
            told.append(instruments.a_fee())
    assert account.asked == ["AAA", "BBB", "AAA"]
    assert told == [FeeSeen("BBB", FEE), FeeSeen("AAA", FEE), None]
