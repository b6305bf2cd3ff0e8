"""One series at the present: which candles are settled, which wait behind a gap, and the open one.

The rules, and why:

- *settled* is the newest closed candle with nothing missing before it. It only grows.
- a closed candle behind a gap waits in `ahead`: it is stored at once, its indicators follow when the gap is filled,
  because an indicator across a gap would be a made-up number.
- closed is final for the stream; REST may correct it.
- a candle that should be closed by now and is not, is fetched. This one rule covers the close that was never sent, the
  gap of a broken connection, and the minute in which nothing traded.
- where the stream was up at the close, its closing frame gets `grace` to arrive; where it was down, none will come.
- a stream that says nothing for long is either quiet or dead, and only REST can tell: it is asked, ever more rarely.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipeline.candle import Candle, CandleWrite, IndicatorWrite
from pipeline.ingest.events import (
    Answer,
    AskWhetherTraded,
    ClosedCandles,
    Effect,
    FetchCandles,
    RecordHole,
    SilentStream,
)
from pipeline.ingest.window import Computed, Recipe
from pipeline.timeline import MINUTE, Interval, Window
from schemas.series import SeriesKey

NEVER: Final = 1 << 62
USUAL_PAGE: Final = 499
"""Candles that are asked for at once, where the market says nothing else."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in milliseconds of exchange time."""

    grace: int = 2_500
    retries: tuple[int, ...] = (500, 1_000, 2_000, 4_000)
    later: int = 30_000
    eager_for: int = MINUTE
    hole_after: int = 10 * MINUTE
    denials: int = 2
    """So many answers without a candle are needed before it is called the exchange's own hole."""
    silence: int = MINUTE
    rarest_probe: int = 16 * MINUTE

    def delay(self, attempts: int, overdue: int) -> int:
        """How long after a fruitless attempt the next one comes: soon while the candle is young, rarely after."""
        if overdue > self.eager_for + self.retries[-1]:
            return self.later
        return self.retries[min(attempts, len(self.retries)) - 1]


