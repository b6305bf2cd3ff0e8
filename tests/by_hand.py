"""What a person does at the exchange's own page, and Tidemark never does."""

from pipeline.exchange.trading import Trading


def cancel_open_orders(trading: Trading, symbol: str) -> None:
    """Every ordinary order of a symbol."""
    trading.client.signed("DELETE", "/fapi/v1/allOpenOrders", {"symbol": symbol})


def cancel_open_algos(trading: Trading, symbol: str) -> None:
    """Every conditional order of a symbol."""
    trading.client.signed("DELETE", "/fapi/v1/algoOpenOrders", {"symbol": symbol})


def set_hedge_mode(trading: Trading) -> None:
    """Long and short of a symbol are held apart from now on."""
    trading.client.signed("POST", "/fapi/v1/positionSide/dual", {"dualSidePosition": True})
