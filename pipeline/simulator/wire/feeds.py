"""What a stream says at a given moment: one feed a stream, polled with the time, answering the payloads that are due.

No feed waits, sends or has a clock. A feed speaks only when something traded, as the exchange does, and closes each
candle that had a trade exactly once; whatever is lost after that is the fault panel's doing.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

from pipeline.simulator.market.quarters import contract_type
from pipeline.simulator.types import QUARTER, Klines, Market, SymbolSpec
from pipeline.simulator.venue.funding import funding_rate, next_funding
from pipeline.simulator.wire.format import grids, price_text
from pipeline.simulator.wire.quotes import best
from pipeline.simulator.wire.streams import Stream, StreamRules, Topic
from pipeline.simulator.wire.trade_rows import aggregate_row, first_within, numbered
from pipeline.timeline import Interval

Lateness = Callable[[], int]

_USD_M = StreamRules()


class Payload(NamedTuple):
    """A frame's content, and whether it closes a candle."""

    body: bytes
    closing: bool = False


class Feed(Protocol):
    """Says what is due."""

    def poll(self, now: int) -> list[Payload]:
        """The payloads that became due since the last poll."""
        ...


class KlineFeed:
    """The candles of one contract: the open one whenever something traded, and each at its end with `x: true`."""

    def __init__(self, market: Market, stream: Stream, step: Interval, lateness: Lateness, now: int) -> None:
        spec = market.specs[stream.symbol]
        self._market = market
        self._symbol = stream.symbol
        self._step = step
        self._lateness = lateness
        self._grids = grids(spec)
        self._head, self._inner = _heads(stream, spec, now)
        self._open = step.floor(now)
        self._heard = now  # the last trade that was told, or that came before anybody listened
        self._due: int | None = None

    def poll(self, now: int) -> list[Payload]:
        """The closing frames that are due, then the open candle if it changed."""
        frames: list[Payload] = []
        while self._step.floor(now) > self._open:
            if self._due is None:
                self._due = self._step.after(self._open) + self._lateness()
            if now < self._due:
                return frames
            frames.extend(self._close(now))
            self._open, self._due = self._step.after(self._open), None
        candle, last = self._market.forming(self._symbol, self._step, now)
        if last > self._heard and candle["trades"][0]:
            self._heard = last
            frames.append(Payload(self._encode(candle, now, closed=False)))
        return frames

    def _close(self, now: int) -> list[Payload]:
        candle = self._market.klines(self._symbol, self._step, self._open, self._open)
        if not len(candle) or not candle["trades"][0]:
            return []
        return [Payload(self._encode(candle, now, closed=True), closing=True)]

    def _encode(self, candle: Klines, now: int, *, closed: bool) -> bytes:
        opened, o, h, l, c, volume, quote, trades, taker, taker_quote = candle[0].item()  # noqa: E741
        price, quantity, turnover = self._grids
        first = first_within(self._market, self._symbol, opened)
        return (
            f'{{{self._head[0]}"E":{now},{self._head[1]}"k":{{"t":{opened},"T":{self._step.close_time(opened)},'
            f'{self._inner}"f":{first},"L":{first + trades - 1},"o":"{price.text(o)}","c":"{price.text(c)}",'
            f'"h":"{price.text(h)}","l":"{price.text(l)}","v":"{quantity.text(volume)}","n":{trades},'
            f'"x":{"true" if closed else "false"},"q":"{turnover.text(quote)}","V":"{quantity.text(taker)}",'
            f'"Q":"{turnover.text(taker_quote)}","B":"0"}}}}'
        ).encode()


def _heads(stream: Stream, spec: SymbolSpec, now: int) -> tuple[tuple[str, str], str]:
    """The constant parts of the payload: the names around the event time, and those within the candle."""
    name = json.dumps(spec.symbol, ensure_ascii=False)
    if stream.topic is Topic.CONTINUOUS_KLINE:
        pair, kind = json.dumps(spec.pair, ensure_ascii=False), contract_type(spec, now)
        return ('"e":"continuous_kline",', f'"ps":{pair},"ct":"{kind}",'), f'"i":"{stream.interval}",'
    return ('"e":"kline",', f'"s":{name},'), f'"s":{name},"i":"{stream.interval}",'


