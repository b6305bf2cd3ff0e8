"""What has to be mended is mended, however often it fails, and never twice at once."""

import asyncio
import threading

from pipeline.errors import TidemarkError
from pipeline.exchange.errors import RefusedError
from pipeline.ingest.background import Background
from pipeline.ingest.core import Core
from pipeline.ingest.history import Repairs
from pipeline.ingest.window import Recipe
from pipeline.timeline import Window
from schemas.series import SeriesKey
from tests.past import PlainPast

KEY = SeriesKey("sim", "BTCUSDT", "1m")
OTHER = SeriesKey("sim", "ETHUSDT", "1m")


class History:
    """Runs out of what goes wrong, and counts what was asked."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, key):
        self.asked.append(key)
        assert self.go_on.wait(10)
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure


def repairs(history):
    core, background = Core(Recipe(lambda *_: (), 11)), Background(1, 2)
    return core, background, Repairs(core, background, PlainPast(history), again_after=0.01)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - threads have no event of this loop
            await asyncio.sleep(0.005)


async def test_what_fails_is_tried_until_it_succeeds():
    history = History(TidemarkError("no"), TidemarkError("still no"))
    _, background, work = repairs(history)
    work.make_up([KEY])
    await until(lambda: len(history.asked) == 3 and not work._begun)
    background.end()


async def test_what_the_exchange_refuses_is_said_and_left(caplog):
    history = History(RefusedError("no such symbol"))
    _, background, work = repairs(history)
    work.make_up([KEY])
    await until(lambda: "cannot be mended: no such symbol" in caplog.text and not work._begun)
    assert len(history.asked) == 1
    background.end()


async def test_asked_again_meanwhile_it_is_done_once_more_and_not_at_once():
    history = History()
    history.go_on.clear()
    _, background, work = repairs(history)
    work.make_up([KEY])
    await until(lambda: len(history.asked) == 1)
    for _ in range(5):
        work.make_up([KEY])
    assert len(history.asked) == 1
    history.go_on.set()
    await until(lambda: not work._begun)
    assert history.asked == [KEY, KEY]
    background.end()


async def test_what_could_not_be_kept_is_fetched_and_forgotten():
    history = History()
    core, background, work = repairs(history)
    core.unsaved = {KEY: Window(0, 0), OTHER: Window(0, 60_000)}
    work.refill()
    await until(lambda: not work._begun)
    assert sorted(history.asked) == [KEY, OTHER]
    assert core.unsaved == {}
    background.end()


async def test_after_the_end_nothing_is_begun():
    history = History()
    _, background, work = repairs(history)
    background.end()
    work.make_up([KEY])
    await asyncio.sleep(0)
    assert history.asked == []
