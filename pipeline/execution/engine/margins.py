"""How the symbols are margined at the exchange, with which leverage and isolated or crossed: set before anything is
opened, and a signal waits while it is on its way.

It is never changed under a position, whose ever it is, or under an order; nor before the first comparison has told
what is held.
"""

from pipeline.execution.engine.effects import SetMargin
from pipeline.execution.engine.events import MarginNotSet, MarginSet
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.state import Margin, Policy
from pipeline.timeline import SECOND

_AGAIN_AFTER = 5 * SECOND
_AGAIN_AFTER_REFUSAL = 60 * SECOND


class Margins:
    """Compares what is set with what is wanted, and asks for the difference."""

    def __init__(self, memory: Memory, policy: Policy) -> None:
        self._memory = memory
        self._policy = policy

    def keep(self, symbol: str, now: int) -> None:
        """Ask for what is wanted, unless that was done just now."""
        market = self._memory.market(symbol)
        pause = _AGAIN_AFTER_REFUSAL if market.margin_refused else _AGAIN_AFTER
        if self._differs(symbol) and self._memory.may(symbol, "margin", now, pause):
            self._memory.emit(SetMargin(symbol, self._wanted(symbol)))

    def keep_all(self, now: int) -> None:
        """The same for every symbol that is known."""
        for symbol in list(self._memory.markets):
            self.keep(symbol, now)

    def awaited(self, symbol: str) -> bool:
        """Whether it will soon be what it should be: nothing is opened before, and no signal is refused for it."""
        return self._memory.market(symbol).margin_refused is None and self._differs(symbol)

    def seen(self, symbol: str, margin: Margin | None, asof: int) -> None:
        """What the exchange had set at that time. A question asked before it was changed tells nothing new."""
        market = self._memory.market(symbol)
        if asof >= market.margin_at:
            market.margin = margin

    def answered(self, answer: MarginSet | MarginNotSet, now: int) -> None:
        """How the exchange answered."""
        market = self._memory.market(answer.symbol)
        match answer:
            case MarginSet(_, margin, asof):
                market.margin, market.margin_at, market.margin_refused = margin, asof, None
            case MarginNotSet(symbol, margin, reason, refused):
                self._memory.warn("the margin is not set", f"{symbol}, {margin}: {reason}")
                market.margin_refused = reason if refused else None
                self._memory.hold(symbol, "margin", now + (_AGAIN_AFTER_REFUSAL if refused else _AGAIN_AFTER))

    def _wanted(self, symbol: str) -> Margin:
        settings = self._policy.risk
        return Margin(self._memory.market(symbol).trading.leverage or settings.leverage, settings.margin_type)

    def _differs(self, symbol: str) -> bool:
        market = self._memory.market(symbol)
        known = self._memory.compared and market.filters is not None
        traded = market.trading.traded(production=self._policy.production)
        if self._memory.mode == "signal-only" or self._policy.owned or not traded or not known:
            return False
        if market.margin == self._wanted(symbol):
            return False
        return not self._memory.position(symbol).exposed and not self._memory.unsettled(symbol)