class Book:
    """The state of one series. Methods take events; writes and effects collect in `candles`, `values`, `effects`."""

    __slots__ = (
        "_attempts",
        "_connected_since",
        "_denied",
        "_fetching",
        "_heard_at",
        "_page",
        "_patience",
        "_probe_at",
        "_probe_every",
        "_retry_at",
        "_settled",
        "ahead",
        "candles",
        "computed",
        "due",
        "effects",
        "key",
        "last_event",
        "open",
        "open_changed",
        "step",
        "values",
    )

    def __init__(
        self,
        key: SeriesKey,
        step: Interval,
        *,
        settled: int,
        history: ClosedCandles,
        ahead: Iterable[Candle] = (),
        decimals: int,
        recipe: Recipe,
        patience: Patience,
        page: int = USUAL_PAGE,
    ) -> None:
        self.key = key
        self.step = step
        self.open: Candle | None = None
        self.open_changed = False
        self.ahead = {step.index(candle.t): candle for candle in ahead}
        self.last_event: int | None = None
        self.candles: list[CandleWrite] = []
        self.values: list[IndicatorWrite] = []
        self.effects: list[Effect] = []
        self._patience = patience
        self._page = page
        self._settled = step.index(settled)
        self.computed = Computed(
            key,
            self._settled,
            history,
            decimals=decimals,
            recipe=recipe,
            effects=self.effects,
        )
        self._connected_since: int | None = None
        self._fetching: Window | None = None
        self._attempts = 0
        self._denied = 0
        self._retry_at = 0
        self._heard_at = 0
        self._probe_at = NEVER
        self._probe_every = patience.silence
        self.due = 0
        self._set_due()

    # What is known

    @property
    def last_closed(self) -> int:
        """The opening time of the newest settled candle."""
        return self.step.open_time(self._settled)

    @property
    def price(self) -> float | None:
        """The newest price."""
        return self.open.close if self.open is not None else self.computed.price

    def missing(self, now: int) -> int:
        """How many candles should be closed by now and are not."""
        over = self.step.index(now)
        ahead = sum(number < over for number in self.ahead)
        return max(0, over - 1 - self._settled - ahead)

    # Events

    def connected(self, now: int) -> None:
        """The stream of this series carries data again."""
        if self._connected_since is None:
            self._connected_since = now
            self._hear(now)
            self._set_due()

    def disconnected(self) -> None:
        """The stream of this series is down: no closing frame is to be waited for."""
        self._connected_since = None
        self._probe_at = NEVER
        self._set_due()

    def frame(self, candle: Candle, now: int) -> bool:
        """Take a candle from the stream. True where it told something new."""
        self._hear(now)
        number = self.step.index(candle.t)
        if number <= self._settled or number in self.ahead:
            return False
        self.last_event = max(self.last_event or 0, candle.u)
        if candle.closed:
            self._close(number, candle, authority=False)
            return True
        return self._renew_open(candle)

    def answer(self, answer: Answer, now: int) -> None:
        """Take what REST said."""
        self._fetching = None
        settled_before, traded_before = self._settled, self._trades_known()
        for candle in answer.candles:
            self._learn(candle)
        if self._settled > settled_before or self._deadline(self._settled + 1) > now:
            self._start_over()
        else:
            self._still_missing(answer, now)
        self._judge_silence(traded_before, now)
        self._set_due()

    def fetch_failed(self, now: int) -> None:
        """REST did not answer."""
        self._fetching = None
        self._try_later(now)
        self._set_due()

    def time(self, now: int) -> None:
        """Ask for what should be closed by now and is not. Call it when `due` has come."""
        window = self._overdue(now) or self._probe(now)
        if window is not None:
            self._fetching = window
            self.effects.append(FetchCandles(self.key, window))
        self._set_due()

    def open_write(self) -> CandleWrite | None:
        """The open candle, if it changed since it was last asked for, with the indicators it has right now."""
        if self.open is None or not self.open_changed:
            return None
        self.open_changed = False
        number, indicators = self.step.index(self.open.t), None
        if number == self._settled + 1:
            indicators = self.computed.of_open(number, self.open)
        return CandleWrite(self.key, self.open, indicators, authority=False)

    # How

    def _hear(self, now: int) -> None:
        self._heard_at = now
        self._probe_every = self._patience.silence
        self._probe_at = now + self._probe_every

    def _probe(self, now: int) -> Window | None:
        if now < self._probe_at or self._fetching is not None or now < self._retry_at:
            return None
        self._probe_at = now + self._probe_every
        self._probe_every = min(2 * self._probe_every, self._patience.rarest_probe)
        first = self.step.open_time(self._settled + 1)
        return Window(first, max(first, self.step.floor(now)))

    def _trades_known(self) -> tuple[int, int]:
        """How far the trades of this series are known: the newest candle, and how many trades it has so far."""
        if self.open is None:
            return self._settled + 1, 0
        return self.step.index(self.open.t), self.open.trades

    def _judge_silence(self, traded_before: tuple[int, int], now: int) -> None:
        silent_for = now - self._heard_at
        traded_since = self._trades_known() > traded_before and self.open is not None and self.open.trades > 0
        if self._connected_since is not None and silent_for >= self._patience.silence and traded_since:
            self.effects.append(SilentStream(self.key, silent_for))
            self._hear(now)

    def _renew_open(self, candle: Candle) -> bool:
        current = self.open
        if current is not None and (candle.t < current.t or (candle.t == current.t and candle.u <= current.u)):
            return False
        self.open = candle
        self.open_changed = True
        return True

    def _learn(self, candle: Candle) -> None:
        number = self.step.index(candle.t)
        if not candle.closed:
            if number > self._settled and number not in self.ahead:
                self._renew_open(candle)
        elif number <= self._settled:
            self._correct(number, candle)
        elif number not in self.ahead or not self.ahead[number].same_market(candle):
            self._close(number, candle, authority=True)

    def _correct(self, number: int, candle: Candle) -> None:
        if self.computed.correct(self._settled - number, candle):
            self.candles.append(CandleWrite(self.key, candle, None, authority=True, repairs=True))

    def _close(self, number: int, candle: Candle, *, authority: bool) -> None:
        if self.open is not None and self.open.t <= candle.t:
            self.open = None
        if number != self._settled + 1:
            self.ahead[number] = candle
            self.candles.append(CandleWrite(self.key, candle, None, authority))
            return
        values = self._settle(candle)
        self.candles.append(CandleWrite(self.key, candle, values, authority, repairs=bool(self.ahead)))
        self._settle_waiting()
        self._set_due()

    def _settle(self, candle: Candle) -> tuple[float, ...] | None:
        self._settled += 1
        return self.computed.of_closed(self._settled, candle)

    def _settle_waiting(self) -> None:
        while (candle := self.ahead.pop(self._settled + 1, None)) is not None:
            values = self._settle(candle)
            if values is not None:
                self.values.append(IndicatorWrite(self.key, candle.t, values))

    def _deadline(self, number: int) -> int:
        closed_at = self.step.open_time(number + 1)
        was_connected = self._connected_since is not None and self._connected_since < closed_at
        return closed_at + self._patience.grace if was_connected else closed_at

    def _set_due(self) -> None:
        if self._fetching is not None:
            self.due = NEVER
        else:
            self.due = max(min(self._deadline(self._settled + 1), self._probe_at), self._retry_at)

    def _overdue(self, now: int) -> Window | None:
        first = self._settled + 1
        if self._fetching is not None or self._deadline(first) > now or self._retry_at > now:
            return None
        last = min(self.step.index(now) - 1, first + self._page - 1)
        while last > first and (last in self.ahead or self._deadline(last) > now):
            last -= 1
        return Window(self.step.open_time(first), self.step.open_time(last))

    def _still_missing(self, answer: Answer, now: int) -> None:
        self._try_later(now)
        run_end = min([*self.ahead, self.step.index(answer.asked.end) + 1]) - 1
        first, age = (answer.asof - self.step.open_time(number + 1) for number in (self._settled + 1, run_end))
        self._denied += 1
        if self._denied < self._patience.denials or first < self._patience.hole_after:
            return
        if age < self._patience.hole_after:
            self.effects.append(AskWhetherTraded(self.key))
            return
        hole = Window(self.step.open_time(self._settled + 1), self.step.open_time(run_end))
        evidence = f"REST answered {self._denied} times without it, last {age // 1_000} s after its close"
        self.effects.append(RecordHole(self.key, hole, evidence))
        self.computed.begin_anew()
        self._settled = run_end
        self._start_over()
        self._settle_waiting()

    def _start_over(self) -> None:
        """Whatever is missing now, nobody was asked for it yet."""
        self._attempts = self._denied = 0
        self._retry_at = 0

    def _try_later(self, now: int) -> None:
        self._attempts += 1
        overdue = now - self._deadline(self._settled + 1)
        self._retry_at = now + self._patience.delay(self._attempts, overdue)
