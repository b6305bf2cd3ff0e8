"""Sends messages to people: Telegram, Discord, Slack, mail and a hundred more, by the addresses in `notify_urls`.

Whoever has something to say hands it over and goes on at once; a thread of its own sends it. Too many messages in a
minute become one that counts them. What cannot be sent is logged and dropped: no message is worth a late candle. An
address holds a password or a token, so none is ever named, not in a log, not in an error: they are numbered.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from pydantic import SecretStr

from pipeline.errors import UsageError

log = logging.getLogger(__name__)

WINDOW: Final = 60.0
MOST_WAITING: Final = 200
LAST_WORDS: Final = 5.0
_TITLES_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said."""

    title: str
    text: str


class Notifier:
    """Sends what it is handed, in order, from a thread of its own. Without addresses it does nothing."""

    def __init__(
        self, urls: Sequence[SecretStr], *, per_minute: int = 6, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises `UsageError` if an address is none."""
        self._services = [_service(number, url) for number, url in enumerate(urls, start=1)]
        self._per_minute = per_minute
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=per_minute)
        self._waiting: deque[Message] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        if self._services:
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, title: str, text: str) -> None:
        """Hand a message over. Never waits, never fails."""
        if self._services:
            with self._changed:
                if len(self._waiting) == MOST_WAITING:
                    log.warning("%d notifications wait already; the oldest is dropped", MOST_WAITING)
                self._waiting.append(Message(title, text))
                self._changed.notify()

    def send_signals(self, signals: Iterable[Mapping[str, Any]]) -> None:
        """Hand over new signals, as their documents."""
        for signal in signals:
            message = signal_message(signal)
            self.send(message.title, message.text)

    def close(self, within: float = LAST_WORDS) -> None:
        """Send what waits, without regard to the limit, for at most so many seconds."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(within)

    def _run(self) -> None:
        while (message := self._next()) is not None:
            for number, service in enumerate(self._services, start=1):
                if not _deliver(service, message):
                    log.warning("notification address %d did not take %r; it is dropped", number, message.title)

    def _next(self) -> Message | None:
        """The next message, or all that wait as one, as soon as the limit allows. None: it is over."""
        with self._changed:
            while not self._waiting or (self._pause() > 0 and not self._is_closing):
                if self._is_closing:
                    return None
                self._changed.wait(self._pause() if self._waiting else None)
            self._sent.append(self._clock())
            held_back = self._is_closing or len(self._sent) == self._per_minute
            return joined(self._take(len(self._waiting) if held_back else 1))

    def _take(self, count: int) -> list[Message]:
        return [self._waiting.popleft() for _ in range(count)]

    def _pause(self) -> float:
        """How long until another message may go."""
        if len(self._sent) < self._per_minute:
            return 0.0
        return self._sent[0] + WINDOW - self._clock()


def joined(messages: Sequence[Message]) -> Message:
    """Several messages as one."""
    if len(messages) == 1:
        return messages[0]
    titles = [message.title for message in messages[:_TITLES_NAMED]]
    if len(messages) > _TITLES_NAMED:
        titles.append(f"and {len(messages) - _TITLES_NAMED} more")
    return Message(f"{len(messages)} messages", "\n".join(titles))


def signal_message(signal: Mapping[str, Any]) -> Message:
    """A new signal, from its document."""
    name = f"{signal['symbol']} {signal['interval']}"
    title = f"{signal['side']} {signal['kind']}: {name} by {signal['strategy']}"
    until = signal.get("fresh_until")
    fresh = f", fresh until {until:%H:%M:%S} UTC" if until is not None else ""
    return Message(title, f"at {signal['price']:g}, {signal['at']:%Y-%m-%d %H:%M} UTC{fresh}")


def _service(number: int, url: SecretStr) -> Any:
    """One address, understood. Apprise's own log names addresses, so it is silenced."""
    try:
        import apprise  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise UsageError("notify_urls is set, but Apprise is not installed: pip install 'tidemark[notify]'") from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise()
    if not service.add(url.get_secret_value()):
        scheme = url.get_secret_value().partition("://")[0]
        raise UsageError(
            f"notify_urls: address {number} ({scheme}://...) is none that Apprise understands; its wiki lists them"
        )
    return service


def _deliver(service: Any, message: Message) -> bool:
    try:
        return bool(service.notify(title=message.title, body=message.text))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, with the address in the text
        log.debug("a notification service failed with %s", type(error).__name__)
        return False
