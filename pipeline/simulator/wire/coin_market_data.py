"""What COIN-M answers otherwise than USD-M about its market: lists where one was asked for, pairs beside symbols, and
volumes in contracts with coins beside them."""

from pipeline.simulator.market.quarters import contract_type
from pipeline.simulator.types import QUARTER, SymbolSpec, Tick
from pipeline.simulator.wire import market_data
from pipeline.simulator.wire.exchange_info import ORDER_TYPES, STALE, grid_filters, percent_price, rate_limits
from pipeline.simulator.wire.format import grids
from pipeline.simulator.wire.market_data import Question, Row, asked_trades, select
from pipeline.simulator.wire.trade_rows import latest, trade_row
from pipeline.timeline import DAY, INTERVALS

TIME_IN_FORCE = ["GTC", "IOC", "FOK", "GTX"]


def information(question: Question) -> object:
    """Every contract, its filters and the limits."""
    return {
        "timezone": "UTC",
        "serverTime": question.now - STALE,
        "rateLimits": rate_limits(question.limits),
        "exchangeFilters": [],
        "symbols": [_symbol(spec, question.now) for spec in question.listed()],
    }


def _symbol(spec: SymbolSpec, now: int) -> Row:
    return {
        "symbol": spec.symbol,
        "pair": spec.pair,
        "contractType": contract_type(spec, now),
        "deliveryDate": spec.delivery,
        "onboardDate": spec.onboard,
        "contractStatus": spec.standing(now),
        "contractSize": int(spec.worth.turnover(spec.tick)),
        "marginAsset": spec.worth.asset,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "pricePrecision": spec.price_precision,
        "quantityPrecision": spec.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "equalQtyPrecision": 4,
        "maxMoveOrderLimit": 10000,
        "triggerProtect": "0.0500",
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"] if spec.base == "BTC" else ["Layer-1"],
        "filters": [*grid_filters(spec), percent_price(spec)],
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIME_IN_FORCE,
        "liquidationFee": f"{spec.liquidation_fee:.6f}",
        "marketTakeBound": f"{spec.multiplier_up - 1:.2f}",
        "permissionSets": ["GRID", "COPY"],
    }


def ticker_price(question: Question) -> object:
    """The last prices."""
    return [_price(question, spec) for spec in question.asked()]


def _price(question: Question, spec: SymbolSpec) -> Row:
    return {"symbol": spec.symbol, "ps": spec.pair} | market_data.price_row(question, spec)


def ticker_24h(question: Question) -> object:
    """What the last 24 hours did to the prices."""
    return [_day(question, spec) for spec in question.asked()]


def _day(question: Question, spec: SymbolSpec) -> Row:
    row = market_data.day_row(question, spec)
    del row["quoteVolume"]
    hours = select(question.market, spec, INTERVALS["1h"], question.now - DAY, question.now, question.now)
    return row | {"pair": spec.pair, "baseVolume": grids(spec).quote.text(int(hours["quote"].sum()))}


def book_ticker(question: Question) -> object:
    """The best bids and offers."""
    return [market_data.book_row(question, spec) | {"pair": spec.pair} for spec in question.asked()]


def depth(question: Question) -> object:
    """A small book around the last price."""
    spec = question.spec()
    return market_data.book_of(question, spec) | {"symbol": spec.symbol, "pair": spec.pair}


def premium_index(question: Question) -> object:
    """Mark prices, index prices and the next fundings; a dated contract has none."""
    return [_premium(question, spec) for spec in question.asked()]


def _premium(question: Question, spec: SymbolSpec) -> Row:
    row = market_data.premium_row(question, spec) | {"pair": spec.pair}
    if spec.kind == QUARTER:
        row |= {"lastFundingRate": "", "interestRate": "", "nextFundingTime": 0}
    return row


def trades(question: Question) -> object:
    """The newest trades."""
    spec, most = question.spec(), question.params.limit(500, 1000)
    return [_trade(spec, *each) for each in latest(question.market, spec.symbol, question.now, most)]


def historical_trades(question: Question) -> object:
    """The trades from the number `fromId` on, or else the newest."""
    return [_trade(*each) for each in asked_trades(question)]


def _trade(spec: SymbolSpec, number: int, trade: Tick) -> Row:
    """With coins in the place of the dollars, which are quantity x size."""
    row = trade_row(spec, number, trade)
    del row["quoteQty"]
    coins = trade.quantity * spec.step * spec.worth.notional(trade.price * spec.tick)
    return row | {"baseQty": f"{coins:.8f}"}


def open_interest(question: Question) -> object:
    """How many contracts are held."""
    spec = question.spec()
    kind = contract_type(spec, question.now)
    return market_data.interest_row(question, spec) | {"pair": spec.pair, "contractType": kind}
