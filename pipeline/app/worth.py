"""What the account is worth now, and what it holds: as the exchange says where there are keys, else as the executor
stored it last.

What the exchange says is stored as the executor would store it: whoever asks thereby orders a snapshot.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from pipeline.app.audit_trail import note
from pipeline.app.exchange_access import running_exchange
from pipeline.app.opened import Opened
from pipeline.app.trading_access import holds_coins, is_traded
from pipeline.app.wiring import credentials_of
from pipeline.errors import TidemarkError
from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.trading import Trading
from pipeline.execution.account.books import Bookkeeper
from pipeline.execution.account.coin_books import CoinBooks
from pipeline.execution.account.coins import Held, account_of
from pipeline.execution.account.fees import Rates
from pipeline.execution.gateway.reports_in import Market
from pipeline.settings import Settings
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.orders import OrderJournal
from schemas.accounts import Snapshot

__all__ = ["Holding", "Snapshot", "Worth", "worth"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A position, as far as its worth goes. None: not known."""

    symbol: str
    amount: Decimal
    entry: Decimal
    mark: Decimal | None
    unrealized: Decimal | None


@dataclass(frozen=True, slots=True)
class Worth:
    """The newest snapshot in each asset that the account counts in, none while nobody has taken any; what is held."""

    taken: Sequence[Snapshot]
    held: Sequence[Holding]


def worth(tm: Opened, *, warn: Callable[[str], None], by: str, reason: str | None = None) -> Worth:
    """It, now. `warn`: is told what could not be read, and is not needed for it."""
    with _asking(tm.settings) as trading:
        if trading is None:
            return _stored(tm)
        note(tm.settings.home, "snapshot of the account", by=by, reason=reason)
        ask = _asked_of_coins if holds_coins(tm.settings) else _asked
        return ask(tm, trading, warn)


def _stored(tm: Opened) -> Worth:
    held = [
        Holding(one.symbol, one.quantity, one.entry_price, one.mark_price, one.unrealized)
        for one in PositionStore(tm.db, tm.environment).list()
        if one.quantity
    ]
    newest = (one.latest() for one in AccountStore(tm.db, tm.environment).each())
    return Worth([one for one in newest if one is not None], held)


def _asked(tm: Opened, trading: Trading, warn: Callable[[str], None]) -> Worth:
    environment, store = tm.environment, AccountStore(tm.db, tm.environment)
    market, data = Market(trading.client.environment.product), MarketData(trading.client)
    asset = market.product.margin
    books = Bookkeeper(environment, asset, trading, store, Rates(data, asset), warn)
    if asset is None:
        market.list(data.symbols())
    asof = trading.client.clock.now()
    report = trading.account()
    books.day_starts(report, asof)
    held = [
        Holding(one.symbol, one.position_amt, one.entry_price, one.mark_price, one.un_realized_profit)
        for one in trading.positions()
        if one.position_amt
    ]
    taken = books.snapshots(report, Counter(market.asset_of(one.symbol) for one in held), asof)
    return _worth(taken, held)


def _asked_of_coins(tm: Opened, trading: Trading, _warn: Callable[[str], None]) -> Worth:
    """What of the balances is ours, the stored positions say: the exchange does not know it."""
    market, data = Market(trading.client.environment.product), MarketData(trading.client)
    market.list(data.symbols())
    books = CoinBooks(
        tm.environment, OrderJournal(tm.db, tm.environment), AccountStore(tm.db, tm.environment), market.asset_of
    )
    asof = trading.client.clock.now()
    prices, balances = data.prices(), CoinTrading(trading.client).balances()
    ours = [
        Held(one.symbol, listed.base, listed.quote, one.quantity, one.entry_price, prices[one.symbol][0])
        for one in PositionStore(tm.db, tm.environment).list()
        if one.ours and one.quantity and (listed := market.listed.get(one.symbol)) and one.symbol in prices
    ]
    quotes = {asset for one in tm.settings.symbols if (asset := market.asset_of(one))}
    report = account_of(balances, ours, sorted(quotes))
    books.day_starts(report, asof)
    taken = books.snapshots(report, Counter(one.quote for one in ours), asof)
    return _worth(taken, [Holding(one.symbol, one.quantity, one.entry, one.mark, one.gain) for one in ours])


def _worth(taken: Sequence[Snapshot], held: Sequence[Holding]) -> Worth:
    if not taken:
        raise TidemarkError("what the day began with could not be read, the log says why: run it again")
    return Worth(taken, held)


@contextmanager
def _asking(settings: Settings) -> Iterator[Trading | None]:
    credentials = credentials_of(settings) if is_traded(settings) else None
    if credentials is None:
        yield None
        return
    with running_exchange(settings) as place, RestClient(place, credentials) as client:
        client.sync_clock()
        yield Trading(client)
