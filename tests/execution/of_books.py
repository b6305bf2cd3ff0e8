"""Several strategies in one contract, each with a book: how tests bring them there, and what they look at."""

from dataclasses import replace
from decimal import Decimal

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Cancel
from pipeline.execution.engine.state import TradeTold
from pipeline.settings import Portfolio
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, T

BOOKS = replace(POLICY, portfolio=Portfolio(books=True))
RSI = {"name": "r1", "strategy": "rsi", "at": T + 1}
ONE = Decimal("0.001")
D = Decimal


def held(driver: Driver) -> dict[str, Decimal]:
    """What each strategy holds."""
    return {str(one.strategy): one.quantity for one in driver.position().books}


def stops(driver: Driver) -> dict[tuple[str | None, Decimal | None], Decimal | None]:
    """The stops that stand, or are to: of whom, at which price, for how much."""
    found = [one for one in driver.core.orders() if one.leg == "stop" and one.unsettled]
    return {(one.strategy, one.trigger_price): one.quantity for one in found}


def stand(driver: Driver) -> None:
    """What is intended is journaled, sent and stands; what is to go is gone."""
    for _ in range(12):
        driver.wait(1_100)
        for order in [one for one in driver.core.orders() if one.algo and one.state == "intended"]:
            driver(ev.IntentJournaled(order.id))
        for order in [one for one in driver.core.orders() if one.algo and one.state == "sent"]:
            driver.seen(order)
        for cancel in [one for one in driver.all if isinstance(one, Cancel)]:
            order = driver.core.order(cancel.order.id)
            if order is not None and order.unsettled:
                driver.seen(order, "cancelled")


def trades_of(driver: Driver) -> tuple[TradeTold, ...]:
    """The fills as the exchange lists them."""
    filled = [one for one in driver.core.orders() if one.filled]
    return tuple(TradeTold(one.exchange_id, one.side, one.filled, PRICE, D(0), D(0), one.seen_at) for one in filled)


def two(way: str = "long", atr: int = 600) -> Driver:
    """The ladder holds 0.222 long, with its stop at 59,400; the other strategy holds a position of its own."""
    driver = Driver(BOOKS)
    driver.protected()
    driver.protected(**RSI, side=way, atr=D(atr))
    stand(driver)
    return driver


def beyond_the_stop_of_all():
    """Where one book is to be closed, whose close would open something, and the price has come to the stop of all."""
    driver = two("short")
    mine = next(one for one in driver.position().books if one.strategy == "macd")
    stop = driver.core.order(driver.position().stop_order)
    driver.core._reconciler._ledger.end(mine, "it is to end")
    driver(ev.PriceSeen(SYMBOL, stop.trigger_price - 1, driver.now))
    driver.wait(1_000)
    return driver, mine, stop
