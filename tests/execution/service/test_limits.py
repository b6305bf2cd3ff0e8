"""The exchange's limits in force, and somebody else behind our address who uses them up: what opens may have to wait,
what protects and closes leaves at once."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.settings import Risk
from pipeline.simulator.options import Account
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE
from tests.execution.service.conftest import SYMBOL, House

LIMIT = 2_400
ACCOUNT = Account(name="limited", key="limited-key", secret="limited-secret")


@pytest.fixture
def limited(db: Any, start_simulator: Callable[..., Any]) -> Any:
    """A house whose exchange refuses what is too much, and whose minute has just begun."""
    prepare(db)
    begun = -(int(time.time() * 1_000) % MINUTE)
    simulator = start_simulator(symbols=(SYMBOL,), accounts=(ACCOUNT,), weight_limit=LIMIT, clock_offset=begun)
    credentials = Credentials(ACCOUNT.key, signer_for(ACCOUNT.secret))
    place = replace(at(SIM, simulator.url), weight_limit=LIMIT, weight_buffer=0.6)
    with RestClient(place, credentials) as client:
        yield House(db, simulator, ACCOUNT, place, credentials, Trading(client))


def spend(house: House, until: int) -> None:
    """Somebody else asks from our address, until so much weight is used."""
    used = 0
    while used < until:
        limit = 1_500 if used + 10 <= until else 99
        answer = requests.get(
            f"{house.simulator.url}/fapi/v1/klines", {"symbol": SYMBOL, "interval": "1m", "limit": limit}, timeout=10
        )
        assert answer.status_code == 200
        used = int(answer.headers["X-MBX-USED-WEIGHT-1M"])
    assert used == until


def minute(house: House) -> int:
    return house.simulator.now() // MINUTE


def fired(house: House, leg: str, state: str) -> bool:
    """Whether the one order of that leg is in that state. Asked of the journal: asking the exchange costs weight."""
    found = house.orders(leg=leg)
    return bool(found) and found[-1].state == state


@pytest.mark.parametrize("used", [LIMIT - 100, LIMIT], ids=["nearly all is used up", "all is used up"])
async def test_a_stop_and_a_close_leave_at_once_while_somebody_else_uses_up_the_weight(
    limited: House, used: int
) -> None:
    async with limited.executor(risk=Risk(unprotected_seconds=30), lease_life=60.0):
        spend(limited, used)
        spent_in = minute(limited)
        await limited.verdict(limited.say("trial"))
        await limited.until(lambda: fired(limited, "stop", "accepted"))
        await limited.verdict(limited.say("exit"))
        await limited.until(lambda: fired(limited, "exit", "filled"))
        assert minute(limited) == spent_in, "nothing of it has waited for the next minute"
        assert {429, 418}.isdisjoint(one["status"] for one in limited.ledger("attempts"))


async def test_a_stop_is_moved_and_an_order_asked_for_from_what_is_kept_back(limited: House) -> None:
    """Cancelling and asking cost weight: there is some left that nobody of ours has touched."""
    async with limited.executor(risk=Risk(unprotected_seconds=30), lease_life=60.0):
        await limited.verdict(limited.say("trial"))
        await limited.until(lambda: fired(limited, "stop", "accepted"))
        (first,) = limited.orders(leg="stop")
        spend(limited, LIMIT - 200)
        spent_in = minute(limited)
        limited.simulator.faults.add("unknown_after", method="POST", path="/fapi/v1/order", next=1)
        nearer = round(float(limited.price()) * 0.005, 1)
        await limited.verdict(limited.say("entry", indicators={"atr": nearer}))
        await limited.until(lambda: fired(limited, "entry", "filled"))
        await limited.until(lambda: limited.orders(_id=first.id)[0].state == "cancelled")
        await limited.until(lambda: limited.position().stop_order not in {None, first.id})
        assert minute(limited) == spent_in
