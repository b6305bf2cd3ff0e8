"""Stands before everything the page's server answers: which name it was called by, which site asks, and who.

It is plain ASGI, for it must see sockets too, and its own refusals carry the same headers as every answer.
"""

from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.app.door import ENTRANCE, Door

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""On every answer, refusals included."""
_LOOKING: Final = {"GET", "HEAD"}
_OWN: Final = {"same-origin", "none"}
_REFUSED_SOCKET: Final = 1008


class Guard:
    """Lets in who may come in. `names`: the hosts it answers as, with their ports where they have one."""

    def __init__(self, app: ASGIApp, door: Door, port: int, names: Collection[str] = ()) -> None:
        self._app = app
        self._door = door
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}", *names}
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def adorned(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, adorned)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _REFUSED_SOCKET})
        else:
            await refusal(scope, receive, adorned)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host") not in self._hosts:
            return _no(421, "this server is not known by that name: `tidemark web --url` tells it one")
        if not _is_ours(scope, headers):
            return _no(403, "another site asked for this")
        if scope["type"] == "http" and scope["path"] == ENTRANCE:
            return None
        role = self._door.role_of(self._shown(headers), _word(headers))
        scope.setdefault("state", {})["role"] = role
        if role is None:
            if "text/html" in headers.get("accept", "") and scope["path"] == "/":
                return page_of_words(401, "This page needs a link", "lets in once")
            return _no(401, "nobody is logged in: `tidemark page` prints a link")
        if role == "read" and scope["type"] == "http" and scope["method"] not in _LOOKING:
            return _no(403, "this link may only look: `tidemark page` prints one that may also order")
        return None

    def _shown(self, headers: Headers) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return None if found is None else found.value


def page_of_words(status: int, what: str, how: str) -> Response:
    """For a person who stands before the door."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Tidemark</title><h1>{what}</h1>'
        f"<p><code>tidemark page</code> prints a new link. It {how}.</p></html>",
        status,
    )


def cookie_name(port: int) -> str:
    """Cookies do not tell ports apart; their names do."""
    return f"tidemark-{port}"


def _is_ours(scope: Scope, headers: Headers) -> bool:
    """Whether our own page asks, or no page at all. A stranger may send a person here, and nothing more."""
    site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers["host"]:
        return False
    if site in _OWN:
        return True
    goes_there = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return goes_there and scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in {"/", ENTRANCE}


def _word(headers: Headers) -> str | None:
    kind, _, word = headers.get("authorization", "").partition(" ")
    return word.strip() if kind.lower() == "bearer" else None


def _no(status: int, why: str) -> JSONResponse:
    return JSONResponse({"detail": why}, status)
