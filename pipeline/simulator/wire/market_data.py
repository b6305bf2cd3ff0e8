"""The public half of the REST interface: what any caller may read about the market, without a key.

Pure functions of the market, the parameters and the time. They decide what is asked and refuse what is wrong; how a
candle is written is said by `format`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import islice

import numpy as np

from pipeline.simulator.errors import ApiError
from pipeline.simulator.market.quarters import contract_type
from pipeline.simulator.types import PERPETUAL, UNLISTED, Klines, Market, SymbolSpec, Tick
from pipeline.simulator.venue.funding import PERIOD, funding_rate, funding_times, next_funding, premium
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.refusals import refuse
from pipeline.simulator.wire.exchange_info import exchange_info
from pipeline.simulator.wire.format import price_text, quantity_text, rest_rows
from pipeline.simulator.wire.quotes import Level, best, book
from pipeline.simulator.wire.trade_rows import aggregate_row, first_number, from_number, latest, numbered, trade_row
from pipeline.simulator.wire.weights import Limits
from pipeline.timeline import DAY, HOUR, INTERVALS, Interval

DEFAULT_KLINES = 500
DEEPEST_BOOK = 100
OLDEST_FUNDING = 3 * 365 * DAY
CONTRACT_TYPES = ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL")


@dataclass(frozen=True, slots=True)
class KlineRules:
    """How a market answers for candles."""

    most: int = 1500
    intervals: Mapping[str, Interval] = field(default_factory=lambda: INTERVALS)
    clamps: bool = False
    """Whether it answers as many as it may where more are asked for, rather than refusing."""
    longest: int | None = None
    """The longest window in ms: of a longer one -4088. Where there is one, a window has its last rows answered."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, of which market, at which time."""

    market: Market
    params: Params
    now: int
    limits: Limits
    skew: int = 0
    rules: KlineRules = KlineRules()

    def spec(self, name: str = "symbol") -> SymbolSpec:
        """The contract that the parameter names: -1102 without one, -1121 where there is no such contract."""
        spec = self.market.specs.get(self.params.need(name))
        if spec is None or spec.standing(self.now) == UNLISTED:
            raise refuse(-1121)
        return spec

    def of_pair(self, kind: str) -> SymbolSpec | None:
        """The contract of that type of the pair that is named, if there is one: -1121 where there is no such pair."""
        pair = self.params.need("pair")
        found = [spec for spec in self.listed() if spec.pair == pair]
        if not found:
            raise refuse(-1121)
        return next((spec for spec in found if contract_type(spec, self.now) == kind), None)

    def listed(self) -> list[SymbolSpec]:
        """Every contract that has a name now."""
        return [spec for spec in self.market.specs.values() if spec.standing(self.now) != UNLISTED]

    @property
    def of_one(self) -> bool:
        """Whether one symbol was named."""
        return self.params.text("symbol") is not None

    def asked(self) -> list[SymbolSpec]:
        """The one contract that is named, or else every one that trades."""
        if self.of_one:
            return [self.spec()]
        pair = self.params.text("pair")
        return [spec for spec in self.market.specs.values() if spec.trades_at(self.now) and pair in {None, spec.pair}]

    def shaped(self, rows: Sequence[object]) -> object:
        """One object where one symbol was named, else the list."""
        return rows[0] if self.of_one else rows


Answer = Callable[[Question], object]
Row = dict[str, object]
Figure = Callable[[str, int], Decimal]
"""Of a contract at a moment."""


def ping(_: Question) -> object:
    """Nothing."""
    return {}


def server_time(question: Question) -> object:
    """The clock to sign by."""
    return {"serverTime": question.now + question.skew}


def information(question: Question) -> object:
    """Every contract, its filters and the limits."""
    return exchange_info(question.listed(), question.limits, question.now)


def klines(question: Question) -> object:
    """Candles of a contract; the last one may still be open."""
    return _candles(question, question.spec())


def continuous_klines(question: Question) -> object:
    """Candles of a pair by type of contract: none of a type that it does not have."""
    kind = question.params.need("contractType")
    if kind not in CONTRACT_TYPES:
        raise refuse(-1102, "contractType")
    spec = question.of_pair(kind)
    return _candles(question, spec) if spec else []


def mark_price_klines(question: Question) -> object:
    """Candles of the mark price: prices only, everything else is zero."""
    return _price_candles(question, question.spec(), question.market.mark_price)


def index_price_klines(question: Question) -> object:
    """Candles of the index price, which the mark price equals here."""
    spec = question.of_pair(PERPETUAL)
    return _price_candles(question, spec, question.market.mark_price) if spec else []


def premium_index_klines(question: Question) -> object:
    """Candles of the premium: how far the price is from the mark price."""
    return _price_candles(question, question.spec(), partial(premium, question.market))


def _candles(question: Question, spec: SymbolSpec) -> object:
    step = _interval(question)
    first, last = _range(question, spec, step)
    return rest_rows(spec, step, select(question.market, spec, step, first, last, question.now))


