"""Entries that are limit orders, on a real database and a real exchange: they rest, they are filled, and none is left
behind."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.product import Ask
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.execution.gateway.reports_in import Market
from pipeline.execution.runtime.instruments import Instruments
from pipeline.settings import Risk
from pipeline.simulator.market.universe import QUIET
from pipeline.simulator.options import Account
from pipeline.store.prepare import prepare
from pipeline.timeline import to_ms
from tests.execution.service.conftest import SYMBOL, House

LIMIT = Risk(entry_order="limit", limit_seconds=60, max_error_percent=Decimal(100))
LARGE = {
    "leverage": 10, "unit_percent": Decimal(60), "entry_units": Decimal(1), "max_units": Decimal(1),
    "max_open_positions": 1, "daily_loss_percent": Decimal(100), "max_orders_per_minute": 1_000, "limit_seconds": 3,
}  # fmt: skip
"""One position that is worth six times what the account has."""
TICK = Decimal("0.00001")
"""Above the newest price of the quiet symbol: the first level that is offered, and not the second."""
ACCOUNT = Account(name="patient", key="patient-key", secret="patient-secret")
DOUBT_OF_TWO = 500
"""Milliseconds: one executor decided and another cancels, and each knows the exchange's clock to half a round trip."""
SHORTLY = LIMIT.model_copy(update={"limit_seconds": 2})
CANCEL = {"method": "DELETE", "path": "/fapi/v1/order"}
FAR = Decimal("0.996")
"""Of the price: nothing falls so far while a test lasts, and the price has not moved too much to be followed."""


def below(house: Any, share: Decimal = FAR) -> float:
    return float((house.price() * share).quantize(Decimal("0.1")))


def resting(house: Any) -> list[Any]:
    return house.trading.open_orders()


async def rests(house: Any) -> Any:
    """An entry rests at the exchange; its signal."""
    signal = await house.verdict(house.say("entry", price=below(house)))
    assert signal.verdict == "taken", signal.reason
    await house.until(lambda: resting(house) and house.orders(state="accepted", leg="entry"))
    return signal


async def explained(house: Any, signal: Any, why: str) -> None:
    """Nothing rests any more, and the signal says what became of it."""
    quantity = signal.decision.quantity
    said = f"filled 0 of {quantity.normalize():f} at {Decimal(str(signal.price)).normalize():f}: {why}"
    await house.until(lambda: house.signal(signal.id).reason == said)
    assert house.signal(signal.id).verdict == "taken"
    await house.until(lambda: house.orders(leg="entry")[-1].state == "cancelled")
    assert resting(house) == []
    await house.check()


async def test_what_is_not_filled_in_time_is_cancelled_at_the_exchange_and_said(house: Any) -> None:
    async with house.executor(risk=SHORTLY):
        signal = await rests(house)
        (order,) = house.orders()
        (placed,) = house.accepted()
        assert (order.type, order.price) == ("LIMIT", Decimal(str(signal.price)))
        assert (placed["type"], placed["time_in_force"], Decimal(placed["price"])) == ("LIMIT", "GTD", order.price)
        await explained(house, signal, "no more within 2 s")
        assert house.held() == 0


async def test_one_whose_price_is_there_is_filled_at_it_or_better_and_protected(house: Any) -> None:
    async with house.executor(risk=LIMIT):
        signal = await house.verdict(house.say("entry", price=below(house, Decimal("1.003"))))
        await house.until(lambda: (held := house.position()) and held.stop_order and house.held() == held.quantity)
        (order,) = house.orders(leg="entry")
        await house.until(lambda: house.orders(leg="entry")[0].fee)
        assert (order.state, order.filled) == ("filled", signal.decision.quantity)
        assert order.average_price <= order.price
        assert (house.signal(signal.id).verdict, house.signal(signal.id).reason) == ("taken", None)
        await house.check()


@pytest.fixture
def quiet_house(db: Any, start_simulator: Callable[..., Any]) -> Any:
    """A house whose symbol is traded about once a minute: its book is still there when an order arrives, however long
    that takes, and stands still while the rest of one waits."""
    prepare(db)
    simulator = start_simulator(symbols=(QUIET,), accounts=(ACCOUNT,), lifted_limits=True)
    credentials = Credentials(ACCOUNT.key, signer_for(ACCOUNT.secret))
    place = replace(at(SIM, simulator.url), weight_limit=1_000_000)
    with RestClient(place, credentials) as client:
        yield House(db, simulator, ACCOUNT, place, credentials, Trading(client), symbol=QUIET)


async def tried(house: Any) -> tuple[Any, bool]:
    """An entry that one level of the book has less for than it wants, and whether the rest of it has waited in vain.
    What was filled has had its stop meanwhile."""
    newest, _at = MarketData(house.trading.client).prices()[QUIET]
    signal = await house.verdict(house.say("entry", price=float(newest + TICK), indicators={"atr": 0.002}))
    assert signal.verdict == "taken", signal.reason
    await house.until(lambda: (house.held() and house.stops()) or house.signal(signal.id).reason)
    waits = bool(resting(house))
    await house.until(lambda: house.orders(signal=signal.id)[0].state in {"filled", "cancelled"})
    return signal, waits and 0 < house.held() < signal.decision.quantity


async def part_of_one(house: Any) -> Any:
    """Somebody else may trade just then, so it is tried until nobody did."""
    for _ in range(10):
        signal, so = await tried(house)
        if so:
            return signal
        await house.verdict(house.say("exit"))
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.until(lambda: not house.position() or not house.position().quantity)
    raise AssertionError("none of them was filled in part")


