"""A contract as the exchange would list it, for tests and benchmarks: an ordinary one but for what is said of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from schemas.symbols import Filters, Symbol

BTC: Final = "BTCUSDT"
TICK: Final = Decimal("0.1")
_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_RULES: Final = {
    "tick_size": "0.1", "min_price": "0.1", "max_price": "10000000", "step_size": "0.001", "min_quantity": "0.001",
    "max_quantity": "1000", "market_step_size": "0.001", "market_min_quantity": "0.001", "market_max_quantity": "120",
    "min_notional": "100", "multiplier_up": "1.05", "multiplier_down": "0.95",
}  # fmt: skip
RULES: Final = Filters(max_orders=200, **{name: Decimal(text) for name, text in _RULES.items()})


BTC_COIN: Final = "BTCUSD_PERP"
_COIN_RULES: Final = {
    "step_size": "1", "min_quantity": "1", "market_step_size": "1", "market_min_quantity": "1", "min_notional": "0",
    "max_quantity": "1000000", "market_max_quantity": "60000",
}  # fmt: skip


def coin_contract(name: str = BTC_COIN, **other: Any) -> Symbol:
    """A perpetual contract like BTCUSD_PERP: a hundred dollars of a coin, paid in it."""
    base = name.partition("USD")[0]
    rules = RULES.model_copy(update={name: Decimal(text) for name, text in _COIN_RULES.items()})
    usual = {
        "pair": f"{base}USD", "base_asset": base, "quote_asset": "USD", "margin_asset": base, "quantity_precision": 0,
        "contract_size": Decimal(100), "filters": rules,
    }  # fmt: skip
    return contract(name, **{**usual, **other})


def pair(name: str = BTC, **other: Any) -> Symbol:
    """A pair of coins like BTCUSDT of spot."""
    rules = RULES.model_copy(
        update={
            one: Decimal("0.00001") for one in ("step_size", "min_quantity", "market_step_size", "market_min_quantity")
        }
        | {"min_notional": Decimal(5)}
    )
    return contract(name, **{"contract_type": "SPOT", "quantity_precision": 5, "filters": rules, **other})


def contract(name: str = BTC, **other: Any) -> Symbol:
    """A perpetual contract like BTCUSDT. `other`: what of it is not as usual."""
    usual = {
        "id": f"{other.get('exchange', 'sim')}:{name}",
        "exchange": "sim",
        "symbol": name,
        "pair": name,
        "contract_type": "PERPETUAL",
        "status": "TRADING",
        "base_asset": name[:-4],
        "quote_asset": name[-4:],
        "margin_asset": name[-4:],
        "price_precision": 1,
        "quantity_precision": 3,
        "onboarded": _BEGAN,
        "delivery": _BEGAN,
        "filters": RULES,
        "updated_at": _BEGAN,
    }
    return Symbol(**{**usual, **other})
