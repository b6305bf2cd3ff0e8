"""Asks the exchange whose a position is: its own fills say it, by whose orders they are. Changes nothing."""

from pipeline.exchange.reports import PositionReport
from pipeline.exchange.trading import Trading
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.provenance import Fill, entered_by
from pipeline.execution.engine.recall import REACH


def is_ours(trading: Trading, identity: Identity, position: PositionReport) -> bool | None:
    """Whether orders of ours have made it; None where it is older than what is listed, or newer than what is listed
    yet. Orders are read before fills, so that each fill has its order."""
    symbol, until = position.symbol, position.update_time
    since = trading.client.clock.now() - REACH
    ours = {one.order_id for one in trading.all_orders(symbol, since) if identity.placed(one.client_order_id)}
    listed = trading.trades(symbol, since)
    made = [one for one in listed if one.time <= until and one.position_side == position.position_side]
    if not made or made[-1].time < until:
        return None
    fills = [Fill(one.order_id, one.qty if one.side == "BUY" else -one.qty) for one in made]
    return entered_by(ours, position.position_amt, fills)