async def test_a_part_is_protected_while_the_rest_waits_and_the_end_of_that_is_said(quiet_house: Any) -> None:
    """The exchange offers less at one level of its book than the order wants."""
    house = quiet_house
    async with house.executor(risk=LIMIT.model_copy(update=LARGE)):
        signal = await part_of_one(house)
        (stop,), entry, held = house.stops(), house.orders(signal=signal.id)[0], house.held()
        assert (stop.close_position, stop.order_type) == (True, "STOP_MARKET")
        assert (entry.state, entry.filled) == ("cancelled", held)
        assert 0 < held < entry.quantity
        said = await house.until(lambda: house.signal(signal.id).reason)
        told = re.fullmatch(r"filled (\S+) of (\S+) at (\S+): no more within 3 s", said)
        assert told, said
        assert [*map(Decimal, told.groups())] == [held, entry.quantity, entry.price]
        moves = [one for one in house.ledger() if one.get("client_id") == stop.client_algo_id]
        (ended,) = [one for one in house.ledger() if (one["kind"], one.get("client_id")) == ("Ended", entry.id)]
        assert [one["status"] for one in moves] == ["NEW"], "it covers whatever is held"
        assert moves[0]["time"] < ended["time"], "the part was not left alone for as long as the rest waited"
        await house.check()


@pytest.mark.parametrize(("side", "share", "code"), [("long", "1.06", -4016), ("short", "0.94", -4024)])
async def test_a_band_that_has_become_narrower_since_it_was_read_refuses_it(
    house: Any, side: str, share: str, code: int
) -> None:
    async with house.executor(risk=LIMIT) as executor:
        (rules, *_) = Instruments(house.trading, MarketData(house.trading.client), None, Market(UM)).rules({SYMBOL})
        wider = rules.instrument.rules.model_copy(
            update={"multiplier_up": Decimal(2), "multiplier_down": Decimal("0.5")}
        )
        executor.term.tell(replace(rules, instrument=replace(rules.instrument, filters=wider)))
        signal = await house.verdict(house.say("entry", side, price=below(house, Decimal(share))))
        assert signal.verdict == "taken", signal.reason
        await house.until(lambda: house.orders(state="rejected"))
        (order,) = house.orders()
        assert (order.type, order.error_code, order.filled) == ("LIMIT", code, 0)
        assert (resting(house), house.held(), executor.term.core.breakers()) == ([], 0, ())
        await house.until(lambda: any(str(code) in one.text for one in house.notes))
        await house.check()


@pytest.mark.parametrize("fault", ["unknown_before", "timeout_after", "overloaded"])
async def test_a_cancel_that_fails_is_sent_until_it_is_done(house: Any, fault: str) -> None:
    async with house.executor(risk=SHORTLY):
        number = house.simulator.faults.add(fault, **CANCEL, next=1)
        signal = await rests(house)
        await explained(house, signal, "no more within 2 s")
        assert house.simulator.faults.struck(number) == 1


async def test_an_exit_ends_it_before_it_is_decided(house: Any) -> None:
    async with house.executor(risk=LIMIT):
        signal = await rests(house)
        leave = await house.verdict(house.say("exit"))
        assert (leave.verdict, leave.reason) == ("skipped", "no position to close")
        await explained(house, signal, "exit long was signalled")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("halt",), "halted"),
        (("mode", "signal-only"), "the mode was changed to signal-only"),
        (("trading", "BTCUSDT", "--off"), "trading of BTCUSDT is off"),
    ],
)
async def test_a_switch_ends_it_at_once(house: Any, run: Callable[..., Any], command: Any, why: str) -> None:
    async with house.executor(risk=LIMIT):
        signal = await rests(house)
        await asyncio.to_thread(run, *command)
        await explained(house, signal, why)


async def test_halt_with_flatten_leaves_nothing_that_rests(house: Any, run: Callable[..., Any]) -> None:
    async with house.executor(risk=LIMIT):
        await rests(house)
        await asyncio.to_thread(run, "halt", "--flatten")
        assert resting(house) == []
        await house.until(lambda: house.orders(leg="entry")[0].state == "cancelled")
        await house.check()


async def test_an_executor_that_ends_leaves_nothing_that_rests(house: Any) -> None:
    async with house.executor(risk=LIMIT):
        signal = await rests(house)
    assert resting(house) == []
    assert house.orders(leg="entry")[0].state == "cancelled"
    assert house.signal(signal.id).reason.endswith("the executor ends")


async def test_should_nobody_cancel_it_the_exchange_ends_it_ten_minutes_later(house: Any, executors: Any) -> None:
    """What a killed executor has left rests no longer than that, whether or not there is a next one."""
    pid = executors.start(risk={"entry_order": "limit"})
    await rests(house)
    executors.kill(pid)
    (told,) = house.trading.client.ask_signed(Ask.OPEN_ORDERS, {}).payload
    (placed,) = house.accepted()
    assert told["timeInForce"] == "GTD"
    assert 600_000 < told["goodTillDate"] - placed["time"] < 610_000


async def test_what_a_killed_executor_has_left_is_cancelled_by_the_next_when_its_time_is_over(
    house: Any, executors: Any
) -> None:
    limits = {"risk": {"entry_order": "limit", "limit_seconds": 8}}
    pid = executors.start(**limits)
    signal = await rests(house)
    executors.kill(pid)
    assert len(resting(house)) == 1
    executors.start(**limits)
    await explained(house, signal, "no more within 8 s")
    (placed,) = house.accepted()
    ended = next(one for one in house.ledger() if one["kind"] == "Ended")
    decided_at = to_ms(house.orders(leg="entry")[0].created_at)
    assert ended["time"] - decided_at >= 8_000 - DOUBT_OF_TWO
    assert ended["time"] - placed["time"] < 15_000
