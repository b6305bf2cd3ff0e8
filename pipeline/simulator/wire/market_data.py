"""The public half of the REST interface: what any caller may read about the market, without a key.

Pure functions of the market, the parameters and the time. They decide what is asked and refuse what is wrong; how a
candle is written is said by `format`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.simulator.errors import ApiError
from pipeline.simulator.types import UNLISTED, Klines, Market, SymbolSpec
from pipeline.simulator.venue.funding import PERIOD, funding_rate, funding_times, next_funding
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.refusals import refuse
from pipeline.simulator.wire.exchange_info import exchange_info
from pipeline.simulator.wire.format import price_text, quantity_text, rest_rows
from pipeline.simulator.wire.quotes import Level, best, book
from pipeline.simulator.wire.trade_rows import first_number, numbered, trade_row
from pipeline.simulator.wire.weights import Limits
from pipeline.timeline import DAY, HOUR, INTERVALS, Interval

MOST_KLINES = 1500
DEFAULT_KLINES = 500
DEEPEST_BOOK = 100
OLDEST_FUNDING = 3 * 365 * DAY
CONTRACT_TYPES = ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL")


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, of which market, at which time."""

    market: Market
    params: Params
    now: int
    limits: Limits
    skew: int = 0

    def spec(self, name: str = "symbol") -> SymbolSpec:
        """The contract that the parameter names: -1102 without one, -1121 where there is no such contract."""
        spec = self.market.specs.get(self.params.need(name))
        if spec is None or spec.status == UNLISTED:
            raise refuse(-1121)
        return spec

    @property
    def of_one(self) -> bool:
        """Whether one symbol was named."""
        return self.params.text("symbol") is not None

    def asked(self) -> list[SymbolSpec]:
        """The one contract that is named, or else every one that trades."""
        if self.of_one:
            return [self.spec()]
        return [spec for spec in self.market.specs.values() if spec.status == "TRADING" and spec.onboard <= self.now]

    def shaped(self, rows: Sequence[object]) -> object:
        """One object where one symbol was named, else the list."""
        return rows[0] if self.of_one else rows


Answer = Callable[[Question], object]


def ping(_: Question) -> object:
    """Nothing."""
    return {}


def server_time(question: Question) -> object:
    """The clock to sign by."""
    return {"serverTime": question.now + question.skew}


def information(question: Question) -> object:
    """Every contract, its filters and the limits."""
    return exchange_info(question.market.specs.values(), question.limits, question.now)


def klines(question: Question) -> object:
    """Candles of a contract; the last one may still be open."""
    return _candles(question, question.spec())


def continuous_klines(question: Question) -> object:
    """Candles of a pair by type of contract. Only perpetuals exist here."""
    spec = question.spec("pair")
    kind = question.params.need("contractType")
    if kind not in CONTRACT_TYPES:
        raise refuse(-1102, "contractType")
    return _candles(question, spec) if kind == "PERPETUAL" else []


def mark_price_klines(question: Question) -> object:
    """Candles of the mark price: prices only, everything else is zero."""
    return _price_candles(question, question.spec())


def index_price_klines(question: Question) -> object:
    """Candles of the index price, which the mark price equals here."""
    return _price_candles(question, question.spec("pair"))


def _candles(question: Question, spec: SymbolSpec) -> object:
    step = _interval(question.params)
    first, last = _range(question, spec, step)
    return rest_rows(spec, step, select(question.market, spec, step, first, last, question.now))


def select(market: Market, spec: SymbolSpec, step: Interval, first: int, last: int, now: int) -> Klines:
    """The candles that open in [first, last] as they stand at `now`: what is open shows only what has traded."""
    current = step.floor(now)
    closed = market.klines(spec.symbol, step, first, min(last, current - 1))
    if not first <= current <= last or now < spec.onboard or spec.status != "TRADING":
        return closed
    return np.concatenate((closed, market.forming(spec.symbol, step, now)[0]))


def _price_candles(question: Question, spec: SymbolSpec) -> object:
    step = _interval(question.params)
    first, last = _range(question, spec, step)
    opened = [step.open_time(i) for i in range(step.index(first), step.index(last) + 1)]
    return [
        _price_row(question, spec, step, start)
        for start in opened
        if first <= start <= last and step.close_time(start) >= spec.onboard and spec.status == "TRADING"
    ]


def _price_row(question: Question, spec: SymbolSpec, step: Interval, start: int) -> list[object]:
    closing = step.close_time(start)
    end = min(closing, question.now)
    begin = max(start, spec.onboard)
    moments = sorted({begin + (end - begin) * part // 4 for part in range(5)})
    prices = [question.market.mark_price(spec.symbol, moment) for moment in moments]
    shown = [f"{price:.8f}" for price in (prices[0], max(prices), min(prices), prices[-1])]
    return [start, *shown, "0", closing, "0", (end - begin) // 1_000, "0", "0", "0"]


def _interval(params: Params) -> Interval:
    found = INTERVALS.get(params.need("interval"))
    if found is None:
        raise ApiError(-1120, "Invalid interval.")
    return found


def _range(question: Question, spec: SymbolSpec, step: Interval) -> tuple[int, int]:
    """The opening times that the answer covers: the first `limit` from startTime, or else the last `limit`."""
    most = question.params.limit(DEFAULT_KLINES, MOST_KLINES)
    start = question.params.integer("startTime")
    end = question.params.integer("endTime")
    last = step.floor(min(question.now, question.now if end is None else end, spec.delivery - 1))
    listed = step.floor(spec.onboard)
    if start is None:
        return max(step.after(last, 1 - most), listed), last
    first = max(step.ceil(min(start, question.now + DAY)), listed)
    return first, min(last, step.after(first, most - 1))


def ticker_price(question: Question) -> object:
    """The last price."""
    return question.shaped(
        [
            {
                "symbol": spec.symbol,
                "price": price_text(spec, question.market.price(spec.symbol, question.now)),
                "time": question.now,
            }
            for spec in question.asked()
        ]
    )


def ticker_24h(question: Question) -> object:
    """What the last 24 hours did to the price."""
    return question.shaped([_day(question, spec) for spec in question.asked()])


def _day(question: Question, spec: SymbolSpec) -> dict[str, object]:
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
        "weightedAvgPrice": price_text(spec, turnover // volume if volume else last),
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


def book_ticker(question: Question) -> object:
    """The best bid and the best offer."""
    return question.shaped([_book_row(question, spec) for spec in question.asked()])


def _book_row(question: Question, spec: SymbolSpec) -> dict[str, object]:
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
    """The first trades from startTime on, or else the newest of the last hour."""
    spec = question.spec()
    most = question.params.limit(500, 1000)
    start = question.params.integer("startTime")
    end = question.params.integer("endTime")
    until = question.now if end is None else min(end, question.now)
    if start is None:
        trades = list(numbered(question.market, spec.symbol, until - HOUR, until))[-most:]
    else:
        trades = list(islice(numbered(question.market, spec.symbol, start - 1, min(until, start + HOUR)), most))
    return [trade_row(spec, number, trade) for number, trade in trades]


def depth(question: Question) -> object:
    """A small book around the last price."""
    spec = question.spec()
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
    return question.shaped([_premium(question, spec) for spec in question.asked()])


def _premium(question: Question, spec: SymbolSpec) -> dict[str, object]:
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
    specs = question.asked()
    moments = islice(
        ((time, spec) for time in funding_times(after, until) for spec in specs if time >= spec.onboard), most
    )
    return [_funding_row(question, spec, time) for time, spec in moments]


def _funding_row(question: Question, spec: SymbolSpec, time: int) -> dict[str, object]:
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
