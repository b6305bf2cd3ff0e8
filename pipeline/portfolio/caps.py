"""What all positions of an account may come to together, in percent of its equity: each cap is one function that says
what it counts. A cap keeps something from being opened; it never closes anything.

Everything is in the asset that the account is counted in, and at the newest price.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, Self

from pipeline.exchange.products.instrument import Instrument
from pipeline.settings import Portfolio

Side = Literal["long", "short"]
Groups = Mapping[str, Collection[str]]
"""Of each symbol, those that move like it."""
_NONE: Final = Decimal(0)
_SIGNS: Final[Mapping[Side, int]] = {"long": 1, "short": -1}


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
    """`setting` names it in `[portfolio]`, `called` in a sentence; `taking`: what it counts of an order, in a sentence
    that goes on with an amount. `group`: of which symbol it is, and None of all that is held."""

    setting: str
    called: str
    taking: str
    counts: Callable[[Sequence[Held]], Decimal]
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a cap is used: both in percent of the equity. `most` None: it is not set. `room`: as much as it still
    lets a long take, and a short, in what it counts; of a side that is not named, as much as comes. None: nobody knows
    what moves alike, and nothing is opened."""

    cap: Cap
    now: Decimal
    most: Decimal | None
    room: Mapping[Side, Decimal] | None

    def refuses(self, money: Callable[[Decimal], str]) -> str | None:
        """What it would let nobody open now, in words."""
        if self.most is None:
            return None
        if self.room is None:
            return "every position: what moves like it is not known"
        told = {side: f"{self.cap.taking} {money(room)}" if room else "" for side, room in self.room.items()}
        alike = len(told) == len(_SIGNS) and len(set(told.values())) == 1
        named = {"position": told["long"]} if alike else {**told}
        return ", ".join(f"a {what} {words}" if words else f"every {what}" for what, words in named.items())

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
    Cap("gross_percent", "everything held", "worth more than", gross),
    Cap("net_percent", "longs less shorts", "worth more than", net),
    Cap("side_percent", "all longs", "worth more than", longs),
    Cap("side_percent", "all shorts", "worth more than", shorts),
    Cap("margin_percent", "the margin used", "whose margin is more than", margin),
    Cap("open_risk_percent", "what is lost where every stop is reached", "that loses at its stop more than", open_risk),
)


def group_of(symbol: str, alike: Collection[str]) -> Cap:
    """What moves like that symbol, itself among it: longs less shorts."""
    symbols = {symbol, *alike}
    return Cap(
        "group_percent",
        f"longs less shorts of what moves like {symbol}",
        "worth more than",
        lambda held: net([one for one in held if one.symbol in symbols]),
        symbol,
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
    groups = [group_of(symbol, alike.get(symbol, ())) for symbol in dict.fromkeys(one.symbol for one in held)]
    if not groups:
        groups = [Cap("group_percent", "longs less shorts of what moves alike", "worth more than", net)]
    found = []
    for cap in (*CAPS, *groups):
        now, most = cap.counts(held), _most(cap, settings)
        if most is None:
            room: dict[Side, Decimal] | None = {}
        elif cap.group is not None and cap.group not in alike:
            room = None
        else:
            room = _room(cap, max(equity * most / 100, now), held)
        found.append(Use(cap, _share(now, equity), most, room))
    return found


def _room(cap: Cap, most: Decimal, held: Sequence[Held]) -> dict[Side, Decimal]:
    """What `refusal` lets through, from the other end: of something far too large, what is too much of it."""
    large = 2 * (gross(held) + abs(most)) + 1
    found: dict[Side, Decimal] = {}
    for side, sign in _SIGNS.items():
        then = cap.counts([*held, Held(cap.group or "", sign * large, large, large)])
        if then > most:
            found[side] = large - (then - most)
    return found


def _most(cap: Cap, settings: Portfolio) -> Decimal | None:
    found: Decimal | None = getattr(settings, cap.setting)
    return found


def _share(amount: Decimal, equity: Decimal) -> Decimal:
    """In percent; of no equity, anything is too much."""
    return amount * 100 / equity if equity > 0 else Decimal("Infinity") if amount else _NONE
