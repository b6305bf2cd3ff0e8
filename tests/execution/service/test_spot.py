"""Section "Spot" of docs/execution.md on the real parts: a real mongod, the simulator over HTTP and websockets."""

import asyncio
import logging
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.positions import Position
from tests.execution.service.conftest import Executors
from tests.execution.service.spot import EXCHANGE, OWN, RISK, STEP, SYMBOL, SpotHouse


@pytest.fixture
def house(spot: SpotHouse) -> SpotHouse:
    return spot


MARKET_MOVES = 200.0
"""Seconds in which the price goes so far for certain: there are quiet minutes, one after another."""


async def test_a_signal_becomes_coins_covered_by_one_pair_for_what_was_received(
    house: SpotHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with house.executor():
        position = await house.hold()
        (entry,) = house.journal(leg="entry")
        assert entry.kept == entry.filled / 1000
        assert position.quantity == entry.filled - entry.kept
        pair = {one.type: one for one in house.standing()}
        assert set(pair) == {"STOP_LOSS", "TAKE_PROFIT"}
        assert {one.orig_qty for one in pair.values()} == {position.quantity // STEP * STEP}
        assert len({one.order_list_id for one in pair.values()}) == 1
        assert pair["STOP_LOSS"].stop_price == position.stop_price
        assert pair["TAKE_PROFIT"].stop_price == position.take_profit_price
        assert house.balance() == OWN + position.quantity
        house.say("exit")
        await house.until(lambda: (house.position() or position).quantity == 0)
        await house.calm()
    assert house.standing() == []
    assert 0 <= house.balance() - OWN < STEP
    (exit_,) = house.journal(leg="exit")
    assert exit_.realized == exit_.filled * (exit_.average_price - entry.average_price)
    await house.until(lambda: all(one.fee is not None for one in house.journal() if one.filled))
    assert f"closed {SYMBOL} long {exit_.filled.normalize():f} @ " in caplog.text


async def test_a_pair_is_followed_by_the_next_as_soon_as_the_answer_says_that_it_is_gone(house: SpotHouse) -> None:
    async with house.executor():
        first = await house.hold("trial")
        house.simulator.drop_connections(route="private", market="spot")
        house.simulator.faults.add("lose", market="spot", route="private")
        house.simulator.faults.add("overloaded", market="spot", method="GET", path="/api/v3/order")
        await grown(house, first)
        house.simulator.faults.clear()
        await house.calm()
        ended, placed = followed(house, str(first.stop_order))
        assert placed["time"] - ended["time"] < 10_000
        stops = {one.id: one for one in house.journal(leg="stop")}
        journaled, gone = stops[placed["client_id"]].created_at, stops[str(first.stop_order)].updated_at
        assert journaled < gone, "it was journaled while the other stood"
        house.say("exit")
        await house.closed()


async def test_a_stop_alone_is_replaced_and_at_no_time_there_is_none(house: SpotHouse) -> None:
    async with house.executor(take_profit_atr=None):
        first = await house.hold("trial")
        await grown(house, first)
        await house.calm()
        ended, placed = followed(house, str(first.stop_order))
        assert (placed["kind"], placed["time"]) == ("Accepted", ended["time"])
        house.say("exit")
        await house.closed()


@pytest.mark.parametrize("kind", ["unknown_before", "unknown_after", "reset_after", "answer_code"])
async def test_a_stop_whose_replacing_is_not_heard_of_or_refused_stands_once(house: SpotHouse, kind: str) -> None:
    code = {"code": -2010} if kind == "answer_code" else {}
    path = "/api/v3/order/cancelReplace"
    house.simulator.faults.add(kind, market="spot", method="POST", path=path, next=1, **code)
    async with house.executor(take_profit_atr=None, recv_window=1_000):
        first = await house.hold("trial")
        await grown(house, first)
        await house.calm()
        assert [one.type for one in house.standing()] == ["STOP_LOSS"]
        assert house.journal(leg="flatten") == []
        house.say("exit")
        await house.closed()


async def grown(house: SpotHouse, first: Position) -> None:
    """More is bought, and what stands is for all of it."""
    house.say("entry")
    await house.until(lambda: (found := house.position()) and found.quantity > first.quantity)
    await house.until(lambda: (found := house.position()) and found.stop_order not in {None, first.stop_order})


def followed(house: SpotHouse, old: str) -> list[dict[str, Any]]:
    """That a stop has ended, and what came next in the books of the exchange that is a stop's."""
    ledger = [one for one in house.ledger() if one["kind"] in {"Ended", "Accepted"}]
    ended = next(n for n, one in enumerate(ledger) if one["kind"] == "Ended" and one["client_id"] == old)
    rest = [one for one in ledger[ended + 1 :] if "-p-" not in one["client_id"]]
    return [ledger[ended], rest[0]]


async def test_one_of_the_pair_ends_the_position_and_says_how(house: SpotHouse) -> None:
    async with house.executor(stop_atr="1", take_profit_atr="1"):
        price = float(house.price())
        house.say(indicators={"atr": round(price * 0.00003, 2)})
        await house.until(lambda: house.journal(leg="stop"))
        await house.until(lambda: (found := house.position()) and not found.quantity, MARKET_MOVES)
        await house.closed()
    ended = [one for one in house.journal() if one.leg in {"stop", "take_profit", "flatten"} and one.filled]
    assert len(ended) == 1
    assert ended[0].realized is not None


async def test_it_ends_and_begins_again_and_the_pair_stands(house: SpotHouse) -> None:
    async with house.executor():
        await house.hold()
    standing = {one.name for one in house.standing()}
    assert len(standing) == 2
    async with house.executor():
        await house.calm()
        assert {one.name for one in house.standing()} == standing
        house.say("exit")
        await house.closed()


async def test_a_lost_journal_is_made_again_and_nothing_of_the_users_own_is_sold(house: SpotHouse) -> None:
    async with house.executor():
        held = await house.hold()
    house.db.orders.delete_many({})
    house.db.positions.delete_many({})
    async with house.executor():
        await house.until(lambda: (found := house.position()) and found.quantity)
        await house.calm()
        found = house.position()
        assert found is not None
        assert (found.quantity, found.signal, found.stop_price) == (held.quantity, held.signal, held.stop_price)
        house.say("exit")
        await house.closed()


async def test_what_the_user_buys_beside_it_stays_his(house: SpotHouse) -> None:
    async with house.executor():
        held = await house.hold()
        house.trading.trade(SYMBOL, "BUY", Decimal("0.01"), "by-hand")
        house.say("exit")
        await house.until(lambda: (found := house.position()) and not found.quantity)
        await house.calm()
        assert house.balance() >= OWN + Decimal("0.00999")
    assert [one.filled for one in house.journal(leg="exit")] == [held.quantity // STEP * STEP]


@pytest.mark.parametrize("kind", ["unknown_after", "reset_after"])
async def test_an_entry_whose_answer_is_lost_is_asked_for_and_bought_once(house: SpotHouse, kind: str) -> None:
    house.simulator.faults.add(kind, market="spot", method="POST", path="/api/v3/order", next=1)
    async with house.executor():
        await house.hold()
        assert len({one["order_id"] for one in house.ledger() if one["kind"] == "Fill"}) == 1
        house.say("exit")
        await house.closed()


@pytest.mark.parametrize("kind", ["unknown_before", "unknown_after"])
async def test_a_pair_whose_answer_is_lost_stands_once(house: SpotHouse, kind: str) -> None:
    house.simulator.faults.add(kind, market="spot", method="POST", path="/api/v3/orderList/oco", next=1)
    async with house.executor(recv_window=1_000):
        await house.hold()
        assert len([one for one in house.standing() if one.type == "STOP_LOSS"]) == 1
        house.say("exit")
        await house.closed()


async def test_a_close_whose_answer_is_lost_sells_once(house: SpotHouse) -> None:
    async with house.executor():
        held = await house.hold()
        house.simulator.faults.add("unknown_after", market="spot", method="POST", path="/api/v3/order", next=1)
        house.say("exit")
        await house.closed()
    sold = [Decimal(one["quantity"]) for one in house.ledger() if one["kind"] == "Fill" and one["side"] == "SELL"]
    assert sum(sold) == held.quantity // STEP * STEP


async def test_while_the_stream_is_silent_answers_and_comparisons_do(house: SpotHouse) -> None:
    async with house.executor():
        await house.hold()
        house.simulator.drop_connections(route="private", market="spot")
        house.simulator.faults.add("lose", market="spot", route="private")
        house.say("exit")
        await house.closed()


async def test_fees_in_another_coin_take_nothing_of_what_was_bought(house: SpotHouse) -> None:
    house.trading.client.signed("POST", "/sapi/v1/bnbBurn", {"spotBNBBurn": "true"})
    async with house.executor():
        held = await house.hold()
        (entry,) = house.journal(leg="entry")
        assert (entry.kept, held.quantity) == (0, entry.filled)
        await house.until(lambda: house.journal(leg="entry")[0].fee)
        (entry,) = house.journal(leg="entry")
        fee, worth = entry.fee, entry.filled * (entry.average_price or Decimal(0))
        assert fee is not None
        assert worth * Decimal("0.0007") < fee < worth * Decimal("0.0008"), "in dollars, a quarter less"
        house.say("exit")
        await house.closed()


async def test_what_is_short_is_skipped_and_closes_what_is_held(house: SpotHouse) -> None:
    async with house.executor():
        name = house.say("entry", "short")
        await house.until(lambda: house.verdict(name) != "fresh")
        assert house.verdict(name) == "skipped"
        assert "nothing is sold short" in (house.signal(name).reason or "")
        await house.hold()
        house.say("entry", "short")
        await house.closed()


async def test_signal_only_sends_nothing(house: SpotHouse) -> None:
    async with house.executor(mode="signal-only"):
        name = house.say()
        await house.until(lambda: house.verdict(name) != "fresh")
        assert house.verdict(name) == "would-take"
    assert house.ledger() == [one for one in house.ledger() if one["kind"] == "Deposit"]


@pytest.fixture
def executors(house: SpotHouse, mongo_uri: str, tmp_path: Path) -> Iterator[Executors]:
    made = Executors(house, mongo_uri, tmp_path / "executor.log")
    yield made
    made.end()


@pytest.mark.parametrize(("target", "strategies"), [("3", ["turtle"]), (None, ["turtle", "rsi"])])
async def test_killed_at_any_moment_it_goes_on_where_the_exchange_is(
    house: SpotHouse, executors: Executors, target: str | None, strategies: list[str]
) -> None:
    def start() -> int:
        holder, risk = f"one {time.monotonic_ns()}", RISK | {"take_profit_atr": target}
        books = {"books": len(strategies) > 1}
        return executors.start(
            holder, exchange=EXCHANGE, risk=risk, portfolio=books, lease_life=2.0, surely_listed=2_000
        )

    pid = start()
    for kind, pause in (("trial", 0.1), ("entry", 0.3), ("exit", 0.2)):
        names = [house.say(kind, strategy=one) for one in strategies]
        await asyncio.sleep(pause)
        executors.kill(pid)
        pid = start()
        for name in names:
            await house.until(lambda name=name: house.verdict(name) != "fresh")
        await house.calm()
    assert house.balance() >= OWN
    told = executors.log.read_text()
    assert "/api/v3/" in told
    for secret in (house.account.secret, house.account.key, "signature="):
        assert secret not in told
