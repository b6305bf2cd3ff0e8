"""Which desk an account is asked through: that of positions, or that of coins. The market says it."""

from collections.abc import Callable, Collection, Iterable

from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.trading import Trading
from pipeline.execution.engine.state import OrderTold, PositionRecord
from pipeline.execution.gateway import coin_reports, position_desk
from pipeline.execution.gateway.coin_desk import CoinDesk
from pipeline.execution.gateway.desk import Desk
from pipeline.execution.gateway.position_desk import PositionDesk
from pipeline.execution.runtime.context import Context


def desk_of(
    context: Context, ours: Callable[[], Iterable[PositionRecord]], symbols: Callable[[], Collection[str]]
) -> Desk:
    """The account of a term. `ours`: what its engine holds for ours; `symbols`: what it looks at."""
    books, rates, listed = context.books, context.rates, context.listed
    if not context.policy.owned:
        return PositionDesk(context.sending, context.asking, books.day_starts, books.earned, rates, listed)
    return CoinDesk(
        CoinTrading(context.sending.client),
        CoinTrading(context.asking.client),
        books.day_starts,
        books.earned,
        rates,
        listed,
        context.market,
        ours,
        symbols,
    )


def open_orders(asking: Trading) -> tuple[OrderTold, ...]:
    """Every order that is open on the account, conditional ones too."""
    if asking.client.environment.product.arithmetic.is_borrowed:
        return position_desk.open_orders(asking)
    return tuple(coin_reports.order_told(one, None) for one in CoinTrading(asking.client).open_orders())
