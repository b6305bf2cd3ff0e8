"""An account of several coins: COIN-M's signed calls against the real simulator."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewAlgo, NewOrder, Trading
from pipeline.simulator.handle import Simulator

SYMBOL = "BTCUSD_PERP"


@pytest.fixture(scope="module")
def trading() -> Iterator[Trading]:
    with Simulator.start(markets=("um", "cm")) as simulator:
        place = replace(at(ENVIRONMENTS["sim-cm"], simulator.at("cm").url), retries=0)
        with RestClient(place, Credentials("sim-key", signer_for("sim-secret"))) as client:
            client.sync_clock()
            yield Trading(client)


def test_there_is_a_wallet_of_each_coin_and_no_sum_of_them(trading: Trading) -> None:
    account = trading.account()
    held = {one.asset: one.balance for one in account.wallets if one.balance}
    assert (held["BTC"], held["ETH"]) == (Decimal("0.1"), Decimal(2))
    assert all(one.equity == one.balance and one.available == one.balance for one in account.wallets)
    assert (account.others, trading.multi_assets_mode(), trading.hedge_mode()) == ((), False, False)


def test_a_position_from_its_first_order_to_its_end(trading: Trading) -> None:
    since = trading.client.server_time()
    trading.set_margin_type(SYMBOL, "ISOLATED")
    trading.set_leverage(SYMBOL, 5)
    config = trading.symbol_config(SYMBOL)
    assert config is not None
    assert (config.leverage, config.margin_type) == (5, "ISOLATED")
    bought = trading.place_order(NewOrder(symbol=SYMBOL, side="BUY", client_id="t:1", quantity=Decimal(7)))
    asked = trading.query_order(SYMBOL, bought.client_order_id)
    (held,) = trading.positions(SYMBOL)
    assert asked is not None
    assert (held.position_amt, held.symbol) == (7, SYMBOL)
    assert float(held.entry_price) == pytest.approx(float(asked.avg_price or 0))
    trigger = (held.mark_price * Decimal("0.9")).quantize(Decimal("0.1"))
    stop = trading.place_algo(
        NewAlgo(symbol=SYMBOL, side="SELL", client_id="s:1", type="STOP_MARKET", trigger_price=trigger)
    )
    assert not trading.knows_ended_algos
    found = trading.query_algo(SYMBOL, "s:1")
    assert found is not None
    assert (found.algo_id, found.trigger_price, found.close_position) == (stop.algo_id, trigger, True)
    assert [one.client_algo_id for one in trading.all_algos(SYMBOL, since)] == ["s:1"]
    assert trading.cancel_algo("s:1")
    assert trading.query_algo(SYMBOL, "s:1") is None, "one that waits no more is not told of"
    sold = NewOrder(symbol=SYMBOL, side="SELL", client_id="t:2", quantity=Decimal(7), reduce_only=True)
    fills = [*trading.trades(SYMBOL, since), *trading.trades_of(SYMBOL, trading.place_order(sold).order_id)]
    assert {one.commission_asset for one in fills} == {"BTC"}
    kinds = {(one.income_type, one.asset) for one in trading.incomes(since, trading.client.server_time())}
    assert ("COMMISSION", "BTC") in kinds


def test_the_brackets_are_of_coins_and_the_fee_is_the_accounts(trading: Trading) -> None:
    brackets = trading.brackets()[SYMBOL]
    assert all(one.cap > 0 for one in brackets)
    assert [one.cap for one in brackets] == sorted(one.cap for one in brackets)
    assert trading.taker_fee(SYMBOL) == Decimal("0.0004")
    listed = {one.symbol: one for one in MarketData(trading.client).symbols()}
    one = Instrument.of(trading.client.environment.product, listed[SYMBOL])
    assert (one.margin_asset, one.size, one.quoted(Decimal(3), Decimal(50_000))) == ("BTC", 100, 300)
    assert one.amount(Decimal("0.006")) == "0.00600000"
