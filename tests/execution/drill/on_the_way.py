"""Laws that are looked at while a schedule runs: with each order that leaves, and each that is written down. What is
broken is added to its `wrongs`.
"""

from itertools import product

from pipeline.execution.engine.state import OrderRecord, PositionRecord
from tests.execution.drill.world import World
from tests.execution.model import SYMBOL, UNHEARD


def check_closing(schedule: World, entry: OrderRecord) -> None:
    """Nothing is added to what is being closed, as the executor has handed it to its journal, which may be behind; but
    for what leaves in the moment in which that is decided."""
    held = schedule.handed
    if held is not None and held.closing and held.quantity and schedule.closing_since < schedule.exchange.now:
        schedule.wrongs.append(f"sent while the position is being closed: {entry} {held}")


def check_turn(schedule: World, opening: OrderRecord) -> None:
    """What turns a position opens nothing before the close is settled and nothing of the other side is held, as far as
    one can have heard. What somebody opens meanwhile, the way it turns, is not what was to be closed."""
    unheard = schedule.exchange.now - schedule.exchange.reopened_by_hand_at < UNHEARD
    closes = [one for one in schedule.journal.orders.values() if (one.signal, one.leg) == (opening.signal, "exit")]
    position = schedule.exchange.position
    held_by = schedule.journal.positions.get(SYMBOL)
    if schedule.policy.books and held_by is not None:
        position = sum(one.quantity for one in held_by.books if one.owner == opening.owner)
    other_side = position < 0 if opening.side == "BUY" else position > 0
    held = closes and other_side and not unheard
    if held or any(one.unsettled and one.attempts for one in closes):
        schedule.wrongs.append(
            f"turned before it was flat: {opening} while {schedule.exchange.position} is held: {closes}"
        )


def check_price(schedule: World, entry: OrderRecord) -> None:
    """A limit entry is never worse than its signal's price; a market order has none."""
    limited = schedule.policy.risk.entry_order == "limit"
    worse = limited and (entry.price > entry.plan.price if entry.side == "BUY" else entry.price < entry.plan.price)
    if limited != (entry.price is not None) or worse:
        schedule.wrongs.append(f"sent at another price than its signal's: {entry}")


def check_abandoned(schedule: World, order: OrderRecord) -> None:
    """What is given up as never arrived has not arrived, and does not arrive any more."""
    placed = schedule.exchange.find(order.id)
    ended = schedule.faults.blind and placed is not None and not placed.open and not placed.filled
    if order.state == "abandoned" and not order.algo and placed is not None and not ended:
        schedule.wrongs.append(f"abandoned, and at the exchange: {order}")


def count_end(schedule: World, handed: PositionRecord) -> None:
    """Of each end that is handed to the journal: with books that of each is told, and not the position's."""
    old, schedule.handed = schedule.handed, handed
    if handed.closing and not (old and old.closing):
        schedule.closing_since = schedule.exchange.now
    has_ended = old is not None and old.managed and not old.goes_on_as(handed)
    schedule.ends_handed += has_ended and not schedule.policy.books


def check_end(schedule: World, old: PositionRecord | None, new: PositionRecord) -> None:
    """Each end is told once: by then the journal has it, and it is not told again."""
    if old is not None and old.managed and not old.goes_on_as(new) and not schedule.policy.books:
        schedule.ends += 1
        check_told(schedule)
        if len(schedule.endings) < schedule.ends:
            schedule.wrongs.append(f"the end of {old} is in the journal, and was not told: {new}")
            schedule.ends -= 1


def check_told(schedule: World) -> None:
    """No end is told before there is another."""
    if len(schedule.endings) > schedule.ends_handed + 1 and not schedule.policy.books:
        schedule.wrongs.append(f"{len(schedule.endings)} ends were told, and there were {schedule.ends_handed}")


def check_stop(schedule: World, old: PositionRecord | None, new: PositionRecord) -> None:
    """A stop never loosens: of each strategy its own, where there are books."""
    if old is not None and (old.books or new.books):
        for before, after in product(old.books, new.books):
            if before.owner == after.owner:
                check_stop(schedule, before, after)
        return
    if old is None or old.signal is None or old.signal != new.signal or old.side != new.side:
        return
    if old.stop_price is None or new.stop_price is None:
        if old.stop_price is not None:
            schedule.wrongs.append(f"the stop at {old.stop_price} was given up")
        return
    if (new.stop_price < old.stop_price) if new.side == "long" else (new.stop_price > old.stop_price):
        schedule.wrongs.append(f"the stop was loosened from {old.stop_price} to {new.stop_price}")
