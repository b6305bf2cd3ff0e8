"""The user data stream against the real simulator: what is told, and that every way of going quiet is noticed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.errors import KeyProblemError
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.stream_session import SilentFeedError
from pipeline.exchange.streams import StreamBlockedError
from pipeline.exchange.trading import NewAlgo, NewOrder, Trading
from pipeline.exchange.user_events import (
    AccountUpdate,
    AlgoUpdate,
    KeyExpired,
    OrderUpdate,
    Other,
    UserEvent,
    decode_event,
)
from pipeline.exchange.userdata import UserLimits, UserStream
from pipeline.simulator.handle import Simulator

PATIENCE = 30.0
QUICK = UserLimits(first_delay=0.01, longest_delay=0.05)
_ids = count()


class Heard:
    """What the stream told."""

    def __init__(self) -> None:
        self.events: list[UserEvent] = []
        self.story: list[str] = []
        self._changed = asyncio.Event()

    def user_event(self, event: UserEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def user_connected(self) -> None:
        self.story.append("connected")
        self._changed.set()

    def user_lost(self, reason: str) -> None:
        self.story.append(reason)
        self._changed.set()

    async def until(self, so: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not so():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listening(url: str, limits: UserLimits = QUICK, secret: str = "sim-secret") -> AsyncIterator[Any]:
    heard = Heard()
    with RestClient(replace(at(SIM, url), retries=0), Credentials("sim-key", signer_for(secret))) as client:
        stream = UserStream(Trading(client), heard, limits=limits)
        task = asyncio.create_task(stream.run())
        try:
            yield stream, heard, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def trade(stream: UserStream, quantity: str = "0.01", side: str = "BUY") -> str:
    order = NewOrder(symbol="BTCUSDT", side=side, client_id=f"u:{next(_ids)}", quantity=Decimal(quantity))
    await asyncio.to_thread(stream._trading.place_order, order)
    return order.client_id


def of(events: list[UserEvent], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


async def test_an_order_its_fill_the_position_and_its_stop_are_told(
    simulator: Simulator, flatten: Callable[[], None]
) -> None:
    await asyncio.to_thread(flatten)
    async with listening(simulator.url) as (stream, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        client_id = await trade(stream)
        await heard.until(lambda: len(of(heard.events, OrderUpdate)) >= 2 and of(heard.events, AccountUpdate))
        new, filled = of(heard.events, OrderUpdate)[:2]
        assert (new.execution, new.status, new.client_id) == ("NEW", "NEW", client_id)
        assert (filled.execution, filled.status, filled.filled) == ("TRADE", "FILLED", Decimal("0.01"))
        assert filled.average_price == filled.last_price > 0
        assert filled.fee > 0
        (change,) = of(heard.events, AccountUpdate)[-1].positions
        assert (change.symbol, change.amount, change.entry_price) == ("BTCUSDT", Decimal("0.01"), filled.average_price)

        low = (filled.average_price * Decimal("0.9")).quantize(Decimal("0.1"))
        stop = NewAlgo(
            symbol="BTCUSDT", side="SELL", client_id=f"u:{next(_ids)}", type="STOP_MARKET", trigger_price=low
        )
        placed = await asyncio.to_thread(stream._trading.place_algo, stop)
        await asyncio.to_thread(stream._trading.cancel_algo, stop.client_id)
        await heard.until(lambda: len(of(heard.events, AlgoUpdate)) >= 2)
        told = of(heard.events, AlgoUpdate)
        assert [(one.client_id, one.algo_id, one.status) for one in told] == [
            (stop.client_id, placed.algo_id, "NEW"),
            (stop.client_id, placed.algo_id, "CANCELED"),
        ]
        assert told[0].trigger_price == low
        await trade(stream, side="SELL")


async def test_a_cut_connection_is_made_anew_and_said(simulator: Simulator) -> None:
    async with listening(simulator.url) as (_, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        simulator.drop_connections("private")
        await heard.until(lambda: len(heard.story) == 3)
        assert heard.story[0] == heard.story[2] == "connected"
        assert "close frame" in heard.story[1]


async def test_an_end_that_comes_with_a_failure_is_not_lost(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended wakes to both at once: its key is gone, and its lease ended long ago."""
    now = asyncio.Event()

    async def fails(_: UserStream) -> None:
        await now.wait()
        raise SilentFeedError("it is gone")

    monkeypatch.setattr(UserStream, "_watch", fails)
    async with listening(simulator.url) as (_, heard, task):
        await heard.until(lambda: heard.story == ["connected"])
        now.set()
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
        assert task.cancelled()


