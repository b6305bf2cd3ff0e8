"""Everything that a run depends on: the same in, the same out, to the last digit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from pipeline.exchange.products.instrument import Instrument
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
    shares: Mapping[str, Decimal] | None = None
    """How much of the equity each strategy goes by, in percent; None: each by all of it."""
    changes: Sequence[Change] = ()
    """Of what `symbols` say, in order of time."""
    endings: Mapping[str, int] = field(default_factory=dict)
    """When trading of a symbol ended for good, at a full minute: its last minute is the one before, and what is held of
    it is settled by the exchange at the last price. Coins stay."""

    @property
    def asset(self) -> str:
        """What its account is counted in: all of its symbols are margined in that."""
        return self.product.margin or self.symbols[0].margin_asset

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Its symbols, as their market counts them."""
        return {one.symbol: Instrument.of(self.product, one) for one in self.symbols}

    @property
    def sizes(self) -> dict[str, float]:
        """Of contracts that are worth so many dollars in a coin, how many; 0 where one is worth its price."""
        in_coins = self.product.arithmetic.counts == "contracts"
        return {one.symbol: float(one.contract_size or Decimal(1)) if in_coins else 0.0 for one in self.symbols}

    def rules_at(self, name: str, moment: int) -> Symbol:
        """A symbol under the rules of that moment."""
        (found,) = (one for one in self.symbols if one.symbol == name)
        return next((at.symbol for at in reversed(self.changes) if at.symbol.symbol == name and at.at <= moment), found)
