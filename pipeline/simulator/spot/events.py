"""The user data events of spot, with the exchange's one-letter names. Builds them; keeps and sends nothing."""

from collections.abc import Iterable

from pipeline.simulator.spot.account import Account, Trade
from pipeline.simulator.spot.orders import Order, OrderList, Status
from pipeline.simulator.venue.formats import money
from pipeline.simulator.venue.orders import ZERO

Event = dict[str, object]


def execution_report(order: Order, execution: str, time: int, trade: Trade | None, cancel_id: str) -> Event:
    """executionReport: an order was accepted, began to work, filled or ended. Of a cancelled one, `c` is the name of
    the cancel and `C` that of the order."""
    report: Event = {
        "e": "executionReport",
        "E": time,
        "s": order.symbol,
        "c": cancel_id or order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": money(order.quantity),
        "p": money(order.price),
        "P": money(order.stop_price),
        "F": money(ZERO),
        "g": order.list_id,
        "C": order.client_id if cancel_id else "",
        "x": execution,
        "X": order.status,
        "r": "NONE",
        "i": order.id,
        "l": money(trade.quantity if trade else ZERO),
        "z": money(order.filled),
        "L": money(trade.price if trade else ZERO),
        "n": money(trade.fee if trade else ZERO),
        "N": trade.fee_asset if trade else None,
        "T": time,
        "t": trade.id if trade else -1,
        "I": order.updated,
        "w": order.is_working,
        "m": trade.maker if trade else False,
        "M": False,
        "O": order.created,
        "Z": money(order.turned_over),
        "Y": money(trade.turnover if trade else ZERO),
        "Q": money(order.quote_quantity),
        "V": order.self_trade,
    }
    if order.worked >= 0:
        report["W"] = order.worked
    if order.status is Status.EXPIRED:
        report["eR"] = 0
    return report


def account_position(account: Account, assets: Iterable[str], time: int) -> Event:
    """outboundAccountPosition: what there is of those assets."""
    rows = [(asset, account.balance(asset)) for asset in assets]
    return {
        "e": "outboundAccountPosition",
        "E": time,
        "u": time,
        "B": [{"a": asset, "f": money(balance.free), "l": money(balance.locked)} for asset, balance in rows],
    }


def balance_update(asset: str, change: str, time: int) -> Event:
    """balanceUpdate: something came in, or went out, that was no trade."""
    return {"e": "balanceUpdate", "E": time, "a": asset, "d": change, "T": time}


def list_status(group: OrderList, time: int, kind: str) -> Event:
    """listStatus: a list of orders has begun, or is done with."""
    return {
        "e": "listStatus",
        "E": time,
        "s": group.symbol,
        "g": group.id,
        "c": group.contingency,
        "l": kind,
        "L": "EXECUTING" if group.is_open else "ALL_DONE",
        "r": "NONE",
        "C": group.client_id,
        "T": time,
        "O": [{"s": one.symbol, "i": one.id, "c": one.client_id} for one in group.orders],
    }
