"""`tidemark close SYMBOL`, `halt --symbol`: one symbol is closed, or opens nothing more; the others go on."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipeline.store.control import ControlStore
from schemas.control import Trading

Run = Callable[..., Any]


def trading(house: Any, symbol: str = "BTCUSDT") -> Trading | None:
    return ControlStore(house.db, "sim").read().trading.get(symbol)


async def test_an_executor_closes_what_is_asked_for_and_says_when_it_is_done(house: Any) -> None:
    control, asked = ControlStore(house.db, "sim"), datetime.now(UTC)
    async with house.executor():
        await house.hold()
        control.set_trading("BTCUSDT", {"close_asked": asked}, by="a person", now=asked)
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.until(lambda: trading(house).close_asked is None)
        await house.hold()
        await house.check()
    assert [one.leg for one in house.orders() if one.leg == "flatten"] == ["flatten"], "once"


def test_what_was_asked_again_meanwhile_stays_asked(house: Any) -> None:
    control, first, again = ControlStore(house.db, "sim"), datetime.now(UTC), datetime(2030, 1, 1, tzinfo=UTC)
    for asked in (first, again):
        control.set_trading("BTCUSDT", {"close_asked": asked}, by="a person", now=asked)
    control.close_done("BTCUSDT", first)
    assert trading(house).close_asked == again
    control.close_done("BTCUSDT", again)
    assert trading(house).close_asked is None
