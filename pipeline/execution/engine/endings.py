"""How a position came to its end, in words for a person: by an order of ours, by the exchange's force, or by somebody
else. Decides nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.execution.engine.client_ids import installation_of
from pipeline.execution.engine.state import ENTERING, OrderRecord, OrderTold, PositionRecord


@dataclass(frozen=True, slots=True)
class Ending:
    """What is said, and how loudly."""

    level: Literal["info", "warning", "error"]
    words: str


BY_HAND: Final = Ending("warning", "by hand, or by another program: by no order of ours")
UNTOLD: Final = Ending("warning", f"{BY_HAND.words} that was told")
"""No order is known that has closed it."""
_NEVER_OURS: Final = Ending("warning", "for us: it was somebody else's all along, and our entry was not filled")
_BY_COMMAND: Final = Ending("info", "by a person's command")
_BY_FORCE: Final = {
    "autoclose-": Ending("error", "liquidated by the exchange: its margin was used up"),
    "adl_autoclose": Ending("warning", "closed by the exchange to cover another's loss (auto-deleveraging, ADL)"),
    "settlement_autoclose-": Ending("warning", "settled by the exchange: the contract has ended"),
}
"""By the client ids that the exchange gives to orders of its own."""
_BY_OURS: Final = {"stop": "by its stop", "take_profit": "by its take-profit"}


def how_it_ended(
    position: PositionRecord, orders: Iterable[OrderRecord], other: OrderTold | None, held_at: int, reduced_at: int
) -> Ending:
    """What closed it: the newest fill that is known of. `other`: the newest of an order that is not in the journal.
    `held_at`: when the exchange last said that something was held, `reduced_at`: when an order of ours last closed any
    of it; what was filled before has not closed that."""
    every = [one for one in orders if one.symbol == position.symbol]
    entries = [one for one in every if one.leg in ENTERING and one.signal == position.signal]
    if entries and not any(one.unsettled or one.filled for one in entries):
        return _NEVER_OURS
    symbol = [one for one in every if one.filled]
    opened = (one.seen_at for one in entries if one.filled)
    entered_at = max(position.entered_at, *opened, 0)
    closed = symbol if reduced_at >= held_at else []
    ours = [one for one in closed if _closed(one, position, entered_at) and one.seen_at >= held_at]
    newest = max(ours, key=lambda one: one.seen_at, default=None)
    if other is not None and other.at > (newest.seen_at if newest else entered_at):
        return by_other(other)
    return UNTOLD if newest is None else by_ours(newest, position)


def by_ours(order: OrderRecord, closed: PositionRecord) -> Ending:
    """An order of ours has closed that."""
    return Ending("info", _BY_OURS.get(order.leg) or closed.closing or "by an order of ours")


def _closed(order: OrderRecord, position: PositionRecord, entered_at: int) -> bool:
    """Whether it has closed something of this very position."""
    if order.leg in ENTERING:
        return False
    if order.leg == "exit" or order.signal != position.signal:  # of the same that turned what was held before, or of
        return order.seen_at > entered_at  # another, as whose the position counted at first; or nobody knows of which
    return True


def by_other(told: OrderTold) -> Ending:
    """An order that the journal does not have has closed it."""
    forced = next((ending for prefix, ending in _BY_FORCE.items() if told.id.startswith(prefix)), None)
    return forced or (_BY_COMMAND if installation_of(told.id) else BY_HAND)
