"""Every code the exchange may answer with and every way an answer is lost, on the real path: the documented reaction,
and nothing else."""

import asyncio
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.exchange.errors import RefusedError
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.um import UM
from pipeline.exchange.trading import plain
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.events import OrderSeen
from pipeline.execution.engine.order_life import merged
from pipeline.execution.engine.state import OrderRecord
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.execution.gateway.position_desk import PositionDesk
from pipeline.execution.gateway.reports_in import Market
from pipeline.settings import Risk
from pipeline.store.control import ControlStore
from pipeline.timeline import to_datetime
from tests.tls import HARMS, Authority, Harm, door

PAGE = Path(__file__).parents[3] / "docs" / "execution.md"
ENTRY = {"method": "POST", "path": "/fapi/v1/order"}
STOP = {"method": "POST", "path": "/fapi/v1/algoOrder"}
CANCEL = {"method": "DELETE", "path": "/fapi/v1/algoOrder"}

GIVE_UP = (-1120, -2010, -2018, -2019, -2025, -4016, -4024, -4045, -4131, -4400, -5021, -5022)
OUR_BUG = (
    -1102, -1106, -1111, -1115, -1116, -1117, -1121, -1130, -4003, -4004, -4005, -4014, -4015, -4023, -4120, -4164,
)  # fmt: skip
KEY = (-1022, -2014, -2015)
WOULD_TRIGGER = (-2021, -4142)
NOTHING_TO_REDUCE = (-2022, -4118)
ASKS = dict.fromkeys(NOTHING_TO_REDUCE, "/fapi/v3/positionRisk") | {-4130: "/fapi/v1/openAlgoOrders"}
AGAIN = (-1001, -1008, -1021, -5028)
WAIT = (-1003, -1015)
UNKNOWN = (-1000, -1006, -1007, -4116)
OF_QUESTIONS = (-2011, -2013)
"""Of cancelling: a case of its own. Of asking for an order: the exchange says it wherever one never was."""

LOST = dict.fromkeys(
    ("unknown_before", "unknown_after", "timeout_after", "reset_before", "reset_after", "hang_after", "truncated")
) | {"answer_code_after": -1000}
"""Each with the code that it answers, if it answers one."""
FORGIVING = Risk(max_error_percent=Decimal(100), max_orders_per_minute=1_000)
"""So many errors and orders as these tests make would trip their breakers."""
SURELY_NOT = ("maintenance", "overloaded")


async def settled(house: Any, name: str) -> Any:
    """The one order of a signal, once its end is known."""

    def so() -> Any:
        signal = house.signal(name)
        assert signal.verdict in {"fresh", "taken"} or signal.orders, signal.reason
        found = house.orders(signal=name, leg={"$in": ["trial", "entry"]})
        return found if found and found[0].state not in {"intended", "sent", "unknown", "accepted"} else None

    (order,) = await house.until(so)
    return order


async def protected(house: Any) -> None:
    def so() -> bool:
        stored = house.position()
        return bool(stored and stored.quantity and stored.stop_order and not stored.unprotected_since)

    await house.until(so)
    assert len([one for one in house.stops() if one.close_position]) == 1


async def flat(house: Any) -> None:
    await house.until(lambda: house.held() == 0 and house.stops() == [] and not house.position().quantity)


async def closed(house: Any) -> None:
    """Leave the position again."""
    await house.verdict(house.say("exit"))
    await flat(house)


def sends(house: Any, order_id: str) -> int:
    """How often an order was sent, by the exchange's own account."""
    return sum(one["params"].get("newClientOrderId") == order_id for one in house.ledger("attempts"))


def asks(house: Any, code: int) -> int:
    """How often the exchange was asked for what that code makes doubtful."""
    return sum(n for what, n in house.simulator.ledger()["requests"].items() if what.endswith(ASKS.get(code, " ")))


async def reset_breakers(house: Any, executor: Any) -> None:
    """Somebody has looked, and lets trading go on."""
    control = ControlStore(house.db, "sim")
    await house.until(lambda: {one.name for one in executor.term.core.breakers()} <= set(control.read().breakers))
    for name in control.read().breakers:
        control.reset(name, now=to_datetime(house.simulator.now()), reason="looked at")
    await house.until(lambda: not executor.term.core.breakers())


