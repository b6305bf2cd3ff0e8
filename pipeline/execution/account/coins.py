"""What an account of coins is worth: in each asset that coins are paid with, what lies there of it, and what is ours of
the coins bought with it. Other coins of the account count for nothing: they are not traded with. Pure.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.exchange.coin_trading import Balance
from pipeline.exchange.reports import Account, AccountPosition, PositionReport, Wallet

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Held:
    """Coins of ours: what was paid for one on average, and what one is worth now."""

    symbol: str
    base: str
    quote: str
    quantity: Decimal
    entry: Decimal
    mark: Decimal

    @property
    def gain(self) -> Decimal:
        """What they would bring above what was paid."""
        return self.quantity * (self.mark - self.entry)

    def report(self) -> PositionReport:
        """As a market of positions would report them."""
        return PositionReport(
            symbol=self.symbol,
            position_amt=self.quantity,
            entry_price=self.entry,
            mark_price=self.mark,
            un_realized_profit=self.gain,
            notional=self.quantity * self.mark,
        )


def account_of(balances: Mapping[str, Balance], held: Collection[Held], quotes: Iterable[str]) -> Account:
    """The account, a wallet for each of these assets and for what else ours was paid with. Of a wallet what is held is
    a part, by what was paid for it; coins of ours are nothing to pay others with."""
    assets = dict.fromkeys([*quotes, *(one.quote for one in held)])
    return Account(
        tuple(_wallet(asset, balances.get(asset), held) for asset in assets),
        (),
        tuple(
            AccountPosition(
                symbol=one.symbol,
                position_amt=one.quantity,
                notional=one.quantity * one.mark,
                entry_price=one.entry,
                unrealized_profit=one.gain,
            )
            for one in held
        ),
    )


def _wallet(asset: str, balance: Balance | None, held: Collection[Held]) -> Wallet:
    free, locked = (balance.free, balance.locked) if balance else (ZERO, ZERO)
    ours = sum((one.quantity for one in held if one.base == asset), ZERO)
    there = max(ZERO, free + locked - ours)
    bought = [one for one in held if one.quote == asset]
    wallet = there + sum((one.quantity * one.entry for one in bought), ZERO)
    gain = sum((one.gain for one in bought), ZERO)
    return Wallet(asset, wallet, gain, wallet + gain, min(free, there))
