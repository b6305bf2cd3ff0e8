"""What all positions of an account may come to together, in percent of its equity: each cap is one function that says
what it counts. A cap keeps something from being opened; it never closes anything.

Everything is in the asset that the account is counted in, and at the newest price.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

from pipeline.exchange.products.instrument import Instrument
from pipeline.settings import Portfolio

Groups = Mapping[str, Collection[str]]
"""Of each symbol, those that move like it."""
_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Held:
    """A position, or an order that is to open one. `worth`: of a short, negative. `at_risk`: what is lost from now on
    where its stop is reached; of one that has no stop of ours, all that it is worth. `leaves`: it is being closed, and
    that may come to nothing."""

    symbol: str
    worth: Decimal
    margin: Decimal
    at_risk: Decimal
    leaves: bool = False

    @classmethod
    def of(
        cls,
        one: Instrument,
        quantity: Decimal,
        price: Decimal,
        leverage: int,
        stop: Decimal | None,
        *,
        leaves: bool = False,
    ) -> Self:
        """So much of that contract, at that price."""
        worth = one.notional(quantity, price)
        at_risk = worth if stop is None else max(_NONE, -one.pnl(quantity, price, stop))
        return cls(one.symbol, worth if quantity > 0 else -worth, worth / leverage, at_risk, leaves)


@dataclass(frozen=True, slots=True)
class Cap:
    """`setting` names it in `[portfolio]`, `called` in a sentence."""

    setting: str
    called: str
    counts: Callable[[Sequence[Held]], Decimal]


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a cap is used: both in percent of the equity. `most` None: it is not set."""

    cap: Cap
    now: Decimal
    most: Decimal | None

    @property
    def is_over(self) -> bool:
        """Whether more is held than is allowed."""
        return self.most is not None and self.now > self.most


def gross(held: Sequence[Held]) -> Decimal:
    """What all of it is worth, longs and shorts alike."""
    return sum((abs(one.worth) for one in held), _NONE)


def net(held: Sequence[Held]) -> Decimal:
    """What is left when shorts are taken off longs, whichever is more. What leaves takes nothing off."""
    leaves = [one for one in held if one.leaves]
    left = longs(held) - shorts(held)
    return max(left + shorts(leaves), longs(leaves) - left)


def longs(held: Sequence[Held]) -> Decimal:
    """What the longs are worth."""
    return sum((one.worth for one in held if one.worth > 0), _NONE)


def shorts(held: Sequence[Held]) -> Decimal:
    """What the shorts are worth."""
    return sum((-one.worth for one in held if one.worth < 0), _NONE)


def margin(held: Sequence[Held]) -> Decimal:
    """What the exchange keeps for it."""
    return sum((one.margin for one in held), _NONE)


def open_risk(held: Sequence[Held]) -> Decimal:
    """What is lost where every stop is reached."""
    return sum((one.at_risk for one in held), _NONE)


CAPS: Final = (
    Cap("gross_percent", "everything held", gross),
    Cap("net_percent", "longs less shorts", net),
    Cap("side_percent", "all longs", longs),
    Cap("side_percent", "all shorts", shorts),
    Cap("margin_percent", "the margin used", margin),
    Cap("open_risk_percent", "what is lost where every stop is reached", open_risk),
)


def group_of(symbol: str, alike: Collection[str]) -> Cap:
    """What moves like that symbol, itself among it: longs less shorts."""
    symbols = {symbol, *alike}
    return Cap(
        "group_percent",
        f"longs less shorts of what moves like {symbol}",
        lambda held: net([one for one in held if one.symbol in symbols]),
    )


def refusal(
    settings: Portfolio, equity: Decimal, held: Sequence[Held], wanted: Held, alike: Collection[str] | None
) -> str | None:
    """Why that is not to be opened beside what is held: it would take more of a cap than there is. What takes no more
    of it than was taken before is never refused. `alike`: the symbols that move like its own; None: nobody knows."""
    if alike is None and settings.group_percent is not None:
        return f"what moves like {wanted.symbol} is not known, and [portfolio] group_percent caps it"
    after = [*held, wanted]
    for cap in (*CAPS, group_of(wanted.symbol, alike or ())):
        most = _most(cap, settings)
        if most is None:
            continue
        then = cap.counts(after)
        if then > equity * most / 100 and then > cap.counts(held):
            return (
                f"{cap.called} would come to {_share(then, equity):.2f} % of the equity, {most} is the most "
                f"([portfolio] {cap.setting})"
            )
    return None


def uses(settings: Portfolio, equity: Decimal, held: Sequence[Held], alike: Groups) -> list[Use]:
    """Of every cap, how much of it is used; of groups, by each symbol that is held."""
    groups = [group_of(one.symbol, alike.get(one.symbol, ())) for one in held]
    return [Use(cap, _share(cap.counts(held), equity), _most(cap, settings)) for cap in (*CAPS, *groups)]


def _most(cap: Cap, settings: Portfolio) -> Decimal | None:
    found: Decimal | None = getattr(settings, cap.setting)
    return found


def _share(amount: Decimal, equity: Decimal) -> Decimal:
    """In percent; of no equity, anything is too much."""
    return amount * 100 / equity if equity > 0 else Decimal("Infinity") if amount else _NONE