def test_every_code_of_the_page_has_a_case_here() -> None:
    page = PAGE.read_text(encoding="utf-8")
    tables = page[page.index("## Outcome of a request") : page.index("## Protection")]
    groups = (GIVE_UP, OUR_BUG, KEY, WOULD_TRIGGER, ASKS, AGAIN, WAIT, UNKNOWN, (-4061,), OF_QUESTIONS)
    cases = {code for group in groups for code in group}
    assert {int(code) for code in re.findall(r"-\d{4}\b", tables)} - cases == set()


async def test_a_code_that_refuses_is_a_rejection_and_trips_what_the_table_says(house: Any) -> None:
    breakers = dict.fromkeys(OUR_BUG, "refused:BTCUSDT") | dict.fromkeys(KEY, "key") | {-4061: "position-mode"}
    async with house.executor(risk=FORGIVING) as executor:
        for code in (*GIVE_UP, *WOULD_TRIGGER, *ASKS, *breakers):
            asked = asks(house, code)
            number = house.simulator.faults.add("answer_code", code=code, **ENTRY, next=1)
            name = house.say("trial")
            order = await settled(house, name)
            assert (order.state, order.error_code) == ("rejected", code)
            assert house.simulator.faults.struck(number) == sends(house, order.id) == 1, code
            await house.until(lambda before=asked, code=code: code not in ASKS or asks(house, code) > before)
            tripped = {one.name for one in executor.term.core.breakers()}
            assert tripped == ({breakers[code]} if code in breakers else set()), code
            assert house.signal(name).verdict == "taken"
            if tripped:
                refused = await house.verdict(house.say("trial"))
                assert refused.reason.startswith("breaker"), code
                await reset_breakers(house, executor)
        await house.check()
    assert house.accepted() == []


async def test_a_code_that_says_later_is_sent_again(house: Any) -> None:
    async with house.executor(risk=FORGIVING):
        for code in AGAIN:
            house.simulator.faults.add("answer_code", code=code, **ENTRY, next=2)
            order = await settled(house, house.say("trial"))
            assert (order.state, order.attempts) == ("filled", 3), code
            await protected(house)
            await closed(house)
        await house.check()


@pytest.mark.parametrize("code", WAIT)
async def test_a_limit_is_waited_for(house: Any, code: int) -> None:
    await house.until(lambda: house.simulator.now() % 60_000 < 40_000)  # a limit ends with its minute
    async with house.executor():
        number = house.simulator.faults.add("answer_code", code=code, **ENTRY, next=1)
        name = house.say("trial")
        await house.verdict(name)
        await house.until(lambda: house.simulator.faults.struck(number))
        (order,) = house.orders(signal=name)
        await house.until(lambda: "it did not arrive" in (house.orders(signal=name)[0].history[-1].detail or ""))
        await asyncio.sleep(0.5)
        assert sends(house, order.id) == 1


async def test_what_is_unknown_and_never_was_is_given_up_and_what_was_is_found(house: Any) -> None:
    async with house.executor(risk=FORGIVING, recv_window=500, read_timeout=0.4):
        for code in UNKNOWN:
            house.simulator.faults.add("answer_code", code=code, **ENTRY, next=1)
            order = await settled(house, house.say("trial"))
            assert order.state == "abandoned", code
            assert sends(house, order.id) == 1
        for kind, code in LOST.items():
            number = house.simulator.faults.add(kind, code=code, **ENTRY, next=1)
            order = await settled(house, house.say("trial"))
            executed = kind.endswith("_after") or kind in {"truncated", "invalid_json"}
            assert order.state == ("filled" if executed else "abandoned"), kind
            assert sends(house, order.id) == house.simulator.faults.struck(number) == 1, kind
            if executed:
                await protected(house)
                await closed(house)
        await house.check()


async def test_an_entry_that_was_surely_not_carried_out_is_sent_again_while_it_is_fresh(house: Any) -> None:
    async with house.executor(risk=FORGIVING):
        for kind in SURELY_NOT:
            house.simulator.faults.add(kind, **ENTRY, next=2)
            order = await settled(house, house.say("trial"))
            assert (order.state, order.attempts) == ("filled", 3), kind
            await protected(house)
            await closed(house)
        number = house.simulator.faults.add("maintenance", **ENTRY)
        order = await settled(house, house.say("trial"))
        assert (order.state, sends(house, order.id)) == ("abandoned", 4)
        house.simulator.faults.remove(number)
        await house.check()


