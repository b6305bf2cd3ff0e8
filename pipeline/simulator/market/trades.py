"""The trades of one minute, made so that they add up to its candle exactly.

A `Tape` is a minute's trades together with the candle after each of them, so that "the candle so far" is a look-up.
"""

from bisect import bisect_right
from itertools import pairwise
from random import Random
from typing import NamedTuple

import numpy as np

from pipeline.simulator.market.turnover import Turnover
from pipeline.simulator.types import KLINE, Klines, Tick
from pipeline.timeline import MINUTE


class Tape(NamedTuple):
    """A minute's trades in order, their times, and the candle as it stood after each."""

    times: list[int]
    ticks: list[Tick]
    so_far: Klines

    def seen(self, now: int) -> int:
        """How many of the trades have happened by `now`."""
        return bisect_right(self.times, now)


def make_tape(opened: int, ticks: list[Tick], turnover: Turnover) -> Tape:
    """The tape of those trades of the minute that opens at `opened`."""
    table = np.array(ticks, dtype=np.int64).reshape(-1, 4)
    price, quantity = table[:, 1], table[:, 2]
    so_far = np.zeros(len(table), KLINE)
    if len(table):
        taken = quantity * (1 - table[:, 3])
        each = turnover(price, price.min(), price.max())
        so_far["t"], so_far["open"], so_far["close"] = opened, price[0], price
        so_far["high"], so_far["low"] = np.maximum.accumulate(price), np.minimum.accumulate(price)
        so_far["volume"], so_far["quote"] = np.cumsum(quantity), np.cumsum(each * quantity)
        so_far["taker_base"], so_far["taker_quote"] = np.cumsum(taken), np.cumsum(each * taken)
        so_far["trades"] = np.arange(1, len(table) + 1)
    return Tape(table[:, 0].tolist(), ticks, so_far)


class Deal(NamedTuple):
    price: int
    quantity: int
    buyer_is_maker: bool


def make_ticks(candle: np.void, anatomy: np.void, dice: Random) -> list[Tick]:
    """The trades of a synthetic candle, shared out as `path` lays down."""
    trades = int(candle["trades"])
    if not trades:
        return []
    deals = _deals(candle, anatomy, dice)
    return timed(int(candle["t"]), MINUTE, deals, dice)


def timed(opened: int, length: int, deals: list[Deal], dice: Random) -> list[Tick]:
    """Those deals, in that order, at random times of the candle."""
    times = sorted(opened + int(dice.random() * length) for _ in deals)
    return [Tick(time, *deal) for time, deal in zip(times, deals, strict=True)]


def _deals(candle: np.void, anatomy: np.void, dice: Random) -> list[Deal]:
    trades, opened, close = int(candle["trades"]), int(candle["open"]), int(candle["close"])
    first, last = int(anatomy["first"]), int(anatomy["last"])
    deals = [Deal(opened, first, not anatomy["first_taken"])]
    if trades >= 4:
        deals += in_three_legs(candle, _pairs(candle, anatomy, dice), dice)
    if trades % 2 and trades > 1:
        deals.append(Deal(close, last // 2, not anatomy["last_taken"]))
        last -= last // 2
    if trades > 1:
        deals.append(Deal(close, last, not anatomy["last_taken"]))
    return deals


def _pairs(candle: np.void, anatomy: np.void, dice: Random) -> list[Deal]:
    """The mirrored trades, in no order yet; the first two are the high and the low."""
    high, low = int(candle["high"]), int(candle["low"])
    pairs, taken_pairs, taken = (int(candle["trades"]) - 2) // 2, int(anatomy["taken_pairs"]), int(anatomy["taken"])
    mirrored = (int(candle["volume"]) - int(anatomy["first"]) - int(anatomy["last"])) // 2
    quantities = [(q, False) for q in shares(taken, taken_pairs, dice)]
    quantities += [(q, True) for q in shares(mirrored - taken, pairs - taken_pairs, dice)]
    dice.shuffle(quantities)
    deals = []
    for number, (quantity, buyer_is_maker) in enumerate(quantities):
        price = high if not number else low + int((high - low + 1) * dice.random())
        deals += [Deal(price, quantity, buyer_is_maker), Deal(high + low - price, quantity, buyer_is_maker)]
    return deals


def shares(total: int, parts: int, dice: Random) -> list[int]:
    """`total` in that many random parts of at least one."""
    if not parts:
        return []
    spare = total - parts
    cuts = [0, *sorted(int(spare * dice.random()) for _ in range(parts - 1)), spare]
    return [1 + right - left for left, right in pairwise(cuts)]


def in_three_legs(candle: np.void, deals: list[Deal], dice: Random) -> list[Deal]:
    """In the order of a walk from the open to one extreme, to the other, to the close. The first two deals are those
    at the high and at the low."""
    opened, close = int(candle["open"]), int(candle["close"])
    upwards = 1 if (dice.random() < 0.7) == (close < opened) else -1
    turns = deals[:2] if upwards == 1 else deals[1::-1]
    legs: tuple[list[Deal], list[Deal], list[Deal]] = ([], [], [])
    for deal in deals[2:]:
        open_side, close_side = (deal.price - opened) * upwards >= 0, (close - deal.price) * upwards >= 0
        choices = [1, *([0] if open_side else []), *([2] if close_side else [])]
        legs[choices[int(dice.random() * len(choices))]].append(deal)
    out, across, back = (sorted(leg, key=lambda deal: deal.price * upwards) for leg in legs)
    return [*out, turns[0], *reversed(across), turns[1], *back]