async def test_an_expired_key_is_replaced(simulator: Simulator) -> None:
    async with listening(simulator.url) as (stream, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        simulator.expire_listen_keys()
        await heard.until(lambda: len(heard.story) == 3)
        assert heard.story == ["connected", "the listen key has expired", "connected"]
        client_id = await trade(stream)
        await heard.until(lambda: any(one.client_id == client_id for one in of(heard.events, OrderUpdate)))
        await trade(stream, side="SELL")


async def test_a_key_that_is_gone_when_it_is_prolonged_is_replaced(simulator: Simulator) -> None:
    simulator.faults.add("answer_code", code=-1125, method="PUT", next=1)
    async with listening(simulator.url, replace(QUICK, prolong_every=0.05)) as (_, heard, _):
        await heard.until(lambda: heard.story.count("connected") == 2)
        assert heard.story[1] == "the listen key is gone"


async def test_keys_are_prolonged(simulator: Simulator) -> None:
    before = simulator.ledger()["requests"].get("PUT /fapi/v1/listenKey", 0)
    async with listening(simulator.url, replace(QUICK, prolong_every=0.05)) as (_, heard, _):
        async with asyncio.timeout(PATIENCE):
            while simulator.ledger()["requests"].get("PUT /fapi/v1/listenKey", 0) < before + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert heard.story == ["connected"]


async def test_a_connection_that_does_not_tell_what_was_done_is_made_anew(simulator: Simulator) -> None:
    async with listening(simulator.url, replace(QUICK, news_within=0.3)) as (stream, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        simulator.freeze_connections("private")
        stream.expect_news(asyncio.get_running_loop().time())
        await trade(stream)
        await heard.until(lambda: len(heard.story) == 3)
        assert heard.story[1] == "no word of what was done within 0.3 s"
        assert of(heard.events, OrderUpdate) == []
        await trade(stream, side="SELL")


async def test_news_that_come_leave_the_connection_alone(simulator: Simulator) -> None:
    async with listening(simulator.url) as (stream, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        began = asyncio.get_running_loop().time()
        stream.expect_news(began)
        assert stream._news_due is not None
        await trade(stream)
        await heard.until(lambda: of(heard.events, OrderUpdate))
        assert stream._news_due is None
        stream.expect_news(began)
        assert stream._news_due is None, "it has told already"
        await trade(stream, side="SELL")


async def test_an_old_connection_is_made_anew(simulator: Simulator) -> None:
    async with listening(simulator.url, replace(QUICK, lifetime=0.1, news_within=0.1)) as (stream, heard, _):
        await heard.until(lambda: stream.connects >= 2)
        assert heard.story[1] == "the connection is old and is made anew"


async def test_an_event_that_cannot_be_read_is_a_gap(simulator: Simulator) -> None:
    async with listening(simulator.url) as (stream, heard, _):
        await heard.until(lambda: heard.story == ["connected"])
        simulator.faults.add("garble", route="private", next=1)
        await trade(stream)
        await heard.until(lambda: len(heard.story) == 3)
        assert heard.story[1:] == ["an event could not be read", "connected"]
        assert (stream.unreadable, stream.connects) == (1, 1)
        await trade(stream, side="SELL")


async def test_an_exchange_in_trouble_is_asked_again(simulator: Simulator) -> None:
    simulator.faults.add("overloaded", path="*listenKey", next=2)
    simulator.faults.add("refuse", route="private", next=2)
    async with listening(simulator.url) as (_, heard, _):
        await heard.until(lambda: "connected" in heard.story)
        assert len(heard.story) == 5


async def test_a_key_that_is_refused_ends_it(simulator: Simulator) -> None:
    simulator.faults.add("answer_code", code=-2015, path="*listenKey")
    async with listening(simulator.url) as (_, heard, task):
        with pytest.raises(KeyProblemError):
            await asyncio.wait_for(task, PATIENCE)
        assert len(heard.story) == 1


async def test_an_address_without_a_stream_ends_it_and_the_message_names_no_key(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pipeline")
    async with listening(simulator.url) as (stream, _, task):
        stream._place = replace(stream._place, stream_url=f"{stream._place.stream_url}/nowhere")
        with pytest.raises(StreamBlockedError) as told:
            await asyncio.wait_for(task, PATIENCE)
    assert "Check the address" in str(told.value)
    key = await asyncio.to_thread(stream._trading.open_listen_key)
    assert len(key) == 64
    assert key not in caplog.text + str(told.value)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (b"{", None),
        (b"[]", None),
        (b'"text"', None),
        (b'{"e":"ORDER_TRADE_UPDATE","E":1}', None),
        (b'{"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":"X"}}', None),
        (b'{"e":"ACCOUNT_UPDATE","a":{"m":"ORDER","B":[{"a":"USDT","wb":"NaN?"}]}}', None),
        (b'{"e":"listenKeyExpired","E":1,"listenKey":"secret"}', KeyExpired()),
        (b'{"e":"GRID_UPDATE","gu":{"new":1}}', Other("GRID_UPDATE")),
        (b'{"e":"SOMETHING_NEW"}', Other("SOMETHING_NEW")),
        (b'{"e":"ACCOUNT_UPDATE","a":{"m":"NEW_REASON","B":[],"P":[],"zz":1}}', AccountUpdate(reason="NEW_REASON")),
        (
            b'{"e":"ALGO_UPDATE","o":{"caid":"c","aid":7,"s":"X","X":"NEW_STATUS","ai":"","tp":"1.5","rm":"why"}}',
            AlgoUpdate(
                client_id="c", algo_id=7, symbol="X", status="NEW_STATUS", trigger_price=Decimal("1.5"), reason="why"
            ),
        ),
    ],
)
def test_events_are_read_with_what_they_have(message: bytes, event: UserEvent | None) -> None:
    assert decode_event(message) == event
