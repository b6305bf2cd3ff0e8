"""What the exchange says, in the executor's words. Pure: reports and stream events in, records out."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from pipeline.exchange.reports import (
    AccountPosition,
    AccountReport,
    AlgoReport,
    BracketReport,
    OrderReport,
    PositionReport,
    SymbolConfig,
    TradeReport,
)
from pipeline.exchange.user_events import AccountUpdate, AlgoUpdate, OrderUpdate, PositionChange
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

EARNED: Final = frozenset({"ORDER", "FUNDING_FEE", "INSURANCE_CLEAR", "ADJUSTMENT"})
"""Why a wallet changes by trading. Any other word is taken for money that was paid in or out: the books know better
within a minute, and until then nothing stops for a withdrawal."""


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
        PositionTold(one.symbol, one.position_amt, one.entry_price)
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


def account_view(
    report: AccountReport, at: int, day_start: Decimal | None, earned: Mapping[str, Decimal]
) -> AccountView:
    """What the account is worth, and what it holds: of one statement."""
    return AccountView(
        equity=report.total_margin_balance,
        available=report.available_balance,
        at=at,
        day_start=day_start,
        wallet=report.total_wallet_balance,
        holdings=tuple(_holding(one, at) for one in report.positions if one.position_amt),
        earned=earned,
    )


def account_changed(update: AccountUpdate, asset: str) -> AccountChanged:
    """What the stream says of the account, where it counts in that asset."""
    wallet = next((one.wallet for one in update.balances if one.asset == asset), None)
    holdings = tuple(
        Holding(one.symbol, one.amount, one.entry_price, _mark(one), update.time) for one in update.positions
    )
    return AccountChanged(wallet, holdings, update.time, earned=update.reason in EARNED)


def margin(config: SymbolConfig) -> Margin:
    """How a symbol is margined."""
    return Margin(config.leverage, "isolated" if config.margin_type == "ISOLATED" else "crossed")


def brackets(reports: Iterable[BracketReport]) -> tuple[Bracket, ...]:
    """How much margin a position must keep."""
    return tuple(Bracket(one.notional_cap, one.maint_margin_ratio, one.cum, one.initial_leverage) for one in reports)


def _holding(report: AccountPosition, at: int) -> Holding:
    amount = report.position_amt
    entry = (report.notional - report.unrealized_profit) / amount
    return Holding(report.symbol, amount, entry, report.notional / amount, at)


def _mark(change: PositionChange) -> Decimal:
    return change.entry_price + (change.unrealized / change.amount if change.amount else ZERO)


def _side(word: str) -> OrderSide:
    return "BUY" if word == "BUY" else "SELL"
