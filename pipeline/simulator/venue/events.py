"""The user data events, with the exchange's one-letter names. Builds them; keeps and sends nothing."""

from collections.abc import Iterable
from decimal import Decimal

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import formats
from pipeline.simulator.venue.account import Account, MarkOf, Trade, maintenance_of
from pipeline.simulator.venue.orders import ZERO, Algo, Order
from pipeline.simulator.venue.positions import Position

Event = dict[str, object]


def order_update(
    account: Account, order: Order, execution: str, more: Event, *, time: int, trade: Trade | None = None
) -> Event:
    """ORDER_TRADE_UPDATE: an order was accepted, filled, amended or ended. `more`: what its market says besides."""
    bids, asks = account.order_notionals(order.symbol, order.position_side)
    body: Event = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": formats.bare(order.quantity),
        "p": formats.bare(order.price),
        "ap": formats.bare(order.average.quantize(Decimal("1e-8"))),
        "sp": formats.bare(order.stop_price),
        "x": execution,
        "X": order.status,
        "i": order.id,
        "l": formats.bare(trade.quantity if trade else ZERO),
        "z": formats.bare(order.filled),
        "L": formats.bare(trade.price if trade else ZERO),
        "T": time,
        "t": trade.id if trade else 0,
        "b": formats.bare(bids),
        "a": formats.bare(asks),
        "m": trade.maker if trade else False,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": formats.bare(trade.realised if trade else ZERO),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": order.self_trade,
        "pm": "NONE",
        "gtd": order.good_till,
        **more,
    }
    if trade is not None:
        body["N"] = trade.fee_asset
        body["n"] = formats.bare(trade.fee)
    return {"e": "ORDER_TRADE_UPDATE", "E": time, "T": time, "o": body}


def account_update(
    account: Account,
    reason: str,
    time: int,
    positions: Iterable[Position],
    mark: MarkOf,
    *,
    asset: str,
    change: Decimal = ZERO,
    balance: bool = True,
) -> Event:
    """ACCOUNT_UPDATE: the balance of an asset and the positions that changed. `change` leaves profit and commission
    out. What an account holds besides is told with it."""
    balances = [
        {
            "a": each,
            "wb": formats.money(account.wallets.get(each, ZERO)),
            "cw": formats.money(account.cross_wallet(each)),
            "bc": formats.bare(change if each == asset else ZERO),
        }
        for each in (asset, *(other for other in account.wallets if other != asset))
    ]
    rows = [
        {
            "s": p.symbol,
            "pa": formats.bare(p.quantity),
            "ep": formats.bare(p.entry.quantize(Decimal("1e-8"))),
            "bep": formats.bare(p.break_even.quantize(Decimal("1e-8"))),
            "cr": formats.bare(p.realised),
            "up": formats.money(p.unrealised(mark(p.symbol)) if p.quantity else ZERO),
            "mt": "isolated" if p.symbol in account.isolated else "cross",
            "iw": formats.money(p.isolated_wallet),
            "ps": p.side,
        }
        for p in positions
    ]
    body: Event = {"m": reason, "B": balances if balance else [], "P": rows}
    return {"e": "ACCOUNT_UPDATE", "E": time, "T": time, "a": body}


def algo_update(algo: Algo, time: int) -> Event:
    """ALGO_UPDATE: a conditional order was accepted or changed its state."""
    order = algo.order
    body: Event = {
        "caid": algo.client_id,
        "aid": algo.id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": algo.position_side,
        "f": algo.time_in_force,
        "q": formats.bare(algo.quantity),
        "X": algo.status,
        "ai": str(order.id) if order else "",
        "ap": formats.bare(order.average.quantize(Decimal("1e-8"))) if order else "0",
        "aq": formats.bare(order.filled) if order else "0",
        "act": order.type if order else "0",
        "tp": formats.bare(algo.trigger),
        "p": formats.bare(algo.price),
        "V": algo.self_trade,
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.triggered,
        "gtd": algo.good_till,
        "rm": algo.reason,
    }
    return {"e": "ALGO_UPDATE", "E": time, "T": time, "o": body}


def config_update(symbol: str, leverage: int, time: int) -> Event:
    """ACCOUNT_CONFIG_UPDATE: the leverage of a symbol changed."""
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": time, "T": time, "ac": {"s": symbol, "l": leverage}}


def margin_call(
    account: Account,
    specs: dict[str, SymbolSpec],
    mark: MarkOf,
    positions: Iterable[Position],
    asset: str,
    time: int,
) -> Event:
    """MARGIN_CALL: the margin of these positions, in that asset, is nearly used up."""
    rows = [
        {
            "s": p.symbol,
            "ps": p.side,
            "pa": formats.bare(p.quantity),
            "mt": "ISOLATED" if p.symbol in account.isolated else "CROSSED",
            "iw": formats.money(p.isolated_wallet),
            "mp": formats.money(mark(p.symbol)),
            "up": formats.money(p.unrealised(mark(p.symbol))),
            "mm": formats.money(maintenance_of(p, specs, mark)),
        }
        for p in positions
    ]
    return {"e": "MARGIN_CALL", "E": time, "cw": formats.money(account.cross_wallet(asset)), "p": rows}
