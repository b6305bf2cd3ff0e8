"""What the exchange tells about an account, as typed records: orders, trades, positions, balances, incomes.

Unknown fields are passed over and words are kept as text, so that a new status or type breaks nothing. Amounts are
`Decimal`, times milliseconds. It reads answers; it asks for none.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from pipeline.exchange.errors import BadAnswerError

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an answer; field names are the exchange's, in our spelling."""


class OrderReport(Record, frozen=True, kw_only=True):
    """An order. `avg_price` is known only from a query: answers to sending do not have it."""

    order_id: int
    client_order_id: str
    symbol: str
    status: str
    side: str
    type: str
    position_side: str = "BOTH"
    price: Decimal = Decimal(0)
    orig_qty: Decimal = Decimal(0)
    executed_qty: Decimal = Decimal(0)
    avg_price: Decimal | None = None
    reduce_only: bool = False
    close_position: bool = False
    update_time: int = 0


class AlgoReport(Record, frozen=True, kw_only=True):
    """A conditional order. `actual_order_id` names the order it became once triggered."""

    algo_id: int
    client_algo_id: str
    symbol: str
    side: str
    order_type: str
    algo_status: str
    position_side: str = "BOTH"
    trigger_price: Decimal | None = None
    quantity: Decimal | None = None
    close_position: bool = False
    reduce_only: bool = False
    actual_order_id: str = ""
    update_time: int = 0


class TradeReport(Record, frozen=True, kw_only=True):
    """A fill of ours."""

    id: int
    order_id: int
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    realized_pnl: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    commission_asset: str = ""
    time: int
    position_side: str = "BOTH"


class PositionReport(Record, frozen=True, kw_only=True):
    """A position, or a symbol with nothing but open orders. The amount is signed."""

    symbol: str
    position_side: str = "BOTH"
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    un_realized_profit: Decimal
    liquidation_price: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    leverage: int = 0
    margin_type: str = ""
    """Both are said only where the market has no call for them."""
    update_time: int = 0


class AccountPosition(Record, frozen=True, kw_only=True):
    """A position in the statement of an account: with its entry price, or worth `notional` by the mark price."""

    symbol: str
    position_side: str = "BOTH"
    position_amt: Decimal
    notional: Decimal = Decimal(0)
    entry_price: Decimal | None = None
    unrealized_profit: Decimal

    @property
    def entry(self) -> Decimal:
        """What it was entered at; of what is held."""
        if self.entry_price is not None:
            return self.entry_price
        return (self.notional - self.unrealized_profit) / self.position_amt


class AssetBalance(Record, frozen=True, kw_only=True):
    """A wallet of the account."""

    asset: str
    wallet_balance: Decimal


@dataclass(frozen=True, slots=True)
class Wallet:
    """What the account is worth in one of the assets that it is margined in."""

    asset: str
    balance: Decimal
    unrealized: Decimal
    equity: Decimal
    available: Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """What the account is worth: a wallet for each asset that something is margined in, and what else lies there."""

    wallets: tuple[Wallet, ...]
    others: tuple[AssetBalance, ...] = ()
    positions: tuple[AccountPosition, ...] = ()


class AccountReport(Record, frozen=True, kw_only=True):
    """What an account is worth that counts in one asset."""

    total_wallet_balance: Decimal
    total_unrealized_profit: Decimal
    total_margin_balance: Decimal
    available_balance: Decimal
    assets: tuple[AssetBalance, ...] = ()
    positions: tuple[AccountPosition, ...] = ()

    def in_asset(self, asset: str) -> Account:
        """The account, of which that is the asset."""
        totals = self.total_wallet_balance, self.total_unrealized_profit, self.total_margin_balance
        others = tuple(one for one in self.assets if one.asset != asset and one.wallet_balance)
        return Account((Wallet(asset, *totals, self.available_balance),), others, self.positions)


class CoinBalance(Record, frozen=True, kw_only=True):
    """What an account is worth in a coin."""

    asset: str
    wallet_balance: Decimal
    unrealized_profit: Decimal
    margin_balance: Decimal
    available_balance: Decimal


class CoinsReport(Record, frozen=True, kw_only=True):
    """What an account is worth that has no sum of its coins."""

    assets: tuple[CoinBalance, ...]
    positions: tuple[AccountPosition, ...] = ()

    def coin_by_coin(self) -> Account:
        """The account, a wallet for each coin."""
        wallets = (
            Wallet(one.asset, one.wallet_balance, one.unrealized_profit, one.margin_balance, one.available_balance)
            for one in self.assets
        )
        return Account(tuple(wallets), (), self.positions)


class IncomeReport(Record, frozen=True, kw_only=True):
    """Money that came or went: REALIZED_PNL, COMMISSION, FUNDING_FEE, TRANSFER, ..."""

    income_type: str
    income: Decimal
    asset: str
    symbol: str = ""
    time: int
    tran_id: int = 0


class PriceReport(Record, frozen=True, kw_only=True):
    """The last price of a symbol. Not every market says when it was made."""

    symbol: str
    price: Decimal
    time: int | None = None


class FundingReport(Record, frozen=True, kw_only=True):
    """A settlement of funding. The mark price is not said of old ones."""

    symbol: str
    funding_time: int
    funding_rate: Decimal
    mark_price: str = ""


class SymbolConfig(Record, frozen=True, kw_only=True):
    """How a symbol is traded on this account."""

    symbol: str
    leverage: int
    margin_type: str


class BracketReport(Record, frozen=True, kw_only=True):
    """What a position worth up to its cap must keep: notional x ratio - cum. Where a coin is the margin the cap is
    called a quantity, and is one of coins: that is what such a position is worth."""

    initial_leverage: int
    notional_cap: Decimal | None = None
    qty_cap: Decimal | None = None
    maint_margin_ratio: Decimal
    cum: Decimal = Decimal(0)

    @property
    def cap(self) -> Decimal:
        """In the asset of the margin."""
        return self.notional_cap or self.qty_cap or Decimal(0)


class SymbolBrackets(Record, frozen=True, kw_only=True):
    """The brackets of a symbol."""

    symbol: str
    brackets: tuple[BracketReport, ...]


class Commission(Record, frozen=True, kw_only=True):
    """A part of what an order costs."""

    taker: Decimal = Decimal(0)


class CommissionRate(Record, frozen=True, kw_only=True):
    """What this account pays of the worth of an order: one rate, or the sum of several."""

    taker_commission_rate: Decimal | None = None
    standard_commission: Commission | None = None
    special_commission: Commission = Commission()
    tax_commission: Commission = Commission()

    @property
    def taker(self) -> Decimal:
        """Of one that is filled at once."""
        if self.taker_commission_rate is not None:
            return self.taker_commission_rate
        if self.standard_commission is None:
            raise BadAnswerError("what the account pays: the answer names no rate")
        return self.standard_commission.taker + self.special_commission.taker + self.tax_commission.taker


def read(payload: Any, kind: type[T], asked: str) -> T:
    """The answer as that record; an answer that is none is `BadAnswerError`, and nothing of it is used."""
    try:
        return msgspec.convert(payload, kind, strict=False)
    except (msgspec.ValidationError, ArithmeticError) as error:
        raise BadAnswerError(f"{asked}: the answer does not read as it should: {error}") from None
