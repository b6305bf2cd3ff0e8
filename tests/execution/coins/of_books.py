"""Schedules in which several strategies hold coins of one symbol, each in a book of its own: their story, and the laws
that hold for books beside all others.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random

from pipeline.execution.engine import effects as ef
from pipeline.execution.engine.state import OrderRecord, PositionRecord, SignalView
from pipeline.execution.runtime.documents import position_document, position_record
from pipeline.settings import Portfolio
from pipeline.timeline import SECOND
from tests.execution.coins import schedule
from tests.execution.coins.exchange import LEAST_WORTH, LOT, Exchange, Placed
from tests.execution.coins.schedule import ATR, IDENTITY, START, TROUBLE, ZERO, Schedule
from tests.execution.model import SYMBOL

STRATEGIES = (("macd", "1h"), ("turtle", "1m"), ("macd", "15m"))
Owner = tuple[str | None, str | None]


@dataclass
class BookExchange(Exchange):
    """It keeps apart what was bought and sold for whom."""

    owners: dict[str, Owner] = field(default_factory=dict)
    mine: defaultdict[Owner, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    left: defaultdict[Owner, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """What was too little to be sold: it may yet go with the next."""

    def held_by(self, owner: Owner) -> Decimal:
        lots = self.mine[owner] // LOT * LOT
        return lots if lots * self.price >= LEAST_WORTH else ZERO

    def is_bare(self, owner: Owner) -> bool:
        """Whether nothing stands for it that would sell anything."""
        selling = (one for one in self._ours() if one.open and one.side == "SELL")
        return bool(self.held_by(owner)) and all(self.owners[one.client_id] != owner for one in selling)

    @property
    def covered(self) -> bool:
        return all(self._is_covered(owner) for owner in list(self.mine))

    def _is_covered(self, owner: Owner) -> bool:
        its = [one for one in self._ours() if self.owners[one.client_id] == owner]
        stops = (one for one in its if (one.open and one.kind == "STOP_MARKET") or one.status == "partially_filled")
        return not self.held_by(owner) or any(one.quantity >= self.held_by(owner) for one in stops)

    def _ours(self) -> list[Placed]:
        return [one for one in self.orders if one.client_id in self.owners]

    def _record(self, order: OrderRecord, list_id: int | None) -> Placed:
        self.owners[order.id] = order.owner
        return super()._record(order, list_id)

    def _fill(self, order: Placed, most: Decimal | None) -> None:
        super()._fill(order, most)
        owner = self.owners[order.client_id]
        if order.side == "BUY":
            self.mine[owner] += order.filled - order.kept
            return
        self.left[owner] -= max(ZERO, order.filled - self.mine[owner])
        self.mine[owner] = max(ZERO, self.mine[owner] - order.filled)
        if not self.held_by(owner):
            self.left[owner] += self.mine.pop(owner)


class BookSchedule(Schedule):
    """One in which two or three strategies speak, each at its own pace."""

    made_by = BookExchange

    def __init__(self, seed: int, **but: float) -> None:
        super().__init__(seed, **but)
        self.policy = replace(self.policy, portfolio=Portfolio(books=True))
        self.signals = draw_stories(Random(f"books {seed}"))
        self.most = 0
        """How many books there were at once."""
        self.bare: dict[Owner, int] = {}
        """Since when nothing stands for it, where something has stood."""
        self.covered: set[Owner] = set()

    def watch_moves(self, now: int) -> None:
        for owner in STRATEGIES:
            if self.away or not self.exchange.is_bare(owner):
                self.bare.pop(owner, None)
                (self.covered.discard if self.away or not self.exchange.held_by(owner) else self.covered.add)(owner)
            elif owner in self.covered:
                self.bare_for = max(self.bare_for, now - self.bare.setdefault(owner, now))

    def perform(self, effect: ef.Effect, now: int) -> None:
        """A restart goes on with what is stored of the books."""
        if isinstance(effect, ef.JournalPosition):
            self.most = max(self.most, len(effect.position.books))
            stored = position_document(effect.position, IDENTITY, now, None)
            effect = ef.JournalPosition(position_record(stored))
        super().perform(effect, now)


def draw_stories(random: Random) -> dict[str, SignalView]:
    """What each strategy says. Their stops lie at different distances."""
    found: dict[str, SignalView] = {}
    for strategy, interval in random.sample(STRATEGIES, random.choice([2, 2, 3])):
        at, atr = START + random.randrange(4 * SECOND), ATR * random.choice([1, 1, 2])
        for _ in range(random.randrange(1, 5)):
            at = min(at + random.randrange(500, 6 * SECOND), START + TROUBLE - 1)
            kind = random.choice(["trial", "entry", "entry", "add", "exit"])
            side = "short" if kind != "add" and random.random() < 0.2 else "long"
            name = f"s{len(found)}"
            found[name] = SignalView(
                name, SYMBOL, interval, strategy, kind, side, at, ZERO, atr, True, at + 15 * SECOND
            )
    return found


def broken_law(story: BookSchedule) -> str | None:
    """The first law that does not hold."""
    return schedule.broken_law(story, held_in_books)


def held_in_books(story: BookSchedule, standing: list[Placed]) -> str | None:
    """They add up to no more than what is ours; each has what its own orders have, and its own stop over all of it."""
    exchange, held = story.exchange, story.journal.positions.get(SYMBOL) or PositionRecord(SYMBOL)
    if sum((one.quantity for one in held.books), ZERO) != held.quantity:
        return f"the books do not add up to what is held: {held}"
    if held.quantity > exchange.ours + exchange.dust:
        return f"{exchange.ours} are ours, and {exchange.dust} of dust, and the journal has {held}"
    if len({one.owner for one in held.books}) != len(held.books) or any(one.quantity <= 0 for one in held.books):
        return f"these are no books: {held}"
    if "restored" not in story.seen and "robbed" not in story.seen and (wrong := as_bought(exchange, held)):
        return wrong
    stops = [one for one in standing if one.kind == "STOP_MARKET"]
    wanted = sorted((one.quantity // LOT * LOT, one.stop_price) for one in held.books)
    if sorted((one.quantity, one.trigger) for one in stops) != wanted:
        return f"this is held: {held}, and these stand: {standing}"
    targets = sorted(one.take_profit_price for one in held.books if one.take_profit_price is not None)
    if sorted(one.trigger for one in standing if one.kind == "TAKE_PROFIT_MARKET") != targets:
        return f"this is held: {held}, and these stand: {standing}"
    odd = [one for one in held.books if one.closing or one.stop_order not in {each.client_id for each in stops}]
    return f"not at rest: {odd}" if odd else None


def as_bought(exchange: BookExchange, held: PositionRecord) -> str | None:
    """Each has what its own orders have bought, and not sold again."""
    books = {one.owner: one.quantity for one in held.books}
    for owner in {*books, *exchange.mine}:
        has, least = books.get(owner, ZERO), exchange.mine.get(owner, ZERO)
        if not least <= has <= least + exchange.left[owner] and (has or exchange.held_by(owner)):
            return f"{least} are of {owner}, and {exchange.left[owner]} of dust, and the journal has {held}"
    return None
