"""Runs a whole Tidemark in the foreground: the start, the live view, and an end that leaves no process behind."""

import fcntl
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from pymongo.errors import PyMongoError
from rich.console import Console
from rich.live import Live

from pipeline import log_file, logs
from pipeline.app import door
from pipeline.app.overview import Overview
from pipeline.cli.live_view import line, live_view, signals_table
from pipeline.cli.start_view import PlainStart, RichStart, show_link
from pipeline.errors import AttentionError
from pipeline.settings import Settings, secrets_of, take_keys
from pipeline.supervise import services
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor
from pipeline.supervise.vanishing import Vanishing
from pipeline.supervise.whole import STEPS, Choice, StartView, Step, Whole, start, start_database

REDRAWN_EVERY: Final = 1.0
SAID_EVERY: Final = 15.0
_LOG_WIDTH: Final = 140
LOCK: Final = "running.lock"
NEWS_FOR: Final = 60.0
_TROUBLE: Final = ("WARNING", "ERROR", "CRITICAL", "starting it again")


def conduct(choice: Choice, *, plain: bool) -> None:
    """Take the steps, show what goes on until Ctrl-C, and end everything. Of all that is started, only what is to trade
    is given the keys."""
    settings = choice.settings
    keys = take_keys(os.environ)
    console = Console()
    if not console.is_terminal:
        plain, console.width = True, _LOG_WIDTH
    news = News()

    gone = threading.Event()

    def say(name: str, said: str) -> None:
        if gone.is_set():
            return  # of a folder that is gone it is nothing but complaints
        if plain:
            console.print(f"{name:>9} | {said}", markup=False, highlight=False, soft_wrap=True)
        elif any(sign in said for sign in _TROUBLE):
            news.add(f"{name}: {said}")

    def announce(text: str) -> None:
        gone.set()
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    began = time.monotonic()
    stop = threading.Event()
    try:
        with (
            _until_a_signal(stop),
            _alone(settings.home) as lock,
            Vanishing(settings.home, lock.fileno(), LOCK, announce),
            Reaper(services.farewell()) as reaper,
            ExitStack() as ends,
        ):
            _log_to_a_file(settings, ends, plain=plain)
            with _start_view(console, plain=plain) as view:
                supervisor = Supervisor(settings.home / "logs", reaper, say)
                whole = Whole(choice, keys, supervisor, view, ends, stop)
                start(whole, [Step("database", start_database)])
                ends.enter_context(supervisor)
                start(whole, STEPS)
            _tell_ready(whole, console, time.monotonic() - began)
            _show(whole, console, news, plain=plain)
    except KeyboardInterrupt:
        console.print(f"stopped; the data stay in {settings.home}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _alone(home: Path) -> Iterator[TextIO]:
    """One whole a data folder. The kernel drops the lock when its holder dies."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AttentionError(
                f"another `tidemark demo` or `tidemark up` runs in {home}. End that one, or give this one a folder of "
                "its own with TIDEMARK_HOME"
            ) from None
        yield lock


@contextmanager
def _until_a_signal(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set the event and interrupt, once: what ends meanwhile must not be interrupted again."""

    def on_signal(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stop.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    yield


def _log_to_a_file(settings: Settings, ends: ExitStack, *, plain: bool) -> None:
    """A moving view leaves no room for log lines: they go beside those of the processes."""
    if plain:
        return
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tidemark.log"
    log_file.put_aside(path)
    file = ends.enter_context(path.open("a", encoding="utf-8"))
    said = secrets_of(settings)
    logs.configure(settings.log, settings.log_level, said, file)
    ends.callback(logs.configure, settings.log, settings.log_level, said)


@contextmanager
def _start_view(console: Console, *, plain: bool) -> Iterator[StartView]:
    if plain:
        yield PlainStart(console)
        return
    with RichStart(console) as view:
        yield view


def _tell_ready(whole: Whole, console: Console, seconds: float) -> None:
    console.print()
    console.print(signals_table(whole.overviews.look(), "the newest signals"))
    console.print()
    link = door.link(services.page_address(whole.ports), door.Door(whole.settings.home).code())
    show_link(console, link)
    for name, address in _addresses(whole).items():
        console.print(f"{name:<12} {address}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"ready after {seconds:.1f} s. Ctrl-C ends it; the data stay", highlight=False, soft_wrap=True)


def _show(whole: Whole, console: Console, news: "News", *, plain: bool) -> None:
    """Until Ctrl-C."""
    seen = _Seen(whole)
    if plain:
        while True:
            time.sleep(SAID_EVERY)
            console.print(line(seen.now()), markup=False, highlight=False, soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            shown = live_view(seen.now(), whole.supervisor.statuses(), _addresses(whole), seen.problems(news))
            live.update(shown, refresh=True)
            time.sleep(REDRAWN_EVERY)


class News:
    """The last few troubles of the processes, for a minute each."""

    def __init__(self) -> None:
        self._told: deque[tuple[float, str]] = deque(maxlen=3)

    def add(self, text: str) -> None:
        """Something happened."""
        self._told.append((time.monotonic(), text))

    def recent(self) -> list[str]:
        """What is new enough to be shown."""
        oldest = time.monotonic() - NEWS_FOR
        return [text for at, text in list(self._told) if at > oldest]


class _Seen:
    """The newest overview; the one before while the database is away."""

    def __init__(self, whole: Whole) -> None:
        self._overviews = whole.overviews
        self._last: Overview | None = None
        self._away: str | None = None

    def now(self) -> Overview:
        """Look again."""
        try:
            self._last, self._away = self._overviews.look(), None
        except PyMongoError as error:
            self._away = f"the database does not answer: {str(error)[:120]}"
            if self._last is None:
                raise
        return self._last

    def problems(self, news: "News") -> list[str]:
        """What a person should know of."""
        return [*news.recent(), *([self._away] if self._away else [])]


def _addresses(whole: Whole) -> Mapping[str, Any]:
    return services.addresses(whole.settings.home, whole.ports, whole.database_at)
