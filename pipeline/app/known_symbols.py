"""A symbol that a person names: as the exchange writes it, and one that is known. A mistyped one is refused, and the
nearest named: a switch that nobody reads, or a position that is looked for elsewhere, is worse than an error.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.nearest import folded

if TYPE_CHECKING:
    from pymongo.database import Database

    from pipeline.app.clerk import Clerk
    from pipeline.settings import Settings


def known_symbol(settings: "Settings", db: "Database[Any]", text: str) -> str:
    """The symbol, where the database or the settings know it."""
    return _among(settings, symbol_in(text), _known(settings, db))


def symbol_in_need(settings: "Settings", clerk: "Clerk", text: str, complain: "Callable[[str], None]") -> str:
    """The same whatever the database does: where it is away and the settings do not name the symbol, the exchange is
    asked whether it lists it."""
    from pipeline.app.clerk import AwayError  # noqa: PLC0415

    symbol = symbol_in(text)
    try:
        known = clerk.ask(lambda db: _known(settings, db))
    except AwayError as error:
        complain(str(error))
        return symbol if symbol in settings.symbols else _listed(settings, symbol)
    return _among(settings, symbol, known)


def symbol_in(text: str) -> str:
    """The symbol as the exchange writes it."""
    name = folded(text)
    if not name.replace("_", "").isalnum():
        raise UsageError(f"{text!r} is no symbol; write it as the exchange does, for example BTCUSDT")
    return name.upper()


def _known(settings: "Settings", db: "Database[Any]") -> set[str]:
    """What the exchange lists, the settings name, somebody has set before, or is held."""
    from pipeline.store.account import PositionStore  # noqa: PLC0415
    from pipeline.store.control import ControlStore  # noqa: PLC0415
    from pipeline.store.symbols import SymbolStore  # noqa: PLC0415

    place = settings.environment
    listed = {one.symbol for one in SymbolStore(db).list(place)}
    held = {one.symbol for one in PositionStore(db, place).list()}
    return listed | held | {*settings.symbols, *ControlStore(db, place).read().trading}


def _among(settings: "Settings", symbol: str, known: set[str]) -> str:
    from pipeline.exchange.markets import meant  # noqa: PLC0415

    if symbol not in known:
        raise UsageError(
            f"{settings.environment} has no {symbol!r} among the symbols that are stored."
            f"{meant(symbol, settings.environment, known)} "
            "`tidemark symbols` lists what the exchange trades"
        )
    return symbol


def _listed(settings: "Settings", symbol: str) -> str:
    from pipeline.app.exchange_access import client_of  # noqa: PLC0415
    from pipeline.exchange.listed import Listed  # noqa: PLC0415
    from pipeline.exchange.market import MarketData  # noqa: PLC0415

    with client_of(settings, threading.Event()) as client:
        return Listed(MarketData(client)).symbol(symbol).symbol