class Streamed(NamedTuple):
    """A market and how it streams."""

    market: Market
    rules: StreamRules


class MarkPriceFeed:
    """Mark prices by the clock: of one contract, or of all of a pool's markets as one array."""

    def __init__(self, pool: Sequence[Streamed], stream: Stream, now: int) -> None:
        self._pool = pool
        self._stream = stream
        self._told = now // stream.every

    def poll(self, now: int) -> list[Payload]:
        """One payload every `every` ms."""
        if now // self._stream.every == self._told:
            return []
        self._told = now // self._stream.every
        symbol = self._stream.symbol
        if symbol:
            return [Payload(_dump(_mark_price(self._pool[0], self._pool[0].market.specs[symbol], now)))]
        trading = [(each, spec) for each in self._pool for spec in each.market.specs.values() if spec.trades_at(now)]
        return [Payload(_dump([_mark_price(each, spec, now) for each, spec in trading]))]


def _mark_price(streamed: Streamed, spec: SymbolSpec, now: int) -> dict[str, object]:
    market, is_dated = streamed.market, spec.kind == QUARTER
    mark = f"{market.mark_price(spec.symbol, now):.8f}"
    return {
        "e": "markPriceUpdate",
        "E": now,
        "s": spec.symbol,
        "p": mark,
        "ap": mark,
        "P": mark,
        "i": mark,
        "r": "" if is_dated else f"{funding_rate(market, spec.symbol, now):.8f}",
        "T": 0 if is_dated else next_funding(now),
        **streamed.rules.marks,
    }


class BookTickerFeed:
    """The best bid and offer, whenever a trade moved them."""

    def __init__(self, market: Market, stream: Stream, rules: StreamRules) -> None:
        self._rules = rules
        self._market = market
        self._spec = market.specs[stream.symbol]
        self._price = 0

    def poll(self, now: int) -> list[Payload]:
        """The quote, if it changed."""
        last = self._market.price(self._spec.symbol, now)
        if last == self._price:
            return []
        self._price = last
        (bid, bid_quantity), (ask, ask_quantity) = best(self._spec, last)
        digits = self._spec.quantity_precision
        payload = {
            "e": "bookTicker",
            "u": now,
            "s": self._spec.symbol,
            "ps": self._spec.pair,
            "b": price_text(self._spec, bid),
            "B": f"{bid_quantity:.{digits}f}",
            "a": price_text(self._spec, ask),
            "A": f"{ask_quantity:.{digits}f}",
            "T": now,
            "E": now,
            **self._rules.marks,
        }
        shown = {name: value for name, value in payload.items() if name not in self._rules.omits}
        return [Payload(_dump(shown))]


class AggregateTradeFeed:
    """Every trade."""

    def __init__(self, market: Market, stream: Stream, rules: StreamRules, now: int) -> None:
        self._marks = rules.marks
        self._market = market
        self._spec = market.specs[stream.symbol]
        self._until = now

    def poll(self, now: int) -> list[Payload]:
        """The trades since the last poll."""
        after, self._until = self._until, now
        head = {"e": "aggTrade", "E": now, "s": self._spec.symbol}
        trades = numbered(self._market, self._spec.symbol, after, now)
        return [Payload(_dump({**head, **aggregate_row(self._spec, *trade), **self._marks})) for trade in trades]


def make_feed(
    market: Market,
    stream: Stream,
    lateness: Lateness,
    now: int,
    rules: StreamRules = _USD_M,
    beside: Sequence[Streamed] = (),
) -> Feed:
    """The feed of a stream, beginning now. `beside`: the other markets of the pool, which some streams tell of too."""
    if stream.interval is not None:
        return KlineFeed(market, stream, stream.interval, lateness, now)
    if stream.topic is Topic.BOOK_TICKER:
        return BookTickerFeed(market, stream, rules)
    if stream.topic is Topic.AGGREGATE_TRADE:
        return AggregateTradeFeed(market, stream, rules, now)
    return MarkPriceFeed([Streamed(market, rules), *beside], stream, now)


def lateness_between(shortest: int, longest: int, seed: str) -> Lateness:
    """How late a candle's last frame comes: drawn anew for each, between the two, in ms."""
    random = Random(seed)
    return lambda: random.randint(shortest, longest)


def _dump(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
