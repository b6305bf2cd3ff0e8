"""What a refusal of the exchange means for us: one word a code. See the table in docs/execution.md."""

from enum import Enum
from typing import Final


class Reaction(Enum):
    """What to do about a refusal."""

    GIVE_UP = "give up"
    """The market or the account does not allow it; nobody is at fault."""
    BUG = "bug"
    """The request was wrong: it would be refused again, so the symbol is not traded until a person has looked."""
    KEY = "key"
    """The key, its permissions, its addresses or the signature: nothing new until a person has mended it."""
    POSITION_MODE = "position mode"
    """The account is in hedge mode: nothing new until it is in one-way mode again."""
    EXISTS = "exists"
    """The exchange has an order of that id: ask for it."""
    WOULD_TRIGGER = "would trigger"
    """The price is beyond the trigger already: what the order was to do is to be done now."""
    NOTHING_TO_REDUCE = "nothing to reduce"
    """There is less to close than we think: ask for the position."""
    STOP_STANDS = "stop stands"
    """A closing order of that kind stands that we do not know of: read what is open."""
    WAIT = "wait"
    """Surely not carried out, and later it may be."""


_CODES: Final[dict[Reaction, tuple[int, ...]]] = {
    Reaction.GIVE_UP: (-2010, -2018, -2019, -2025, -4016, -4024, -4045, -4131, -5021, -5022),
    Reaction.BUG: (
        -1102, -1106, -1111, -1115, -1116, -1117, -1121, -1130, -4003, -4004, -4005, -4014, -4015, -4023, -4120, -4164,
    ),
    Reaction.KEY: (-1022, -2014, -2015),
    Reaction.POSITION_MODE: (-4061,),
    Reaction.EXISTS: (-4116,),
    Reaction.WOULD_TRIGGER: (-2021, -4142),
    Reaction.NOTHING_TO_REDUCE: (-2022, -4118),
    Reaction.STOP_STANDS: (-4130,),
    Reaction.WAIT: (-1001, -1003, -1008, -1015, -1021, -5028),
}  # fmt: skip

_TEXTS: Final[dict[str, Reaction]] = {
    "Duplicate order sent.": Reaction.EXISTS,
    "Order would trigger immediately.": Reaction.WOULD_TRIGGER,
    "Account has insufficient balance": Reaction.NOTHING_TO_REDUCE,
    "Filter failure: PRICE_FILTER": Reaction.BUG,
    "Filter failure: LOT_SIZE": Reaction.BUG,
    "Filter failure: MARKET_LOT_SIZE": Reaction.BUG,
}
"""Where one code has many reasons, which one it is says the text alone."""
_MANY: Final = (-1013, -2010)
_REACTIONS: Final = {code: reaction for reaction, codes in _CODES.items() for code in codes}


def reaction(code: int, text: str = "") -> Reaction:
    """What to do; a code that nobody has written down is given up on."""
    for words, meaning in _TEXTS.items() if code in _MANY else ():
        if words in text:
            return meaning
    return _REACTIONS.get(code, Reaction.GIVE_UP)
