"""What spot answers otherwise than the futures about its market: its symbols and filters, its tickers, its trades."""

import json

from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot.filters import AVERAGED_MINUTES, LARGEST_NOTIONAL, MOST_LISTS, average_price
from pipeline.simulator.types import SymbolSpec, Tick
from pipeline.simulator.venue.refusals import refuse
from pipeline.simulator.wire import market_data
from pipeline.simulator.wire.exchange_info import rate_limit, rate_limits
from pipeline.simulator.wire.format import grids, price_text
from pipeline.simulator.wire.market_data import Question, Row, asked_trades, select
from pipeline.simulator.wire.trade_rows import aggregate_row, latest, trade_row
from pipeline.timeline import DAY, INTERVALS, MINUTE

ORDER_TYPES = [
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
]  # fmt: skip
RAW_REQUESTS = 300_000

_SELF_TRADES = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]


def information(question: Question) -> object:
    """Every pair that was asked for, its filters and the limits."""
    raw = rate_limit("RAW_REQUESTS", "MINUTE", AVERAGED_MINUTES, RAW_REQUESTS)
    return {
        "timezone": "UTC",
        "serverTime": question.now,
        "rateLimits": [*rate_limits(question.limits), raw],
        "exchangeFilters": [],
        "symbols": [_symbol(spec, question.now) for spec in _asked(question, question.listed())],
    }


def _asked(question: Question, otherwise: list[SymbolSpec]) -> list[SymbolSpec]:
    """The pairs that `symbol` or `symbols` names."""
    names = question.params.text("symbols")
    if names is None:
        return [question.spec()] if question.of_one else otherwise
    try:
        wanted = json.loads(names)
    except ValueError:
        raise refuse(-1100, "symbols") from None
    known = {spec.symbol: spec for spec in question.listed()}
    if not isinstance(wanted, list) or not wanted or not all(isinstance(name, str) for name in wanted):
        raise refuse(-1100, "symbols")
    if any(name not in known for name in wanted):
        raise refuse(-1121)
    return [known[name] for name in wanted]


def _traded(question: Question) -> list[SymbolSpec]:
    return _asked(question, [spec for spec in question.listed() if spec.trades_at(question.now)])


def _symbol(spec: SymbolSpec, now: int) -> Row:
    return {
        "symbol": spec.symbol,
        "status": spec.standing(now),
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(spec),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": _SELF_TRADES,
    }


def _filters(spec: SymbolSpec) -> list[Row]:
    """A zero is a part that is not enforced."""
    step, off = f"{spec.step:.8f}", f"{0:.8f}"
    up, down = (f"{bound.normalize():f}" for bound in (spec.multiplier_up, spec.multiplier_down))
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": f"{spec.tick:.8f}",
            "maxPrice": f"{spec.tick * 10**8:.8f}",
            "tickSize": f"{spec.tick:.8f}",
        },
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": f"{spec.max_quantity:.8f}", "stepSize": step},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": off,
            "maxQty": f"{spec.market_max_quantity:.8f}",
            "stepSize": off,
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": AVERAGED_MINUTES,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": f"{spec.min_notional:.8f}",
            "applyMinToMarket": True,
            "maxNotional": f"{LARGEST_NOTIONAL:.8f}",
            "applyMaxToMarket": False,
            "avgPriceMins": AVERAGED_MINUTES,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": spec.max_orders},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": MOST_LISTS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": spec.max_algo_orders},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
    ]


def ticker_price(question: Question) -> object:
    """The last price, without a time."""
    return question.shaped([_without(market_data.price_row(question, spec), "time") for spec in _traded(question)])


def ticker_24h(question: Question) -> object:
    """What the last 24 hours did to the price."""
    return question.shaped([_day(question, spec) for spec in _traded(question)])


def _day(question: Question, spec: SymbolSpec) -> Row:
    hours = select(question.market, spec, INTERVALS["1h"], question.now - DAY, question.now, question.now)
    opening = int(hours["open"][0]) if len(hours) else question.market.price(spec.symbol, question.now)
    quotes = {name: value for name, value in market_data.book_row(question, spec).items() if name in _QUOTED}
    turnover = grids(spec).quote.text(int(hours["quote"].sum()))
    row = market_data.day_row(question, spec)
    return row | quotes | {"prevClosePrice": price_text(spec, opening), "quoteVolume": turnover}


def book_ticker(question: Question) -> object:
    """The best bid and the best offer."""
    rows = [market_data.book_row(question, spec) for spec in _traded(question)]
    return question.shaped([_without(row, "time", "lastUpdateId") for row in rows])


def depth(question: Question) -> object:
    """A small book around the last price."""
    return _without(market_data.book_of(question, question.spec()), "E", "T")


def mean_price(question: Question) -> object:
    """The average price of the last minutes: that by which orders are judged."""
    spec, now = question.spec(), question.now
    deals = question.market.ticks(spec.symbol, now - AVERAGED_MINUTES * MINUTE, now)
    mean = average_price(question.market, spec, now)
    return {"mins": AVERAGED_MINUTES, "price": f"{mean:.8f}", "closeTime": deals[-1].time if deals else now}


def trades(question: Question) -> object:
    """The newest trades."""
    spec, most = question.spec(), question.params.limit(500, 1000)
    return [_trade(spec, *each) for each in latest(question.market, spec.symbol, question.now, most)]


def historical_trades(question: Question) -> object:
    """The trades from the number `fromId` on, or else the newest."""
    return [_trade(*each) for each in asked_trades(question)]


def aggregate_trades(question: Question) -> object:
    """The trades from the number `fromId`, or from startTime on, or else the newest."""
    return [_without(aggregate_row(*each), "nq") | {"M": True} for each in asked_trades(question)]


def gone(_: Question) -> object:
    """Listen keys: there are none any more."""
    raise ApiError(-1000, "This endpoint is gone: listen to the account over the websocket API.", 410)


def nothing(_: Question) -> object:
    """What there is to borrow."""
    return []


def _trade(spec: SymbolSpec, number: int, trade: Tick) -> Row:
    paid = trade.price * spec.tick * trade.quantity * spec.step
    return trade_row(spec, number, trade) | {"quoteQty": f"{paid:.8f}", "isBestMatch": True}


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


_QUOTED = frozenset(("bidPrice", "bidQty", "askPrice", "askQty"))
