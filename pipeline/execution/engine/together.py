"""What is held, and what is on its way, as the caps of all positions together count it."""

from collections.abc import Iterator
from decimal import Decimal

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.risk import Ask
from pipeline.execution.engine.state import CLOSING, ENTERING, entry_side
from pipeline.portfolio import caps
from pipeline.portfolio.caps import Held


def held(memory: Memory, asset: str | None) -> tuple[Held, ...]:
    """Everything that is margined in the asset, whose ever it is."""
    known = {symbol: one.instrument for symbol, one in memory.markets.items() if one.instrument is not None}
    counted = {symbol: one for symbol, one in known.items() if one.margin_asset == asset}
    return (*_positions(memory, counted), *_coming(memory, counted))


def beyond_caps(ask: Ask, one: Instrument, quantity: Decimal, stop: Decimal) -> str | None:
    """Why so much is not to be opened beside all that is held."""
    if not ask.policy.portfolio.is_capped:
        return None
    signed = quantity if ask.signal.side == "long" else -quantity
    wanted = Held.of(one, signed, ask.price, ask.risk.leverage, stop)
    return caps.refusal(ask.policy.portfolio, ask.account.equity, ask.held, wanted, ask.alike)


def _positions(memory: Memory, counted: dict[str, Instrument]) -> Iterator[Held]:
    for position in memory.positions.values():
        symbol = position.symbol
        if position.quantity and symbol in counted:
            yield Held.of(
                counted[symbol],
                position.quantity,
                memory.market(symbol).price or position.entry_price,
                _leverage(memory, symbol),
                position.stop_price if position.ours else None,
                leaves=bool(position.closing or memory.unsettled(symbol, *CLOSING)),
            )


def _coming(memory: Memory, counted: dict[str, Instrument]) -> Iterator[Held]:
    """Of each entry as much as its position does not show yet."""
    for order in memory.orders.values():
        if order.leg not in ENTERING or order.plan is None or order.symbol not in counted:
            continue
        position = memory.position(order.symbol)
        if order.unsettled or (order.filled and not position.settled):
            unseen = memory.unseen(order, position.quantity)
            quantity = unseen if order.side == entry_side("long") else -unseen
            leverage = _leverage(memory, order.symbol)
            yield Held.of(counted[order.symbol], quantity, order.plan.price, leverage, order.plan.stop_price)


def _leverage(memory: Memory, symbol: str) -> int:
    margin = memory.market(symbol).margin
    return margin.leverage if margin else 1
