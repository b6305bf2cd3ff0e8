"""The leverage at the exchange: set before anything is opened, and a signal waits while it is on its way.

It is never changed under a position, whose ever it is, or under an order; nor before the first comparison has told
what is held.
"""

from pipeline.execution.effects import SetLeverage
from pipeline.execution.events import LeverageNotSet, LeverageSet
from pipeline.execution.ledger import Ledger
from pipeline.execution.records import Policy
from pipeline.timeline import SECOND

_AGAIN_AFTER = 5 * SECOND
_AGAIN_AFTER_REFUSAL = 60 * SECOND


class Leverages:
    """Compares what is set with what is wanted, and asks for the difference."""

    def __init__(self, ledger: Ledger, policy: Policy) -> None:
        self._ledger = ledger
        self._policy = policy

    def keep(self, symbol: str, now: int) -> None:
        """Ask for what is wanted, unless that was done just now."""
        market = self._ledger.market(symbol)
        pause = _AGAIN_AFTER_REFUSAL if market.leverage_refused else _AGAIN_AFTER
        if self._differs(symbol) and self._ledger.may(symbol, "leverage", now, pause):
            self._ledger.emit(SetLeverage(symbol, self._wanted(symbol)))

    def keep_all(self, now: int) -> None:
        """The same for every symbol that is known."""
        for symbol in list(self._ledger.markets):
            self.keep(symbol, now)

    def awaited(self, symbol: str) -> bool:
        """Whether it will soon be what it should be: nothing is opened before, and no signal is refused for it."""
        return self._ledger.market(symbol).leverage_refused is None and self._differs(symbol)

    def seen(self, symbol: str, leverage: int | None, asof: int) -> None:
        """What the exchange had set at that time. A question asked before it was changed tells nothing new."""
        market = self._ledger.market(symbol)
        if asof >= market.leverage_at:
            market.leverage = leverage

    def answered(self, answer: LeverageSet | LeverageNotSet, now: int) -> None:
        """How the exchange answered."""
        market = self._ledger.market(answer.symbol)
        match answer:
            case LeverageSet(_, leverage, asof):
                market.leverage, market.leverage_at, market.leverage_refused = leverage, asof, None
            case LeverageNotSet(symbol, leverage, reason, refused):
                self._ledger.warn("the leverage is not set", f"{symbol}, {leverage}: {reason}")
                market.leverage_refused = reason if refused else None
                self._ledger.hold(symbol, "leverage", now + (_AGAIN_AFTER_REFUSAL if refused else _AGAIN_AFTER))

    def _wanted(self, symbol: str) -> int:
        return self._ledger.market(symbol).trading.leverage or self._policy.risk.leverage

    def _differs(self, symbol: str) -> bool:
        market = self._ledger.market(symbol)
        known = self._ledger.compared and market.filters is not None
        if self._ledger.mode == "signal-only" or not market.trading.enabled or not known:
            return False
        if market.leverage == self._wanted(symbol):
            return False
        return not self._ledger.position(symbol).exposed and not self._ledger.unsettled(symbol)
