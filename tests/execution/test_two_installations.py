"""Two installations on one account, under the fault schedules of the core: neither touches the other's orders, nothing
is opened beside them, and no cancel of either leaves a position without a stop."""

import os

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    Cancel,
    Effect,
    JournalIntent,
    Place,
    Query,
    QueryPositions,
    Recall,
    Reconcile,
    SetMargin,
)
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import ENTERING, AccountView, OrderTold
from tests.execution.drill.schedule import Schedule
from tests.execution.drill.setting import EQUITY, IDENTITY, POLICY, START, TROUBLE
from tests.execution.driver import rules
from tests.execution.model import SYMBOL, Refused
from tests.execution.test_core_faults import CHUNKS, seeds

THEIRS = Identity("sim", "theirs")


class Beside(Schedule):
    """A schedule with a neighbour: another installation, whose database knows nothing, and whose network is good."""

    def __init__(self, seed: int) -> None:
        self.neighbour: Core | None = None
        super().__init__(seed)
        self.mode = self.random.choice(["signal-only", "auto-execute"])
        self.switched_at = START + self.random.randrange(TROUBLE)
        self.neighbour = Core(POLICY, START, identity=THEIRS, mode=self.mode)
        self.seen: tuple[OrderTold, ...] = ()
        self.next_door(rules(leverage=POLICY.risk.leverage), START)

    def next_door(self, event: ev.Event, now: int) -> None:
        if self.neighbour is None:
            return
        for effect in self.neighbour.handle(event, now):
            self.check_neighbour(effect)
            self.perform_for_neighbour(effect, now)

    def check_neighbour(self, effect: Effect) -> None:
        if self.mode == "signal-only" and isinstance(effect, Place | SetMargin):
            self.wrongs.append(f"signal-only, and sent: {effect}")
        if isinstance(effect, Cancel) and not THEIRS.owns(effect.order.id):
            self.wrongs.append(f"cancelled what is another's: {effect}")
        beside = [one.id for one in self.seen if IDENTITY.owns(one.id)]
        if isinstance(effect, Place) and effect.order.leg in ENTERING and beside:
            self.wrongs.append(f"opened beside {beside}: {effect}")

    def perform_for_neighbour(self, effect: Effect, now: int) -> None:
        match effect:
            case JournalIntent(order):
                self.next_door(ev.IntentJournaled(order.id), now)
            case Place(order):
                if order.leg in ENTERING:
                    self.exchange.reopened_by_hand_at = now  # the other cannot have heard of it
                self.answered(order.id, lambda: self.exchange.place(order), now)
            case Cancel(order):
                self.answered(order.id, lambda: self.exchange.cancel(order.id), now)
            case Query(order):
                found = self.exchange.find(order.id)
                told = ev.OrderSeen(found.told(), "query") if found else ev.OrderNotFound(order.id, now)
                self.next_door(told, now)
            case QueryPositions():
                self.next_door(ev.PositionsSeen((self.exchange.told_position(),), self.exchange.moment(), "query"), now)
            case Recall():
                orders = tuple(one.told() for one in self.exchange.orders)
                self.next_door(ev.Recalled(SYMBOL, orders, (), tuple(self.exchange.trades), ()), now)
            case Reconcile():
                self.seen = tuple(one.told() for one in self.exchange.open_orders())
                held = (self.exchange.told_position(),) if self.exchange.position else ()
                account = AccountView("USDT", EQUITY, EQUITY, now, EQUITY)
                self.next_door(ev.Snapshot(self.seen, held, (account,), self.exchange.moment()), now)

    def answered(self, order_id: str, carry_out, now: int) -> None:
        try:
            placed = carry_out()
        except Refused as refusal:
            self.next_door(ev.OrderRejected(order_id, refusal.code, "refused"), now)
            self.next_door(ev.CancelFailed(order_id, "refused"), now)
        else:
            self.next_door(ev.OrderSeen(placed.told(), "answer"), now)

    def tick(self, now: int) -> None:
        super().tick(now)
        if self.mode == "signal-only" and now >= self.switched_at:
            self.mode = "auto-execute"
            self.next_door(ev.ModeSeen("auto-execute"), now)
        self.next_door(ev.PriceSeen(SYMBOL, self.exchange.price, now), now)
        self.next_door(ev.Time(), now)

    def signal_comes(self, signal, now: int) -> None:
        super().signal_comes(signal, now)
        self.next_door(ev.SignalSeen(self.signals[signal.id]), now)

    def tell_news(self, now: int) -> None:
        news = self.exchange.news[self.told_news :]
        super().tell_news(now)
        for one in news:
            told = (
                ev.OrderSeen(one, "stream")
                if isinstance(one, OrderTold)
                else ev.PositionsSeen((one[0],), one[1], "stream")
            )
            self.next_door(told, now)


@pytest.mark.parametrize("chunk", range(CHUNKS // 4))  # two cores take their time: a twentieth of the seeds
def test_neither_touches_what_is_the_others(chunk):
    for seed in seeds(chunk)[::5]:
        schedule = Beside(seed)
        schedule.run()
        wrong = [*schedule.wrongs[:1], *schedule.exchange.naked_by_cancel]
        assert not wrong, f"{wrong}\nreplay alone: TIDEMARK_FAULT_SEED={seed} pytest {os.path.relpath(__file__)}"
