"""The page's server: what answers at which address, until it is told to end."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from pymongo.errors import PyMongoError
from starlette.types import Scope

from pipeline.app.door import COOKIE_LASTS, ENTRANCE, Door, TooOftenError, UsedError, WrongError, told
from pipeline.app.listening import listening
from pipeline.app.opened import in_words
from pipeline.app.trading_settings import RevisionError
from pipeline.errors import AttentionError, TidemarkError, UsageError
from pipeline.settings import Settings
from pipeline.tasks import cancel
from pipeline.web import answers, work
from pipeline.web.guard import Guard, cookie_name, page_of_words
from pipeline.web.jobs import Jobs
from pipeline.web.live import Live
from pipeline.web.measured import note_for_ever
from pipeline.web.memory import give_back_for_ever
from pipeline.web.places import Places, opened
from pipeline.web.routes import backtests, explaining, market, running, searches, trading

STATIC: Final = Path(__file__).parent / "static"
_ENDS_WITHIN: Final = 3
_STATUS: Final = ((RevisionError, 409), (AttentionError, 503), (TidemarkError, 422))
"""What cannot be done as it was asked, with its sentence, is 422."""


def serve(settings: Settings, host: str, port: int, said: Callable[[str], None], urls: Sequence[str] = ()) -> None:
    """Answer at that address until a signal. `urls`: where browsers find it, if not there; `said`: is told where."""
    names = {_name_in(url): url.startswith("https:") for url in urls}
    with listening("the page", host, port) as taken, opened(settings) as places:
        here: int = taken.getsockname()[1]
        app = application(places, Door(settings.home), here, names)
        address = urls[0].rstrip("/") if urls else f"http://{host}:{here}"
        with told(settings.home, address):
            said(f"the page is served: {address}")
            _run(app, taken)


def _name_in(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"} or parts.query:
        raise UsageError(f"--url is where browsers find the page, such as https://tidemark.example.org, not {url!r}")
    return parts.netloc


def _run(app: Guard, taken: socket.socket) -> None:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=_ENDS_WITHIN, server_header=False
    )
    _Server(config).run([taken])


class _Server(uvicorn.Server):
    """Ends in order at Ctrl-C and at SIGTERM, and has then done what it was told."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        ours = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, before in ours.items():
                signal.signal(number, before)


def application(places: Places, door: Door, port: int, names: Mapping[str, bool] | None = None) -> Guard:
    """What answers, behind its guard. `names`: those it has besides, and whether browsers come to them over TLS."""
    names = names or {}
    live = Live(places)
    tried, searched = Jobs("backtest", work.backtest), Jobs("search", work.search)
    opened_for = Jobs("opening of sealed days", work.opening)
    explained = Jobs("explanation", work.explaining)

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        await live.start()
        beside = [asyncio.create_task(one) for one in (note_for_ever(places.measure), give_back_for_ever())]
        yield
        await cancel(beside)
        for jobs in (tried, searched, opened_for, explained):
            jobs.stop()
        await live.stop()

    app = FastAPI(
        title="Tidemark",
        version=version("tidemark"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=alive,
        responses={status: {"model": answers.Refusal} for status in (401, 403, 409, 422, 503)},
    )
    app.state.places, app.state.backtests, app.state.searching, app.state.opening = places, tried, searched, opened_for
    app.state.explaining = explained
    for routes in (market, trading, backtests, searches, running, explaining):
        app.include_router(routes.router, prefix="/api")
    for kind, status in _STATUS:
        app.add_exception_handler(kind, _refusing(status))
    app.add_exception_handler(PyMongoError, _database_away)
    app.add_exception_handler(RequestValidationError, _not_understood)

    @app.websocket("/api/live")
    async def follow(tab: WebSocket) -> None:
        await live.serve(tab)

    @app.get(ENTRANCE, include_in_schema=False)
    def enter(request: Request, code: str = "") -> Response:
        try:
            cookie = door.enter(code)
        except UsedError:
            return page_of_words(401, "This link was used before", "lets in once")
        except TooOftenError:
            return page_of_words(429, "Too many wrong links in a minute", "lets in all the same")
        except WrongError:
            return page_of_words(401, "This link is too old, or not of this server", "holds for five minutes")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            cookie_name(port),
            cookie,
            max_age=COOKIE_LASTS,
            httponly=True,
            samesite="strict",
            secure=names.get(request.headers["host"], False),
        )
        return answer

    app.mount("/", _Files(directory=STATIC, html=True))
    return Guard(app, door, port, names)


class _Files(StaticFiles):
    """The page's own files: a browser asks each time whether they are still the same, or an upgrade would leave old
    ones in it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "no-cache"
        return answer


def _refusing(status: int) -> Callable[[Request, Exception], Response]:
    def refuse(_: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status)

    return refuse


def _database_away(_: Request, error: Exception) -> Response:
    said = in_words(error) if isinstance(error, PyMongoError) else str(error)
    return JSONResponse({"detail": said}, 503)


def _not_understood(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    said = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"detail": "; ".join(said)}, 422)
