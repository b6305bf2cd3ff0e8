"""Trading on spot: balances, orders and lists of orders, without margin or positions. Pure: no socket, no clock."""

from pipeline.simulator.spot.venue import open_spot

__all__ = ["open_spot"]