async def test_a_stop_whose_answer_is_lost_stands_in_the_end(house: Any) -> None:
    async with house.executor(risk=FORGIVING, recv_window=500, read_timeout=0.4):
        for kind, code in (LOST | dict.fromkeys(SURELY_NOT)).items():
            number = house.simulator.faults.add(kind, code=code, **STOP, next=1)
            order = await settled(house, house.say("trial"))
            assert order.state == "filled", kind
            await protected(house)
            assert house.simulator.faults.struck(number) == 1, kind
            await closed(house)
            await house.check()


async def test_what_was_read_and_answered_below_the_encryption_is_not_sent_again(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each order is carried out, and a record that cannot be read comes back; no stream tells what became of it."""
    authority = Authority(tmp_path)
    authority.trusted(monkeypatch)
    suffering = [b"POST /fapi/v1/order", b"POST /fapi/v1/algoOrder"]

    def harm(asked: bytes) -> Harm | None:
        struck = next((one for one in suffering if asked.startswith(one + b"?")), None)
        if struck is None:
            return None
        suffering.remove(struck)
        return HARMS["a record that cannot be read"]

    port = urlsplit(house.simulator.url).port
    with door(authority.context(), behind=port, harm=harm) as encrypted:
        async with house.executor(risk=FORGIVING, rest_url=encrypted.url):
            house.simulator.faults.add("refuse", route="private")
            house.simulator.drop_connections("private")
            order = await settled(house, house.say("trial"))
            await protected(house)
            assert (order.state, sends(house, order.id), suffering) == ("filled", 1, [])
            assert house.held() == order.quantity
            await closed(house)
            await house.check()


async def test_a_stop_that_is_refused_closes_the_position_and_one_that_may_stand_is_asked_for(house: Any) -> None:
    async with house.executor(risk=FORGIVING) as executor:
        for code in ASKS:
            asked = asks(house, code)
            number = house.simulator.faults.add("answer_code", code=code, **STOP, next=1)
            assert (await settled(house, house.say("trial"))).state == "filled"
            await protected(house)
            assert (house.simulator.faults.struck(number), asks(house, code) > asked) == (1, True), code
            await closed(house)
        for closings, code in enumerate((*WOULD_TRIGGER, -2019, -1111), start=1):
            number = house.simulator.faults.add("answer_code", code=code, **STOP)
            order = await settled(house, house.say("trial"))
            assert order.state == "filled"
            await flat(house)
            house.simulator.faults.remove(number)
            await house.check()
            closing = house.orders(leg="flatten")
            assert [one.state for one in closing] == ["filled"] * closings, code
            assert closing[-1].reduce_only
        assert {one.name for one in executor.term.core.breakers()} == {"refused:BTCUSDT"}, "after -1111"


async def test_a_close_that_is_refused_is_made_again_and_its_stop_stays(house: Any) -> None:
    async with house.executor(risk=FORGIVING):
        for code in NOTHING_TO_REDUCE:
            await settled(house, house.say("trial"))
            await protected(house)
            asked = asks(house, code)
            house.simulator.faults.add("answer_code", code=code, **ENTRY, next=1)
            name = house.say("exit")
            await house.verdict(name)
            await house.until(lambda name=name: house.orders(signal=name)[0].state == "rejected")
            await flat(house)
            assert asks(house, code) > asked
        await house.check()
    assert [one.leg for one in house.orders() if one.state == "filled" and not one.algo] == ["trial", "flatten"] * 2


async def test_a_cancellation_that_finds_nothing_is_asked_for_and_made_again(house: Any) -> None:
    """The old stop stands, though the exchange said that it does not: in the end the new one stands alone."""
    async with house.executor(risk=FORGIVING):
        await settled(house, house.say("trial"))
        await protected(house)
        (old,) = house.stops()
        number = house.simulator.faults.add("answer_code", code=-2011, **CANCEL, next=1)
        nearer = round(float(house.price()) * 0.005, 1)
        await settled(house, house.say("entry", indicators={"atr": nearer}))
        await house.until(
            lambda: [one.close_position and one.algo_id != old.algo_id for one in house.stops()] == [True]
        )
        assert house.simulator.faults.struck(number) == 1
        await house.check()


async def test_a_stop_that_the_exchange_forgets_for_a_while_stands_on(house: Any) -> None:
    """No list shows it and no question finds it, and another is not taken: it is there."""
    async with house.executor(risk=FORGIVING):
        await settled(house, house.say("trial"))
        await protected(house)
        (stop,) = house.stops()
        forgets = house.simulator.faults.add("forget", method="GET", path="/fapi/v1/*lgo*", account=house.account.name)
        asked = asks(house, -4130)
        house.simulator.drop_connections("private")
        await house.until(lambda: house.orders(leg="stop")[-1].error_code == -4130)
        await asyncio.sleep(4)
        refusals = [one for one in house.orders(leg="stop") if one.error_code == -4130]
        assert len(refusals) <= 2
        assert asks(house, -4130) - asked <= 4
        house.simulator.faults.remove(forgets)
        assert [one.algo_id for one in house.stops()] == [stop.algo_id]
        assert house.position().stop_order == stop.client_algo_id
        await house.check()
        await closed(house)
    assert house.orders(leg="flatten") == []


async def test_how_a_stop_that_fired_has_ended_its_order_says(house: Any) -> None:
    """The exchange calls it FINISHED, whether its order was filled or cancelled."""
    stop = {
        "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "BUY", "type": "STOP", "quantity": "0.01",
        "timeInForce": "GTC", "clientAlgoId": "tm-fired",
    }  # fmt: skip

    said: list[Any] = []
    rates = Rates(MarketData(house.trading.client), "USDT")
    desk = PositionDesk(house.trading, house.trading, lambda *_: {}, dict, rates, Market(UM))
    gateway = Gateway(house.trading.client, desk, said.append)
    now = house.simulator.now()
    order = OrderRecord(
        "tm-fired", "BTCUSDT", None, "stop", "BUY", "STOP_MARKET", Decimal("0.01"), now, now, "accepted", algo=True
    )

    def asked() -> Any:
        gateway.query(order)
        return next(merged(order, one.told, now) for one in reversed(said) if isinstance(one, OrderSeen))

    def fires() -> bool:
        """Placed just above the price, again until that rises; its order waits far below."""
        price, _ = MarketData(house.trading.client).prices()["BTCUSDT"]
        prices = {"triggerPrice": plain(price + Decimal("0.1")), "price": plain(price - Decimal(500))}
        try:
            house.trading.client.signed("POST", "/fapi/v1/algoOrder", stop | prices)
        except RefusedError:  # the price is there already
            return False
        time.sleep(0.5)
        return not house.trading.cancel_algo("tm-fired")

    await house.until(fires)
    assert asked().fired
    house.trading.cancel_order("BTCUSDT", "tm-fired")
    assert house.trading.query_algo("BTCUSDT", "tm-fired").algo_status == "FINISHED"
    assert (asked().state, asked().filled) == ("cancelled", 0)


async def test_a_stop_that_can_never_be_placed_leaves_no_naked_position(house: Any) -> None:
    risk = Risk(unprotected_seconds=1)
    async with house.executor(risk=risk) as executor:
        house.simulator.faults.add("maintenance", **STOP)
        await settled(house, house.say("trial"))
        await flat(house)
        assert "unprotected:BTCUSDT" in {one.name for one in executor.term.core.breakers()}
        assert any(note.title == "breaker unprotected:BTCUSDT" for note in house.notes)


async def test_a_stream_that_is_gone_is_made_good_by_asking(house: Any) -> None:
    async with house.executor():
        house.simulator.faults.add("refuse", route="private")
        house.simulator.drop_connections("private")
        order = await settled(house, house.say("trial"))
        assert order.state == "filled"
        await protected(house)
        house.simulator.faults.clear()
        await closed(house)
        await house.check()


async def test_it_does_not_trade_before_the_exchange_could_be_compared(house: Any) -> None:
    house.simulator.faults.add("maintenance", method="GET", path="/fapi/v1/openAlgoOrders")
    async with house.executor(ready=False) as executor:
        name = house.say("trial")
        await house.until(lambda: hasattr(executor.term, "core"))
        await house.until(lambda: "reconcile" in {one.name for one in executor.term.core.breakers()})
        assert not executor.term.core.ready
        assert house.accepted() == []
        house.simulator.faults.clear()
        assert (await settled(house, name)).state == "filled"
        assert executor.term.core.ready
