"""The present of many series as one state machine: frames, answers, connections and time in; writes and effects out.

It has no I/O and no clock: every call takes the time it needs. It never loses a closed candle: what could not be kept
in its bounded outbox is named in `unsaved`, to be fetched and computed again.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Final

from pipeline.candle import Candle, CandleWrite, IndicatorWrite
from pipeline.finding import Finding
from pipeline.ingest.book import NEVER, USUAL_PAGE, Book, Patience
from pipeline.ingest.events import Answer, Batch, ClosedCandles, Effect, FinerPrices, Shown
from pipeline.ingest.window import Recipe
from pipeline.timeline import DAY, MINUTE, Interval, Window, interval
from schemas.series import SeriesKey

MOST_TRADES: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class SeriesView:
    """What is known of a series right now, for people and metrics."""

    key: SeriesKey
    last_event: int | None
    last_closed: int
    missing: int
    price: float | None


class Core:
    """The books of all watched series. Drive it with events; collect with `take` and `effects`."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        patience: Patience | None = None,
        page: Callable[[Interval], int] = lambda _: USUAL_PAGE,
        outbox_limit: int = 100_000,
    ) -> None:
        self._recipe = recipe
        self._patience = patience or Patience()
        self._page = page
        self._outbox_limit = outbox_limit
        self._books: dict[SeriesKey, Book] = {}
        self._touched: dict[SeriesKey, None] = {}
        self._candles: list[CandleWrite] = []
        self._values: list[IndicatorWrite] = []
        self._signals: list[Finding] = []
        self._shown: list[Shown] = []
        self._effects: list[Effect] = []
        self._next_due = NEVER
        self.unsaved: dict[SeriesKey, Window] = {}
        self.implausible = 0

    # What is watched

    def watch(
        self, key: SeriesKey, *, settled: int, history: ClosedCandles, ahead: Iterable[Candle] = (), decimals: int
    ) -> None:
        """Begin a series. `settled` opens the newest candle that nothing is missing up to, `history` ends with it and
        has no hole, and the closed candles of `ahead` are stored already, behind a break."""
        step = interval(key.interval)
        book = self._books[key] = Book(
            key,
            step,
            settled=settled,
            history=history,
            ahead=ahead,
            decimals=decimals,
            recipe=self._recipe,
            patience=self._patience,
            page=self._page(step),
        )
        self._collect(book)
        self._next_due = 0

    def unwatch(self, key: SeriesKey) -> None:
        """End a series. What it had to write stays to be written."""
        book = self._books.pop(key)
        last = book.open_write()
        if last is not None:
            self._candles.append(last)
        self._collect(book)
        self._touched.pop(key, None)

    def watched(self) -> Collection[SeriesKey]:
        """The series that have a book."""
        return self._books.keys()

    def view(self, now: int) -> Iterator[SeriesView]:
        """Every series as it stands."""
        for book in self._books.values():
            yield SeriesView(book.key, book.last_event, book.last_closed, book.missing(now), book.price)

    def use(self, recipe: Recipe) -> None:
        """From the next candle on this is computed, in every series at once. Its windows are no longer than those at
        hand."""
        self._recipe = recipe
        for book in self._books.values():
            book.computed.use(recipe)
            if book.open is not None:
                book.open_changed = True
                self._touched[book.key] = None

    # Events

    def connected(self, keys: Iterable[SeriesKey], now: int) -> None:
        """The streams of these series carry data."""
        for book in self._known(keys):
            book.connected(now)
        self._next_due = 0

    def disconnected(self, keys: Iterable[SeriesKey]) -> None:
        """The streams of these series are down."""
        for book in self._known(keys):
            book.disconnected()
        self._next_due = 0

    def frame(self, key: SeriesKey, candle: Candle, now: int) -> None:
        """A candle from the stream. One that cannot be true is counted and dropped."""
        book = self._books.get(key)
        if book is None:
            return
        if not plausible(book, candle, now):
            self.implausible += 1
            return
        if book.frame(candle, now):
            self._touched[key] = None
        if candle.closed:
            self._collect(book)

    def answer(self, answer: Answer, now: int) -> None:
        """What REST said about a window that `FetchCandles` asked for."""
        for book in self._known([answer.key]):
            book.answer(answer, now)
            self._touched[answer.key] = None
            self._collect(book)

    def fetch_failed(self, key: SeriesKey, now: int) -> None:
        """REST did not answer; the series asks again after a while."""
        for book in self._known([key]):
            book.fetch_failed(now)
            self._collect(book)

    def time(self, now: int) -> None:
        """Time has passed: ask for what should be here by now."""
        if now < self._next_due:
            return
        for book in self._books.values():
            if book.due <= now:
                book.time(now)
                self._collect(book)
        self._next_due = min(map(attrgetter("due"), self._books.values()), default=NEVER)

    # What came of it

    def effects(self) -> list[Effect]:
        """What is to be done now. Each is handed out once."""
        handed, self._effects = self._effects, []
        return handed

    def closes_waiting(self) -> bool:
        """Whether a closed candle waits to be written, which should not wait for the next flush."""
        return bool(self._candles or self._values or self._signals)

    def opens_waiting(self) -> int:
        """How many series have an open candle to write."""
        return len(self._touched)

    def take(self, most_open: int | None = None) -> Batch:
        """What is to be written: `take_closed` and `take_open` in one."""
        closed, opened = self.take_closed(), self.take_open(most_open)
        candles, shown = (*closed.candles, *opened.candles), (*closed.shown, *opened.shown)
        return Batch(candles, closed.indicators, closed.signals, shown)

    def take_closed(self) -> Batch:
        """What is to be written of each candle that closed."""
        batch = Batch(tuple(self._candles), tuple(self._values), tuple(self._signals), tuple(self._shown))
        self._candles, self._values, self._signals, self._shown = [], [], [], []
        return batch

    def take_open(self, most: int | None = None) -> Batch:
        """What is to be written of open candles: those first that wait longest, only the newest state."""
        keys = list(islice(self._touched, most))
        opened = [write for key in keys if (write := self._books[key].open_write()) is not None]
        for key in keys:
            self._collect(self._books[key])
            del self._touched[key]
        shown, self._shown = tuple(self._shown), []
        return Batch(tuple(opened), (), (), shown)

    def put_back(self, batch: Batch) -> None:
        """The batch could not be written. Closed candles wait; of an open one a newer state may have come since."""
        self._candles = [write for write in batch.candles if write.candle.closed] + self._candles
        self._values = [*batch.indicators, *self._values]
        self._signals = [*batch.signals, *self._signals]
        for shown in batch.shown:
            if (book := self._books.get(shown.key)) is not None:
                book.computed.forget_shown()
        for write in batch.candles:
            book = self._books.get(write.key)
            if not write.candle.closed and book is not None and book.open is not None:
                book.open_changed = True
                self._touched[write.key] = None
        self._shed()

    def _shed(self) -> None:
        for kept in (self._candles, self._values, self._signals):
            excess = max(0, len(kept) - self._outbox_limit)
            for write in kept[:excess]:
                known = self.unsaved.get(write.key, Window(write.t, write.t))
                self.unsaved[write.key] = Window(min(known.start, write.t), max(known.end, write.t))
            del kept[:excess]

    def _collect(self, book: Book) -> None:
        self._candles += book.candles
        self._values += book.values
        for effect in book.effects:
            self._effects.append(effect)
            if isinstance(effect, FinerPrices):
                self._use_decimals(effect)
        self._signals += book.computed.signals
        self._shown += book.computed.shown
        book.computed.signals.clear()
        book.computed.shown.clear()
        book.candles.clear()
        book.values.clear()
        book.effects.clear()
        self._next_due = min(self._next_due, book.due)

    def _use_decimals(self, finer: FinerPrices) -> None:
        """The prices of a symbol are the same whatever the interval."""
        exchange, symbol = finer.key.exchange, finer.key.symbol
        for book in self._books.values():
            if (book.key.exchange, book.key.symbol) == (exchange, symbol):
                book.computed.use_decimals(finer.decimals)

    def _known(self, keys: Iterable[SeriesKey]) -> Iterator[Book]:
        return (book for key in keys if (book := self._books.get(key)) is not None)


def plausible(book: Book, candle: Candle, now: int) -> bool:
    """Whether a frame can be true, so that one garbled number cannot freeze a series for ever.

    - its candle opens on the grid of the interval, and not in the future by more than a clock may be off
    - it was sent while its candle was open, or not long after
    - open and close lie between low and high, and all are numbers that the database can hold
    - its close has no more decimals than a price can have
    """
    return (
        book.step.floor(candle.t) == candle.t <= now + 5 * MINUTE
        and candle.t - MINUTE <= candle.u <= book.step.after(candle.t) + DAY
        and 0 < candle.low <= candle.open <= candle.high < math.inf
        and candle.low <= candle.close <= candle.high
        and 0 <= candle.trades < MOST_TRADES
        and 0 <= candle.volume < math.inf
        and 0 <= candle.quote_volume < math.inf
        and 0 <= candle.taker_buy_base < math.inf
        and 0 <= candle.taker_buy_quote < math.inf
        and book.computed.can_price(candle.close)
    )
