"""What somebody perhaps meant who wrote a name that there is not. It offers nothing that is not near: a wrong offer is
worse than none. And one name in the letters that everybody types.
"""

import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

_LONG: Final = 10
"""A longer name may have two slips, a shorter one has one."""


def folded(text: str) -> str:
    """The text with full-width letters, figures and signs as the ordinary ones."""
    return unicodedata.normalize("NFKC", text).strip()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is a slip away: another case, a letter too many, too few, wrong, or two in each other's
    place."""
    names = list(known)
    for one in names:
        if one.casefold() == name.casefold():
            return one
    slips = 2 if len(name) > _LONG else 1
    near = [one for one in names if abs(len(one) - len(name)) <= slips and _distance(name, one) <= slips]
    return max(near, key=lambda one: SequenceMatcher(None, name, one).ratio(), default=None)


def hint(name: str, known: Iterable[str]) -> str:
    """The same as the next sentence of an error; nothing where nothing is near."""
    near = nearest(name, known)
    return f" Did you mean {near}?" if near else ""


def _distance(one: str, other: str) -> int:
    """How many slips are between them."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        older, before, row = before, row, [place]
        for there, wanted in enumerate(other, 1):
            least = min(before[there] + 1, row[there - 1] + 1, before[there - 1] + (letter != wanted))
            swapped = place > 1 and there > 1 and (letter, one[place - 2]) == (other[there - 2], wanted)
            row.append(min(least, older[there - 2] + 1) if swapped else least)
    return row[-1]
