"""What a market of the exchange is, as data: its contracts, what can be asked of it, its limits and its manners.

A market is one `Product`. It answers nothing itself: it names who does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.simulator.options import Account
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import no_desks
from pipeline.simulator.venue.trading import Opens, futures
from pipeline.simulator.wire.api_session import ApiRules
from pipeline.simulator.wire.archive import ArchiveRules
from pipeline.simulator.wire.market_data import KlineRules
from pipeline.simulator.wire.routes import Endpoint
from pipeline.simulator.wire.streams import StreamRules
from pipeline.simulator.wire.weights import Limits

Contracts = Callable[[int, int], dict[str, SymbolSpec]]
"""So many of them, or all for 0, as listed on the day of that moment."""


def _nothing(account: Account) -> Mapping[str, str]:
    del account
    return {}


_CLOSED = futures(no_desks)


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Product:
    """A market of the exchange."""

    name: str
    title: str
    pool: str
    """Markets of one pool count the weight of an address and the orders of an account together, and an account has one
    position mode in all of them."""
    contracts: Contracts
    limits: Limits
    endpoints: Mapping[tuple[str, str], Endpoint]
    klines: KlineRules
    streams: StreamRules
    archive: ArchiveRules
    listen_key: str | None = None
    """The path of the key by which an account is listened to, where there is one."""
    order_counts: str | None = None
    """The path at which an account asks how many orders it has sent."""
    ws_api: ApiRules | None = None
    """How it is traded and listened to over a websocket, where it is."""
    opens: Opens = _CLOSED
    """Who answers for an account, where there is trading."""
    deposits: Callable[[Account], Mapping[str, str]] = _nothing
    """What an account begins with, by asset."""

    def __repr__(self) -> str:
        return f"Product({self.name!r})"
