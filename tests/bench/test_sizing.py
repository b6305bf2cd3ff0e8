"""What the sizing stores without asking is what the exchange would have said."""

import time

import pytest

from bench.sizing import table
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.simulator.handle import Simulator
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import universe
from pipeline.timeline import Window, interval

COUNT = 300


@pytest.mark.parametrize("code", ["1m", "15m", "4h"])
def test_its_candles_are_those_of_rest_to_the_last_bit(simulator: Simulator, code: str) -> None:
    step, specs = interval(code), universe(20, int(time.time() * 1_000))
    market = SyntheticMarket(0, specs)
    with RestClient(at(SIM, simulator.url)) as client:
        rest = MarketData(client)
        listed = [one for one in rest.symbols() if one.status == "TRADING" and one.symbol.isascii()]
        for one in listed[:8]:
            last = step.after(step.floor(client.clock.now()), -1)
            window = Window(step.after(last, 1 - COUNT), last)
            said = rest.klines(one.symbol, step, window)
            ours = table(specs[one.symbol], step, market.klines(one.symbol, step, *window))
            assert ours.height == COUNT
            for name in set(said.columns) - {"u"}:
                assert ours[name].to_list() == said[name].cast(ours.schema[name]).to_list(), (one.symbol, name)
