"""The stop of what was found again, and has none."""

from dataclasses import replace

from pipeline.execution.engine import liquidation, risk, sizing
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.state import PositionRecord, side_of


def with_stop(position: PositionRecord, memory: Memory) -> PositionRecord:
    """The position, with the stop that its entry would have had: it was found again, and none stands. Where nobody
    knows its ATR, the stop is as far away as one may be."""
    market = memory.market(position.symbol)
    missing = position.stop_price is None and position.quantity and position.symbol not in memory.recalling
    one = market.instrument
    if not missing or one is None or not (market.brackets or memory.policy.owned):
        return position
    settings = risk.settings_of(market, memory.policy.risk)
    leverage = market.margin.leverage if market.margin else settings.leverage
    distance = liquidation.room(one, position.quantity, position.entry_price, leverage, market.brackets)
    if market.trading.stop_percent is not None:
        distance = min(distance, position.entry_price * market.trading.stop_percent / 100)
    elif position.atr is not None:
        distance = min(distance, settings.stop_atr * position.atr)
    stop = sizing.stop_price(position.entry_price, side_of(position.quantity), distance, one.rules)
    if isinstance(stop, str):
        memory.warn_once(f"{position.symbol} cannot have a stop", stop)
        return position
    return replace(position, stop_price=stop)
