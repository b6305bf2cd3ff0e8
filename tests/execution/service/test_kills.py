"""kill -9 of the executor while it acts, at every state its journal can be in; then the ledger against the journal.

`DRILL_KILLS=200` for the long form (`make drills`); `DRILL_SEED` repeats a run.
"""

import asyncio
import logging
import os
import random
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas.registry import COLLECTIONS

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("DRILL_KILLS", "16"))
SEED = int(os.environ.get("DRILL_SEED", "7"))
PATIENCE = 60.0


def until_calm(house: Any, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while what := unrest(house):
        if time.monotonic() > deadline:
            complaints = [line for line in log.read_text(encoding="utf-8").splitlines() if '"debug"' not in line]
            raise AssertionError("\n".join([what, *complaints[-30:]]))
        time.sleep(0.05)


def unrest(house: Any) -> str:
    """What is not decided, settled or protected yet; nothing once it is calm."""
    waiting = [one["_id"] for one in house.db.signals.find({"verdict": "fresh"})]
    if waiting:
        return f"undecided: {waiting}"
    under_way = house.orders(state={"$in": ["intended", "sent", "unknown", "partially_filled"]})
    if under_way:
        return f"under way: {under_way}"
    held, stored = house.held(), house.position()
    if (stored.quantity if stored else 0) != held:
        return f"{held} is held, stored is {stored}"
    stops = [one for one in house.stops() if one.order_type == "STOP_MARKET"]
    if not held:
        return f"nothing is held, but {stops} stand" if stops else ""
    calm = len(stops) == 1 and stored.unprotected_since is None and stops[0].trigger_price == stored.stop_price
    return "" if calm else f"stops {stops} of {stored}"


def say_something(house: Any, luck: random.Random) -> None:
    """The next signal of a position's life, by what is held now."""
    stored = house.position()
    price = house.price()
    if stored is None or not stored.quantity:
        house.say(luck.choice(["trial", "entry"]), luck.choice(["long", "short"]))
        return
    favour = 1 if stored.quantity > 0 else -1
    kind = luck.choice(["entry", "add", "add", "exit"])
    far = price * (1 + favour * Decimal(luck.choice(["0.001", "0.011", "0.022"])))
    house.say(kind, stored.side or ("long" if favour > 0 else "short"), price=float(far))


def assert_no_secret_is_told(house: Any, log: Path) -> None:
    """Neither the log, at its most talkative, nor the database holds key material."""
    listen_key = house.trading.open_listen_key()
    stored = "".join(str(one) for kept in COLLECTIONS for one in house.db[kept.name].find())
    told = log.read_text(encoding="utf-8")
    assert "/fapi/v1/" in told
    for secret in (house.account.secret, house.account.key, listen_key, "signature="):
        assert secret not in told, secret
        assert secret not in stored, secret


def test_killed_at_any_moment_it_goes_on_where_the_exchange_is(house: Any, executors: Any) -> None:
    luck, killed_at = random.Random(SEED), Counter[str]()
    pid = executors.start()
    for _ in range(KILLS):
        with house.db.orders.watch(max_await_time_ms=20) as changes:
            say_something(house, luck)
            wanted, deadline = luck.randint(0, 9), time.monotonic() + 1.5
            while wanted and time.monotonic() < deadline:
                wanted -= changes.try_next() is not None
        time.sleep(luck.choice([0, 0, 0.002, 0.01]))
        executors.kill(pid)
        killed_at.update(one["state"] for one in house.db.orders.find({}, {"state": 1}).sort("updated_at", -1).limit(1))
        if luck.random() < 0.2:
            house.simulator.faults.add(
                luck.choice(["unknown_after", "reset_before"]), method="POST", path="*rder", next=1
            )
        pid = executors.start()
        until_calm(house, executors.log)
        asyncio.run(house.check())
        house.simulator.faults.clear()
    log.info("killed %d times; the journal's last state then: %s", KILLS, dict(killed_at))
    signals = [one["orders"] for one in house.db.signals.find({"verdict": "taken"})]
    assert len({name for each in signals for name in each}) == sum(map(len, signals))
    assert_no_secret_is_told(house, executors.log)
    if KILLS >= 100:
        assert {"intended", "sent", "accepted", "filled"} <= set(killed_at)
