"""A small stage for backtests: hand-made minutes, signals at their closes, and the run between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import Policy, SignalView, TradingView
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Assumptions, Inside
from pipeline.research.backtest.funding import schedule_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.run import Backtest, run
from pipeline.settings import Risk
from pipeline.timeline import HOUR, MINUTE, to_ms
from schemas.signals import Kind, Side
from tests.contracts import BTC, TICK, coin_contract, contract, pair

Candle = tuple[float, float, float, float]
"""Open, high, low, close."""
BEGIN = to_ms(datetime(2026, 3, 2, 1, tzinfo=UTC))
"""An hour after midnight, seven before funding."""
EQUITY = {UM.name: Decimal(10_000), CM.name: Decimal("0.1"), SPOT.name: Decimal(10_000)}
LISTED = {UM.name: contract, CM.name: coin_contract, SPOT.name: pair}
TARGET = TradingView(take_profit_atr=Decimal(2))


def flat(price: float, count: int = 1) -> list[Candle]:
    """Minutes in which nothing moves."""
    return [(price, price, price, price)] * count


def minutes(candles: Sequence[Candle | None], symbol: str = BTC, begin: int = BEGIN) -> Minutes:
    """One after the other; None is a hole."""
    places = [place for place, one in enumerate(candles) if one is not None]
    columns = np.array([candles[place] for place in places], float).T
    times = begin + MINUTE * np.array(places, np.int64)
    return Minutes.of(symbol, TICK, times, *columns)


def said(
    after: int, kind: Kind, side: Side, price: float, *, atr: float = 100.0, symbol: str = BTC, begin: int = BEGIN
) -> SignalView:
    """A signal at the close of minute number `after`, counted from one."""
    at = begin + after * MINUTE
    return SignalView(
        id=f"sim:{symbol}:1m:{at}:rule:{kind}:{side}",
        symbol=symbol,
        interval="1m",
        strategy="rule",
        kind=kind,
        side=side,
        at=at,
        price=Decimal(str(price)),
        atr=Decimal(str(atr)),
        confirmed=True,
        fresh_until=at + 5 * MINUTE,
    )


def asked(
    market: Minutes | Mapping[str, Minutes],
    signals: Iterable[SignalView],
    *,
    trading: TradingView | None = None,
    product: Product = UM,
    **risk: Any,
) -> Asked:
    """Everything as shipped, but for these settings of the risk."""
    of_all = {market.symbol: market} if isinstance(market, Minutes) else dict(market)
    return Asked(
        policy=Policy("sim", Risk(**risk), arithmetic=product.arithmetic, coins=product.margin is None),
        assumptions=Assumptions(inside=Inside.PESSIMISTIC, equity=EQUITY[product.name]),
        product=product,
        identity=Identity("sim", "backte"),
        symbols=[LISTED[product.name](symbol) for symbol in of_all],
        minutes=of_all,
        trading={symbol: trading for symbol in of_all if trading is not None},
        funding={name: schedule_of((), one.start, one.end) for name, one in of_all.items() if product is not SPOT},
        signals=list(signals),
        start=min(one.start for one in of_all.values()),
        end=max(one.end for one in of_all.values()),
    )


def ran(market: Minutes | Mapping[str, Minutes], signals: Iterable[SignalView], **more: Any) -> Backtest:
    """The run of it, by the executor itself."""
    return run(asked(market, signals, **more), exact=True)


def until_funding() -> int:
    """Minutes from the beginning to the first settlement."""
    return 7 * HOUR // MINUTE


def wild(count: int, seed: int) -> list[Candle]:
    """A walk around 100,000 with an ATR of about 100."""
    dice = np.random.default_rng(seed)
    closes = 100_000 + np.cumsum(dice.normal(0, 40, count))
    opens = np.append(100_000, closes[:-1]) + np.where(dice.random(count) < 0.05, dice.normal(0, 150, count), 0)
    highs = np.maximum(opens, closes) + np.abs(dice.normal(0, 40, count))
    lows = np.minimum(opens, closes) - np.abs(dice.normal(0, 40, count))
    return list(map(tuple, np.round(np.stack([opens, highs, lows, closes], axis=1), 1).tolist()))


def chatter(count: int, seed: int, symbol: str = BTC) -> list[SignalView]:
    """Signals of every kind, at the prices of that walk."""
    dice = np.random.default_rng(seed + 1_000)
    candles = wild(count, seed)
    kinds: tuple[Kind, ...] = ("trial", "entry", "entry", "add", "exit")
    sides: tuple[Side, ...] = ("long", "short")
    return [
        said(after, kinds[dice.integers(5)], sides[dice.integers(2)], candles[after - 1][3], symbol=symbol)
        for after in range(20, count - 5, 25)
    ]


def at_market(signal: SignalView, candles: Sequence[Candle]) -> SignalView:
    """The signal at the close of its candle."""
    return replace(signal, price=Decimal(str(round(candles[(signal.at - BEGIN) // MINUTE - 1][3], 1))))
