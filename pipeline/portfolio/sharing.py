"""How what one order has closed is shared out to those whose it was: pro rata to what each holds, in steps, and to the
last one exactly.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

_NONE = Decimal(0)


def shared(quantity: Decimal, held: Sequence[Decimal], step: Decimal) -> tuple[Decimal, ...]:
    """So much is each one's, none more than it holds. What is less than a step goes, step by step, to whom rounding has
    taken most; among equals to the first."""
    total = sum(held, _NONE)
    if quantity >= total:
        return tuple(held)
    exact = [Fraction(quantity) * Fraction(each) / Fraction(total) for each in held]
    given = [step * int(each / Fraction(step)) for each in exact]
    left = quantity - sum(given, _NONE)
    for place in sorted(range(len(held)), key=lambda place: (Fraction(given[place]) - exact[place], place)):
        more = min(step, left, held[place] - given[place])
        given[place] += more
        left -= more
    return _crumbs_too(given, held, left)


def _crumbs_too(given: list[Decimal], held: Sequence[Decimal], left: Decimal) -> tuple[Decimal, ...]:
    """Where some hold less than a step, what could not be given in steps is given as it comes."""
    for place, most in enumerate(held):
        more = min(left, most - given[place])
        given[place] += more
        left -= more
    return tuple(given)
