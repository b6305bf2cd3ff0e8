"""Candles of a second: those of spot, made of the same trades as its minutes."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import requests
import websockets

from pipeline.simulator.errors import ApiError
from pipeline.simulator.handle import Simulator
from pipeline.simulator.market.aggregate import aggregate
from pipeline.simulator.market.spot_pairs import spot_pairs
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.timeline import DAY, INTERVALS, MINUTE, SECOND, interval

JANUARY = 1_767_225_600_000  # 2026-01-01
ONE = interval("1s")
API = "/api/v3"
PAIRS = spot_pairs(0, JANUARY)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "BTCUSDC"])
def test_the_seconds_of_a_minute_are_its_trades(symbol: str) -> None:
    market = SyntheticMarket(5, {symbol: PAIRS[symbol]})
    minutes = market.klines(symbol, INTERVALS["1m"], JANUARY, JANUARY + 99 * MINUTE)
    seconds = market.klines(symbol, ONE, JANUARY, JANUARY + 100 * MINUTE - 1)
    assert len(seconds) == 6_000
    assert (np.diff(seconds["t"]) == SECOND).all()
    traded = seconds[seconds["trades"] > 0]
    assert 0 < len(traded) < len(seconds)
    together = aggregate(traded, INTERVALS["1m"])
    assert (together == minutes[np.isin(minutes["t"], together["t"])]).all()
    quiet = np.flatnonzero(seconds["trades"][1:] == 0) + 1
    for name in ("open", "high", "low", "close"):
        assert (seconds[name][quiet] == seconds["close"][quiet - 1]).all()
    assert not any(seconds[name][quiet].any() for name in ("volume", "quote", "taker_base", "taker_quote"))


def test_a_second_that_is_open_shows_what_has_traded() -> None:
    market = SyntheticMarket(5, {"BTCUSDT": PAIRS["BTCUSDT"]})
    times = [tick.time for tick in market.ticks("BTCUSDT", JANUARY, JANUARY + 10 * MINUTE)]
    for time in times[:200]:
        (whole,) = market.klines("BTCUSDT", ONE, ONE.floor(time), ONE.floor(time))
        (forming,), last = market.forming("BTCUSDT", ONE, time)
        assert last == time
        assert forming["close"] == market.price("BTCUSDT", time)
        assert forming["trades"] <= whole["trades"]
        (full,), _ = market.forming("BTCUSDT", ONE, ONE.close_time(ONE.floor(time)))
        assert full == whole
    gap = next(one for one, other in pairwise(times) if other - one > 3 * SECOND)
    (quiet,), last = market.forming("BTCUSDT", ONE, gap + 2 * SECOND)
    assert (quiet["trades"], quiet["close"], last) == (0, market.price("BTCUSDT", gap), ONE.floor(gap + 2 * SECOND))


def test_where_trading_begins_and_ends() -> None:
    spec = replace(PAIRS["BTCUSDT"], onboard=JANUARY)
    market = SyntheticMarket(5, {"BTCUSDT": spec})
    assert market.klines("BTCUSDT", ONE, JANUARY - DAY, JANUARY + 2 * SECOND)["t"][0] == JANUARY
    market.delist("BTCUSDT", "CLOSE", JANUARY + MINUTE + 1)
    assert market.klines("BTCUSDT", ONE, JANUARY, JANUARY + DAY)["t"][-1] == JANUARY + 2 * MINUTE - SECOND
    with pytest.raises(ApiError):
        market.klines("ETHUSDT", ONE, JANUARY, JANUARY)


async def test_they_are_answered_and_streamed(
    start_simulator: Callable[..., Simulator], desk_of: Callable[..., Any]
) -> None:
    spot = start_simulator(markets=("um", "spot"), symbols=("BTCUSDT",), speed=15).at("spot")
    desk = desk_of(spot)
    window = {"symbol": "BTCUSDT", "interval": "1s", "startTime": JANUARY}
    rows = desk.public(f"{API}/klines", **window, limit=1_000).body
    assert rows == spot.truth_klines("BTCUSDT", "1s", JANUARY, JANUARY + 999 * SECOND)
    assert [row[0] for row in rows] == [JANUARY + number * SECOND for number in range(1_000)]
    assert {row[6] - row[0] for row in rows} == {999}
    async with websockets.connect(f"{spot.ws_url}/ws/btcusdt@kline_1s") as socket:
        while not (frame := json.loads(await socket.recv()))["k"]["x"]:
            assert frame["k"]["i"] == "1s"
    k = frame["k"]
    assert frame["E"] - k["T"] < 15 * SECOND
    (row,) = spot.truth_klines("BTCUSDT", "1s", k["t"], k["t"])
    assert [k["t"], k["o"], k["h"], k["l"], k["c"], k["v"], k["T"], k["q"], k["n"], k["V"], k["Q"]] == row[:11]
    trades = desk.public(f"{API}/historicalTrades", symbol="BTCUSDT", fromId=k["f"], limit=k["n"]).body
    assert (trades[0]["price"], trades[-1]["id"], trades[-1]["price"]) == (k["o"], k["L"], k["c"])


def test_the_archive_has_them_by_the_day(start_simulator: Callable[..., Simulator]) -> None:
    spot = start_simulator(markets=("um", "spot"), symbols=("BTCUSDT",)).at("spot")
    rows = spot.truth_klines("BTCUSDT", "1s", JANUARY, JANUARY + 999 * SECOND)
    folder = f"{spot.url}/data/spot/daily/klines/BTCUSDT/1s/BTCUSDT-1s-2026-01-01.zip"
    with zipfile.ZipFile(io.BytesIO(requests.get(folder, timeout=60).content)) as archive:
        _, *lines = csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode()))
    assert len(lines) == 86_400
    assert [line[1:6] for line in lines[:1_000]] == [row[1:6] for row in rows]
    assert [int(line[0]) for line in lines[:3]] == [(JANUARY + number * SECOND) * 1_000 for number in range(3)]
    month = f"{spot.url}/data/spot/monthly/klines/BTCUSDT/1s/BTCUSDT-1s-2026-01.zip"
    assert requests.get(month, timeout=60).status_code == 404
