"""How the executor follows the feed of signals costs what comes, not the time that passes."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from pipeline.execution.engine.events import Event
from pipeline.execution.runtime.inputs import Signals
from pipeline.store.signals.feed import SignalFeed


def noted(house: Any) -> datetime | None:
    found = house.db.control.find_one({"kind": "cursor"})
    return None if found is None else found["at"]


async def test_where_no_signal_comes_its_place_is_not_noted_again(house: Any) -> None:
    told: list[Event] = []
    ended = threading.Event()
    signals = Signals(SignalFeed(house.db, "sim"), told.append, ended)
    following = threading.Thread(target=signals.follow)
    following.start()
    try:
        await house.until(lambda: noted(house))
        first, begun = noted(house), time.monotonic()
        while time.monotonic() - begun < 3:
            house.db.candles.insert_one({"_id": f"other {time.monotonic()}"}, bypass_document_validation=True)
        assert noted(house) == first
        house.say()
        await house.until(lambda: told)
        await house.until(lambda: noted(house) != first)
        assert noted(house) <= datetime.now(UTC)
    finally:
        ended.set()
        following.join()
