"""What the exchange says, in the executor's words. Pure: reports and stream events in, records out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.exchange.products.product import Product
from pipeline.exchange.reports import (
    Account,
    AccountPosition,
    AlgoReport,
    BracketReport,
    OrderReport,
    PositionReport,
    SymbolConfig,
    TradeReport,
)
from pipeline.exchange.user_events import AccountUpdate, AlgoUpdate, OrderUpdate
from pipeline.execution.engine.events import AccountChanged
from pipeline.execution.engine.order_life import state_of
from pipeline.execution.engine.state import (
    ZERO,
    AccountView,
    Bracket,
    Holding,
    Margin,
    OrderSide,
    OrderTold,
    PositionTold,
    TradeTold,
)
from schemas.symbols import Symbol

EARNED: Final = frozenset({"ORDER", "FUNDING_FEE", "INSURANCE_CLEAR", "ADJUSTMENT"})
"""Why a wallet changes by trading. Any other word is taken for money that was paid in or out: the books know better
within a minute, and until then nothing stops for a withdrawal."""


@dataclass(frozen=True, slots=True)
class Market:
    """The market that speaks, and what it has listed, by symbol."""

    product: Product
    listed: dict[str, Instrument] = field(default_factory=dict)

    def list(self, symbols: Iterable[Symbol]) -> None:
        """What the exchange lists now."""
        self.listed.update((one.symbol, Instrument.of(self.product, one)) for one in symbols)

    def asset_of(self, symbol: str) -> str | None:
        """What a position in the symbol is margined in; None: it was never listed."""
        listed = self.listed.get(symbol)
        return self.product.margin or (None if listed is None else listed.margin_asset)

    def holding(self, symbol: str, amount: Decimal, entry: Decimal, unrealized: Decimal, at: int) -> Holding:
        """What is held of a symbol, at the mark price by which it would bring so much."""
        size = self.listed[symbol].size if symbol in self.listed else ONE
        if not amount:
            return Holding(symbol, amount, entry, entry, at, size)
        arithmetic = self.product.arithmetic
        mark = arithmetic.price_at(arithmetic.value(entry, size) + unrealized / amount, size)
        return Holding(symbol, amount, entry, mark, at, size)


def order_told(report: OrderReport) -> OrderTold:
    """An order as an answer, a query or a list has it."""
    return OrderTold(
        id=report.client_order_id,
        symbol=report.symbol,
        side=_side(report.side),
        state=state_of(report.status),
        filled=report.executed_qty,
        at=report.update_time,
        exchange_id=report.order_id,
        average_price=report.avg_price or None,
        quantity=report.orig_qty or None,
        price=report.price or None,
        close_position=report.close_position,
    )


def algo_told(report: AlgoReport) -> OrderTold:
    """A conditional order as an answer, a query or a list has it. What became of one that has fired, its order says."""
    never_placed = report.algo_status == "FINISHED" and not report.actual_order_id
    return OrderTold(
        id=report.client_algo_id,
        symbol=report.symbol,
        side=_side(report.side),
        state="expired" if never_placed else state_of(report.algo_status),
        filled=ZERO,
        at=report.update_time,
        algo=True,
        exchange_id=report.algo_id,
        quantity=report.quantity or None,
        trigger_price=report.trigger_price,
        close_position=report.close_position,
    )


def order_streamed(update: OrderUpdate) -> OrderTold:
    """An order as the stream has it. Its fee and profit are of the last fill alone, so they are not taken from here."""
    return OrderTold(
        id=update.client_id,
        symbol=update.symbol,
        side=_side(update.side),
        state=state_of(update.status),
        filled=update.filled,
        at=update.time,
        exchange_id=update.order_id,
        average_price=update.average_price or None,
        quantity=update.quantity or None,
        price=update.price or None,
    )


def algo_streamed(update: AlgoUpdate) -> OrderTold:
    """A conditional order as the stream has it."""
    return OrderTold(
        id=update.client_id,
        symbol=update.symbol,
        side=_side(update.side),
        state=state_of(update.status),
        filled=update.filled,
        at=update.time,
        algo=True,
        exchange_id=update.algo_id,
        average_price=update.average_price or None,
        quantity=update.quantity or None,
        trigger_price=update.trigger_price,
        close_position=update.close_position,
    )


def positions_streamed(update: AccountUpdate) -> tuple[PositionTold, ...]:
    """The positions that changed, of one-way mode: those of hedge mode are nothing we can act on."""
    return tuple(
        PositionTold(one.symbol, one.amount, one.entry_price) for one in update.positions if one.position_side == "BOTH"
    )


def positions_told(reports: Iterable[PositionReport]) -> tuple[PositionTold, ...]:
    """The positions that hold something, of one-way mode."""
    return tuple(
        PositionTold(one.symbol, one.position_amt, one.entry_price, one.update_time)
        for one in reports
        if one.position_amt and one.position_side == "BOTH"
    )


def trade_told(report: TradeReport, fee: Decimal | None) -> TradeTold:
    """A fill, and what it cost in the account's asset."""
    return TradeTold(
        exchange_id=report.order_id,
        side=_side(report.side),
        quantity=report.qty,
        price=report.price,
        fee=fee,
        realized=report.realized_pnl,
        at=report.time,
    )


def account_views(
    account: Account, at: int, day_starts: Mapping[str, Decimal], earned: Mapping[str, Decimal], market: Market
) -> tuple[AccountView, ...]:
    """What the account is worth in each asset, and what it holds: of one statement."""
    held = [one for one in account.positions if one.position_amt]
    return tuple(
        AccountView(
            asset=wallet.asset,
            equity=wallet.equity,
            available=wallet.available,
            at=at,
            day_start=day_starts.get(wallet.asset),
            wallet=wallet.balance,
            holdings=tuple(_holding(one, at, market) for one in held if market.asset_of(one.symbol) == wallet.asset),
            earned=earned,
        )
        for wallet in account.wallets
    )


def account_changes(update: AccountUpdate, market: Market) -> list[AccountChanged]:
    """What the stream says of the account, asset by asset: of those that something is margined in."""
    wallets = {one.asset: one.wallet for one in update.balances}
    assets = [one.margin_asset or market.asset_of(one.symbol) for one in update.positions]
    own = market.product.margin
    told = (own,) if own is not None else dict.fromkeys((*wallets, *assets))
    return [
        AccountChanged(
            asset,
            wallets.get(asset),
            tuple(
                market.holding(one.symbol, one.amount, one.entry_price, one.unrealized, update.time)
                for one, its in zip(update.positions, assets, strict=True)
                if own is not None or its == asset
            ),
            update.time,
            earned=update.reason in EARNED,
        )
        for asset in told
        if asset is not None
    ]


def margin(config: SymbolConfig) -> Margin:
    """How a symbol is margined."""
    return Margin(config.leverage, "isolated" if config.margin_type == "ISOLATED" else "crossed")


def brackets(reports: Iterable[BracketReport]) -> tuple[Bracket, ...]:
    """How much margin a position must keep."""
    return tuple(Bracket(one.cap, one.maint_margin_ratio, one.cum, one.initial_leverage) for one in reports)


def _holding(report: AccountPosition, at: int, market: Market) -> Holding:
    return market.holding(report.symbol, report.position_amt, report.entry, report.unrealized_profit, at)


def _side(word: str) -> OrderSide:
    return "BUY" if word == "BUY" else "SELL"
