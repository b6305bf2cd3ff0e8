"""Other installations' orders on our account: found, said, and never touched.

Two that open positions beside each other could not tell whose is what. So nothing is opened while the orders of another
stand, until a person has said that they are ours now, or they are gone.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import BreakerView, OrderTold

Others = Mapping[str, tuple[OrderTold, ...]]
"""Their orders, by the name of the installation."""

OTHERS: Final = "other-installation"
"""The breaker that holds while they stand."""


def others_in(identity: Identity, orders: Iterable[OrderTold]) -> Others:
    """Those among the orders that are open at the exchange."""
    found: dict[str, tuple[OrderTold, ...]] = {}
    for one in orders:
        if name := identity.other(one.id):
            found[name] = (*found.get(name, ()), one)
    return found


def said(others: Others) -> str:
    """What stands there, in a sentence."""
    return "; ".join(
        f"{len(orders)} {'orders' if len(orders) > 1 else 'order'} of another Tidemark installation ({name}) on this "
        f"account: {', '.join(sorted({one.symbol for one in orders}))}"
        for name, orders in sorted(others.items())
    )


def breaker(others: Others, now: int) -> BreakerView:
    """Until they are gone or taken over."""
    return BreakerView(OTHERS, said(others), now)
