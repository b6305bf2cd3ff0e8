"""What all positions of an account come to together, and what of each cap is used. As the executor stored it last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pipeline.app.opened import Opened
from pipeline.app.wiring import exchange_of
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange_names import decimals_of_asset
from pipeline.portfolio.alike import groups
from pipeline.portfolio.caps import Held, Use, uses
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.likeness import LikenessStore
from pipeline.store.symbols import SymbolStore

__all__ = ["Portfolio", "Use", "portfolios"]


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Of one asset that the account is counted in."""

    asset: str
    equity: Decimal
    at: datetime
    uses: Sequence[Use]

    def refuses(self, use: Use) -> str | None:
        """What that cap would let nobody open now, in words; None: it is not set."""
        return use.refuses(lambda amount: f"{amount:,.{decimals_of_asset(self.asset)}f} {self.asset}")

    @property
    def over(self) -> list[str]:
        """Of each cap of which more is used than there is: how it comes back, in a sentence."""
        return [
            f"{one.cap.called}: {one.now:.2f} % of the equity, and {one.most} is the most. Nothing more of it is "
            "opened, and nothing is closed for it: stops, exits and signals the other way make it less, or you do, "
            "with `tidemark close SYMBOL`"
            for one in self.uses
            if one.is_over
        ]


def portfolios(tm: Opened) -> list[Portfolio]:
    """In each asset that the account is counted in."""
    held = _held(tm)
    measured = {symbol: one.correlations for symbol, one in LikenessStore(tm.db, tm.environment).load().items()}
    alike = groups(measured, tm.settings.portfolio.alike)
    newest = [found for store in AccountStore(tm.db, tm.environment).each() if (found := store.latest()) is not None]
    return [
        Portfolio(
            one.asset, one.equity, one.at, uses(tm.settings.portfolio, one.equity, held.get(one.asset, ()), alike)
        )
        for one in newest
    ]


def _held(tm: Opened) -> dict[str, list[Held]]:
    """By the asset that they are margined in."""
    product, symbols = exchange_of(tm.settings).product, SymbolStore(tm.db)
    found: dict[str, list[Held]] = {}
    for position in PositionStore(tm.db, tm.environment).list():
        known = symbols.get(tm.environment, position.symbol) if position.quantity else None
        if known is None:
            continue
        one = Instrument.of(product, known)
        held = Held.of(
            one,
            position.quantity,
            position.mark_price or position.entry_price,
            position.leverage or 1,
            position.stop_price if position.ours else None,
            leaves=position.closing is not None,
        )
        found.setdefault(one.margin_asset, []).append(held)
    return found
