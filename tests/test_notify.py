"""Notifications, to a real HTTP server by Apprise's own `json://` address: what arrives, how often, and what leaks."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from pipeline import logs
from pipeline.app.trading_access import tell_by
from pipeline.errors import UsageError
from pipeline.execution.engine.effects import Notify
from pipeline.notify import MOST_WAITING, Message, Notifier, joined, signal_message
from pipeline.settings import load, secrets_of

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # a plugin of Apprise's

TOKEN = "very-secret-token"


class Inbox:
    """Collects what is posted; answers with `status`, and only while `open` is set."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.changed = threading.Condition()
        self.open = threading.Event()
        self.open.set()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with inbox.changed:
                    inbox.received.append(body)
                    inbox.changed.notify_all()
                inbox.open.wait(20)
                self.send_response(inbox.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://{TOKEN}:pass@127.0.0.1:{self.server.server_port}/{TOKEN}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def titles(self, count: int) -> list[str]:
        """The titles, once so many messages have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, timeout=30)
            return [one["title"] for one in self.received]

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Notifier]]:
    made: list[Notifier] = []

    def begin(*urls: str, **options: Any) -> Notifier:
        made.append(Notifier([SecretStr(url) for url in urls], **options))
        return made[-1]

    yield begin
    for notifier in made:
        notifier.close()


def test_a_message_arrives_at_every_address(inbox: Inbox, start: Callable[..., Notifier]) -> None:
    start(inbox.url, inbox.url).send("long entry: BTCUSDT 1h", "at 100")
    assert inbox.titles(2) == ["long entry: BTCUSDT 1h"] * 2
    assert inbox.received[0]["message"] == "at 100"


def test_without_an_address_nothing_happens() -> None:
    with Notifier([]) as notifier:
        notifier.send("a", "b")
    assert not any(thread.name == "notify" for thread in threading.enumerate())


def test_more_than_the_limit_become_one(inbox: Inbox, start: Callable[..., Notifier]) -> None:
    now = 0.0
    notifier = start(inbox.url, per_minute=2, clock=lambda: now)
    inbox.open.clear()
    for number in range(5):
        notifier.send(f"signal {number}", "text")
        inbox.titles(1)
    inbox.open.set()
    assert inbox.titles(2) == ["signal 0", "4 messages"]
    assert inbox.received[1]["message"] == "signal 1\nsignal 2\nsignal 3\nsignal 4"
    notifier.send("signal 5", "text")
    notifier.send("signal 6", "text")
    now = 61.0
    notifier.send("signal 7", "text")
    assert inbox.titles(3)[2] == "3 messages"


def test_what_waits_is_sent_at_the_end(inbox: Inbox, start: Callable[..., Notifier]) -> None:
    notifier = start(inbox.url, per_minute=1, clock=lambda: 0.0)
    notifier.send("first", "text")
    inbox.titles(1)
    notifier.send("second", "text")
    notifier.close()
    assert inbox.titles(2) == ["first", "second"]


def test_a_server_that_hangs_delays_nobody(inbox: Inbox, start: Callable[..., Notifier]) -> None:
    """Were `send` to wait for it, this would not end: the server answers nobody until the test is over."""
    inbox.open.clear()
    notifier = start(inbox.url)
    for _ in range(MOST_WAITING + 10):
        notifier.send("signal", "text")
    notifier.close(within=0.01)
    inbox.titles(1)
    inbox.open.set()


@pytest.mark.parametrize("status", [500, None], ids=["refused", "nobody there"])
def test_a_failure_is_told_without_the_address(
    inbox: Inbox, start: Callable[..., Notifier], caplog: pytest.LogCaptureFixture, status: int | None
) -> None:
    for name in ("pipeline", "apprise"):
        caplog.set_level(logging.DEBUG, name)
    url = "json://very-secret-token:pass@127.0.0.1:1/very-secret-token"
    if status is not None:
        inbox.status, url = status, inbox.url
    notifier = start(url)
    notifier.send("signal", "text")
    notifier.close(within=30)
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "notification address 1 did not take 'signal'; it is dropped" in said
    assert TOKEN not in said
    assert "127.0.0.1" not in said


@pytest.mark.parametrize("url", [f"nonsense://{TOKEN}", f"tgram://{TOKEN}"])
def test_an_address_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError, match=r"address 1 \((nonsense|tgram)://...\)") as error:
        Notifier([SecretStr(url)])
    assert TOKEN not in str(error.value)


def test_the_setting_shows_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMARK_NOTIFY_URLS", f"json://{TOKEN}/a,b tgram://{TOKEN}")
    settings = load()
    assert [url.get_secret_value() for url in settings.notify_urls] == [f"json://{TOKEN}/a,b", f"tgram://{TOKEN}"]
    assert TOKEN not in repr(settings)
    assert logs.Scrubber(secrets_of(settings))(f"failed: tgram://{TOKEN}") == "failed: ***"
    monkeypatch.setenv("TIDEMARK_NOTIFY_URLS", TOKEN)
    with pytest.raises(UsageError, match="must look like service://") as error:
        load()
    assert TOKEN not in str(error.value)
    (tmp_path / "addresses").write_text(f"json://{TOKEN}\ntgram://{TOKEN}\n")
    monkeypatch.delenv("TIDEMARK_NOTIFY_URLS")
    monkeypatch.setenv("TIDEMARK_NOTIFY_URLS_FILE", str(tmp_path / "addresses"))
    assert len(load().notify_urls) == 2


def test_an_alarm_of_the_executor_is_sent_and_what_only_informs_is_not(
    inbox: Inbox, start: Callable[..., Notifier], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    say = tell_by(start(inbox.url))
    say(Notify("info", "BTCUSDT is closed", "by its stop"))
    say(Notify("error", "breaker daily_loss", "5 % lost"))
    assert inbox.titles(1) == ["breaker daily_loss"]
    assert [record.message for record in caplog.records] == [
        "BTCUSDT is closed: by its stop",
        "breaker daily_loss: 5 % lost",
    ]


def test_many_titles_are_cut() -> None:
    message = joined([Message(f"signal {number}", "") for number in range(13)])
    assert message.title == "13 messages"
    assert message.text.splitlines()[-2:] == ["signal 9", "and 3 more"]


def test_a_signal_in_words() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    signal = {"symbol": "BTCUSDT", "interval": "1h", "strategy": "macd_cross", "kind": "trial", "side": "short"}
    told = signal_message(signal | {"price": 60_123.4, "at": moment, "fresh_until": moment.replace(minute=5)})
    assert told.title == "short trial: BTCUSDT 1h by macd_cross"
    assert told.text == "at 60123.4, 2026-01-31 12:00 UTC, fresh until 12:05:00 UTC"
