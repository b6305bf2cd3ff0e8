"""Which exchanges there are, by name: the market of each, and whose money it is about. Knows no address.

A stored document names its exchange by one of these names, so none is ever renamed: `sim-um` is only another word for
`sim`, which was there before the others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from pipeline.nearest import folded, nearest

Exchange = Literal[
    "sim",
    "sim-cm",
    "sim-spot",
    "binance-um-demo",
    "binance-cm-demo",
    "binance-spot-demo",
    "binance-spot-testnet",
    "binance-um",
    "binance-cm",
    "binance-spot",
]

SIM: Final = "sim"
REAL_MONEY: Final = "production"

_COINS_THEMSELVES: Final = frozenset({"spot"})
_MARGINED_IN_COINS: Final = frozenset({"cm"})
_DOLLARS: Final = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD", "EUR"})
"""Money that has cents."""

OTHER_NAMES: Final[Mapping[str, str]] = MappingProxyType({"sim-um": SIM})
_MONEY_OF: Final[Mapping[str, str]] = MappingProxyType({"demo": "demo", "testnet": "testnet", "": REAL_MONEY})


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says. `money`: an account and its keys are of one kind, `sim`, `demo`, `testnet` or `production`."""

    market: str
    money: str


class UnknownExchangeError(ValueError):
    """The text names no exchange; the message lists those there are. Fix the input."""


def _named(name: str) -> Named:
    first, _, rest = name.partition("-")
    market, _, money = rest.partition("-")
    return Named(market or "um", SIM) if first == SIM else Named(market, _MONEY_OF[money])


EXCHANGES: Final[Mapping[str, Named]] = MappingProxyType({name: _named(name) for name in get_args(Exchange)})


MARKETS: Final = frozenset(one.market for one in EXCHANGES.values())


def exchange_named(text: str) -> str:
    """The exchange of that name, as documents have it."""
    name = OTHER_NAMES.get(folded(text), folded(text))
    if name not in EXCHANGES:
        near = nearest(text, EXCHANGES)
        hint = f" Did you mean {near!r}?" if near else ""
        raise UnknownExchangeError(f"unknown exchange {text!r}.{hint} Allowed: {', '.join(EXCHANGES)}")
    return name


def is_simulated(name: str) -> bool:
    """Whether it is one of our own making, with paper money."""
    return name in EXCHANGES and EXCHANGES[name].money == SIM


def is_production(name: str) -> bool:
    """Whether it is about real money."""
    return name in EXCHANGES and EXCHANGES[name].money == REAL_MONEY


def market_of(name: str) -> str:
    """The market that it is."""
    return EXCHANGES[name].market


def beside(name: str) -> Iterator[str]:
    """The other markets for the same money."""
    return (other for other, one in EXCHANGES.items() if other != name and one.money == EXCHANGES[name].money)


def holds_shorts(name: str) -> bool:
    """Whether a position can be one that gains when the price falls. Where coins themselves are traded, none can."""
    return name not in EXCHANGES or EXCHANGES[name].market not in _COINS_THEMSELVES


def decimals_of_money(name: str) -> int:
    """With how many its account is written: dollars have cents, and a coin is divided further."""
    return 8 if name in EXCHANGES and EXCHANGES[name].market in _MARGINED_IN_COINS else 2


def decimals_of_asset(asset: str) -> int:
    """The same by what is counted."""
    return 2 if asset in _DOLLARS else 8


def counts_in_several(name: str) -> bool:
    """Whether its account is counted in several assets, each by itself."""
    return name in EXCHANGES and EXCHANGES[name].market in _MARGINED_IN_COINS | _COINS_THEMSELVES


def real_money_first(names: Iterable[str]) -> list[str]:
    """In the order in which they matter."""
    return sorted(
        set(names), key=lambda name: (not is_production(name), is_simulated(name), list(EXCHANGES).index(name))
    )
