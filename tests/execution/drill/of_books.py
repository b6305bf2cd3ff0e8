"""Schedules in which several strategies hold the same contract, each in a book of its own: their story, and the laws
that hold for books beside all others.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from random import Random

from pipeline.execution.engine.effects import JournalPosition, Place
from pipeline.execution.engine.state import ENTERING, PROTECTING, OrderRecord, Owner, PositionRecord, SignalView
from pipeline.settings import Portfolio
from pipeline.timeline import SECOND
from tests.execution.drill import laws
from tests.execution.drill.markets import UM, Market
from tests.execution.drill.schedule import Schedule
from tests.execution.drill.setting import ATR, START, TROUBLE
from tests.execution.drill.story import LADDER, OWN, draw_story
from tests.execution.model import SYMBOL, Placed

STRATEGIES = (OWN, ("turtle", "1m"), ("macd", "15m"))
ZERO = Decimal(0)


class BookSchedule(Schedule):
    """One in which two or three strategies speak, each of its own side and at its own pace."""

    def __init__(self, seed: int, rests: float = 0.4, market: Market = UM) -> None:
        self.paying = Random(f"paying {seed}")
        """Of its own: what the exchange refuses, and the executor may not have heard of."""
        least = market.terms.least * self.paying.choice([1, 1, 20, 60])
        market = replace(market, terms=replace(market.terms, least=least))
        super().__init__(seed, rests, self.paying.choice([market, with_its_least(market)]))
        if self.paying.random() < 0.5:
            self.exchange.wallet = market.equity * self.paying.choice([Decimal(1), Decimal("0.5"), Decimal("0.2")])

    def draw(self, seed: int, rests: float) -> None:
        super().draw(seed, rests)
        self.policy = replace(self.policy, portfolio=Portfolio(books=True))
        self.signals = draw_stories(Random(f"books {seed}"))
        self.crossed = 0
        """How often a book was written that faces another one."""
        self.left: dict[str, OrderRecord] = {}
        """Each order that has left, as it left first."""

    def become_quiet(self, now: int) -> None:
        """Somebody pays in, and what the exchange takes at least is known."""
        self.exchange.wallet += 100 * self.market.equity
        self.market = with_its_least(self.market)
        super().become_quiet(now)
        self.feed(self.rules(now), now)

    def perform(self, effect: object, now: int) -> None:
        if isinstance(effect, JournalPosition):
            self.crossed += len({one.side for one in effect.position.books}) > 1
            self.wrongs += larger_than_all_its_own(self, effect.position.books)
        if isinstance(effect, Place):
            self.left.setdefault(effect.order.id, effect.order)
        super().perform(effect, now)


def with_its_least(market: Market) -> Market:
    """One of whose contract the executor knows what an order has to be worth at least."""
    filters = market.instrument.rules.model_copy(update={"min_notional": market.terms.least})
    return replace(market, instrument=replace(market.instrument, filters=filters))


def draw_stories(random: Random) -> dict[str, SignalView]:
    """What each strategy says: its own story, at its own moments. Their stops lie at different distances."""
    signals = {}
    for strategy, interval in random.sample(STRATEGIES, random.choice([2, 2, 3])):
        side, other = random.choice([("long", "short"), ("short", "long")])
        at = START + 500 + random.randrange(6 * SECOND)
        atr = ATR * random.choice([Decimal(1), Decimal(1), Decimal(2)])
        for kind, turned in draw_story(random) if random.random() < 0.8 else LADDER:
            name = f"s{len(signals)}"
            fresh = at + random.choice([2 * SECOND, 20 * SECOND])
            way = other if turned else side
            signals[name] = SignalView(
                name, SYMBOL, interval, strategy, kind, way, at, ZERO, atr, random.random() > 0.05, fresh
            )
            at = min(at + random.randrange(1, 8) * SECOND, START + TROUBLE - 1)
    return signals


def broken_law(schedule: BookSchedule) -> str | None:
    """The first law that does not hold."""
    return laws.broken_law(schedule, broken_book_law)


def broken_book_law(schedule: BookSchedule) -> str | None:
    """Of what is held, once all is quiet: the books add up, and each has its stop."""
    exchange, (held, standing) = schedule.exchange, laws.held_and_standing(schedule)
    if broken := laws.broken_in_any(schedule):
        return broken
    if held.ours and sum((one.quantity for one in held.books), ZERO) != held.quantity:
        return f"the books do not add up to what is held: {held}"
    if schedule.halted and held.ours and (held.quantity or held.books):
        return f"halted with flatten, and still holding {held}"
    for one in held.books:
        if (one.quantity > 0) != (one.side == "long") or (one.closing and not is_too_small(schedule, held, one)):
            return f"not at rest: {one}"
    if larger := larger_than_its_own(schedule, held):
        return larger
    if not exchange.position:
        return f"flat, and open at the exchange: {standing}" if standing else watched(schedule, held, held.books)
    if not held.ours and exchange.reopened_by_hand_at:
        return None
    return broken_stop_law(schedule, held, [one for one in standing if one.kind == "STOP_MARKET"])


def larger_than_all_its_own(schedule: BookSchedule, books: Iterable[PositionRecord]) -> list[str]:
    """At no time a book is larger than all that its owner has ever wanted on its side, but for what others do on the
    account, and one that has it all where the journal is lost; and but for what a stop of its own has opened."""
    faults = schedule.faults
    if faults.by_hand or faults.opened is not None or faults.restored is not None:
        return []
    return [
        f"larger than all its own entries, which are {most}: {one}"
        for one in books
        if one.strategy is not None
        and one.closing is None
        and abs(one.quantity) > (most := sum((each.quantity for each in entries(schedule, one)), ZERO))
        and not 0 < abs(one.quantity) <= made_by_each(schedule).get(one.owner, ZERO) * (1 if one.quantity > 0 else -1)
    ]


def entries(schedule: BookSchedule, book: PositionRecord) -> list[OrderRecord]:
    """Those of its owner that have left, on its side."""
    mine = [one for one in schedule.left.values() if one.leg in ENTERING and one.owner == book.owner]
    return [one for one in mine if (one.side == "BUY") == (book.quantity > 0)]


def larger_than_its_own(schedule: BookSchedule, held: PositionRecord) -> str | None:
    """No book is larger than what its own entries have made of it, less what its own orders have closed since. Of what
    others do on the account it has its share, and where the journal is lost one book has it all: one of those that have
    entered its side."""
    faults, made = schedule.faults, made_by_each(schedule)
    if faults.by_hand or faults.opened is not None:
        return None
    for one in held.books:
        most = made.get(one.owner, ZERO)
        if one.strategy is None or (faults.restored is not None and entries(schedule, one)):
            continue
        if one.closing is not None and one.quantity * most < 0:
            continue  # more of it was closed than was held: it is closed again, unless that is too small alone
        if one.quantity * most <= 0 or abs(one.quantity) > abs(most):
            return f"larger than its own entries have made it, which is {most}: {one}"
    return None


def made_by_each(schedule: BookSchedule) -> dict[Owner, Decimal]:
    """What the fills of each strategy's own orders come to, as the exchange has them. An entry the other way begins
    anew: what it had was closed by an order for all. A stop or target that is filled where nothing is left for it to
    close, because it was given up and another order had closed that, opens what is its own."""
    names = {one.number: one.client_id for one in schedule.exchange.every_order()}
    made: dict[Owner, Decimal] = {}
    for trade in schedule.exchange.trades:
        order = schedule.left.get(names[trade.exchange_id])
        if order is None or order.owner[0] is None:
            continue
        held, change = made.get(order.owner, ZERO), trade.quantity if trade.side == "BUY" else -trade.quantity
        if order.leg in ENTERING or (order.leg in PROTECTING and held * change >= 0):
            made[order.owner] = held + change if held * change >= 0 else change
        elif held * change < 0:
            made[order.owner] = held + (change if abs(change) <= abs(held) else -held)
    return made


def is_too_small(schedule: BookSchedule, held: PositionRecord, book: PositionRecord) -> bool:
    """Whether it cannot be closed: an order for it may open something, and is worth less than the exchange takes."""
    reduces = book.quantity * held.quantity > 0 and abs(held.quantity) >= abs(book.quantity)
    worth = abs(book.quantity) * abs(schedule.market.terms.value(schedule.exchange.price))
    return not reduces and worth < schedule.market.terms.least


def broken_stop_law(schedule: BookSchedule, held: PositionRecord, stops: list[Placed]) -> str | None:
    """The stop that is farthest closes it all; a nearer one is for its own book, as far as the position goes."""
    mine = [one for one in held.books if one.quantity * held.quantity > 0]
    if not mine:
        return f"nobody's: {held}"
    long = held.quantity > 0
    closing = [one for one in stops if one.close_position]
    last = (min if long else max)(one.stop_price for one in mine)
    if [one.trigger for one in closing] != [last] or closing[0].client_id != held.stop_order:
        return f"the closing stop is not the farthest: {closing} {held}"
    nearer = sorted(
        (one for one in mine if one.strategy and one.stop_price != last), key=lambda one: one.stop_price, reverse=long
    )
    left, wanted = abs(held.quantity), []
    for one in nearer:
        quantity = min(left, abs(one.quantity))
        left -= quantity
        wanted += [(one.stop_price, quantity)] if quantity else []
    found = sorted((one.trigger, one.quantity) for one in stops if not one.close_position)
    if found != sorted(wanted):
        return f"the stops of the books are {found}, not {sorted(wanted)}: {held}"
    return watched(schedule, held, [one for one in held.books if one not in mine])


def watched(schedule: BookSchedule, held: PositionRecord, books: Iterable[PositionRecord]) -> str | None:
    """What has no stop at the exchange is closed when its price has come; of what is not traded any more nothing is."""
    price = schedule.exchange.price
    if schedule.exchange.settling:
        return None
    for one in books:
        reached = price <= one.stop_price if one.quantity > 0 else price >= one.stop_price
        if reached and not is_too_small(schedule, held, one):
            return f"the price is {price}, and held is {one}"
    return None
