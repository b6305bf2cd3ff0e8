"""What changes while people look: one socket a tab, one change stream a server.

A tab says which topics it wants. Of each it gets how it is now, and then every change; of what changes faster than it
reads, the newest. A tab that does not read for long is let go: it comes again and is told everything anew.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import WebSocket, WebSocketDisconnect
from pymongo.errors import PyMongoError

from pipeline.app import signals
from pipeline.app.changes import CandleChanged, Change, Changes, Database, SignalChanged, TradingChanged, newest_two
from pipeline.app.trading_now import trading_now
from pipeline.errors import TidemarkError
from pipeline.tasks import cancel
from pipeline.timeline import interval
from pipeline.web import answers
from pipeline.web.places import Place, Places
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

TOPICS: Final = ("candles", "coins", "trading", "signals")
MOST_TOPICS: Final = 50
LONGEST_TOPIC: Final = 100
_TURN: Final = 0.25
_EVERY: Final = {"coins": 1.0, "trading": 2.0}
"""These are looked at again though nothing changed: prices and signs of life have a time."""
_LIVES: Final = 2.0
"""So often every tab is told something, if nothing else then how the database is: one that hears nothing for longer
knows that it is cut off."""
_TOO_SLOW: Final = 5.0
_TRY_AGAIN: Final = 1013
_BAD: Final = 1008

Topic = tuple[str, ...]
"""What it is about, the exchange, and of candles symbol and interval."""


class Tab:
    """One socket, and what is still to be sent over it: of each thing the newest."""

    def __init__(self) -> None:
        self.topics: set[Topic] = set()
        self._waiting: dict[object, Mapping[str, Any]] = {}
        self._news = asyncio.Event()

    def put(self, about: object, message: Mapping[str, Any]) -> None:
        """To be sent, in place of an older one about the same."""
        self._waiting.pop(about, None)
        self._waiting[about] = message
        self._news.set()

    async def send_all(self, socket: WebSocket) -> None:
        """Send what comes, until it is cancelled, or what was sent is not taken."""
        while True:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting = self._waiting, {}
            for message in waiting.values():
                async with asyncio.timeout(_TOO_SLOW):
                    await socket.send_text(json.dumps(message, separators=(",", ":")))


class Live:
    """The tabs, and what they are told."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._tabs: dict[Tab, WebSocket] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        first = next(iter(places.each.values()))
        self._changes = Changes(first.tm, self._from_thread)
        self._due: set[Topic] = set()
        self._looked: dict[Topic, float] = {}
        self._number = 0
        self._database = Database(up=True)
        self._at_work: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow what changes."""
        self._loop = asyncio.get_running_loop()
        self._changes.start()
        self._at_work = [asyncio.create_task(one) for one in (self._turn_for_ever(), self._live_for_ever())]

    async def stop(self) -> None:
        """Let everybody go."""
        await asyncio.gather(*(_close(socket, _TRY_AGAIN) for socket in self._tabs.values()))
        await cancel(self._at_work)
        await asyncio.to_thread(self._changes.stop)

    async def serve(self, socket: WebSocket) -> None:
        """One tab, as long as it stays and reads. To one that does not read nothing can be said, not even goodbye."""
        await socket.accept()
        tab = Tab()
        self._tabs[tab] = socket
        self._tell_of_database(tab)
        both = [asyncio.create_task(one) for one in (self._hear(tab, socket), tab.send_all(socket))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._tabs[tab]
            await cancel(both)
            self._choose()

    async def _hear(self, tab: Tab, socket: WebSocket) -> None:
        try:
            while True:
                self._listen(tab, await socket.receive_json())
        except (WebSocketDisconnect, RuntimeError):
            pass
        except (ValueError, TypeError, KeyError, AttributeError, TidemarkError) as error:
            await _close(socket, _BAD, str(error))

    def _listen(self, tab: Tab, asked: Any) -> None:
        """{"subscribe": ["candles/sim/BTCUSDT/1m", "trading/sim"]}: these from now on, and no others."""
        wanted = {self._topic(text) for text in asked["subscribe"][:MOST_TOPICS]}
        fresh, tab.topics = wanted - tab.topics, wanted
        self._choose()
        self._due |= fresh

    def _topic(self, text: str) -> Topic:
        topic = tuple(text.split("/"))
        if topic[0] not in TOPICS or len(topic) != (4 if topic[0] == "candles" else 2) or len(text) > LONGEST_TOPIC:
            raise ValueError(f"no topic {text[:80]!r}")
        self._places.named(topic[1])
        if topic[0] == "candles":
            interval(topic[3])
        return topic

    def _choose(self) -> None:
        wanted = {topic for tab in self._tabs for topic in tab.topics if topic[0] == "candles"}
        self._changes.choose([SeriesKey(*topic[1:]) for topic in wanted])

    def _from_thread(self, change: Change) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._happened, change)

    def _happened(self, change: Change) -> None:
        match change:
            case CandleChanged(key, None):
                self._due.add(("candles", key.exchange, key.symbol, key.interval))
            case CandleChanged(key, candle):
                self._tell(("candles", key.exchange, key.symbol, key.interval), [candle], candle and candle["t"])
            case SignalChanged(identity):
                self._due.add(("signal", identity))
            case TradingChanged():
                self._due |= {topic for topic in self._wanted() if topic[0] == "trading"}
            case Database():
                self._database = change
                self._tell_of_database(*self._tabs)
                if change.up:
                    self._due |= self._wanted()

    def _wanted(self) -> set[Topic]:
        return {topic for tab in self._tabs for topic in tab.topics}

    async def _turn_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TURN)
            now = time.monotonic()
            again = {
                topic
                for topic in self._wanted()
                if topic[0] in _EVERY and now - self._looked.get(topic, 0) >= _EVERY[topic[0]]
            }
            due, self._due = self._due | again, set()
            for topic in due:
                self._looked[topic] = now
                await self._look(topic)

    async def _live_for_ever(self) -> None:
        """Beside what is looked at: that may wait for a database."""
        while True:
            await asyncio.sleep(_LIVES)
            self._tell_of_database(*self._tabs)

    def _tell_of_database(self, *tabs: Tab) -> None:
        message = self._message(("database",), _said(self._database))
        for tab in tabs:
            tab.put("database", message)

    async def _look(self, topic: Topic) -> None:
        try:
            match topic:
                case ("candles", exchange, symbol, code):
                    place = self._places.named(exchange)
                    candles = await asyncio.to_thread(newest_two, place.tm, SeriesKey(exchange, symbol, code))
                    self._tell(topic, candles, "look")
                case ("coins" | "trading" as what, exchange):
                    self._tell(topic, await asyncio.to_thread(_LOOKS[what], self._places.named(exchange)))
                case ("signal", identity):
                    await self._look_at_signal(identity)
        except (PyMongoError, TidemarkError) as error:
            log.warning("%s cannot be looked at now: %s", "/".join(topic), error)

    async def _look_at_signal(self, identity: str) -> None:
        for exchange, place in self._places.each.items():
            if identity.startswith(f"{exchange}:"):
                life = await asyncio.to_thread(signals.life, place.tm, identity)
                shown = answers.SignalNow.model_validate(life.signal).model_dump()
                self._tell(("signals", exchange), shown, identity)

    def _tell(self, topic: Topic, data: Any, part: object = None) -> None:
        """Everybody who wants it. `part`: which one of several, of which each has a newest."""
        message = self._message(topic, data)
        for tab in self._tabs:
            if topic in tab.topics:
                tab.put((topic, part), message)

    def _message(self, topic: Topic, data: Any) -> Mapping[str, Any]:
        self._number += 1
        return {"topic": "/".join(topic), "number": self._number, "data": data}


def _coins(place: Place) -> Any:
    return [answers.CoinNow.model_validate(one).model_dump() for one in place.coins.look()]


def _trading(place: Place) -> Any:
    return answers.TradingNow.model_validate(trading_now(place.tm)).model_dump()


_LOOKS: Final[Mapping[str, Callable[[Place], Any]]] = {"coins": _coins, "trading": _trading}


def _said(database: Database) -> Mapping[str, Any]:
    return {"up": database.up, "why": database.why}


async def _close(socket: WebSocket, code: int, why: str = "") -> None:
    try:
        async with asyncio.timeout(1):
            await socket.close(code, why[:100])
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        pass
