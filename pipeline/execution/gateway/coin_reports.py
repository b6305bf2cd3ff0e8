"""What the exchange says of orders for coins, and of their trades, in the executor's words. Pure.

Stops are ordinary orders here: one that waits is not working yet, and one that has fired works until it is filled. What
the exchange keeps of the coins that it fills is said with each fill, so of an order that was filled in several parts
only its trades say it all.
"""

from decimal import Decimal
from typing import Final

from pipeline.exchange.coin_trading import CoinOrder, CoinTrade
from pipeline.exchange.user_events import CoinOrderUpdate
from pipeline.execution.engine.order_life import state_of
from pipeline.execution.engine.state import ZERO, OrderSide, OrderTold, TradeTold
from schemas.orders import State

CONDITIONAL: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})


def order_told(report: CoinOrder, base: str | None) -> OrderTold:
    """An order as an answer, a query or a list has it. `base`: the coin that it trades; None: not known."""
    conditional = report.type in CONDITIONAL
    return OrderTold(
        id=report.name,
        symbol=report.symbol,
        side=_side(report.side),
        state=_state(report.status, fired=conditional and report.working_time > 0),
        filled=report.executed_qty,
        at=report.at,
        algo=conditional,
        exchange_id=report.order_id,
        average_price=_average(report.executed_qty, report.cummulative_quote_qty),
        quantity=report.orig_qty or None,
        trigger_price=report.stop_price or None,
        close_position=conditional,
        kept=_kept(report, base),
    )


def order_streamed(update: CoinOrderUpdate, base: str | None) -> OrderTold:
    """An order as the stream has it."""
    conditional = update.type in CONDITIONAL
    return OrderTold(
        id=update.order,
        symbol=update.symbol,
        side=_side(update.side),
        state=_state(update.status, fired=conditional and update.working_time > 0),
        filled=update.filled,
        at=update.time,
        algo=conditional,
        exchange_id=update.order_id,
        average_price=_average(update.filled, update.paid),
        quantity=update.quantity or None,
        trigger_price=update.trigger_price or None,
        close_position=conditional,
        kept=_kept_streamed(update, base),
    )


def trade_told(report: CoinTrade, base: str | None, fee: Decimal | None) -> TradeTold:
    """A fill, what it cost, and what was kept of the coins bought. What it brought is ours to count."""
    return TradeTold(
        exchange_id=report.order_id,
        side="BUY" if report.is_buyer else "SELL",
        quantity=report.qty,
        price=report.price,
        fee=fee,
        realized=ZERO,
        at=report.time,
        kept=report.commission if report.is_buyer and report.commission_asset == base else ZERO,
    )


def _state(status: str, *, fired: bool) -> State | None:
    state = state_of(status)
    return "partially_filled" if fired and state == "accepted" else state


def _average(filled: Decimal, paid: Decimal) -> Decimal | None:
    return paid / filled if filled > 0 and paid > 0 else None


def _kept(report: CoinOrder, base: str | None) -> Decimal | None:
    if report.side == "SELL":
        return ZERO if report.executed_qty else None
    if base is None or not report.fills or sum((one.qty for one in report.fills), ZERO) != report.executed_qty:
        return None
    return sum((one.commission for one in report.fills if one.commission_asset == base), ZERO)


def _kept_streamed(update: CoinOrderUpdate, base: str | None) -> Decimal | None:
    if not update.filled:
        return None
    if update.side == "SELL":
        return ZERO
    if base is None or update.last_quantity != update.filled:
        return None
    return update.fee if update.fee_asset == base else ZERO


def _side(word: str) -> OrderSide:
    return "BUY" if word == "BUY" else "SELL"
