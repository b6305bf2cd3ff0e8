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
    return (*_positions(memory, asset), *_coming(memory, asset))


def beyond_caps(ask: Ask, one: Instrument, quantity: Decimal, stop: Decimal) -> str | None:
    """Why so much is not to be opened beside all that is held."""
    if not ask.policy.portfolio.is_capped:
        return None
    signed = quantity if ask.signal.side == "long" else -quantity
    wanted = Held.of(one, signed, ask.price, ask.risk.leverage, stop)
    return caps.refusal(ask.policy.portfolio, ask.account.equity, ask.held, wanted, ask.alike)


def _counted(memory: Memory, symbol: str, asset: str | None) -> Instrument | None:
    """The contract, where it is margined in that."""
    one = memory.market(symbol).instrument
    return one if one is not None and one.margin_asset == asset else None


def _positions(memory: Memory, asset: str | None) -> Iterator[Held]:
    closed = {one.symbol for one in memory.orders.values() if one.leg in CLOSING and one.unsettled}
    for position in memory.positions.values():
        symbol = position.symbol
        if position.quantity and (instrument := _counted(memory, symbol, asset)) is not None:
            yield Held.of(
                instrument,
                position.quantity,
                memory.market(symbol).price or position.entry_price,
                _leverage(memory, symbol),
                position.stop_price if position.ours else None,
                leaves=bool(position.closing) or symbol in closed,
            )


def _coming(memory: Memory, asset: str | None) -> Iterator[Held]:
    """Of each entry as much as its position does not show yet."""
    for order in memory.orders.values():
        if order.leg not in ENTERING or order.plan is None:
            continue
        instrument = _counted(memory, order.symbol, asset)
        position = memory.position(order.symbol)
        if instrument is not None and (order.unsettled or (order.filled and not position.settled)):
            unseen = memory.unseen(order, position.quantity)
            quantity = unseen if order.side == entry_side("long") else -unseen
            leverage = _leverage(memory, order.symbol)
            yield Held.of(instrument, quantity, order.plan.price, leverage, order.plan.stop_price)


def _leverage(memory: Memory, symbol: str) -> int:
    margin = memory.market(symbol).margin
    return margin.leverage if margin else 1
