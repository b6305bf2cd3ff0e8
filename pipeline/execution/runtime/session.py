"""One term of leadership: a core built from the journal, and everything that feeds it and acts for it.

A term ends when the lease is lost, when it is told to, or when something fails that it cannot mend; the next one begins
anew from the journal. Nothing of a term outlives it: a core is never handed on.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from pymongo.errors import PyMongoError

from pipeline.errors import AttentionError
from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.reports import PositionReport
from pipeline.exchange.user_events import AccountUpdate, AlgoUpdate, CoinOrderUpdate, OrderUpdate, UserEvent
from pipeline.exchange.userdata import UserStream
from pipeline.execution.engine import tradable
from pipeline.execution.engine.diary import Diary
from pipeline.execution.engine.effects import Effect, JournalPosition, Place, TripBreaker
from pipeline.execution.engine.events import (
    AlikeSeen,
    Event,
    FeeSeen,
    LeaseLost,
    Leaving,
    ModeSeen,
    OrderSeen,
    PositionsSeen,
    PriceSeen,
    RulesSeen,
    SignalSeen,
    Snapshot,
    StreamBack,
    Time,
)
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.others import said
from pipeline.execution.engine.state import PositionRecord
from pipeline.execution.gateway import coin_reports, reports_in
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.execution.runtime import documents
from pipeline.execution.runtime.context import Context
from pipeline.execution.runtime.desks import desk_of
from pipeline.execution.runtime.effects import Performer
from pipeline.execution.runtime.inputs import Prices, Signals, Switches
from pipeline.execution.runtime.instruments import Instruments
from pipeline.execution.runtime.journaling import Journaling
from pipeline.execution.runtime.opening import open_core
from pipeline.execution.runtime.writing import Write, Writing
from pipeline.portfolio.alike import groups
from pipeline.store.likeness import State
from pipeline.tasks import cancel
from pipeline.timeline import to_datetime

log = logging.getLogger(__name__)

_LEAVE_WITHIN = 5.0


class TradingSession:
    """Make one inside the event loop, `run` it once."""

    def __init__(self, context: Context, fence: int) -> None:
        self._context = context
        self._fence = fence
        self._loop = asyncio.get_running_loop()
        self._effects: asyncio.Queue[Effect] = asyncio.Queue()
        self._failed: asyncio.Future[str] = self._loop.create_future()
        self._ended = threading.Event()
        self._workers = ThreadPoolExecutor(context.pace.workers, thread_name_prefix="executor")
        self._journal = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._switches = Switches(context.default_mode, context.may_execute)
        self._likeness: State | None = None
        self._market = context.listed
        self._desk = desk_of(context, self._positions, self._symbols)
        self._gateway = Gateway(context.asking.client, self._desk, self.tell_from_thread)
        self._prices = Prices(context.sending.client.environment, self.tell)
        self._instruments = Instruments(context.asking, context.market, self._prices, self._market)
        self._stream = UserStream(context.asking, self, limits=context.user_limits)
        self._signals = Signals(context.stores.signals, self.tell_from_thread, self._ended)
        self._journaling: Journaling
        self._performer: Performer
        self._diary: Diary
        self.core: Core

    @property
    def sends(self) -> bool:
        """Whether orders are sent: not before the switches were read."""
        return self._switches.mode == "auto-execute"

    async def run(self, held: Awaitable[str], stop: asyncio.Event) -> str | None:
        """Act until `stop` is set (None), or until the term ends by itself: why it did. `held` ends with the lease."""
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(held)]
        try:
            await self._in_thread(self._open)
            tasks += [asyncio.ensure_future(one) for one in self._work()]
            return await self._until_one_ends(tasks, stop)
        finally:
            self._end()
            await cancel(tasks)

    # What is told

    def tell(self, event: Event) -> None:
        """Let the core think about it. In the loop's thread only."""
        if self._ended.is_set():
            return
        corrections = self.core.corrections
        try:
            effects = self.core.handle(event, self._context.now())
        except Exception as error:  # a core that failed is not to be trusted with another event
            log.exception("the core failed on %s", type(event).__name__)
            self._fail(f"the core failed on {type(event).__name__}: {error}")
            return
        for effect in effects:
            self._effects.put_nowait(effect)
        self._write_down(event, effects)
        if isinstance(event, Snapshot):
            self._refuse_beside_others()
            self._context.comparisons.made += 1
            self._context.comparisons.unequal += self.core.corrections > corrections
            self._show(event)

    def _write_down(self, event: Event, effects: Sequence[Effect]) -> None:
        """What happened, in the log. Nothing hangs on it."""
        try:
            for line in self._diary.told(event, effects, self._context.now()):
                log.info(line)
        except Exception:
            log.exception("what happened could not be written down: %s", type(event).__name__)

    def _refuse_beside_others(self) -> None:
        """A process that has just begun ends where another installation is on the account and nothing of ours is to be
        kept; later, and with something to keep, it opens nothing."""
        others = self.core.others
        if self._context.comparisons.made or not others or self.core.mode != "auto-execute" or self.core.keeps():
            return
        refusal = AttentionError(
            f"{said(others)}. Two that execute on one account could not tell whose is what. If that installation is "
            "gone, make what it left yours: `tidemark execute --take-over`. Otherwise stop it, or give this one a "
            "sub-account of its own"
        )
        if not self._failed.done():
            self._failed.set_exception(refusal)

    def tell_from_thread(self, event: Event) -> None:
        """The same, from a worker thread."""
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(self._hear, event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, SignalSeen) and event.signal.symbol not in self._instruments.known:
            self._spawn(self._learn_symbol_of(event))
        else:
            self.tell(event)

    # UserListener

    def user_event(self, event: UserEvent) -> None:
        """Something happened to the account."""
        match event:
            case OrderUpdate():
                self.tell(OrderSeen(reports_in.order_streamed(event), "stream"))
            case AlgoUpdate():
                self.tell(OrderSeen(reports_in.algo_streamed(event), "stream"))
            case AccountUpdate():
                self.tell(PositionsSeen(reports_in.positions_streamed(event), event.time, "stream"))
                for change in reports_in.account_changes(event, self._market):
                    self.tell(change)
            case CoinOrderUpdate():
                listed = self._market.listed.get(event.symbol)
                told = coin_reports.order_streamed(event, None if listed is None else listed.base)
                self.tell(OrderSeen(told, "stream"))

    def user_connected(self) -> None:
        """What happened before has to be asked for."""
        self.tell(StreamBack(self._context.sending.client.clock.surely))

    def user_lost(self, reason: str) -> None:
        """Until it is back, answers and the comparison each minute have to do."""
        log.warning("the user data stream is down: %s; connecting anew", reason)

    # How it begins

    def _open(self) -> None:
        """Build the core from the journal. In a worker thread; nothing is told before it is done."""
        context = self._context
        self.core, switched = open_core(context, self._fence, self._switches)
        self._diary = Diary(context.policy.environment, self.core.mode, coins=context.policy.coins)
        self._diary.takes_over(self.core.orders(), self.core.positions())
        known = self.core.identity, self._fence
        writing = Writing(*known, context.stores, context.unhurried, self._worth, context.now)
        self._journaling = Journaling(writing, self.tell, self._written, self._in_journal, context.notify)
        self._performer = Performer(context.stores, self._journaling, self._gateway, self._begin, context.notify)
        held = {one.symbol for one in self.core.orders()} | {one.symbol for one in self.core.positions()}
        symbols = context.symbols() | held
        fees = context.stores.symbols.taker_fees(context.policy.environment)
        kept = (FeeSeen(symbol, fee) for symbol, fee in fees.items() if symbol in symbols)
        for event in (*switched, *self._alike(), *self._first_rules(symbols, held), *kept):
            self.tell_from_thread(event)

    def _alike(self) -> list[Event]:
        """What moves alike, where that caps anything and was measured anew since the last look."""
        portfolio, store = self._context.policy.portfolio, self._context.stores.likeness
        if portfolio.group_percent is None or (state := store.state()) == self._likeness:
            return []
        measured = {symbol: one.correlations for symbol, one in store.load().items()}
        self._likeness = state
        return [AlikeSeen(groups(measured, portfolio.alike))]

    def _first_rules(self, symbols: set[str], held: set[str]) -> list[Event]:
        """What is allowed in these symbols. What is held waits for no answer: it is protected without, and the next
        look at the symbols asks again."""
        try:
            rules = self._instruments.rules(symbols)
        except ExchangeError as error:
            if not held:
                raise
            log.warning("the rules could not be asked for: %s; nothing is opened before they are", error)
            return []
        self._refuse_a_stage_too_small(rules, held)
        self._loop.call_soon_threadsafe(self._instruments.follow, symbols)
        return rules

    def _refuse_a_stage_too_small(self, rules: Sequence[Event], held: set[str]) -> None:
        """Where nothing is to be kept either, there would be nothing to do."""
        policy = self._context.policy
        if held or not policy.production or self.core.mode != "auto-execute":
            return
        prices = {one.symbol: one.price for one in rules if isinstance(one, PriceSeen)}
        listed = {
            one.symbol: (one.instrument, prices[one.symbol])
            for one in rules
            if isinstance(one, RulesSeen) and one.instrument is not None and one.symbol in prices
        }
        reason = tradable.refusal(self._switches.stage, policy.risk, self._context.symbols(), listed)
        if reason:
            raise AttentionError(reason)

    # What it does

    def _work(self) -> list[Awaitable[Any]]:
        pace, hears = self._context.pace, self._context.hears
        return [
            self._failed,
            self._perform(),
            self._journaling.run(),
            self._stream.run(),
            self._prices.feed.run(),
            *((asyncio.to_thread(self._signals.follow), self._every(pace.sweep, self._sweep)) if hears else ()),
            self._every(pace.tick, self._tick),
            self._every(pace.switches, self._look_at_switches),
            self._every(pace.watched, self._look_at_symbols),
            self._every(pace.rules, self._refresh_rules),
            self._every(pace.rules, self._look_at_likeness),
            self._every(pace.fees, self._ask_a_fee),
            self._every(pace.clock, self._sync_clock),
            self._every(pace.clock_in_doubt, self._keep_clock),
            self._every(pace.clean_days, self._look_back),
        ]

    async def _until_one_ends(self, tasks: Sequence[asyncio.Future[Any]], stop: asyncio.Event) -> str | None:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if stopping in done:
            await self._leave()
            return None
        ended = next(task for task in tasks if task in done)
        return str(ended.result())

    async def _leave(self) -> None:
        """Nobody may be there to protect what would be filled later: what rests is cancelled, and what was filled of it
        gets its stop. What is known is written down."""
        if self.core.rests:
            self.tell(Leaving())
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_WITHIN):
                while self.core.rests or not self._effects.empty() or self._journaling.is_busy:  # noqa: ASYNC110 - polled
                    await asyncio.sleep(0.05)

    async def _perform(self) -> None:
        while True:
            effect = await self._effects.get()
            if isinstance(effect, Place):
                self._place(effect)
            else:
                if isinstance(effect, JournalPosition):
                    self._context.exposure.seen(effect.position, self._context.now())
                self._performer.perform(effect)

    def _positions(self) -> tuple[PositionRecord, ...]:
        return self.core.positions()

    def _symbols(self) -> set[str]:
        """What is traded, and what anything is known of."""
        named = {one.symbol for one in self.core.orders()} | {one.symbol for one in self.core.positions()}
        return self._instruments.known | named

    def _worth(self, symbol: str) -> PositionReport | None:
        return self._desk.worth.get(symbol)

    def _written(self, write: Write) -> None:
        if isinstance(write, TripBreaker):
            self._switches.tripped(write.breaker)
        self._performer.written(write)

    def _place(self, effect: Place) -> None:
        """The stream must tell of an order that the exchange took: if it does not, it is dead."""
        begun, tells = self._loop.time(), self._market.product.streams.tells_algos or not effect.order.algo

        def sent() -> None:
            if self._gateway.place(effect.order, effect.beside, effect.instead) and tells:
                self._loop.call_soon_threadsafe(self._stream.expect_news, begun)

        self._begin(sent)

    def _show(self, snapshot: Snapshot) -> None:
        """The stored positions keep up with the exchange's prices; the books get a line."""
        held = [one for one in self.core.positions() if one.quantity]
        for position in held:
            self._effects.put_nowait(JournalPosition(position))
        if self._context.hears:
            kept = (one for one in self.core.positions() if one.quantity or one.books)
            self._begin(self._signals.remind, [one for one in kept if one.ours])
        self._begin(self._book, Counter(self._market.asset_of(one.symbol) for one in held), snapshot.asof)

    def _book(self, open_positions: Mapping[str | None, int], now: int) -> None:
        if self._desk.account is None:
            return
        try:
            self._context.books.snapshots(self._desk.account, open_positions, now)
        except PyMongoError as error:
            log.warning("the account's snapshot could not be stored: %s", str(error)[:200])

    async def _learn_symbol_of(self, event: SignalSeen) -> None:
        await self._learn({event.signal.symbol})
        self.tell(event)  # also where it could not be learnt: the core says why then

    async def _learn(self, symbols: set[str]) -> None:
        try:
            rules = await self._in_thread(self._instruments.rules, symbols)
        except ExchangeError as error:
            log.warning("the rules of %s could not be asked for: %s", ", ".join(sorted(symbols)), error)
            return
        for event in rules:
            self.tell(event)
        self._instruments.follow(symbols)

    async def _tick(self) -> None:
        self.tell(Time())

    async def _look_at_switches(self) -> None:
        trips = self._switches.trips
        try:
            controls = await self._in_thread(self._context.stores.control.read)
        except PyMongoError as error:
            log.warning("the switches cannot be read: %s; they stay as they are", str(error)[:200])
            return
        identity = documents.identity_of(controls.installation, self._context.policy.environment)
        if identity != self.core.identity:
            self._fail("another installation's orders are ours now, or this database is another")
        if trips != self._switches.trips:
            return  # read before a breaker that was written meanwhile: the next look sees it
        news = self._switches.changes(controls)
        for event in news:
            self.tell(event)
        if any(isinstance(event, ModeSeen) for event in news):
            await self._refresh_rules()

    async def _sweep(self) -> None:
        await self._in_thread(self._signals.sweep)

    async def _look_at_symbols(self) -> None:
        try:
            wanted = await self._in_thread(self._context.symbols)
        except PyMongoError as error:
            log.warning("the watchlist cannot be read: %s", str(error)[:200])
            return
        held = {one.symbol for one in self.core.positions() if one.ours and one.quantity}  # found again, maybe
        if new := (wanted | held) - self._instruments.known:
            await self._learn(new)

    async def _refresh_rules(self) -> None:
        await self._learn(set(self._instruments.known))

    async def _look_at_likeness(self) -> None:
        try:
            for event in await self._in_thread(self._alike):
                self.tell(event)
        except PyMongoError as error:
            log.warning("what moves alike cannot be read: %s; it stays as it was", str(error)[:200])

    async def _keep_clock(self) -> None:
        if self._context.asking.client.clock.in_doubt:
            await self._sync_clock()

    async def _ask_a_fee(self) -> None:
        try:
            fee = await self._in_thread(self._instruments.a_fee)
        except ExchangeError as error:
            log.warning("what the account pays could not be asked for: %s; the fee of the settings counts", error)
            return
        if fee is not None:
            self.tell(fee)
            await self._in_thread(self._keep_fee, fee)

    def _keep_fee(self, fee: FeeSeen) -> None:
        try:
            self._context.stores.symbols.note_fee(self._context.policy.environment, fee.symbol, fee.taker_fee)
        except PyMongoError as error:
            log.warning("what the account pays could not be stored: %s", str(error)[:200])

    async def _sync_clock(self) -> None:
        try:
            await self._in_thread(self._context.asking.client.sync_clock)
        except ExchangeError as error:
            log.warning("the exchange's clock could not be measured: %s", error)

    async def _look_back(self) -> None:
        await self._in_thread(self._context.clean_days.look_back, to_datetime(self._context.now()))

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await do()
            await asyncio.sleep(seconds)

    # Threads

    def _begin(self, do: Callable[..., Any], *arguments: Any) -> None:
        self._spawn(self._in_thread(do, *arguments))

    def _spawn(self, job: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(job)
        task.add_done_callback(self._job_ended)

    def _job_ended(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._ended.is_set():  # what begins as the term ends finds no workers any more
            log.error("a job of the executor failed: %s", error, exc_info=error)
            self._fail(f"a job failed: {error}")

    def _fail(self, reason: str) -> None:
        if not self._failed.done():
            self._failed.set_result(reason)

    async def _in_thread(self, do: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._workers, do, *arguments)

    async def _in_journal(self, do: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._journal, do, *arguments)

    def _end(self) -> None:
        if hasattr(self, "core"):
            self.core.handle(LeaseLost(), self._context.now())
        self._ended.set()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._journal.shutdown(wait=False, cancel_futures=True)
