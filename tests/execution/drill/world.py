"""Time, chance and the market of a schedule, and what people do on the account meanwhile. It knows nothing of the
executor but that it is told things.
"""

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count
from random import Random

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Notify, WriteVerdict
from pipeline.execution.engine.state import OrderRecord, PositionRecord, TradeTold
from pipeline.timeline import SECOND
from tests.execution.drill.faults import Faults
from tests.execution.drill.markets import UM, Market
from tests.execution.drill.setting import END, IDENTITY, POLICY, START
from tests.execution.drill.story import draw_delisting, draw_risk, draw_signals
from tests.execution.driver import isolated
from tests.execution.model import SYMBOL, Exchange, Placed


class Journal:
    """MongoDB, as the shell uses it."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderRecord] = {}
        self.positions: dict[str, PositionRecord] = {}
        self.verdicts: dict[str, WriteVerdict] = {}
        self.breakers: set[str] = set()

    def copy(self) -> "Journal":
        made = Journal()
        made.orders, made.positions, made.verdicts = dict(self.orders), dict(self.positions), dict(self.verdicts)
        made.breakers = set(self.breakers)
        return made


def made_by_others(exchange: Exchange) -> list[TradeTold]:
    """The trades of what is held, since nothing was held, where none of ours has added to it."""
    made, adds = exchange.since_flat(), "BUY" if exchange.position > 0 else "SELL"
    numbers = {one.number for one in exchange.every_order() if IDENTITY.owns(one.client_id)}
    return [] if any(one.exchange_id in numbers and one.side == adds for one in made) else made


class World(ABC):
    """An exchange, a journal, faults, and an agenda of what happens when."""

    good_for = 606 * SECOND
    """So long a limit order rests at the exchange, at most."""

    def __init__(self, seed: int, rests: float = 0.4, market: Market = UM) -> None:
        """`rests`: in so many of all, entries are limit orders."""
        self.market = market
        self.random = Random(seed)
        self.resting = Random(f"{seed} rests")
        """Of its own, so that a schedule of market orders is what it was."""
        self.lagging = Random(f"lags {seed}")
        self.draw(seed, rests)
        self.exchange = Exchange(
            *(Decimal(60_000), START, market.terms),
            holds_fired=self.faults.fired_for is not None,
            good_for=self.good_for,
        )
        self.journal = Journal()
        self.order = count()
        self.agenda: list[tuple[int, int, int | None, Callable[[int], None]]] = []
        self.life = 0
        self.skew = 0
        self.away = False
        self.backup = Journal()
        self.told_news = 0
        self.halted = False
        self.close_asked: int | None = None
        self.overtaken = False
        """The market was beyond a stop before it stood: the move that fired the one before filled what rested."""
        self.sent: Counter[str] = Counter()
        """How often each order has left."""
        self.wrongs: list[str] = []
        """Laws that were broken on the way."""
        self.endings: list[tuple[int, Notify]] = []
        """What was said of positions that came to their end, and when."""
        self.ends = 0
        """How many have come to their end in the journal."""
        self.ends_handed = 0
        """How many the executor has handed to its journal, which may take its time."""
        self.handed: PositionRecord | None = None
        """What it has handed to it last."""
        self.closing_since = 0
        """When it has handed to it that what is held is to be closed."""
        self.settled: tuple[int, Decimal] | None = None
        """When the contract ended, and what of ours was held then, if the journal had it."""
        self.firing: set[int] = set()
        """Orders that have fired and have no end yet."""
        self.naked_since: int | None = None
        self.naked_for = 0
        """So long at most what is held was without a stop: since it is quiet, or all along if nothing else fails."""

    def draw(self, seed: int, rests: float) -> None:
        """What goes wrong, what is risked, and what is said."""
        self.faults = Faults.draw(self.random, Random(f"fired {seed}"), self.lagging)
        self.faults.unheard_by_hand(Random(f"unheard {seed}"))
        self.policy = replace(self.market.policy, risk=draw_risk(self.random, self.resting, rests))
        self.good_for = self.resting.choice([World.good_for] * 3 + [3 * SECOND])
        self.signals, self.drift = draw_signals(self.random)
        if self.faults.slow_to_fire:
            self.drift = 120 if next(iter(self.signals.values())).side == "short" else -120
        alone = self.faults.forgetful or self.faults.slow_to_fire
        if not alone:
            self.faults.opened_by_hand([one.at for one in self.signals.values()], Random(f"opened {seed}"))
        self.delisted = [] if alone else draw_delisting(Random(f"delisted {seed}"))

    @abstractmethod
    def feed(self, event: ev.Event, now: int) -> None:
        """The executor is told, and does what follows."""

    # Time and chance

    def at(self, moment: int, what: Callable[[int], None], *, mine: bool = False) -> None:
        """`mine`: it dies with the process."""
        heapq.heappush(self.agenda, (moment, next(self.order), self.life if mine else None, what))

    def troubled(self, chance: float, now: int) -> bool:
        return now < END and self.random.random() < chance

    def held_back(self, now: int) -> bool:
        return any(begin <= now < min(end, END) for begin, end in self.faults.used_up)

    def quick(self, now: int) -> int:
        return now + (
            self.random.randrange(3_000) if self.troubled(self.faults.delay, now) else self.random.randrange(5, 60)
        )

    # The market, and people

    def walk(self, drift: int, now: int) -> None:
        self.exchange.fill_told_first = self.random.random() < 0.5
        unmatched = self.random.choice([Decimal(1), Decimal("0.5")])
        self.exchange.unmatched = unmatched if self.troubled(self.faults.unmatched, now) else Decimal(0)
        self.exchange.move(self.exchange.price + self.random.randrange(-150, 151) + drift)
        if self.random.random() < 0.5:
            self.exchange.fill_rest()
        part = self.random.choice([Decimal("0.05"), Decimal("0.004")])
        self.exchange.part = self.market.lots(part) if self.troubled(self.faults.partial, now) else None
        self.feed(ev.PriceSeen(SYMBOL, self.exchange.price, now), now)

    def hold_fired(self, now: int) -> None:
        """What has fired just now has its end later; the stream tells that it has fired, and nothing for a while."""
        for order in [one for one in self.exchange.orders if one.fired and one.number not in self.firing]:
            self.firing.add(order.number)
            ends = now + (self.faults.fired_for or 0)
            self.at(ends, lambda _, order=order: self.exchange.end_fired(order))
            if self.faults.slow_to_fire:
                self.faults.gaps[:] = [(now + 1, ends + 8 * SECOND)]
                self.at(ends + 8 * SECOND, lambda then: self.feed(ev.StreamBack(), then))

    def watch_protection(self, now: int) -> None:
        """For how long what is held has been without a stop."""
        theirs = self.exchange.reopened_by_hand_at
        if not self.exchange.position or self.exchange.protected(but=self.exchange.added_by_hand) or theirs:
            self.naked_since = None
            return
        self.naked_since = now if self.naked_since is None else self.naked_since
        calm_since = START if self.faults.slow_to_fire else END
        self.naked_for = max(self.naked_for, now - max(self.naked_since, calm_since))

    def become_quiet(self, now: int) -> None:
        self.exchange.part = None
        if self.random.random() < 0.5:
            self.exchange.end_rest()
        self.exchange.fill_rest()
        self.exchange.fill_rest()  # of what can only reduce, the end

    def trade_by_hand(self, now: int) -> None:
        if self.exchange.position and not self.exchange.settling:
            share = self.random.choice([Decimal(-1), Decimal("-0.5"), Decimal("0.5"), None])
            if share is None or self.faults.unheard:
                self.exchange.reopen_by_hand()
            else:
                change = (share * self.exchange.position).quantize(self.market.terms.step)
                if change:
                    self.exchange.trade_by_hand(change)

    def open_by_hand(self, now: int) -> None:
        if not self.exchange.position and not self.exchange.settling:
            way = self.random.choice([-1, 1])
            self.exchange.open_by_hand(way * self.market.lots(self.random.choice([Decimal("0.05"), Decimal("0.011")])))

    def begin_settling(self, now: int) -> None:
        self.exchange.settling = True
        self.at(now + self.random.randrange(2 * SECOND), lambda then: self.feed(self.rules(then), then))

    def settle(self, now: int) -> None:
        known = self.journal.positions.get(SYMBOL)
        ours = known and known.managed and not made_by_others(self.exchange)
        self.settled = now, self.exchange.position if ours else Decimal(0)
        self.exchange.settle()

    def unlist(self, now: int) -> None:
        self.exchange.gone = True

    def rules(self, now: int) -> ev.RulesSeen:
        instrument = None if self.exchange.settling else self.market.instrument
        return ev.RulesSeen(SYMBOL, instrument, isolated(self.exchange.leverage), now, self.market.brackets)

    def cancel_a_stop(self, now: int) -> None:
        for order in self.exchange.open_orders():
            if order.algo and self.random.random() < 0.7:
                self.exchange.cancel(order.client_id, by_us=False)

    def set_clock(self, by: int) -> None:
        self.skew = by

    def clock(self, now: int) -> int:
        """What time the executor takes it to be."""
        return now + self.skew

    def forget(self, *, forgets: bool) -> None:
        self.exchange.forgets = forgets

    def back_up(self, now: int) -> None:
        self.backup = self.journal.copy()

    def before_the_restore(self, placed: Placed) -> bool:
        """It left before, and may have come late."""
        return self.faults.restored is not None and placed.at < self.faults.restored[1] + POLICY.surely_gone

    def back(self, event: ev.Event, moment: int, asked_by: int | None = None) -> None:
        """The answer comes in then, if the process still lives. `asked_by`: in which life it was asked."""
        if asked_by is None or asked_by == self.life:
            self.at(moment, lambda now: self.feed(event, now), mine=True)
