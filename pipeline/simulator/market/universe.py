"""The USD-M contracts the exchange lists, and how each coin behaves.

`epoch` is the moment that "100 days ago" counts from. Take the day the exchange started on, or a fixed day where two
exchanges must agree. It moves only when the young symbols were listed, never a price.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.simulator.market.path import Character
from pipeline.simulator.market.randomness import key_of, mix
from pipeline.simulator.types import SymbolSpec
from pipeline.timeline import DAY, HOUR

_GENERATED: Final = key_of("generated contracts")
_SYLLABLES: Final = (
    "AL",
    "BO",
    "CY",
    "DRA",
    "EX",
    "FI",
    "GLO",
    "HEX",
    "IN",
    "JU",
    "KAI",
    "LU",
    "MO",
    "NE",
    "OR",
    "PIX",
)

_Row = tuple[str, str, str, int, int, str, str, str, int, Character]

# symbol, tick, step, price and quantity digits, max quantity, market max, min notional, onboard, character
_LISTED: Final[tuple[_Row, ...]] = (
    ("BTCUSDT", "0.10", "0.001", 2, 3, "1000", "120", "50", 1_569_398_400_000, Character(62_000, 0.024, 52, 6_000_000)),
    (
        "ETHUSDT",
        "0.01",
        "0.001",
        2,
        3,
        "10000",
        "2000",
        "20",
        1_574_841_600_000,
        Character(3_100, 0.031, 46, 3_500_000),
    ),
    (
        "SOLUSDT",
        "0.0100",
        "0.01",
        4,
        2,
        "1000000",
        "80000",
        "5",
        1_600_066_800_000,
        Character(155, 0.04, 38, 1_500_000),
    ),
    ("BNBUSDT", "0.010", "0.01", 3, 2, "100000", "2000", "5", 1_581_321_600_000, Character(610, 0.028, 30, 500_000)),
    (
        "XRPUSDT",
        "0.0001",
        "0.1",
        4,
        1,
        "10000000",
        "2000000",
        "5",
        1_578_297_600_000,
        Character(0.62, 0.036, 30, 700_000),
    ),
    (
        "DOGEUSDT",
        "0.000010",
        "1",
        6,
        0,
        "50000000",
        "30000000",
        "5",
        1_594_364_400_000,
        Character(0.16, 0.045, 28, 500_000),
    ),
    ("ADAUSDT", "0.00010", "1", 5, 0, "2000000", "300000", "5", 1_580_454_000_000, Character(0.48, 0.038, 20, 180_000)),
    ("LINKUSDT", "0.001", "0.01", 3, 2, "200000", "20000", "20", 1_579_244_400_000, Character(14.5, 0.04, 20, 160_000)),
    ("AVAXUSDT", "0.0010", "1", 4, 0, "100000", "5000", "5", 1_600_844_400_000, Character(31, 0.042, 18, 130_000)),
    (
        "1000SHIBUSDT",
        "0.000001",
        "1",
        6,
        0,
        "90000000",
        "50000000",
        "5",
        1_620_630_000_000,
        Character(0.019, 0.045, 16, 90_000),
    ),
    (
        "1000PEPEUSDT",
        "0.0000001",
        "1",
        7,
        0,
        "100000000",
        "50000000",
        "5",
        1_683_270_000_000,
        Character(0.0098, 0.055, 22, 250_000),
    ),
    (
        "GALAUSDT",
        "0.00001",
        "1",
        5,
        0,
        "50000000",
        "10000000",
        "5",
        1_631_599_200_000,
        Character(0.031, 0.05, 10, 40_000),
    ),
)
USUAL: Final = 40
MOST: Final = 1_000
QUIET: Final = "DUSKUSDT"
YOUNG: Final = "TIDEUSDT"
PENDING: Final = "SOONUSDT"
NON_ASCII: Final = "币安人生USDT"
SETTLED: Final = "SRMUSDT"
_OTHER_CHARACTERS: Final = {
    QUIET: Character(0.19, 0.04, 0.9, 180),
    YOUNG: Character(2.4, 0.07, 12, 30_000),
    NON_ASCII: Character(0.21, 0.08, 14, 45_000),
    SETTLED: Character(0.9, 0.06, 8, 9_000),
}
_CHARACTERS: Final = {row[0]: row[-1] for row in _LISTED} | _OTHER_CHARACTERS


def universe(n: int, epoch: int) -> dict[str, SymbolSpec]:
    """`n` contracts: the well known ones, the odd ones, then invented ones."""
    today = epoch - epoch % DAY
    specs = [*map(_known, _LISTED), *_odd(today)]
    specs += [_invented(number) for number in range(max(0, n - len(specs)))]
    return {spec.symbol: spec for spec in specs[:n]}


def contracts(n: int, epoch: int) -> dict[str, SymbolSpec]:
    """What is listed where nobody says how much."""
    return universe(n or USUAL, epoch)


def character_of(spec: SymbolSpec) -> Character:
    """How that symbol behaves; for an unknown one, a price that suits its tick and a temper from its name."""
    known = _CHARACTERS.get(spec.underlying or spec.symbol)
    if known is not None:
        return replace(known, trades=known.trades * spec.pace, turnover=known.turnover * spec.pace)
    bits = mix(key_of("character", spec.symbol))
    price = float(spec.tick) * (5_000 + bits % 45_000)
    volatility = 0.03 + (bits >> 16) % 50 / 1_000
    trades = 3.0 + (bits >> 32) % 22
    return Character(price, volatility, trades, turnover=trades * 2_500)


def _known(row: _Row) -> SymbolSpec:
    symbol, tick, step, price_digits, quantity_digits, most, market_most, notional, onboard, _ = row
    return SymbolSpec(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick=Decimal(tick),
        step=Decimal(step),
        onboard=onboard,
        price_precision=price_digits,
        quantity_precision=quantity_digits,
        max_quantity=Decimal(most),
        market_max_quantity=Decimal(market_most),
        min_notional=Decimal(notional),
    )


def _odd(today: int) -> list[SymbolSpec]:
    """The symbols that trip careless clients."""
    plain = _known((QUIET, "0.00001", "1", 5, 0, "5000000", "500000", "5", 1_642_687_200_000, _CHARACTERS[QUIET]))
    return [
        plain,
        replace(
            plain,
            symbol=YOUNG,
            base="TIDE",
            tick=Decimal("0.0001"),
            step=Decimal("0.1"),
            price_precision=4,
            quantity_precision=1,
            onboard=today - 100 * DAY + 9 * HOUR + HOUR // 2,
        ),
        replace(
            plain, symbol=PENDING, base="SOON", tick=Decimal(0), status="PENDING_TRADING", onboard=today + 30 * DAY
        ),
        replace(plain, symbol=NON_ASCII, base=NON_ASCII.removesuffix("USDT"), onboard=today - 400 * DAY + 7 * HOUR),
        replace(
            plain,
            symbol=SETTLED,
            base="SRM",
            tick=Decimal("0.0001"),
            price_precision=4,
            status="SETTLING",
            delivery=1_669_633_200_000,
        ),
    ]


def _invented(number: int) -> SymbolSpec:
    """A contract with a made-up name, grid and age."""
    bits = mix(_GENERATED, number)
    name = _name(number)
    price_digits, quantity_digits = 2 + bits % 5, (bits >> 8) % 3
    return SymbolSpec(
        symbol=f"{name}USDT",
        base=name,
        quote="USDT",
        tick=Decimal(1).scaleb(-price_digits),
        step=Decimal(1).scaleb(-quantity_digits),
        onboard=1_640_995_200_000 + (bits >> 16) % 700 * DAY + (bits >> 32) % 24 * HOUR,
        price_precision=price_digits,
        quantity_precision=quantity_digits,
        max_quantity=Decimal(10_000_000),
        market_max_quantity=Decimal(1_000_000),
        min_notional=Decimal(5),
    )


def _name(number: int) -> str:
    syllables = len(_SYLLABLES)
    first, rest = number % syllables, number // syllables
    return (
        _SYLLABLES[first]
        + _SYLLABLES[(rest + 5 * first + 1) % syllables]
        + (_SYLLABLES[rest // syllables] if rest >= syllables else "")
    )
