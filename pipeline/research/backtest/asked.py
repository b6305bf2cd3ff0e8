"""Everything that a run depends on: the same in, the same out, to the last digit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.exchange.products.product import Product
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import Policy, SignalView, TradingView
from pipeline.research.backtest.assumptions import Assumptions
from pipeline.research.backtest.funding import Due
from pipeline.research.backtest.minutes import Minutes
from schemas.symbols import Symbol


class Change(NamedTuple):
    """A symbol whose rules are others from that full minute on."""

    at: int
    symbol: Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One account over one stretch of time. `signals` in any order; `minutes` of every symbol that they name."""

    policy: Policy
    assumptions: Assumptions
    product: Product
    identity: Identity
    symbols: Sequence[Symbol]
    minutes: Mapping[str, Minutes]
    trading: Mapping[str, TradingView]
    """Settings of single symbols."""
    funding: Mapping[str, Sequence[Due]]
    """When each symbol settles; one that is not named never does."""
    signals: Sequence[SignalView]
    start: int
    end: int
    marks: Mapping[str, Minutes] = field(default_factory=dict)
    """The same minutes by mark price, of symbols of which it is known: what looks at the margin goes by it."""
    changes: Sequence[Change] = ()
    """Of what `symbols` say, in order of time."""

    def rules_at(self, name: str, moment: int) -> Symbol:
        """A symbol under the rules of that moment."""
        (found,) = (one for one in self.symbols if one.symbol == name)
        return next((at.symbol for at in reversed(self.changes) if at.symbol.symbol == name and at.at <= moment), found)
