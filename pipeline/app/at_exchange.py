"""What the exchange itself says of the account now: what it is worth, what is open, and whose each order is. Nothing of
it is stored, and nothing is changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pipeline.timeline import DAY

if TYPE_CHECKING:
    from pipeline.exchange.coin_trading import CoinOrder
    from pipeline.exchange.products.instrument import Instrument
    from pipeline.exchange.reports import AlgoReport, OrderReport, PositionReport, Wallet
    from pipeline.exchange.trading import Trading
    from pipeline.execution.engine.client_ids import Identity
    from pipeline.settings import Settings

HISTORY: Final = 6 * DAY
"""So far back a symbol's orders are asked for: the exchange lists less than seven days."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An order as the exchange lists it. `price`: of a conditional one, what it waits for; None: at the market."""

    symbol: str
    type: str
    side: str
    quantity: Decimal | None
    price: Decimal | None
    status: str
    open: bool
    filled: Decimal | None
    whose: str
    id: str
    at: int


def worth_now(settings: "Settings") -> Mapping[str, Any]:
    """Balance, equity, what is free, and each position, as of this moment."""
    from pipeline.app.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.app.trading_access import account_at, holds_coins, require_traded  # noqa: PLC0415

    require_traded(settings)
    if holds_coins(settings):
        return _balances_now(settings)
    with running_exchange(settings) as place, account_at(settings, place) as trading:
        account, positions = trading.account(), trading.positions()
        listed = _listed(trading) if place.product.margin is None else {}
    wallets = [_wallet(one) for one in account.wallets if one.balance or place.product.margin is not None]
    return {
        "environment": settings.environment,
        **({} if place.product.margin is None else wallets[0]),
        "wallets": wallets,
        "positions": [
            {
                "symbol": one.symbol,
                "quantity": one.position_amt,
                "entry": one.entry_price,
                "mark": one.mark_price,
                "worth": _worth(one, listed),
                "unrealized": one.un_realized_profit,
            }
            for one in positions
            if one.position_amt
        ],
    }


def _balances_now(settings: "Settings") -> Mapping[str, Any]:
    """Each coin, whosever: what of it is ours only the journal knows."""
    from pipeline.app.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.app.trading_access import account_at  # noqa: PLC0415
    from pipeline.exchange.coin_trading import CoinTrading  # noqa: PLC0415
    from pipeline.exchange.reports import Wallet  # noqa: PLC0415

    with running_exchange(settings) as place, account_at(settings, place) as trading:
        balances = CoinTrading(trading.client).balances().values()
    wallets = [
        Wallet(one.asset, there, Decimal(0), there, one.free) for one in balances if (there := one.free + one.locked)
    ]
    return {"environment": settings.environment, "wallets": [_wallet(one) for one in wallets], "positions": []}


def _wallet(one: "Wallet") -> dict[str, Any]:
    return {
        "asset": one.asset,
        "wallet": one.balance,
        "equity": one.equity,
        "available": one.available,
        "unrealized": one.unrealized,
    }


def _listed(trading: "Trading") -> "Mapping[str, Instrument]":
    from pipeline.exchange.market import MarketData  # noqa: PLC0415
    from pipeline.exchange.products.instrument import Instrument  # noqa: PLC0415

    product = trading.client.environment.product
    return {one.symbol: Instrument.of(product, one) for one in MarketData(trading.client).symbols()}


def _worth(one: "PositionReport", listed: "Mapping[str, Instrument]") -> Decimal:
    """By the mark price, in the asset of the margin; negative of a short."""
    if one.symbol not in listed:
        return one.notional
    return listed[one.symbol].notional(one.position_amt, one.mark_price) * (1 if one.position_amt > 0 else -1)


def orders_now(settings: "Settings", identity: "Identity", symbol: str | None, limit: int) -> list[Listed]:
    """What is open now; of one symbol also what was, newest first."""
    from pipeline.app.exchange_access import running_exchange  # noqa: PLC0415
    from pipeline.app.trading_access import account_at, holds_coins, require_traded  # noqa: PLC0415

    require_traded(settings)
    listed_by = _coins_listed if holds_coins(settings) else _listed_orders
    with running_exchange(settings) as place, account_at(settings, place) as trading:
        listed, before = listed_by(trading, identity, symbol)
    now = _newest_first(one for one in listed if symbol in {None, one.symbol})
    open_ids = {one.id for one in now}
    ended = [one for one in _newest_first(before) if one.id not in open_ids]
    return [*now, *ended[:limit]]


def _listed_orders(trading: "Trading", identity: "Identity", symbol: str | None) -> tuple[list[Listed], list[Listed]]:
    """What is open, and what was in the symbol."""
    ordinary, waiting = trading.open_orders(), trading.open_algos()
    listed = [*(_ordinary(one, identity) for one in ordinary), *(_waiting(one, identity) for one in waiting)]
    return listed, [] if symbol is None else _history(trading, identity, symbol)


def _coins_listed(trading: "Trading", identity: "Identity", symbol: str | None) -> tuple[list[Listed], list[Listed]]:
    """The same of coins, where stops are among the others."""
    from pipeline.exchange.coin_trading import CoinTrading  # noqa: PLC0415

    coins = CoinTrading(trading.client)
    listed = [_of_coins(one, identity, is_open=True) for one in coins.open_orders()]
    before = [] if symbol is None else coins.orders(symbol, trading.client.clock.now() - HISTORY)
    return listed, [_of_coins(one, identity, is_open=False) for one in before]


def whose(identity: "Identity", client_id: str) -> str:
    """Who placed the order, by its id."""
    if identity.owns(client_id):
        return "ours"
    other = identity.other(client_id)
    return f"installation {other}" if other else "by hand, or another program"


def _history(trading: "Trading", identity: "Identity", symbol: str) -> list[Listed]:
    since = trading.client.clock.now() - HISTORY
    ordinary = (_ordinary(one, identity, is_open=False) for one in trading.all_orders(symbol, since))
    return [*ordinary, *(_waiting(one, identity, is_open=False) for one in trading.all_algos(symbol, since))]


def _newest_first(orders: Iterable[Listed]) -> list[Listed]:
    return sorted(orders, key=lambda one: one.at, reverse=True)


def _ordinary(order: "OrderReport", identity: "Identity", *, is_open: bool = True) -> Listed:
    return Listed(
        symbol=order.symbol,
        type=order.type,
        side=order.side,
        quantity=order.orig_qty,
        price=order.price or order.avg_price or None,
        status=order.status,
        open=is_open,
        filled=order.executed_qty,
        whose=whose(identity, order.client_order_id),
        id=order.client_order_id,
        at=order.update_time,
    )


def _of_coins(order: "CoinOrder", identity: "Identity", *, is_open: bool) -> Listed:
    filled = order.executed_qty
    return Listed(
        symbol=order.symbol,
        type=order.type,
        side=order.side,
        quantity=order.orig_qty,
        price=order.stop_price or order.price or (order.cummulative_quote_qty / filled if filled else None),
        status=order.status,
        open=is_open,
        filled=filled,
        whose=whose(identity, order.name),
        id=order.name,
        at=order.at,
    )


def _waiting(algo: "AlgoReport", identity: "Identity", *, is_open: bool = True) -> Listed:
    return Listed(
        symbol=algo.symbol,
        type=algo.order_type,
        side=algo.side,
        quantity=None if algo.close_position else algo.quantity,
        price=algo.trigger_price,
        status=algo.algo_status,
        open=is_open,
        filled=None,
        whose=whose(identity, algo.client_algo_id),
        id=algo.client_algo_id,
        at=algo.update_time,
    )
