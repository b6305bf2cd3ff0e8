"""Orders for coins, pairs and balances against the real simulator."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest

from pipeline.exchange.coin_trading import CoinTrading, Pair
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.errors import RefusedError
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.simulator.handle import Simulator
from pipeline.timeline import DAY, HOUR

SYMBOL = "BTCUSDT"
_ids = count()


@pytest.fixture(scope="module")
def trading() -> Iterator[CoinTrading]:
    with Simulator.start(markets=("um", "spot")) as simulator:
        place = replace(at(ENVIRONMENTS["binance-spot-testnet"], simulator.at("spot").url), retries=0)
        with RestClient(place, Credentials("sim-key", signer_for("sim-secret"))) as client:
            client.sync_clock()
            yield CoinTrading(client)


def bought(trading: CoinTrading) -> tuple[Decimal, Decimal]:
    """How much was received in lots, and the price."""
    order = trading.trade(SYMBOL, "BUY", Decimal("0.02"), f"b-{next(_ids)}")
    (fill,) = order.fills
    assert (order.status, fill.commission_asset) == ("FILLED", "BTC")
    return (order.executed_qty - fill.commission).quantize(Decimal("0.0001"), "ROUND_FLOOR"), fill.price


def pair_of(quantity: Decimal, price: Decimal) -> Pair:
    number = next(_ids)
    low, high = (price * Decimal("0.5")).quantize(Decimal(1)), (price * Decimal("1.5")).quantize(Decimal(1))
    return Pair(
        symbol=SYMBOL, quantity=quantity, stop_id=f"s-{number}", stop_price=low, target_id=f"p-{number}",
        target_price=high,
    )  # fmt: skip


def test_a_pair_locks_what_was_bought_and_goes_as_one(trading: CoinTrading) -> None:
    quantity, price = bought(trading)
    pair = pair_of(quantity, price)
    placed = {one.name: one for one in trading.protect(pair)}
    assert {name: one.status for name, one in placed.items()} == {pair.stop_id: "NEW", str(pair.target_id): "NEW"}
    assert placed[pair.stop_id].stop_price == pair.stop_price
    assert trading.balances()["BTC"].locked == quantity
    assert {one.name for one in trading.open_orders()} == set(placed)
    assert {one.name: one.status for one in trading.cancel(SYMBOL, pair.stop_id)}[pair.stop_id] == "CANCELED"
    assert trading.open_orders() == []
    assert trading.balances().get("BTC") is None or trading.balances()["BTC"].locked == 0
    assert trading.cancel(SYMBOL, pair.stop_id) == ()
    target = trading.query(SYMBOL, str(pair.target_id))
    assert target is not None
    assert target.status == "CANCELED"
    assert trading.query_number(SYMBOL, target.order_id) == target
    sold = trading.trade(SYMBOL, "SELL", quantity, f"x-{next(_ids)}")
    assert (sold.status, sold.executed_qty) == ("FILLED", quantity)


def test_a_stop_takes_the_place_of_a_pair_or_of_a_stop(trading: CoinTrading) -> None:
    quantity, price = bought(trading)
    pair = pair_of(quantity, price)
    trading.protect(pair)
    number = next(_ids)
    first = replace(pair, stop_id=f"s-{number}", target_id=None, target_price=None)
    done = trading.replace(pair.stop_id, first)
    assert {one.name: one.status for one in done.gone} == {pair.stop_id: "CANCELED", str(pair.target_id): "CANCELED"}
    assert done.placed is not None
    assert (done.placed.name, done.placed.status, done.refusal) == (first.stop_id, "NEW", None)
    second = replace(first, stop_id=f"s-{next(_ids)}", stop_price=first.stop_price + 1)
    (gone,) = trading.replace(first.stop_id, second).gone
    assert (gone.name, gone.status) == (first.stop_id, "CANCELED")
    assert [one.name for one in trading.open_orders()] == [second.stop_id]
    not_there = trading.replace(first.stop_id, replace(second, stop_id=f"s-{next(_ids)}"))
    assert (not_there.gone, not_there.placed, not_there.refusal and not_there.refusal.code) == ((), None, -2011)
    with pytest.raises(RefusedError, match="PRICE_FILTER"):
        trading.replace(second.stop_id, replace(first, stop_price=Decimal("0.001")))
    too_high = replace(first, stop_id=f"s-{next(_ids)}", stop_price=(price * 2).quantize(Decimal(1)))
    half = trading.replace(second.stop_id, too_high)
    assert ([one.name for one in half.gone], half.placed) == ([second.stop_id], None)
    assert half.refusal is not None
    assert half.refusal.code == -2010
    assert "Order would trigger immediately." in str(half.refusal)
    assert trading.open_orders() == []
    trading.trade(SYMBOL, "SELL", quantity, f"x-{next(_ids)}")


def test_a_stop_alone(trading: CoinTrading) -> None:
    quantity, price = bought(trading)
    stop = replace(pair_of(quantity, price), target_id=None, target_price=None)
    (placed,) = trading.protect(stop)
    assert (placed.name, placed.status) == (stop.stop_id, "NEW")
    with pytest.raises(RefusedError, match="Duplicate order sent"):
        trading.protect(stop)
    trading.cancel(SYMBOL, stop.stop_id)
    trading.trade(SYMBOL, "SELL", quantity, f"x-{next(_ids)}")


def test_more_than_there_is_cannot_be_sold_and_an_order_that_never_was_is_not_known(trading: CoinTrading) -> None:
    with pytest.raises(RefusedError, match="insufficient balance"):
        trading.trade(SYMBOL, "SELL", Decimal(50), f"x-{next(_ids)}")
    assert trading.query(SYMBOL, "never") is None
    assert trading.query_number(SYMBOL, 987_654_321) is None


def test_the_past_is_read_a_day_at_a_time(trading: CoinTrading) -> None:
    quantity, _ = bought(trading)
    trading.trade(SYMBOL, "SELL", quantity, "last")
    since = trading.client.clock.now() - 3 * DAY - HOUR
    orders, trades = trading.orders(SYMBOL, since), trading.trades(SYMBOL, since)
    assert orders[-1].name == "last"
    assert [one.order_id for one in orders] == sorted({one.order_id for one in orders})
    assert (trades[-1].order_id, trades[-1].is_buyer, trades[-1].commission_asset) == (
        orders[-1].order_id, False, "USDT",
    )  # fmt: skip
