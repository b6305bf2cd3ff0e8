"""The core of a new term: built from the journal that the terms before it have left. Blocks; sends nothing."""

from pipeline.errors import AttentionError
from pipeline.execution import documents
from pipeline.execution.core import Core
from pipeline.execution.events import Event
from pipeline.execution.house import House
from pipeline.execution.sources import Switches
from pipeline.timeline import MINUTE, to_datetime
from schemas.orders import Order

_LATELY = 10 * MINUTE


def open_core(house: House, fence: int, switches: Switches) -> tuple[Core, list[Event]]:
    """Take the journal over under that fence; the core that goes on with it, and what is switched differently."""
    stores = house.stores
    if house.asking.hedge_mode():
        raise AttentionError(
            "the account holds long and short apart (hedge mode); the executor trades in one-way mode. Close what is "
            "open and switch the position mode in the exchange's preferences"
        )
    stores.journal.claim(fence)
    switched = switches.changes(stores.control.read())
    core = Core(
        house.policy,
        house.now(),
        mode=switches.mode or house.default_mode,
        orders=[documents.order_record(one) for one in _orders_to_know(house)],
        positions=[documents.position_record(one) for one in stores.positions.list()],
        breakers=switches.breakers,
    )
    return core, switched


def _orders_to_know(house: House) -> list[Order]:
    """What is unsettled; what was done about signals whose verdict was not written any more; and what is settled since
    so short a time that its trades could be taken for those of an order in doubt, or that the exchange may yet show an
    order that it had forgotten."""
    stores = house.stores
    undecided = [one.id for one in stores.signals.undecided()]
    lately = to_datetime(house.now() - _LATELY)
    found = (*stores.journal.unsettled(), *stores.journal.of_signals(undecided), *stores.journal.settled_since(lately))
    return list({one.id: one for one in found}.values())