def select(market: Market, spec: SymbolSpec, step: Interval, first: int, last: int, now: int) -> Klines:
    """The candles that open in [first, last] as they stand at `now`: what is open shows only what has traded."""
    current = step.floor(now)
    closed = market.klines(spec.symbol, step, first, min(last, current - 1))
    if not first <= current <= last or not spec.trades_at(now):
        return closed
    return np.concatenate((closed, market.forming(spec.symbol, step, now)[0]))


def _price_candles(question: Question, spec: SymbolSpec, figure: Figure) -> object:
    step = _interval(question)
    first, last = _range(question, spec, step)
    opened = [step.open_time(i) for i in range(step.index(first), step.index(last) + 1)]
    return [
        _price_row(question, spec, step, start, figure)
        for start in opened
        if first <= start <= last and step.close_time(start) >= spec.onboard and spec.status == "TRADING"
    ]


def _price_row(question: Question, spec: SymbolSpec, step: Interval, start: int, figure: Figure) -> list[object]:
    closing = step.close_time(start)
    end = min(closing, question.now)
    begin = max(start, spec.onboard)
    moments = sorted({begin + (end - begin) * part // 4 for part in range(5)})
    prices = [figure(spec.symbol, moment) for moment in moments]
    shown = [f"{price:.8f}" for price in (prices[0], max(prices), min(prices), prices[-1])]
    return [start, *shown, "0", closing, "0", (end - begin) // 1_000, "0", "0", "0"]


def _interval(question: Question) -> Interval:
    found = question.rules.intervals.get(question.params.need("interval"))
    if found is None:
        raise ApiError(-1120, "Invalid interval.")
    return found


def _range(question: Question, spec: SymbolSpec, step: Interval) -> tuple[int, int]:
    """The opening times that the answer covers: the first `limit` from startTime, or else the last `limit`."""
    most, (start, end) = _most(question), _window(question)
    last = step.floor(min(question.now, question.now if end is None else end, spec.delivery - 1))
    listed = step.floor(spec.onboard)
    if start is None:
        return max(step.after(last, 1 - most), listed), last
    first = max(step.ceil(min(start, question.now + DAY)), listed)
    if question.rules.longest is not None:
        return max(first, step.after(last, 1 - most)), last
    return first, min(last, step.after(first, most - 1))


def _most(question: Question) -> int:
    rules, wanted = question.rules, question.params.integer("limit")
    if rules.clamps and wanted is not None and wanted > rules.most:
        return rules.most
    return question.params.limit(DEFAULT_KLINES, rules.most)


def _window(question: Question) -> tuple[int | None, int | None]:
    """startTime and endTime; where a window has a longest, it is that long if only one of them is sent."""
    start, end = question.params.integer("startTime"), question.params.integer("endTime")
    longest = question.rules.longest
    if longest is None or (start is None and end is None):
        return start, end
    if start is not None and end is not None:
        if end - start > longest:
            raise refuse(-4088, longest // DAY)
        return start, end
    return (start, start + longest) if start is not None else (max(0, (end or 0) - longest), end)


def ticker_price(question: Question) -> object:
    """The last price."""
    return question.shaped([price_row(question, spec) for spec in question.asked()])


def price_row(question: Question, spec: SymbolSpec) -> Row:
    """The last price of one contract."""
    price = price_text(spec, question.market.price(spec.symbol, question.now))
    return {"symbol": spec.symbol, "price": price, "time": question.now}


def ticker_24h(question: Question) -> object:
    """What the last 24 hours did to the price."""
    return question.shaped([day_row(question, spec) for spec in question.asked()])


def day_row(question: Question, spec: SymbolSpec) -> Row:
    """The last 24 hours, by whole hours. A contract that no longer trades stands still."""
    market, now = question.market, question.now
    hours = select(market, spec, INTERVALS["1h"], now - DAY, now, now)
    last = market.price(spec.symbol, now)
    opening = int(hours["open"][0]) if len(hours) else last
    began = int(hours["t"][0]) if len(hours) else now
    volume, turnover, trades = (int(hours[name].sum()) for name in ("volume", "quote", "trades"))
    return {
        "symbol": spec.symbol,
        "priceChange": price_text(spec, last - opening),
        "priceChangePercent": f"{100 * (last - opening) / opening:.3f}",
        "weightedAvgPrice": _mean(spec, volume, turnover, last),
        "lastPrice": price_text(spec, last),
        "lastQty": quantity_text(spec, 1),
        "openPrice": price_text(spec, opening),
        "highPrice": price_text(spec, int(hours["high"].max(initial=last))),
        "lowPrice": price_text(spec, int(hours["low"].min(initial=last))),
        "volume": quantity_text(spec, volume),
        "quoteVolume": f"{turnover * spec.tick * spec.step:.2f}",
        "openTime": began,
        "closeTime": now,
        "firstId": first_number(began),
        "lastId": first_number(now),
        "count": trades,
    }


def _mean(spec: SymbolSpec, volume: int, turnover: int, last: int) -> str:
    """The average price of what was traded, on the tick."""
    if not volume:
        return price_text(spec, last)
    if spec.coins is None:
        return price_text(spec, turnover // volume)
    coins = Decimal(turnover).scaleb(-spec.coins)
    return price_text(spec, int(volume * spec.step * spec.worth.turnover(spec.tick) / coins / spec.tick))


def book_ticker(question: Question) -> object:
    """The best bid and the best offer."""
    return question.shaped([book_row(question, spec) for spec in question.asked()])


def book_row(question: Question, spec: SymbolSpec) -> Row:
    """The best bid and the best offer of one contract."""
    bid, ask = best(spec, question.market.price(spec.symbol, question.now))
    (bid_price, bid_quantity), (ask_price, ask_quantity) = _level_text(spec, bid), _level_text(spec, ask)
    return {
        "symbol": spec.symbol,
        "bidPrice": bid_price,
        "bidQty": bid_quantity,
        "askPrice": ask_price,
        "askQty": ask_quantity,
        "time": question.now,
        "lastUpdateId": question.now,
    }


def aggregate_trades(question: Question) -> object:
    """The trades from the number `fromId`, or from startTime on, or else the newest."""
    return [aggregate_row(spec, number, trade) for spec, number, trade in asked_trades(question)]


def trades(question: Question) -> object:
    """The newest trades."""
    spec, most = question.spec(), question.params.limit(500, 1000)
    found = latest(question.market, spec.symbol, question.now, most)
    return [trade_row(spec, number, trade) for number, trade in found]


def historical_trades(question: Question) -> object:
    """The trades from the number `fromId` on, or else the newest."""
    return [trade_row(spec, number, trade) for spec, number, trade in asked_trades(question)]


def asked_trades(question: Question) -> list[tuple[SymbolSpec, int, Tick]]:
    """The trades that are asked for, oldest first, with their numbers."""
    spec, most = question.spec(), question.params.limit(500, 1000)
    market, params = question.market, question.params
    number, start, end = params.integer("fromId"), params.integer("startTime"), params.integer("endTime")
    until = question.now if end is None else min(end, question.now)
    if number is not None:
        found = from_number(market, spec.symbol, number, question.now, most)
    elif start is not None:
        found = list(islice(numbered(market, spec.symbol, start - 1, min(until, start + HOUR)), most))
    else:
        found = latest(market, spec.symbol, until, most)
    return [(spec, each, trade) for each, trade in found]


def open_interest(question: Question) -> object:
    """How much is held, by all but the accounts here: a part of what a day trades."""
    return interest_row(question, question.spec())


def interest_row(question: Question, spec: SymbolSpec) -> Row:
    """How much of one contract is held."""
    day = select(question.market, spec, INTERVALS["1h"], question.now - DAY, question.now, question.now)
    held = quantity_text(spec, int(day["volume"].sum()) // 4)
    return {"openInterest": held, "symbol": spec.symbol, "time": question.now}


def depth(question: Question) -> object:
    """A small book around the last price."""
    return book_of(question, question.spec())


def book_of(question: Question, spec: SymbolSpec) -> Row:
    """The book of one contract."""
    levels = min(question.params.limit(500, 1000), DEEPEST_BOOK)
    bids, asks = book(spec, question.market.price(spec.symbol, question.now), levels)
    return {
        "lastUpdateId": question.now,
        "E": question.now,
        "T": question.now,
        "bids": [_level_text(spec, level) for level in bids],
        "asks": [_level_text(spec, level) for level in asks],
    }


def _level_text(spec: SymbolSpec, level: Level) -> tuple[str, str]:
    price, quantity = level
    return price_text(spec, price), f"{quantity:.{spec.quantity_precision}f}"


def premium_index(question: Question) -> object:
    """Mark price, index price and what the next funding would be."""
    return question.shaped([premium_row(question, spec) for spec in question.asked()])


def premium_row(question: Question, spec: SymbolSpec) -> Row:
    """Mark price, index price and the next funding of one contract."""
    mark = f"{question.market.mark_price(spec.symbol, question.now):.8f}"
    return {
        "symbol": spec.symbol,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": f"{funding_rate(question.market, spec.symbol, question.now):.8f}",
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding(question.now),
        "time": question.now,
    }


def funding_rates(question: Question) -> object:
    """The fundings of the past, oldest first."""
    most = question.params.limit(100, 1000)
    end = question.params.integer("endTime")
    until = question.now if end is None else min(question.now, end)
    start = question.params.integer("startTime")
    after = until - most * PERIOD if start is None else max(start - 1, question.now - OLDEST_FUNDING)
    specs = [spec for spec in question.asked() if spec.kind == PERPETUAL]
    moments = islice(
        ((time, spec) for time in funding_times(after, until) for spec in specs if time >= spec.onboard), most
    )
    return [_funding_row(question, spec, time) for time, spec in moments]


def _funding_row(question: Question, spec: SymbolSpec, time: int) -> Row:
    return {
        "symbol": spec.symbol,
        "fundingTime": time,
        "fundingRate": f"{funding_rate(question.market, spec.symbol, time):.8f}",
        "markPrice": f"{question.market.mark_price(spec.symbol, time):.8f}",
    }


def funding_info(question: Question) -> object:
    """The contracts whose funding differs from the usual: none."""
    del question
    return []
