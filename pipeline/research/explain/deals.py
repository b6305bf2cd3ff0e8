"""A position as both sides tell it, live and backtest: what entered it, what left it, and what it brought. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Literal

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.books import reached_by
from pipeline.research.backtest.ends import planned
from schemas import orders as journal
from schemas.signals import Side

End = Literal["hand", "liquidation", "open", "crumbs"]
"""What closes a position besides orders of ours: nobody we know of, the exchange, or nothing yet, and it is worth the
last price. `crumbs`: coins that are left over and too few to be sold, worth nothing."""
Guard = Literal["stop", "take_profit"]
Key = tuple[str | None, str]
"""What tells an order from the others of its position, live and in a backtest: its signal, and what it is for."""

ZERO: Final = Decimal(0)
_LAST_DIGIT: Final = Decimal("1e-12")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """What was filled of one order, or what stands for one where there was none."""

    order: str
    signal: str | None
    leg: journal.Leg | End
    quantity: Decimal
    price: Decimal
    at: int
    fee: Decimal | None
    """In money; None: not known."""
    kept: Decimal = ZERO
    """So many of the coins it bought the exchange kept: their worth is in the fee, and never came in."""
    wanted: Decimal | None = None
    """What was ordered; None: all that was held."""
    decided: Decimal | None = None
    """The price by which it was decided."""
    said: Decimal | None = None
    """That of its signal."""
    trigger: Decimal | None = None
    late: int | None = None
    """How long after its signal it was decided, in milliseconds."""
    equity: Decimal | None = None
    """By which it was sized."""
    bound: str | None = None
    """What kept it from being larger."""
    why: str | None = None
    """What the executor closed it for, where no signal did."""
    is_priced: bool = True
    """False: the price of its fill is not known yet, and stands for what it may be."""
    stop: Decimal | None = None
    """Where the plan of an entry puts the position's stop."""
    target: Decimal | None = None
    reached: Guard | None = None
    """Of what the executor closed at the market: which of the position's own the price had come to; `trigger` is where
    that stood."""

    @property
    def purpose(self) -> str:
        """What it closed it by, or what it entered it with."""
        return self.reached or self.leg

    @property
    def key(self) -> Key:
        """A position has one stop at a time, whatever signal moved it; the others are those of their signals."""
        of_signal = self.leg in {"trial", "entry", "add", "exit"}
        return (self.signal if of_signal else None, self.purpose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A position from its first fill until nothing is held, or until the window ends. `gross` is what its prices
    brought by the books of the exchange; `levels` are the triggers of its stops and of its targets, by leg, in their
    order."""

    symbol: str
    side: Side
    strategy: str
    interval: str
    signal: str
    opened_at: int
    closed_at: int | None
    entering: Sequence[Leg]
    closing: Sequence[Leg]
    gross: Decimal
    funding: Decimal = ZERO
    levels: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)

    @property
    def result(self) -> Decimal:
        """What it brought after fees and funding, to the twelfth decimal."""
        fees = sum((one.fee or ZERO for one in (*self.entering, *self.closing)), ZERO)
        return rounded(self.gross - fees + self.funding)

    @property
    def sign(self) -> int:
        """Which way it gains."""
        return 1 if self.side == "long" else -1

    def stood_at(self, guard: str) -> Decimal | None:
        """Where its stop or its target stood in the end: by its own plan, else by the orders."""
        levels = self.levels.get(guard, ())
        return _planned(self.sign, self.entering).get(guard, levels[-1] if levels else None)

    def entered(self, one: Instrument) -> Decimal:
        """What its entries were worth."""
        return sum((one.notional(each.quantity, each.price) for each in self.entering), ZERO)


def left_of_coins(entering: Iterable[Leg], closing: Iterable[Leg]) -> Decimal:
    """What was bought and came in, and was not sold."""
    came = sum((one.quantity - one.kept for one in entering), ZERO)
    return came - sum((one.quantity for one in closing), ZERO)


def gained_of_coins(entering: Iterable[Leg], closing: Iterable[Leg]) -> Decimal:
    """What they brought, before fees."""
    paid = sum(((one.quantity - one.kept) * one.price for one in entering), ZERO)
    return sum((one.quantity * one.price for one in closing), ZERO) - paid


def by_guards(sign: int, entering: Sequence[Leg], closing: Sequence[Leg]) -> list[Leg]:
    """What left it. Where strategies hold a contract together, the exchange watches only what they come to, and the
    executor closes at the market what a stop left of its owner's: that is of the stop, where it says so, or where the
    stop had fired before, or the price was beyond it."""
    plans = _planned(sign, entering)
    return [_by_guard(one, sign, plans, closing) if one.leg == "flatten" else one for one in closing]


def _planned(sign: int, entering: Iterable[Leg]) -> dict[str, Decimal]:
    return planned(sign, ((one.stop, one.target) for one in entering))


def _by_guard(leg: Leg, sign: int, plans: Mapping[str, Decimal], closing: Iterable[Leg]) -> Leg:
    fired = {(one.leg, one.trigger) for one in closing if one.at <= leg.at}
    guards: tuple[tuple[Guard, int], ...] = (("stop", -sign), ("take_profit", sign))
    for guard, way in guards:
        level = plans.get(guard)
        is_beyond = level is not None and leg.is_priced and way * (leg.price - level) >= 0
        is_said = level is not None and leg.why is not None and reached_by(leg.why) == guard
        if is_said or is_beyond or (guard, level) in fired:
            return replace(leg, reached=guard, trigger=level)
    return leg


def crumbs(quantity: Decimal, at: int) -> Leg:
    """What was left over."""
    return Leg(order="", signal=None, leg="crumbs", quantity=quantity, price=ZERO, at=at, fee=ZERO)


def rounded(money: Decimal) -> Decimal:
    """To where nothing that a division left matters any more: sums of such are exact."""
    return money.quantize(_LAST_DIGIT)


def gained(
    one: Instrument, sign: int, entering: Iterable[tuple[Decimal, Decimal]], leaving: Iterable[tuple[Decimal, Decimal]]
) -> Decimal:
    """What quantities at their prices bring, in and out, before fees. Both have to come to the same quantity, but for
    what was kept of coins."""
    paid, received = (
        sum((quantity * one.arithmetic.value(price, one.size) for quantity, price in each), ZERO)
        for each in (entering, leaving)
    )
    return sign * (received - paid)
