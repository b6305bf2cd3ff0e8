"""Between the executor and the exchange: requests are carried out, lost, held up or refused, and answered as well as
the schedule's faults allow.
"""

from abc import abstractmethod
from collections.abc import Callable

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.rebuild import unexplained
from pipeline.execution.engine.state import ENTERING, AccountView, OrderRecord, TradeTold
from tests.execution.drill import on_the_way
from tests.execution.drill.setting import END, IDENTITY, POLICY
from tests.execution.drill.world import World
from tests.execution.driver import isolated
from tests.execution.model import SYMBOL, Refused


class Wire(World):
    """Requests and their answers."""

    @abstractmethod
    def compared(self, snapshot: ev.Snapshot, now: int) -> None:
        """The exchange has answered what is open and held."""

    def request(self, order: OrderRecord, carry_out: Callable[[], object], now: int) -> None:
        faults = self.faults
        if self.skew:
            self.back(ev.OrderFailed(order.id, "-1021"), self.quick(now))
        elif self.troubled(faults.failed, now):
            self.back(ev.OrderFailed(order.id, "overloaded"), self.quick(now))
        elif self.troubled(faults.refused, now):
            code = self.random.choice([-4045, -2019, -4131, -2021 if order.algo else -2010])
            self.back(ev.OrderRejected(order.id, code, "refused"), self.quick(now))
        elif self.troubled(faults.lost_before, now):
            self.back(ev.OrderUnknown(order.id, "timeout"), self.quick(now))
        elif self.troubled(faults.late, now):
            self.at(now + self.random.randrange(POLICY.recv_window), lambda _: self.carry_out(order, carry_out))
            self.back(ev.OrderUnknown(order.id, "timeout"), self.quick(now))
        else:
            life = self.life
            self.at(now + 3, lambda then: self.carry_out_and_answer(order, carry_out, life, then))

    def carry_out(self, order: OrderRecord, what: Callable[[], object]) -> ev.Event:
        try:
            what()
        except Refused as refusal:
            self.overtaken |= refusal.code == -2021
            return ev.OrderRejected(order.id, refusal.code, "refused")
        placed = self.exchange.find(order.id)
        assert placed is not None
        on_the_way.check_abandoned(self, self.journal.orders.get(order.id, order))
        return ev.OrderSeen(placed.told(), "answer")

    def carry_out_and_answer(self, order: OrderRecord, what: Callable[[], object], life: int, now: int) -> None:
        answer = self.carry_out(order, what)
        if self.troubled(self.faults.hangs, now):
            return
        if self.troubled(self.faults.lost_after, now):
            answer = ev.OrderUnknown(order.id, "reset")
        self.back(answer, self.quick(now), life)

    def cancel(self, order: OrderRecord, now: int) -> None:
        life = self.life

        def carry_out(then: int) -> None:
            try:
                placed = self.exchange.cancel(order.id)
            except Refused as refusal:
                self.back(ev.CancelFailed(order.id, f"{refusal.code}"), self.quick(then), life)
                return
            lost = self.troubled(self.faults.lost_after, then)
            answer = ev.CancelFailed(order.id, "reset") if lost else ev.OrderSeen(placed.told(), "answer")
            self.back(answer, self.quick(then), life)

        if self.skew or self.troubled(self.faults.lost_before, now):
            self.back(ev.CancelFailed(order.id, "timeout"), self.quick(now))
        else:
            self.at(now + 3, carry_out)

    def set_margin(self, leverage: int, now: int) -> None:
        stale = self.rules(now)
        if not self.skew and not self.troubled(self.faults.lost_before, now):
            self.exchange.leverage = leverage
        if self.exchange.leverage != leverage or self.troubled(self.faults.lost_after, now):
            self.back(ev.MarginNotSet(SYMBOL, isolated(leverage), "timeout", refused=False), self.quick(now))
        else:
            self.back(ev.MarginSet(SYMBOL, isolated(leverage), now + 1), now + 2)
        self.back(stale, self.quick(now))

    def unanswered_at(self, now: int) -> bool:
        return bool(self.skew) or self.troubled(self.faults.query_fails, now)

    def query(self, order: OrderRecord, asked: int) -> None:
        def read(now: int) -> None:
            unseen = self.faults.blind and asked < END and not order.algo
            found = None if unseen else self.exchange.asked(order.id)
            answer = ev.OrderSeen(found, "query") if found else ev.OrderNotFound(order.id, asked)
            if self.exchange.gone and not order.algo:
                answer = ev.SymbolGone(SYMBOL, asked, order.id)
            self.back(answer, self.quick(now))

        if not self.unanswered_at(asked):
            self.at(self.quick(asked), read, mine=True)

    def answer_number(self, number: int, now: int) -> None:
        if self.exchange.gone or self.unanswered_at(now):
            return
        found = next((one for one in self.exchange.every_order() if one.number == number), None)
        unseen = self.faults.blind and now < END and found is not None and IDENTITY.owns(found.client_id)
        told = ev.NumberNotFound(number) if found is None or unseen else ev.OrderSeen(found.told(), "query")
        self.back(told, self.quick(now))

    def answer_fills(self, since: int, asked: int, now: int) -> None:
        if self.exchange.gone and not self.unanswered_at(now):
            self.back(ev.SymbolGone(SYMBOL, asked), self.quick(now))
        elif not self.unanswered_at(now):
            trades = tuple(one for one in self.listed(now) if since <= one.at)
            self.back(ev.FillsSeen(SYMBOL, trades, since, asked), self.quick(now))

    def listed(self, now: int) -> tuple[TradeTold, ...]:
        """The trades that the exchange lists by then."""
        late = self.faults.listed_late if now < END else 0
        return tuple(one for one in self.exchange.trades if one.at <= now - late)

    def answer_position(self, asked: int, now: int) -> None:
        if not self.unanswered_at(now):
            self.back(ev.PositionsSeen((self.exchange.told_position(),), asked, "query"), self.quick(now))

    def answer_past(self, now: int) -> None:
        if self.exchange.gone or self.unanswered_at(now):
            return
        said = (self.exchange.said_of(one) for one in sorted(self.exchange.orders, key=lambda one: not one.algo))
        orders = tuple(one for one in said if one is not None)
        known = {one.id: self.journal.orders[one.id] for one in orders if one.id in self.journal.orders}
        wanted = unexplained(orders, known.values())
        signals = tuple(
            one for one in self.signals.values() if wanted and one.confirmed and one.at <= now and one.kind in ENTERING
        )
        past = ev.Recalled(SYMBOL, orders, tuple(known.values()), self.listed(now), signals)
        self.back(past, self.quick(now))

    def answer_snapshot(self, asked: int, now: int) -> None:
        """Orders and positions are read one after the other: things may happen in between."""
        if self.skew or self.troubled(self.faults.query_fails, now):
            self.back(ev.ReconcileFailed("no answer"), self.quick(now))
            return
        orders = tuple(one.told() for one in self.exchange.open_orders() if self.exchange.shows(one))

        def read_positions(then: int) -> None:
            told = (self.exchange.told_position(),) if self.exchange.position else ()
            equity = self.market.equity
            account = AccountView(self.market.instrument.margin_asset, equity, equity, then, equity)
            self.at(
                self.quick(then), lambda at: self.compared(ev.Snapshot(orders, told, (account,), asked), at), mine=True
            )

        self.at(self.quick(now), read_positions, mine=True)
